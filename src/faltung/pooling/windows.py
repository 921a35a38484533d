"""Where the windows of a pooling lie on an array of one shape: sizes, padding, and what counts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import GeometryError
from faltung.problem import geometry
from faltung.problem.boundary import AxisMap, Rule, axis_map
from faltung.problem.geometry import Axis
from faltung.runtime import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.problem.boundary import Sides


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows on an array of `shape` along `axes`, which ascend; the other fields have one entry for each.

    Output o and tap t read the coordinate stride·o + dilation·t - low. `high` is the padding after the array; in
    ceil mode the last window may reach beyond that, where nothing counts. `sides` is None where padding is no sample.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    along: tuple[Axis, ...]
    high: tuple[int, ...]
    sides: tuple[Sides, ...] | None

    def __hash__(self) -> int:
        # Those of one pooling differ in little else, and every call looks its windows up.
        return hash((self.shape, self.axes))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the pooled array."""
        return geometry.output_shape(self.shape, self.axes, self.along)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the pooled axes."""
        return tuple(axis.size for axis in self.along)

    @property
    def taps(self) -> int:
        """Places in a window."""
        return math.prod(axis.taps for axis in self.along)

    @property
    def ends(self) -> tuple[int, ...]:
        """The coordinate after the last that is read, along each axis."""
        return tuple(axis.reads(0, axis.out)[1] for axis in self.along)

    @property
    def padded(self) -> bool:
        """Whether any window reads beyond the array."""
        return any(axis.low or end > axis.size for axis, end in zip(self.along, self.ends, strict=True))

    @property
    def overhangs(self) -> bool:
        """Whether a window reaches beyond the padding (in ceil mode)."""
        return any(end > a.size + high for a, high, end in zip(self.along, self.high, self.ends, strict=True))

    @property
    def ignores(self) -> bool:
        """Whether some places of some windows do not count."""
        return self.overhangs or (self.sides is None and self.padded)

    @property
    def has_odd_rules(self) -> bool:
        """Whether a rule that extrapolates is met."""
        return self.padded and any(rule.is_odd for sides in self.sides or () for rule in sides)

    def counted(self, *, padding: bool) -> tuple[np.ndarray, ...]:
        """Count the taps of each output that lie on the array (or on it and its padding), axis by axis."""
        counts = []
        for axis, high in zip(self.along, self.high, strict=True):
            first = axis.stride * np.arange(axis.out) - axis.low
            start, stop = (-axis.low, axis.size + high) if padding else (0, axis.size)
            before, until = (np.clip(-((first - edge) // axis.dilation), 0, axis.taps) for edge in (start, stop))
            counts.append(until - before)
        return tuple(counts)

    def per_axis(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Shape one vector for each pooled axis so that they broadcast against the output."""
        shapes = [[-1 if i == axis else 1 for i in range(len(self.shape))] for axis in self.axes]
        return [value.reshape(shape) for value, shape in zip(values, shapes, strict=True)]

    def samples(self, *, padding: bool) -> np.ndarray:
        """Count the samples of each window, as integers that broadcast against the output."""
        parts = self.per_axis(self.counted(padding=padding))
        return np.asarray(math.prod(parts[1:], start=parts[0]))

    def maps(self, fill: float, *, overhang: bool = True) -> list[AxisMap]:
        """Say where all that windows read comes from, for every axis of the array; what does not count is `fill`.

        Without `overhang`, what lies beyond the padding is left out.
        """
        maps = [gather.coordinates(0, size, size, None) for size in self.shape]
        for i, axis in enumerate(self.axes):
            one, end = self.along[i], self.ends[i]
            edge = min(end, one.size + self.high[i])
            sides = self.sides[i] if self.sides is not None else (Rule("constant", fill),) * 2
            known = axis_map(-one.low, edge, one.size, sides)
            maps[axis] = _beyond(known, end - edge, fill) if overhang and end > edge else known
        return maps

    def read(self, x: np.ndarray, fill: float) -> tuple[np.ndarray, list[AxisMap]]:
        """Give an array, and the maps that extend it to all that the windows read; what does not count is `fill`."""
        if self.sides is None or not self.overhangs:
            return x, self.maps(fill)
        # What lies beyond the padding of any axis does not count, whatever the rules of the others.
        array = gather.extended(x, self.maps(fill, overhang=False))
        beyond = [(0, 0)] * array.ndim
        for axis, size in zip(self.axes, self.extended().sizes, strict=True):
            beyond[axis] = (0, size - array.shape[axis])
        array = np.pad(array, beyond, constant_values=fill)
        return array, [gather.coordinates(0, size, size, None) for size in array.shape]

    def everything(self, x: np.ndarray, fill: float) -> np.ndarray:
        """Give all that the windows read."""
        return gather.extended(*self.read(x, fill))

    def ignored(self) -> list[np.ndarray]:
        """Mark the places that do not count along each pooled axis, counted from the first that is read."""
        marks = []
        for axis, high, end in zip(self.along, self.high, self.ends, strict=True):
            at = np.arange(-axis.low, end)
            marks.append((at >= axis.size + high) if self.sides is not None else (at < 0) | (at >= axis.size))
        return marks

    def extended(self) -> Windows:
        """Give the same windows on the array extended by `maps`."""
        sizes = list(self.shape)
        for axis, one, end in zip(self.axes, self.along, self.ends, strict=True):
            sizes[axis] = one.low + end
        along = tuple(replace(one, size=sizes[axis], low=0) for axis, one in zip(self.axes, self.along, strict=True))
        return Windows(tuple(sizes), self.axes, along, (0,) * len(along), None)


