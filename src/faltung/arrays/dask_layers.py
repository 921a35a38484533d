"""Layers and pooling on Dask arrays: lazy, on the chunks there are, and equal bit for bit to the answer in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from faltung import arguments
from faltung.algorithms import held
from faltung.arrays.dask import check, filtered, output_chunks, planned
from faltung.arrays.graph import lazy
from faltung.errors import GeometryError
from faltung.layers import description
from faltung.layers.activation import NOTHING, After, after, finish
from faltung.layers.activation import check as check_after
from faltung.layers.run import grouped, layer_plan
from faltung.pooling.description import Pooling
from faltung.problem.boundary import Rule
from faltung.runtime import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array as da

    from faltung.algorithms.held import Intervals
    from faltung.pooling.windows import Windows
    from faltung.problem.boundary import Sides
    from faltung.problem.geometry import Axis

ZERO = (Rule("zero"), Rule("zero"))


def conv(
    x: da.Array, weight: np.ndarray, bias: Any, activation: str | None, threads: int | None, *options: Any
) -> da.Array:
    """Apply `nn.conv` to a Dask array (N, C, *sizes); `options` are stride, padding, dilation, groups, boundary.

    >>> import dask.array, faltung as ft
    >>> x = dask.array.ones((2, 3, 8, 8), chunks=(1, 3, 4, 8))
    >>> y = ft.nn.conv(x, np.ones((5, 3, 3, 3)), padding=1, stride=2)
    >>> y.shape, y.chunks[2], float(y[0, 0, 1, 1].compute())
    ((2, 5, 4, 4), (2, 2), 27.0)
    """
    check(x)
    if threads is not None:
        arguments.check_threads(threads)
    problem = description.layer_of(x.shape, x.dtype, weight, *options)
    sums = planned(layer_plan(problem, grouped(weight, options[3])), x, threads)
    wanted = after(bias, activation)
    if wanted is NOTHING:
        return sums
    # What the shapes and dtypes make impossible is said now and not by a worker. The bias fits whole chunks.
    check_after(wanted, len(weight), (), sums.dtype)
    finished: Any = partial(_finished, wanted=wanted, rank=weight.ndim - 2)
    lazily: Any = sums
    return cast("da.Array", lazily.map_blocks(finished, dtype=sums.dtype))


def _finished(y: np.ndarray, wanted: After, rank: int) -> np.ndarray:
    return finish(y.copy(), wanted, rank)


def pool(x: da.Array, pooling: Pooling, threads: int | None, *, return_indices: bool = False) -> da.Array:
    """Pool a Dask array; the result's chunks follow the input's.

    Raises GeometryError for indices, Lp norms, odd boundary rules, and rules together with a window that reaches
    beyond the padding (ceil mode): these need the array in memory.

    >>> import dask.array, faltung as ft
    >>> ft.pool(dask.array.arange(10, chunks=3), 2).compute().tolist()
    [1, 3, 5, 7, 9]
    """
    check(x)
    if threads is not None:
        arguments.check_threads(threads)
    windows = pooling.windows(x.shape)
    beyond = windows.sides is not None and windows.overhangs
    if return_indices or pooling.kind == "lp" or beyond or windows.has_odd_rules:
        msg = f"{pooling!r} of a Dask array: indices, Lp norms, odd boundary rules, and ceil_mode with a boundary rule "
        raise GeometryError(msg + "need the array in memory; pool x.compute()")
    if pooling.kind in ("mean", "sum"):
        return _summed(x, pooling, windows, threads)
    # One sample stands for the checks of dtype and constants that a call makes, and for the result's dtype.
    rank = len(windows.axes)
    dtype = Pooling((1,) * rank, kind=pooling.kind, boundary=pooling.boundary)(np.zeros((1,) * rank, x.dtype)).dtype
    along = dict(zip(windows.axes, windows.along, strict=True))
    least = [-(-along[i].span // along[i].stride) if i in along else 1 for i in range(x.ndim)]
    chunks = output_chunks(x.chunks, windows.axes, windows.along, same=False)
    return lazy(Chosen(pooling, windows), x, chunks, least, dtype, threads)


def _summed(x: da.Array, pooling: Pooling, windows: Windows, threads: int | None) -> da.Array:
    kernel, accumulate, output = pooling.sums.dtypes(x.dtype)
    total: Any = filtered(pooling.sums.convolution(windows, kernel), x, dtype=accumulate, threads=threads)
    if pooling.kind == "mean":
        count = pooling.sums.samples(windows)
        total = (total / count).astype(total.dtype)
    return cast("da.Array", total if output is None else total.astype(output))


@dataclass(frozen=True, slots=True)
class Chosen:
    """Maxima, minima or medians, region by region: a sample is chosen by its window alone."""

    pooling: Pooling
    windows: Windows

    def reads(self, region: Sequence[tuple[int, int]]) -> tuple[Intervals, ...]:
        """Give the samples that a region of the output needs."""
        found: list[Intervals] = [((start, stop),) for start, stop in region]
        for i, axis, sides in self._axes():
            found[i] = held.read(axis, sides, *axis.reads(*region[i]))
        return tuple(found)

    def run_region(
        self, source: np.ndarray, region: Sequence[tuple[int, int]], *, threads: int | None = None
    ) -> np.ndarray:
        """Pool the samples of `reads`: extended by a boundary rule, or with the padding that they meet."""
        have, padding = self.reads(region), []
        maps = [gather.coordinates(0, size, size, None) for size in source.shape]
        for i, axis, sides in self._axes():
            start, stop = axis.reads(*region[i])
            if self.windows.sides is None:
                padding.append((max(-start, 0), max(stop - axis.size, 0)))
            else:
                padding.append((0, 0))
                maps[i] = held.moved(gather.coordinates(start, stop, axis.size, sides), have[i])
        block = source if self.windows.sides is None else gather.extended(source, maps)
        along = self.windows.along
        pooling = Pooling(
            [axis.taps for axis in along], kind=self.pooling.kind, stride=[axis.stride for axis in along],
            padding=padding, dilation=[axis.dilation for axis in along], axes=self.windows.axes,
        )  # fmt: skip
        return pooling(block, threads=threads)

    def _axes(self) -> list[tuple[int, Axis, Sides]]:
        sides = self.windows.sides or (ZERO,) * len(self.windows.axes)
        return list(zip(self.windows.axes, self.windows.along, sides, strict=True))
