"""The graph of a lazy array: a task for each chunk of the output, given just the samples that its region reads.

They are cut from as many chunks of the input as they lie in. So neither the input is rechunked, nor a halo larger than
chunk or array in the way.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import dask.array as da

    from faltung.algorithms.held import Intervals


class Work(Protocol):
    """An operation that is computed region by region; it is pickled once for each worker."""

    def reads(self, region: Sequence[tuple[int, int]], /) -> tuple[Intervals, ...]:
        """Give the samples that a region of the output needs: for each axis of the input, its sorted intervals."""
        ...

    def run_region(
        self, source: np.ndarray, region: Sequence[tuple[int, int]], /, *, threads: int | None = None
    ) -> np.ndarray:
        """Compute a region from the samples of `reads`, one after the other along each axis."""
        ...


def lazy(
    work: Work, x: da.Array, chunks: Sequence[Sequence[int]], least: Sequence[int], dtype: np.dtype, threads: int | None
) -> da.Array:
    """Give the lazy result of `work` on x, with these chunks and this dtype.

    Chunks that have fewer outputs than `least`, along each axis, share a task with their neighbours.
    """
    from dask.array import Array
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    name = f"faltung-{tokenize(work, x.name, threads)}"
    layer = dict(_tasks(work, x, chunks, least, name, threads or 1))
    inputs: Any = [x]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=inputs)
    made: Any = Array
    return cast("da.Array", made(graph, name, chunks, meta=np.empty((0,) * len(chunks), dtype)))


@dataclass(frozen=True, slots=True)
class Cut:
    """The region that a task computes, and where the pieces it is given lie among its samples, axis by axis."""

    region: tuple[tuple[int, int], ...]
    pieces: tuple[tuple[tuple[int, int], ...], ...]
    dtype: np.dtype
    threads: int


def compute(work: Work, cut: Cut, pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Put the pieces together, and compute the region."""
    source = pieces[0] if len(pieces) == 1 else np.empty([axis[-1][1] for axis in cut.pieces], pieces[0].dtype)
    if len(pieces) > 1:
        for piece, where in zip(pieces, product(*cut.pieces), strict=True):
            source[tuple(slice(*part) for part in where)] = piece
    return work.run_region(source, cut.region, threads=cut.threads)


def nothing(work: Work, cut: Cut) -> np.ndarray:
    """Compute a region that reads no sample: an empty one, or one of constants."""
    sizes = [sum(stop - start for start, stop in axis) for axis in work.reads(cut.region)]
    return work.run_region(np.empty(sizes, cut.dtype), cut.region, threads=cut.threads)


def part(chunk: np.ndarray, where: tuple[slice, ...]) -> np.ndarray:
    """Copy a part of a chunk, which need not be kept for it."""
    return np.ascontiguousarray(chunk[where])


def _tasks(
    work: Work, x: da.Array, outputs: Sequence[Sequence[int]], least: Sequence[int], name: str, threads: int
) -> Iterator[tuple[Any, Any]]:
    """Give the graph: the work, the parts of chunks that are read, a task for each group of chunks, and the chunks."""
    work_key = f"{name}-work"
    yield work_key, work
    edges, ends = [edges_of(sizes) for sizes in x.chunks], [edges_of(sizes) for sizes in outputs]
    groups = [_groups(sizes, least) for sizes, least in zip(outputs, least, strict=True)]
    for index in product(*groups):
        region = tuple((axis[first], axis[stop]) for axis, (first, stop) in zip(ends, index, strict=True))
        chunks = list(product(*(range(*part) for part in index)))
        found = [_pieces(axis, intervals) for axis, intervals in zip(edges, work.reads(region), strict=True)]
        key = (name if len(chunks) == 1 else f"{name}-group", *chunks[0])
        cut = Cut(region, tuple(tuple(where for _, _, where in axis) for axis in found), x.dtype, threads)
        keys = []
        for number, pieces in enumerate(product(*found)):
            keys.append((x.name, *(at for at, _, _ in pieces)))
            # What is read of a chunk is cut where the chunk lies, not sent whole.
            if any(inner != (0, sizes[at]) for (at, inner, _), sizes in zip(pieces, x.chunks, strict=True)):
                where = tuple(slice(*inner) for _, inner, _ in pieces)
                keys[-1], chunk = (f"{name}-part", *chunks[0], number), keys[-1]
                yield keys[-1], (part, chunk, where)
        yield key, (compute, work_key, cut, keys) if keys else (nothing, work_key, cut)
        if len(chunks) > 1:
            for chunk in chunks:
                inside = zip(ends, chunk, region, strict=True)
                where = tuple(slice(axis[i] - start, axis[i + 1] - start) for axis, i, (start, _) in inside)
                yield (name, *chunk), (part, key, where)


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


def edges_of(sizes: Sequence[int]) -> list[int]:
    """Give where chunks of these sizes begin, and where the last one ends."""
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
