"""Dask arrays: one plan for the whole array, and one task for each chunk of the output.

Every bit is that of the answer in memory, because a part of a plan is that plan (see `Plan.run_region`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung import arguments
from faltung.arrays.graph import edges_of, lazy
from faltung.errors import DtypeError, GeometryError
from faltung.problem import dtypes as rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array as da

    from faltung.arrays.graph import Work
    from faltung.convolution import Convolution
    from faltung.holes import Holes, Normalised
    from faltung.plan.plan import Plan
    from faltung.problem.geometry import Axis


def filtered(
    c: Convolution, x: da.Array, *, dtype: Any = None, out: Any = None, threads: int | None = None,
    holes: tuple[Normalised, Holes] | None = None, **options: Any,
) -> da.Array:  # fmt: skip
    """Filter a Dask array lazily; the result's chunks follow the input's.

    The plan is made here and now, for the whole array, and pickled once for each worker; `options` are those of
    `Convolution.plan`. Each task runs on `threads` threads, one by default: the scheduler has others. Chunks smaller
    than the window share a task. Integers that may overflow are scanned when they are computed, task by task. `holes`
    are samples that may be missing (see `dask_holes`), with what is prepared for them. Raises GeometryError for chunks
    of unknown size and for `out`, DtypeError for chunks that are no NumPy arrays, and what `Convolution.plan` raises.

    >>> import dask.array, faltung as ft
    >>> x = dask.array.arange(10, chunks=3)
    >>> y = ft.correlate(x, [1, 1, 1], boundary="wrap")
    >>> y.chunks, y.compute().tolist()
    (((3, 3, 3, 1),), [10, 3, 6, 9, 12, 15, 18, 21, 24, 17])
    """
    check(x, out=out)
    if threads is not None:
        arguments.check_threads(threads)
    same = c.mode == "same" and c.padding is None
    if holes is None:
        return planned(c.plan(x.shape, x.dtype, dtype, **options), x, threads, same=same)
    from faltung.arrays.dask_holes import weighed

    def lazily(work: Work, plan: Plan, x: da.Array, dtype: np.dtype) -> da.Array:
        return worked(work, plan, x, dtype, threads, same=same)

    return weighed(*holes, x, rules.resolve(x.dtype, np.dtype(np.float64), dtype).output, options, lazily)


def planned(plan: Plan, x: da.Array, threads: int | None, *, same: bool = False) -> da.Array:
    """Apply a plan for the whole array."""
    return worked(plan, plan, x, plan.problem.dtypes.output, threads, same=same)


def worked(work: Work, plan: Plan, x: da.Array, dtype: np.dtype, threads: int | None, *, same: bool) -> da.Array:
    """Do the work of a plan, or more with the same windows; an output lies in the chunk of the sample it belongs to.

    That is the anchor's with `same`, and otherwise the middle of its window.
    """
    problem = plan.problem
    chunks = list(output_chunks(x.chunks, problem.axes, problem.geometry, same=same))
    if problem.channels is not None:
        chunks[problem.channels.axis] = (problem.channels.outputs,)
    if problem.filters is not None:
        chunks.insert(0, (problem.filters,))
    return lazy(work, x, tuple(chunks), _least(plan), dtype, threads)


def check(x: da.Array, *, out: Any = None) -> None:
    """Refuse chunks of unknown size or of no plain arrays, and what needs all chunks at once."""
    if out is not None:
        msg = "a Dask array is filtered lazily, so there is nothing to write to out= yet; store the result instead"
        raise GeometryError(msg)
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


def _least(plan: Plan) -> list[int]:
    """Give the outputs along each axis that are worth a task: those of a window side by side, and of whole tiles."""
    windows = [-(-axis.span // axis.stride) for axis in plan.problem.array_axes()]
    first = [] if plan.problem.filters is None else [1]
    return [max(pair) for pair in zip([*first, *windows], plan.grain, strict=True)]


def output_chunks(
    chunks: Sequence[Sequence[int]], axes: Sequence[int], geometry: Sequence[Axis], *, same: bool
) -> tuple[tuple[int, ...], ...]:
    """Let an output lie in the chunk of the sample it belongs to: the anchor's, or the middle of its window."""
    result = [tuple(int(n) for n in sizes) for sizes in chunks]
    for axis, one in zip(axes, geometry, strict=True):
        shift = 0 if same else (one.span - 1) // 2 - one.low
        ends = [min(max(-(-(edge - shift) // one.stride), 0), one.out) for edge in edges_of(chunks[axis])]
        ends[0], ends[-1] = 0, one.out
        sizes = tuple(b - a for a, b in pairwise(ends) if b > a)
        result[axis] = sizes or (0,)
    return tuple(result)
