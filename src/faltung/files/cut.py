"""Cutting an output into regions of whole chunks that fit into memory, in an order in which few chunks are read twice.

Regions that differ along one axis only, the sweep, form a run. While a region is computed, the chunks of the next one
are partly decoded already and kept; so within a run each chunk is decoded once, and only the sides of runs are read
again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from faltung.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.files.stores import Box, Source
    from faltung.plan.plan import Plan

GROWTH = (2.0, 1.5, 1.25)
MOST_BYTES = 1 << 28  # more in one region gains nothing


@dataclass(frozen=True)
class Cut:
    """The sizes of regions along each axis of the output, and the axis along which a run goes."""

    shape: tuple[int, ...]
    sizes: tuple[int, ...]
    sweep: int
    #: Bytes that one region takes.
    needed: int = 0

    def runs(self) -> list[list[Box]]:
        """List the runs, each a list of regions in order."""
        if 0 in self.shape:
            return []
        cells = [
            [(start, min(start + size, n)) for start in range(0, n, size)]
            for n, size in zip(self.shape, self.sizes, strict=True)
        ]
        if not cells:
            return [[()]]
        along, cells[self.sweep] = cells[self.sweep], [(0, 0)]
        return [[(*one[: self.sweep], part, *one[self.sweep + 1 :]) for part in along] for one in product(*cells)]


@dataclass(frozen=True)
class Budget:
    """The bytes that regions may take in one process, and what the rest is for."""

    room: int
    working: int
    threads: int
    arithmetic: str


def cut(plan: Plan, source: Source, units: Sequence[int], budget: Budget) -> Cut:
    """Choose regions of whole units that keep to a budget.

    Raises:
        PlanError: not even one unit fits; the text has the arithmetic.
    """
    shape = plan.problem.output_shape
    fixed = _fixed(plan)
    sizes = [n if axis in fixed else min(unit, n) for axis, (n, unit) in enumerate(zip(shape, units, strict=True))]
    if 0 in shape or not shape:
        return Cut(shape, tuple(max(1, n) for n in sizes), 0)
    needed = _needed(plan, sizes, budget.threads)
    if needed + budget.working > budget.room:
        region = " x ".join(map(str, sizes))
        msg = (
            f"one chunk or shard of the output, {region} samples, needs {needed:,} bytes (what it reads, itself and "
            f"scratch) and {budget.working:,} while chunks are coded, but {budget.arithmetic}; allow "
            f"{needed + budget.working - budget.room:,} bytes more, use fewer workers, or smaller chunks (--chunks)"
        )
        raise PlanError(msg)
    sweep = _sweep(plan, sizes, fixed)

    def fits(tried: list[int]) -> bool:
        kept = 0 if source.seekable else _layer(plan, source, tried, sweep)
        region = _needed(plan, tried, budget.threads)
        return region + kept + budget.working <= budget.room and region <= MOST_BYTES

    _grow(sizes, [axis for axis in range(len(shape)) if axis != sweep and axis not in fixed], shape, units, fits)
    _grow(sizes, [sweep], shape, units, fits)
    return Cut(shape, tuple(sizes), sweep, _needed(plan, sizes, budget.threads))


def _grow(sizes: list[int], axes: list[int], shape: Sequence[int], units: Sequence[int], fits: object) -> None:
    """Enlarge regions, the shortest axis first, until nothing larger fits."""
    assert callable(fits)
    open_ = [axis for axis in axes if sizes[axis] < shape[axis]]
    while open_:
        axis = min(open_, key=lambda i: sizes[i])
        for growth in GROWTH:
            larger = min(shape[axis], max(math.ceil(sizes[axis] * growth / units[axis]) * units[axis], sizes[axis] + 1))
            if larger < shape[axis]:
                larger = -(-larger // units[axis]) * units[axis]
            tried = [*sizes[:axis], min(larger, shape[axis]), *sizes[axis + 1 :]]
            if tried[axis] > sizes[axis] and fits(tried):
                sizes[:] = tried
                break
        else:
            open_.remove(axis)
        open_ = [one for one in open_ if sizes[one] < shape[one]]


def _fixed(plan: Plan) -> set[int]:
    """Give the axes that are not cut: filters of a bank and channels come together."""
    problem = plan.problem
    found = set() if problem.filters is None else {0}
    if problem.channels is not None:
        found.add(problem.channels.axis + (problem.filters is not None))
    return found


def _sweep(plan: Plan, sizes: Sequence[int], fixed: set[int]) -> int:
    """Choose the axis of runs: the first filtered one that is longer than a unit."""
    shift = plan.problem.filters is not None
    shape = plan.problem.output_shape
    filtered = [axis + shift for axis in plan.problem.axes]
    free = [axis for axis in (*filtered, *range(len(shape))) if axis not in fixed and sizes[axis] < shape[axis]]
    return free[0] if free else 0


def _needed(plan: Plan, sizes: Sequence[int], threads: int) -> int:
    """Bound the bytes of regions of a size: those at both ends and in the middle."""
    shape = plan.problem.output_shape
    places = ([0] * len(shape), [(n - size) // 2 for n, size in zip(shape, sizes, strict=True)],
              [n - size for n, size in zip(shape, sizes, strict=True)])  # fmt: skip
    boxes = [tuple((at, at + size) for at, size in zip(place, sizes, strict=True)) for place in places]
    return max(plan.region_bytes(box, threads) for box in boxes)


def _layer(plan: Plan, source: Source, sizes: Sequence[int], sweep: int) -> int:
    """Bound the bytes of blocks that are kept for the next region: one layer of them across the sweep."""
    shape, shift = plan.problem.output_shape, plan.problem.filters is not None
    middle = [((n - size) // 2, (n - size) // 2 + size) for n, size in zip(shape, sizes, strict=True)]
    total = source.dtype.itemsize
    for axis, (intervals, block, n) in enumerate(zip(plan.reads(middle), source.blocks, source.shape, strict=True)):
        held = block if axis + shift == sweep else sum(stop - start for start, stop in intervals)
        total *= min(held, n)
    return total
