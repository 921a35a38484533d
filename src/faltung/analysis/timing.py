"""Measured times of a convolution, of the same edges without sharing, and of a dense matrix, as the input grows."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from faltung.analysis import table
from faltung.analysis.matrix import matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from faltung.convolution import Convolution


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, the median of a few runs, for one shape; `dense` is None where its matrix would be too large."""

    shape: tuple[int, ...]
    convolution: float
    locally_connected: float | None
    dense: float | None


class Timings(tuple[Timing, ...]):
    """One `Timing` for each shape; prints as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        return table.text(*self._table())

    def _repr_html_(self) -> str:
        return table.html(*self._table())

    def _table(self) -> tuple[list[str], list[list[str]]]:
        times = [(t.convolution, t.locally_connected, t.dense) for t in self]
        rows = [[str(t.shape), *map(table.duration, row)] for t, row in zip(self, times, strict=True)]
        return ["input", "convolution", "locally connected", "dense"], rows


def measure(
    c: Convolution, sizes: Iterable[int | Sequence[int]], *, repeats: int = 5, max_memory: int = 1 << 28
) -> Timings:
    """Time the call, a sparse matrix with a weight of its own on every edge, and a dense matrix, on float64 arrays.

    `sizes` are shapes; an integer n stands for n along each axis of the kernel. All three map the same input to the
    same output shape: k·n, k·n and m·n multiplications. The times are medians of `repeats` runs after one to warm up,
    with one thread for the call as for the matrices. A matrix of more than `max_memory` bytes is left out.
    Raises what `matrix` raises.

    >>> from faltung import Convolution
    >>> [timing.shape for timing in measure(Convolution([1.0, 2.0, 1.0]), [8, 16], repeats=1)]
    [(8,), (16,)]
    """
    found = []
    for size in sizes:
        shape = (size,) * len(c.window) if isinstance(size, int) else tuple(size)
        found.append(_timing(c, shape, repeats, max_memory))
    return Timings(found)


def _timing(c: Convolution, shape: tuple[int, ...], repeats: int, max_memory: int) -> Timing:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    vector, outputs = x.ravel(), prod(c.output_shape(shape))
    call = _median(lambda: c(x, threads=1), repeats)
    local = full = None
    if 12 * outputs * prod(c.kernel.shape[1:] if c.channels else c.window) <= max_memory:
        untied = matrix(c, shape)
        untied.data = rng.standard_normal(untied.nnz)
        local = _median(lambda: untied @ vector, repeats)
    if 8 * outputs * vector.size <= max_memory:
        every = rng.standard_normal((outputs, vector.size))
        full = _median(lambda: every @ vector, repeats)
    return Timing(shape, call, local, full)


def _median(run: Callable[[], object], repeats: int) -> float:
    run()
    times = []
    for _ in range(max(repeats, 1)):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return median(times)
