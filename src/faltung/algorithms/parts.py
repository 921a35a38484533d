"""A box of a problem's outputs as a smaller problem of its own, which the same arithmetic solves with equal bits.

Its array is the block of samples that the box needs, with the same boundary rules where these find the same samples
there, and extended beforehand where they would not. That serves every method whose outputs depend on their windows
alone; the Fourier transform's tiles do not, and have `fourier_regions`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from faltung.algorithms import held
from faltung.algorithms.layout import Layout, layout
from faltung.problem.boundary import Rule
from faltung.problem.geometry import Axis
from faltung.runtime import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from faltung.algorithms.held import Intervals
    from faltung.problem.boundary import Sides
    from faltung.problem.problem import Problem
    from faltung.runtime.regions import Box

FITS_KEPT = 1 << 12
ZERO = (Rule("zero"), Rule("zero"))


def reads(problem: Problem, box: Box) -> list[tuple[int, int]]:
    """Give the coordinates of the extended array that a box of one map reads; a layer's channels are all read."""
    at = None if problem.channels is None else problem.channels.axis
    return [
        (0, axis.size) if i == at else axis.reads(*part)
        for i, (axis, part) in enumerate(zip(problem.array_axes(), box, strict=True))
    ]


def rules(problem: Problem) -> list[Sides | None]:
    """Give the boundary of every axis, None where it is carried."""
    found = dict(zip(problem.axes, problem.boundary, strict=True))
    return [found.get(i) for i in range(len(problem.shape))]


def samples(problem: Problem, box: Box) -> tuple[Intervals, ...]:
    """Give the samples that a box of one map needs, axis by axis."""
    return tuple(
        held.read(axis, sides, *part)
        for axis, sides, part in zip(problem.array_axes(), rules(problem), reads(problem, box), strict=True)
    )


class Part(NamedTuple):
    """The problem of a box, whose array is a block of the samples it needs, or of these `extended` by its rules."""

    problem: Problem
    extended: bool


def part(problem: Problem, box: Box, intervals: Sequence[Intervals]) -> Part:
    """Give the problem of a box, for a block of these samples."""
    shape = [held.count(have) for have in intervals]
    filtered = list(zip(problem.axes, problem.geometry, problem.boundary, strict=True))
    found = [_fitted(axis, sides, box[i], intervals[i]) for i, axis, sides in filtered]
    extended = None in found
    geometry, boundary = [], []
    for (i, axis, _), fitted in zip(filtered, found, strict=True):
        # Odd rules round, so the order of the axes is part of the answer: all of them are extended, or none.
        one, sides = (_valid(axis, box[i]), ZERO) if fitted is None or extended else fitted
        shape[i] = one.size
        geometry.append(one)
        boundary.append(sides)
    smaller = replace(problem, shape=tuple(shape), geometry=tuple(geometry), boundary=tuple(boundary))
    return Part(smaller, extended)


def _valid(axis: Axis, box: tuple[int, int]) -> Axis:
    """Give the axis of a block of extended samples."""
    start, stop = axis.reads(*box)
    return Axis(stop - start, axis.taps, axis.stride, axis.dilation, 0, box[1] - box[0])


@lru_cache(FITS_KEPT)
def _fitted(axis: Axis, sides: Sides, box: tuple[int, int], have: Intervals) -> tuple[Axis, Sides] | None:
    """Give the axis of a block and its boundary, if the same rule reads the same samples there; else None."""
    start, stop = axis.reads(*box)
    main = next((i for i, interval in enumerate(have) if interval[0] <= max(start, 0) < interval[1]), None)
    if main is None:
        return None
    # Coordinates of the axis and of the block differ by this much.
    shift = have[main][0] - held.count(have[:main])
    low = shift + axis.low - axis.stride * box[0]
    smaller = Axis(held.count(have), axis.taps, axis.stride, axis.dilation, low, box[1] - box[0])
    if start >= have[main][0] and stop <= have[main][1]:
        return smaller, ZERO
    wanted = held.moved(gather.coordinates(start, stop, axis.size, sides), have)
    found = gather.coordinates(start - shift, stop - shift, smaller.size, sides)
    fields = ("index", "fill", "sign", "first", "last")
    same = all(_equal(getattr(wanted, name), getattr(found, name)) for name in fields)
    return (smaller, sides) if same else None


def _equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other is None or (one is not None and other is not None and one.tobytes() == other.tobytes())


def block(problem: Problem, box: Box, source: np.ndarray, intervals: Sequence[Intervals]) -> np.ndarray:
    """Extend the samples that are held to all that the box reads, as an extended part needs them."""
    maps = [
        held.moved(gather.coordinates(*read, axis.size, sides), have)
        for read, axis, sides, have in zip(
            reads(problem, box), problem.array_axes(), rules(problem), intervals, strict=True
        )
    ]
    return gather.extended(source, maps)


def part_layout(whole: Problem, smaller: Problem) -> Layout:
    """Give a part the roles that the axes of the whole have, so that the same sums are taken in the same order.

    Its interleaved axes must be whole (see `interleaved`).
    """
    roles = layout(whole)
    axes: list[Axis] = []
    boundary: list[Sides | None] = []
    carried = False
    for found, axis, sides in zip(whole.array_axes(), smaller.array_axes(), rules(smaller), strict=True):
        plain = _carried(found)
        if plain and carried:
            size = axes[-1].size * axis.size
            axes[-1] = Axis(size, 1, 1, 1, 0, size)
        else:
            axes.append(replace(axis, dilation=1) if plain else axis)
            boundary.append(None if plain else sides)
        carried = plain
    if len(axes) > len(roles.axes):
        axes, boundary = axes[:-1], boundary[:-1]  # interleaved with the lanes
    return replace(roles, axes=tuple(axes), sides=tuple(boundary))


def interleaved(problem: Problem) -> range:
    """Name the trailing axes that are interleaved with the lanes before them, as colours are."""
    if layout(problem).inner == 1:
        return range(0)
    axes = problem.array_axes()
    first = len(axes)
    while _carried(axes[first - 1]):
        first -= 1
    return range(first, len(axes))


def _carried(axis: Axis) -> bool:
    """Whether one tap reads the output's own place, as `layout` has it."""
    return axis == Axis(axis.size, 1, 1, axis.dilation, 0, axis.size)
