"""The memory that a region takes, and cutting an output into regions that keep to a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from faltung.algorithms import held, parts
from faltung.algorithms.task import is_anchored
from faltung.errors import GeometryError, PlanError
from faltung.plan import regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.held import Intervals
    from faltung.plan.plan import Plan, Plane
    from faltung.runtime.regions import Box

# Cells of an axis whose needs are looked at; those of the others lie between.
LOOKED_AT = 256
# Tables, programs and parameter blocks of a method prepared for a part; and bytes of its tables for each coordinate
# along an axis, while they are made.
PREPARED, COORDINATE = 64 << 10, 80


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of the samples that a region reads, of its output, and of what it needs in between."""

    source: int
    output: int
    scratch: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.source + self.output + self.scratch

    def __str__(self) -> str:
        return f"{self.source:,} (samples) + {self.output:,} (output) + {self.scratch:,} (scratch) = {self.total:,}"


def memory(plan: Plan, box: Box, threads: int) -> Memory:
    """Bound what a region takes on so many threads."""
    if any(start == stop for start, stop in box):
        return Memory(0, 0, 0)
    intervals = regions.samples(plan, box)
    return _memory(plan, [held.count(one) for one in intervals], box, threads, _extends(plan, box, intervals))


def _extends(plan: Plan, box: Box, intervals: Sequence[Intervals]) -> bool:
    """Whether the samples of a region must be extended beforehand."""
    plane = plan.planes[0]
    problem = plane.task.problem
    more = (((0, n),) for n in problem.shape[len(intervals) :])
    maps = box if plan.problem.filters is None else box[1:]
    if is_anchored(plane.method):
        return False
    return parts.part(problem, regions.widened(plane, maps), (*intervals, *more)).extended


def _memory(plan: Plan, counts: Sequence[int], box: Box, threads: int, extends: bool) -> Memory:
    dtypes, filters = plan.problem.dtypes, plan.problem.filters
    output = math.prod(stop - start for start, stop in box) * dtypes.output.itemsize
    maps = box if filters is None else box[1:]
    scratch = sum(_plane_bytes(plan, plane, counts, maps, extends) for plane in plan.planes)
    if filters is not None and box[0] != (0, filters):
        scratch += math.prod(stop - start for start, stop in maps) * filters * dtypes.output.itemsize
    method = plan.planes[0].method
    each = method.box_workspace() if is_anchored(method) else plan.recipe.workspace
    return Memory(math.prod(counts) * dtypes.input.itemsize, output, scratch + threads * each)


def _plane_bytes(plan: Plan, plane: Plane, counts: Sequence[int], maps: Box, extends: bool) -> int:
    """Bound what is converted, extended and stored for one plane; that of several is kept until all are done."""
    problem, load = plane.task.problem, plane.task.load.itemsize
    box = regions.widened(plane, maps)
    samples = math.prod(counts) * math.prod(problem.shape[len(counts) :]) * load
    results = plane.maps * math.prod(stop - start for start, stop in box) * problem.dtypes.output.itemsize
    extents = [stop - start for start, stop in parts.reads(problem, box)]
    tables = 0 if is_anchored(plane.method) else COORDINATE * sum(extents)
    total = PREPARED + tables + (0 if plan.plain and box == tuple(maps) else results)
    if plan.problem.dtypes.input != plane.task.load:
        total += samples
    # Its axes may have to change places, or its lines to be copied together.
    total += samples
    if is_anchored(plane.method):
        return total + results
    # A block is extended axis after axis.
    return total + (2 * load * math.prod(extents) if extends else 0)


def grid(plan: Plan, limit: int, threads: int, multiples: Sequence[int] | None) -> list[Box]:
    """Cut the output into regions that each take at most `limit` bytes; PlanError if none can."""
    shape = plan.problem.output_shape
    if multiples is not None and (len(multiples) != len(shape) or min(multiples, default=1) < 1):
        msg = f"multiples={multiples!r}: expected a positive integer for each axis of the output {shape}"
        raise GeometryError(msg)
    if 0 in shape:
        return [tuple((0, n) for n in shape)]
    together, weights, sizes = grain(plan), _overlaps(plan), list(shape)
    while True:
        needed = _most(plan, sizes, threads)
        if needed.total <= limit:
            return list(product(*(_cells(n, size) for n, size in zip(shape, sizes, strict=True))))
        halves = [
            _half(size, unit) if multiples is None else _multiple(size, multiples[axis])
            for axis, (size, unit) in enumerate(zip(sizes, together, strict=True))
        ]
        choices = [axis for axis, weight in enumerate(weights) if weight and halves[axis] < sizes[axis]]
        if not choices:
            region = " x ".join(map(str, sizes))
            msg = f"max_memory is {limit:,} bytes, but the smallest region, of {region} outputs, needs {needed} bytes "
            msg += f"on {threads} threads; allow {needed.total:,}, use fewer threads, or name another algorithm"
            raise PlanError(msg)
        axis = max(choices, key=lambda i: sizes[i] * weights[i])
        sizes[axis] = halves[axis]


def _half(size: int, unit: int) -> int:
    """Halve a size, to whole tiles as long as there are several."""
    half = -(-size // 2)
    tiles = -(-half // unit) * unit
    return tiles if tiles < size else half


def _multiple(size: int, unit: int) -> int:
    """Halve a size to a multiple of a unit."""
    return max(1, -(-size // 2) // unit) * unit if size > unit else size


def _cells(size: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def _most(plan: Plan, sizes: Sequence[int], threads: int) -> Memory:
    """Bound the memory of every cell of a grid: along each axis the cell that reads most."""
    shape = plan.problem.output_shape
    whole = [(0, n) for n in shape]
    shift = plan.problem.filters is not None
    counts, extends = list(plan.problem.shape), _extends(plan, tuple(whole), [((0, n),) for n in plan.problem.shape])
    for axis, (n, size) in enumerate(zip(shape, sizes, strict=True)):
        if size < n:
            cells = _cells(n, size)
            looked_at = {*cells[:4], *cells[:: -(-len(cells) // LOOKED_AT)], *cells[-2:]}
            boxes = [(*whole[:axis], cell, *whole[axis + 1 :]) for cell in looked_at]
            found = [regions.samples(plan, box) for box in boxes]
            counts[axis - shift] = max(held.count(one[axis - shift]) for one in found)
            extends = extends or any(_extends(plan, *pair) for pair in zip(boxes, found, strict=True))
    return _memory(plan, counts, tuple((0, size) for size in sizes), threads, extends)


def grain(plan: Plan) -> list[int]:
    """Give the outputs along each axis that are best computed together: those of a pair of tiles."""
    first, method = [] if plan.problem.filters is None else [1], plan.planes[0].method
    rank = len(plan.problem.shape)
    return [*first, *(method.grain()[:rank] if is_anchored(method) else [1] * rank)]


def _overlaps(plan: Plan) -> list[float]:
    """Give how many windows, side by side, an output is worth along each axis; 0 where the output is not cut."""
    problem = plan.problem
    found = [min(1.0, axis.stride / axis.span) for axis in problem.array_axes()]
    if problem.channels is not None:
        found[problem.channels.axis] = 0.0
    return found if problem.filters is None else [0.0, *found]
