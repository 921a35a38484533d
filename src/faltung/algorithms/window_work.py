"""What is to be done along each axis of a window: its chain of stages, its element type, and where its runs lie.

Outputs of a strided outer axis read every s-th place of its last levels. Lanes with a stride are gathered phase by
phase (coordinate s·q + p at place q of phase p), so that neighbouring outputs read neighbours; the window is then one
run of samples in every phase it meets.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from faltung.algorithms.window_chain import Chain, Price, chain
from faltung.runtime import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.layout import Layout
    from faltung.compiler.elements import Element
    from faltung.problem.geometry import Axis

# Nanoseconds of a stage for each register (measured in cache with AVX-512): rows share loads, strided ones do not;
# lanes are shifted in registers, or loaded across cache lines.
LANE_REACH = 32
ROWS = Price(1.4, 0.08, 0.08, 0.5)
STRIDED = Price(1.0, 0.45, 0.45, 0.45)
LANES = Price(1.2, 0.12, 0.6, 0.55, LANE_REACH)
APART = Price(1.0, 0.6, 0.6, 0.55)


class Arithmetic(NamedTuple):
    """The operation ("add", "max", "min"), what is loaded and stored, and factors of sums.

    `before` multiplies every sample, `after` (a type and its number) the sum.
    """

    op: str
    load: Element
    store: Element
    before: float | None = None
    after: tuple[Element, float] | None = None


class Work(NamedTuple):
    """The stages along one axis (of the merged ones).

    `element` is the type of the levels; `step` the places from one sample of a run to the next, `stride` from one
    output to the next.
    """

    axis: int
    element: Element
    chain: Chain
    step: int
    stride: int


def worked(plan: Layout) -> tuple[int, ...]:
    """Name the axes that have stages: the filtered ones, or the last if there are none.

    >>> from faltung.problem.geometry import Axis
    >>> from faltung.algorithms.layout import Layout
    >>> worked(Layout((Axis(9, 1, 1, 1, 0, 9), Axis(9, 3, 1, 1, 0, 7)), (None, (None, None)), 1, 0, False))
    (1,)
    """
    return tuple(i for i, sides in enumerate(plan.sides) if sides is not None) or (len(plan.axes) - 1,)


def works(plan: Layout, op: str, elements: Sequence[Element], load: Element) -> tuple[Work, ...]:
    """Find the chains; `elements` has a type for each worked axis."""
    found = []
    for turn, (i, element) in enumerate(zip(worked(plan), elements, strict=True)):
        axis, lanes = plan.axes[i], i == len(plan.axes) - 1
        lengths, step = (lane_runs(axis)[:2]) if lanes else ((axis.taps,), axis.dilation)
        if lanes:
            price = APART if turn == 0 or step * plan.inner > 1 else LANES
        else:
            price = ROWS if axis.stride == 1 else STRIDED
        price = price._replace(dense=axis.stride)
        # Samples that are converted are read by one stage only.
        stages = chain(lengths, price, overlap=op != "add", once=turn == 0 and load != element)
        found.append(Work(i, element, stages, step, 1 if lanes else axis.stride))
    return tuple(found)


def lane_runs(lane: Axis) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """Give the length of the window's run in each phase of the lanes, the step within runs, and their first places.

    >>> from faltung.problem.geometry import Axis
    >>> lane_runs(Axis(size=20, taps=5, stride=2, dilation=1, low=0, out=8))
    ((3, 2), 1, (0, 0))
    """
    phases: dict[int, list[int]] = {}
    for tap in range(lane.taps):
        place, phase = divmod(lane.dilation * tap, lane.stride)
        phases.setdefault(phase, []).append(place)
    runs = [phases[phase] for phase in sorted(phases)]
    step = lane.dilation // math.gcd(lane.dilation, lane.stride)
    return tuple(len(run) for run in runs), step, tuple(run[0] for run in runs)


def phase_extent(lane: Axis, outputs: int) -> int:
    """Give the places of each phase that so many outputs read."""
    return outputs + (lane.span - 1) // lane.stride


def extent(plan: Layout, axis: int, outputs: int) -> int:
    """Give the places along an axis that so many outputs read."""
    chosen = plan.axes[axis]
    if axis == len(plan.axes) - 1:
        return len(plan.phases) * phase_extent(chosen, outputs)
    return chosen.stride * (outputs - 1) + chosen.span


def nanoseconds(plan: Layout, stages: Sequence[Work], tile: Sequence[tuple[int, int]]) -> float:
    """Predict the time of all stages on all tiles, each as large as this one; memory is not counted."""
    outputs = [stop - start for start, stop in tile]
    extents = [extent(plan, i, n) for i, n in enumerate(outputs)]
    total = _registers(plan, extents, 1.0)  # the copy to scratch memory
    for work in stages:
        extents[work.axis] = outputs[work.axis]
        total += work.chain.cost * _registers(plan, extents, work.element.bytes)
    return total * math.prod(axis.out for axis in plan.axes) / max(1, math.prod(outputs))


def _registers(plan: Layout, extents: Sequence[int], size: float) -> float:
    return math.prod(extents) * plan.inner * size / machine.host().vector_bytes
