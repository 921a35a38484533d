"""The samples that a part of the output reads: which they are, and where they lie in a block that holds just these."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from faltung.runtime import gather

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faltung.problem.boundary import AxisMap, Sides
    from faltung.problem.geometry import Axis

# A grid of regions asks for the same intervals again and again.
READS_KEPT = 1 << 14
#: Sorted intervals [start, stop) of one axis, no two of which touch.
Intervals: TypeAlias = tuple[tuple[int, int], ...]


def joined(intervals: Iterable[tuple[int, int]]) -> Intervals:
    """Sort intervals, and join those that overlap or touch.

    >>> joined([(7, 9), (0, 3), (2, 5), (4, 4)])
    ((0, 5), (7, 9))
    """
    result: list[tuple[int, int]] = []
    for start, stop in sorted(one for one in intervals if one[0] < one[1]):
        if result and start <= result[-1][1]:
            result[-1] = result[-1][0], max(stop, result[-1][1])
        else:
            result.append((start, stop))
    return tuple(result)


@lru_cache(READS_KEPT)
def read(axis: Axis, sides: Sides | None, start: int, stop: int) -> Intervals:
    """Give the samples that the coordinates [start, stop) of an extended axis are made of.

    >>> from faltung.problem.boundary import parse
    >>> from faltung.problem.geometry import Axis
    >>> read(Axis(9, 3, 1, 1, 1, 9), parse("wrap", 1)[0], -1, 3)
    ((0, 3), (8, 9))
    """
    found = [(max(start, 0), min(stop, axis.size))]
    if sides is not None:
        for low, high in ((start, min(stop, 0)), (max(start, axis.size), stop)):
            if low < high:
                found += _sources(gather.coordinates(low, high, axis.size, sides), axis.size)
    return joined(found)


def _sources(chosen: AxisMap, size: int) -> list[tuple[int, int]]:
    """Give the samples behind coordinates beyond the array, the edges that odd rules mirror through too."""
    places = np.unique(chosen.index[chosen.index >= 0])
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    found = [(int(run[0]), int(run[-1]) + 1) for run in runs if len(run)]
    for edge, factor in ((0, chosen.first), (size - 1, chosen.last)):
        if factor is not None and factor.any():
            found.append((edge, edge + 1))
    return found


def count(intervals: Intervals) -> int:
    """Count the samples.

    >>> count(((0, 5), (7, 9)))
    7
    """
    return sum(stop - start for start, stop in intervals)


def places(intervals: Intervals, coordinates: np.ndarray) -> np.ndarray:
    """Say where in the block these coordinates lie; each must be held.

    >>> places(((0, 5), (7, 9)), np.array([4, 7])).tolist()
    [4, 5]
    """
    starts = np.array([start for start, _ in intervals], np.int64)
    before = np.concatenate([[0], np.cumsum([stop - start for start, stop in intervals])[:-1]]).astype(np.int64)
    which = np.searchsorted(starts, coordinates, side="right") - 1
    found: np.ndarray = coordinates - starts[which] + before[which]
    return found


def place(intervals: Intervals, coordinate: int) -> int:
    """Say where in the block a coordinate lies; it must be held.

    >>> place(((0, 5), (7, 9)), 7)
    5
    """
    before = 0
    for start, stop in intervals:
        if coordinate < stop:
            return before + coordinate - start
        before += stop - start
    msg = f"coordinate {coordinate} is not held in {intervals}"
    raise IndexError(msg)


def moved(chosen: AxisMap, intervals: Intervals) -> AxisMap:
    """Let a map point into the block instead of the whole axis.

    An odd rule's edges are the first and the last sample of the block as they are of the axis: they are held if they
    count, and nothing lies beyond them.
    """
    index = chosen.index.copy()
    inside = index >= 0
    if intervals:
        index[inside] = places(intervals, index[inside])
    return replace(chosen, index=index)
