"""Dask arrays: one plan for the whole array, and one task for each chunk of the output.

A task gets the plan and just the samples that its region reads, cut from as many chunks as these lie in. So neither
the input is rechunked, nor a halo larger than chunk or array in the way; and every bit is that of the answer in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from faltung import arguments
from faltung.errors import DtypeError, GeometryError, ProblemError
from faltung.holes import Holes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import dask.array as da

    from faltung.convolution import Convolution
    from faltung.plan.plan import Plan

# No sample counts as missing.
NO_HOLES = Holes("propagate", None, 0.0, False)


def filtered(
    c: Convolution, x: da.Array, *, dtype: Any = None, out: Any = None, threads: int | None = None,
    holes: Holes = NO_HOLES, **options: Any,
) -> da.Array:  # fmt: skip
    """Filter a Dask array lazily; the result's chunks follow the input's.

    The plan is made here and now, for the whole array, and pickled once for each worker; `options` are those of
    `Convolution.plan`. Each task runs on `threads` threads, one by default: the scheduler has others. Chunks smaller
    than the window share a task. Integers that may overflow are scanned when they are computed, task by task. Raises
    GeometryError for chunks of unknown size and for `out`, DtypeError for chunks that are no NumPy arrays, ProblemError
    for `holes`, and what `Convolution.plan` raises.

    >>> import dask.array, faltung as ft
    >>> x = dask.array.arange(10, chunks=3)
    >>> y = ft.correlate(x, [1, 1, 1], boundary="wrap")
    >>> y.chunks, y.compute().tolist()
    (((3, 3, 3, 1),), [10, 3, 6, 9, 12, 15, 18, 21, 24, 17])
    """
    from dask.array import Array
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    _check(x, out, holes)
    if threads is not None:
        arguments.check_threads(threads)
    plan = c.plan(x.shape, x.dtype, dtype, **options)
    outputs = _output_chunks(c, plan, x.chunks)
    name = f"faltung-{tokenize(plan, x.name, threads)}"
    layer = dict(_tasks(plan, x, outputs, name, threads or 1))
    inputs: Any = [x]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=inputs)
    made: Any = Array
    return cast("da.Array", made(graph, name, outputs, meta=np.empty((0,) * len(outputs), plan.problem.dtypes.output)))


def _check(x: da.Array, out: Any, holes: Holes) -> None:
    """Refuse chunks of unknown size or of no plain arrays, and what needs all chunks at once."""
    if out is not None:
        msg = "a Dask array is filtered lazily, so there is nothing to write to out= yet; store the result instead"
        raise GeometryError(msg)
    if holes != NO_HOLES:
        msg = "nan, mask, min_weight and preserve_nan look at all samples at once, which a lazy Dask array does not "
        raise ProblemError(msg + "allow; filter x.compute(), or fill the holes first: da.where(da.isnan(x), 0, x)")
    unknown = [axis for axis, sizes in enumerate(x.chunks) if any(size != size for size in sizes)]
    if unknown:
        msg = (
            f"the chunks of this Dask array have unknown sizes along axis {unknown[0]}, so neighbours are unknown too; "
        )
        raise GeometryError(msg + "call x.compute_chunk_sizes() first")
    meta: Any = x._meta
    if type(meta) is not np.ndarray:
        msg = f"the chunks of this Dask array are {type(meta).__module__}.{type(meta).__qualname__}; "
        raise DtypeError(msg + "filter NumPy chunks: x.map_blocks(np.asarray), or filled ones if they are masked")


@dataclass(frozen=True, slots=True)
class Cut:
    """The region that a task computes, and where the pieces it is given lie among its samples, axis by axis."""

    region: tuple[tuple[int, int], ...]
    pieces: tuple[tuple[tuple[int, int], ...], ...]
    threads: int


def compute(plan: Plan, cut: Cut, pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Put the pieces together, and compute the region."""
    source = pieces[0] if len(pieces) == 1 else np.empty([axis[-1][1] for axis in cut.pieces], pieces[0].dtype)
    if len(pieces) > 1:
        for piece, where in zip(pieces, product(*cut.pieces), strict=True):
            source[tuple(slice(*part) for part in where)] = piece
    return plan.run_region(source, cut.region, threads=cut.threads)


def nothing(plan: Plan, cut: Cut) -> np.ndarray:
    """Compute a region that reads no sample: an empty one, or one of constants."""
    sizes = [sum(stop - start for start, stop in axis) for axis in plan.reads(cut.region)]
    return plan.run_region(np.empty(sizes, plan.problem.dtypes.input), cut.region, threads=cut.threads)


def part(chunk: np.ndarray, where: tuple[slice, ...]) -> np.ndarray:
    """Copy a part of a chunk, which need not be kept for it."""
    return np.ascontiguousarray(chunk[where])


