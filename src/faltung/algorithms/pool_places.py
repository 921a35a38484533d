"""Where the largest or smallest sample of every window lies, with NumPy, in blocks that fit the cache.

Axis by axis, the last one first, a window is put together from its samples or, if it is long, from shorter windows
that overlap (van Herk 1992): a later part wins only where it is strictly larger, so the first of equal samples stays.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from faltung.runtime import gather, regions, threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.problem.boundary import AxisMap
    from faltung.problem.geometry import Axis
    from faltung.runtime.regions import Box

Kind = Literal["max", "min"]

# Samples of a block: it and its levels stay in the second cache.
BLOCK = 1 << 16
# Windows with more taps per stride than this are put together from shorter ones (measured).
LONG = 8


def places(
    source: np.ndarray, maps: Sequence[AxisMap], axes: Sequence[Axis], kind: Kind, count: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Give the extremum of every window and its place in the window, counted in C order.

    `maps` extends each axis of the array, `axes` are those of the extended array (low = 0), of which carried ones have
    one tap. Of equal samples the first is taken, of several NaN the last, as torch does it. Places are unsigned
    integers of the smallest type that holds them; `count` is the number of threads.
    """
    shape = tuple(axis.out for axis in axes)
    values = np.empty(shape, source.dtype)
    found = np.empty(shape, np.min_scalar_type(math.prod(axis.taps for axis in axes) - 1))

    def job(box: Box) -> None:
        part = tuple(slice(*pair) for pair in box)
        values[part], found[part] = _block(read(source, maps, axes, box), axes, box, kind, found.dtype)

    boxes = blocks(axes, BLOCK)
    threads.run([lambda box=box: job(box) for box in boxes], count)  # type: ignore[misc]
    return values, found


def blocks(axes: Sequence[Axis], samples: int) -> list[Box]:
    """Cut the outputs into boxes that read about so many samples, along the first axes only."""
    boxes: list[Box] = [tuple((0, axis.out) for axis in axes)]
    if 0 in (axis.out for axis in axes):
        return []
    for i, axis in enumerate(axes):
        inner = math.prod(min(a.size, a.stride * (a.out - 1) + a.span) for a in axes[i + 1 :])
        each = max(1, samples // max(1, inner * axis.stride))
        boxes = [piece for box in boxes for piece in regions.split(box, i, -(-axis.out // each))]
        if each > 1:
            break
    return boxes


def read(source: np.ndarray, maps: Sequence[AxisMap], axes: Sequence[Axis], box: Box) -> np.ndarray:
    """Give what the windows of a box read: a view where that lies inside the array."""
    reads = [axis.reads(*pair) for axis, pair in zip(axes, box, strict=True)]
    parts = [gather.pick(chosen, np.arange(*pair)) for chosen, pair in zip(maps, reads, strict=True)]
    starts = [int(part.index[0]) for part in parts]
    inside = all(
        start >= 0 and part.sign is None and np.array_equal(part.index, np.arange(start, start + len(part.index)))
        for start, part in zip(starts, parts, strict=True)
    )
    if not inside:
        return gather.extended(source, parts)
    return source[tuple(slice(start, start + b - a) for start, (a, b) in zip(starts, reads, strict=True))]


def _block(
    samples: np.ndarray, axes: Sequence[Axis], box: Box, kind: Kind, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    best, place = _search(samples, axes, box, kind, dtype, nan=False)
    if best.dtype.kind == "f" and np.isnan(best).any():
        best, place = _search(samples, axes, box, kind, dtype, nan=True)
    return best, place


def _search(
    samples: np.ndarray, axes: Sequence[Axis], box: Box, kind: Kind, dtype: np.dtype, *, nan: bool
) -> tuple[np.ndarray, np.ndarray]:
    level, choice, taps = _Level(samples, None), _Choice(kind, dtype, nan), 1
    for i in reversed(range(len(axes))):
        if axes[i].taps > 1 or axes[i].stride > 1:
            level = _along(level, i, axes[i], box[i][1] - box[i][0], taps, choice)
            taps *= axes[i].taps
    return level.best, np.zeros(level.best.shape, dtype) if level.place is None else level.place


class _Level(NamedTuple):
    """The best sample of windows of some length, and its place (None: 0) in them."""

    best: np.ndarray
    place: np.ndarray | None

    def part(self, axis: int, start: int, stop: int, step: int = 1) -> _Level:
        at = (slice(None),) * axis + (slice(start, stop, step),)
        return _Level(self.best[at], None if self.place is None else self.place[at])


class _Choice(NamedTuple):
    """Takes the better of two samples; places of later ones are larger, so their maximum is the place of the winner."""

    kind: Kind
    dtype: np.dtype
    nan: bool

    def __call__(self, early: _Level, later: _Level, shift: int) -> _Level:
        """Combine windows with others whose places are `shift` further on."""
        better, extreme = (np.greater, np.maximum) if self.kind == "max" else (np.less, np.minimum)
        wins = better(later.best, early.best)
        if self.nan:
            wins |= np.isnan(later.best)
        at = self.dtype.type(shift) if later.place is None else later.place + self.dtype.type(shift)
        place = np.multiply(wins.view(np.uint8), at, dtype=self.dtype)
        if early.place is not None:
            np.maximum(early.place, place, out=place)
        return _Level(extreme(early.best, later.best), place)


def _along(level: _Level, axis: int, one: Axis, out: int, taps: int, choice: _Choice) -> _Level:
    """Put the windows along one axis together; a step along it is `taps` places."""
    reach = one.stride * (out - 1) + 1
    if one.taps <= LONG * one.stride:
        result = level.part(axis, 0, reach, one.stride)
        for tap in range(1, one.taps):
            at = tap * one.dilation
            result = choice(result, level.part(axis, at, at + reach, one.stride), tap * taps)
        return result
    length = 1
    while length < one.taps:
        step = min(length, one.taps - length)
        shift, size = step * one.dilation, level.best.shape[axis]
        level = choice(level.part(axis, 0, size - shift), level.part(axis, shift, size), step * taps)
        length += step
    return level.part(axis, 0, reach, one.stride)
