"""How a problem of any rank lies on the compiled loop nest: which axis is a lane, which a row, which a table.

Neighbouring carried axes are merged first. Then one axis becomes the lanes (contiguous in memory), one the rows, and
all others positions and taps in tables. Whatever the roles, every output sums its taps in the kernel's C order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faltung.problem.geometry import Axis

if TYPE_CHECKING:
    import numpy as np

    from faltung.problem.boundary import Sides
    from faltung.problem.problem import Problem

# A trailing carried axis at least this long is vectorised by itself; a shorter one (RGB) is interleaved with the
# filtered axis before it, whose taps then lie `inner` elements apart.
LONG_INNER = 16


@dataclass(frozen=True, slots=True)
class Untied:
    """Kernels that take turns along the first merged axis: `count` of them, each for `repeat` positions in a row."""

    count: int
    repeat: int

    def of(self, positions: np.ndarray) -> np.ndarray:
        """Give the kernel of each position."""
        kernels: np.ndarray = positions // self.repeat % self.count
        return kernels


@dataclass(frozen=True, slots=True)
class Layout:
    """The problem's axes after merging, with their roles.

    `axes` holds the merged axes, the last being the lane axis in units of `inner` interleaved elements; `sides` the
    boundary of each (None where carried); `row` the index of the row axis, or None if the lanes are folded into rows.
    """

    axes: tuple[Axis, ...]
    sides: tuple[Sides | None, ...]
    inner: int
    row: int | None
    shared: bool
    untied: Untied | None = None

    @property
    def lane(self) -> Axis:
        """The lane axis."""
        return self.axes[-1]

    @property
    def outer(self) -> tuple[int, ...]:
        """The axes that are neither row nor lane."""
        return tuple(i for i in range(len(self.axes) - 1) if i != self.row)

    @property
    def phases(self) -> tuple[int, ...]:
        """The lane coordinates modulo the stride that any tap reads; several mean that the input is deinterleaved."""
        lane = self.lane
        return tuple(sorted({lane.dilation * t % lane.stride for t in range(lane.taps)}))

    def array_shape(self, *, out: bool) -> tuple[int, ...]:
        """The merged shape of the input or the output array, lanes as (pixels x inner)."""
        sizes = [axis.out if out else axis.size for axis in self.axes]
        return (*sizes[:-1], sizes[-1] * self.inner)


def layout(problem: Problem) -> Layout:
    """Assign the roles."""
    axes, sides = _merged(problem)
    inner = 1
    if sides[-1] is None and len(axes) > 1 and axes[-1].size < LONG_INNER:
        inner = axes[-1].size
        axes, sides = axes[:-1], sides[:-1]
    untied = _untied(problem)
    row = _row(axes, untied is not None)
    shared = row is not None and axes[row].taps > 1 and axes[row].stride == 1 and axes[row].dilation == 1
    return Layout(tuple(axes), tuple(sides), inner, row, shared, untied)


def _untied(problem: Problem) -> Untied | None:
    """Give the kernels of a depthwise layer; axes carried along after its channels are merged with these."""
    if problem.channels is None:
        return None
    repeat = 1
    for axis in problem.array_axes()[problem.channels.axis + 1 :]:
        if axis != Axis(axis.size, 1, 1, axis.dilation, 0, axis.size):
            break
        repeat *= axis.size
    return Untied(problem.channels.outputs, repeat)


def _merged(problem: Problem) -> tuple[list[Axis], list[Sides | None]]:
    boundary: dict[int, Sides] = dict(zip(problem.axes, problem.boundary, strict=True))
    axes: list[Axis] = []
    sides: list[Sides | None] = []
    for i, axis in enumerate(problem.array_axes()):
        # One tap that reads the output's own place filters nothing: such an axis is carried.
        side = None if axis == Axis(axis.size, 1, 1, axis.dilation, 0, axis.size) else boundary.get(i)
        if side is None and axes and sides[-1] is None:
            size = axes[-1].size * axis.size
            axes[-1] = Axis(size, 1, 1, 1, 0, size)
        else:
            axes.append(replace(axis, dilation=1) if side is None else axis)
            sides.append(side)
    if not axes:
        axes, sides = [Axis(1, 1, 1, 1, 0, 1)], [None]
    return axes, sides


def _row(axes: list[Axis], untied: bool) -> int | None:
    """Choose the row axis: the last one before the lanes that has taps, so that tap order stays the kernel's.

    A kernel with taps along the lanes alone is folded if a line holds many vectors; otherwise rows are lines.
    """
    if len(axes) == 1:
        return None
    # Rows share their weights, which positions of the first axis of a depthwise layer do not.
    choices = range(int(untied), len(axes) - 1)
    with_taps = [i for i in choices if axes[i].taps > 1]
    if with_taps:
        return with_taps[-1]
    if axes[-1].out >= 1024 or not choices:
        return None
    return max(choices, key=lambda i: axes[i].out)


def kernel_shape(plan: Layout) -> tuple[int, int, int]:
    """Split the merged axes' taps into (outer, row, lane) extents.

    >>> from faltung.problem.geometry import Axis
    >>> def axis(taps): return Axis(9, taps, 1, 1, 0, 9)
    >>> kernel_shape(Layout((axis(2), axis(3), axis(5)), (None, None, None), 1, 1, True))
    (2, 3, 5)
    """
    outer = math.prod(plan.axes[i].taps for i in plan.outer)
    rows = plan.axes[plan.row].taps if plan.row is not None else 1
    return outer, rows, plan.lane.taps