def _tasks(
    plan: Plan, x: da.Array, outputs: Sequence[Sequence[int]], name: str, threads: int
) -> Iterator[tuple[Any, Any]]:
    """Give the graph: the plan, the parts of chunks that are read, a task for each group of chunks, and the chunks."""
    plan_key = f"{name}-plan"
    yield plan_key, plan
    edges, ends = [_edges(sizes) for sizes in x.chunks], [_edges(sizes) for sizes in outputs]
    groups = [_groups(sizes, least) for sizes, least in zip(outputs, _least(plan), strict=True)]
    for index in product(*groups):
        region = tuple((axis[first], axis[stop]) for axis, (first, stop) in zip(ends, index, strict=True))
        chunks = list(product(*(range(*part) for part in index)))
        found = [_pieces(axis, intervals) for axis, intervals in zip(edges, plan.reads(region), strict=True)]
        key = (name if len(chunks) == 1 else f"{name}-group", *chunks[0])
        cut = Cut(region, tuple(tuple(where for _, _, where in axis) for axis in found), threads)
        keys = []
        for number, pieces in enumerate(product(*found)):
            keys.append((x.name, *(at for at, _, _ in pieces)))
            # What is read of a chunk is cut where the chunk lies, not sent whole.
            if any(inner != (0, sizes[at]) for (at, inner, _), sizes in zip(pieces, x.chunks, strict=True)):
                where = tuple(slice(*inner) for _, inner, _ in pieces)
                keys[-1], chunk = (f"{name}-part", *chunks[0], number), keys[-1]
                yield keys[-1], (part, chunk, where)
        yield key, (compute, plan_key, cut, keys) if keys else (nothing, plan_key, cut)
        if len(chunks) > 1:
            for chunk in chunks:
                inside = zip(ends, chunk, region, strict=True)
                where = tuple(slice(axis[i] - start, axis[i + 1] - start) for axis, i, (start, _) in inside)
                yield (name, *chunk), (part, key, where)


def _least(plan: Plan) -> list[int]:
    """Give the outputs along each axis that are worth a task: those of a window side by side, and of whole tiles."""
    windows = [-(-axis.span // axis.stride) for axis in plan.problem.array_axes()]
    first = [] if plan.problem.filters is None else [1]
    return [max(pair) for pair in zip([*first, *windows], plan.grain, strict=True)]


def _groups(sizes: Sequence[int], least: int) -> list[tuple[int, int]]:
    """Put neighbouring chunks together until they have so many outputs: (first, stop) of each group.

    >>> _groups((1, 1, 1, 5, 1), 3)
    [(0, 3), (3, 5)]
    """
    groups, first, held = list[tuple[int, int]](), 0, 0
    for i, size in enumerate(sizes):
        held += size
        if held >= least:
            groups.append((first, i + 1))
            first, held = i + 1, 0
    if first < len(sizes):
        # What is left over joins the group before it.
        groups[-1:] = [(groups[-1][0] if groups else 0, len(sizes))]
    return groups


def _edges(sizes: Sequence[int]) -> list[int]:
    edges = [0]
    for size in sizes:
        edges.append(edges[-1] + size)
    return edges


def _pieces(
    edges: Sequence[int], intervals: Sequence[tuple[int, int]]
) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    """Say which chunks intervals of an axis lie in: (chunk, part of the chunk, where that lies among the samples)."""
    found, at = [], 0
    for start, stop in intervals:
        chunk = bisect_right(edges, start) - 1
        while start < stop:
            end = min(stop, edges[chunk + 1])
            if start < end:
                found.append((chunk, (start - edges[chunk], end - edges[chunk]), (at, at + end - start)))
                at, start = at + end - start, end
            chunk += 1
    return found


def _output_chunks(c: Convolution, plan: Plan, chunks: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """Let an output lie in the chunk of the sample it belongs to: the anchor's, or the middle of its window."""
    problem = plan.problem
    same = c.mode == "same" and c.padding is None
    result = [tuple(int(n) for n in sizes) for sizes in chunks]
    for axis, one in zip(problem.axes, problem.geometry, strict=True):
        shift = 0 if same else (one.span - 1) // 2 - one.low
        ends = [min(max(-(-(edge - shift) // one.stride), 0), one.out) for edge in _edges(chunks[axis])]
        ends[0], ends[-1] = 0, one.out
        sizes = tuple(b - a for a, b in pairwise(ends) if b > a)
        result[axis] = sizes or (0,)
    if problem.channels is not None:
        result[problem.channels.axis] = (problem.channels.outputs,)
    return tuple(result) if problem.filters is None else ((problem.filters,), *result)