def lay(
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    sides: Sequence[Sides] | None,
    *,
    ceil_mode: bool,
) -> Windows:
    """Lay windows over an array; every sequence follows `axes`, in any order.

    Raises GeometryError where a non-empty axis is left without output.
    """
    order = sorted(range(len(axes)), key=axes.__getitem__)
    along = tuple(
        _axis(axes[i], shape[axes[i]], window[i], stride[i], padding[i], dilation[i], ceil_mode) for i in order
    )
    highs = tuple(padding[i][1] for i in order)
    ordered = None if sides is None else tuple(sides[i] for i in order)
    return Windows(shape, tuple(axes[i] for i in order), along, highs, ordered)


def pads(padding: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """Read a padding: an integer, one per axis, or one (low, high) pair per axis.

    >>> pads([1, 2], 2), pads([(0, 1)], 1)
    (((1, 1), (2, 2)), ((0, 1),))
    """
    # One tap on one sample has an output for each place of the padded axis.
    found = geometry.resolve((1,) * ndim, (1,) * ndim, padding=padding)
    return tuple((axis.low, axis.out - 1 - axis.low) for axis in found)


def _axis(
    name: int, size: int, taps: int, stride: int, padding: tuple[int, int], dilation: int, ceil_mode: bool
) -> Axis:
    low, high = padding
    span, total = dilation * (taps - 1) + 1, size + sum(padding)
    out, rest = (total - span) // stride + 1, (total - span) % stride
    # As in torch, the window that does not fit whole must begin on the array or in the padding before it.
    if ceil_mode and rest and out * stride < size + low:
        out += 1
    if out < 1 and size > 0:
        msg = (
            f"the window spans {span} samples of axis {name} ({taps} places, dilation {dilation}), but the padded "
            f"array has {low} + {size} + {high} = {total}, which leaves no output; "
        )
        raise GeometryError(msg + f"pad by {span - total} more, or use a smaller window")
    return Axis(size, taps, stride, dilation, low, max(out, 0))


def _beyond(known: AxisMap, count: int, fill: float) -> AxisMap:
    """Append places that do not count."""
    index = np.concatenate([known.index, np.full(count, -1)])
    before = np.zeros(len(known.index), np.int64) if known.fill is None else known.fill
    fills = np.concatenate([before, np.full(count, fill)])
    nothing = np.zeros(count, np.int64)
    odd = (part if part is None else np.concatenate([part, nothing]) for part in (known.sign, known.first, known.last))
    return AxisMap(index, fills, *odd)
