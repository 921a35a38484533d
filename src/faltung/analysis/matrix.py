"""The convolution as a sparse matrix, written down row by row.

Every row is a product over the axes: the samples that output j reads along axis i, and how often it reads each, depend
on j_i alone. Outputs far from the ends read alike, so an axis falls into one long part and a few single outputs at
its borders. A block (one part of each axis) has one pattern of columns and one set of values, and its entries lie at
constant distances in the CSR arrays: it is filled by two broadcasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from faltung.analysis.taps import entries_of, taps_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scipy.sparse import csr_array

    from faltung.analysis.taps import Taps
    from faltung.convolution import Convolution
    from faltung.problem.boundary import Sides
    from faltung.problem.geometry import Axis

# Entries of one pattern: longer ones leave the cache, shorter ones are mostly NumPy's own time.
PATTERN = 4096


def matrix(c: Convolution, shape: int | Sequence[int]) -> csr_array:
    """Write a convolution of arrays of a shape as a sparse matrix A with A @ x.ravel() == c(x).ravel().

    A is (outputs, inputs), both in C order, in int64, float64 or complex128 as the kernel is, with int32 indices while
    they suffice. It has sorted columns and no duplicates: where a border folds several taps onto one sample, their
    weights are summed. Taps of weight 0 are stored; A.eliminate_zeros() drops them. The product differs from the call
    by rounding only.
    Raises GeometryError where the shape does not fit, and BoundaryError where a constant other than 0 is read.
    Source: the (multilevel, strided) Toeplitz matrix of a convolution, Goodfellow et al. (2016), section 9.1.

    >>> from faltung import Convolution
    >>> matrix(Convolution([1, 2, 4], flip=False, boundary="edge"), 4).toarray()
    array([[3, 4, 0, 0],
           [1, 2, 4, 0],
           [0, 1, 2, 4],
           [0, 0, 1, 6]])
    """
    return matrix_of(taps_of(c, shape))


def matrix_of(taps: Taps) -> csr_array:
    """Write taps that are already spelled out as a matrix; see `matrix`."""
    from scipy.sparse import csr_array

    parts = [axis_parts(axis, sides) for axis, sides in zip(taps.axes, taps.sides, strict=True)]
    layout = _Layout(taps, parts)
    size = max(layout.entries * taps.batch, taps.rows, taps.columns)
    dtype = np.dtype(np.int32 if size <= np.iinfo(np.int32).max else np.int64)
    data = np.empty(layout.entries * taps.batch, taps.weights.dtype)
    indices = np.empty(len(data), dtype)
    if len(data):
        for block, values in _blocks(parts, taps.weights):
            layout.fill(block, values, data, indices)
    result = csr_array((data, indices, layout.pointers(dtype)), shape=(taps.rows, taps.columns))
    result.has_canonical_format = True
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """`count` consecutive outputs that read alike, from `first` on.

    The first reads the distinct samples `columns`; the next ones the same, a stride further on. The sample at place m
    is met by the taps listed from `starts[m]` to the next start, with these factors.
    """

    first: int
    count: int
    columns: np.ndarray
    taps: np.ndarray
    factors: np.ndarray
    starts: np.ndarray

    def folded(self, weights: np.ndarray, axis: int) -> np.ndarray:
        """Turn the weights of taps into those of samples, along one axis."""
        if len(self.columns) == 0:
            return weights.take([], axis)
        met = weights.take(self.taps, axis)
        if (self.factors != 1).any():
            met = met * self.factors.reshape(-1, *(1,) * (met.ndim - axis - 1))
        # (A product with a matrix of zeros and ones would turn an infinite weight into NaN elsewhere.)
        folded: np.ndarray = met if len(self.starts) == len(self.taps) else np.add.reduceat(met, self.starts, axis)
        return folded


def axis_parts(axis: Axis, sides: Sides | None) -> list[Part]:
    """Divide the outputs of an axis into the borders, one part each, and the interior."""
    lo, hi = (0, axis.out) if sides is None else axis.interior
    border: np.ndarray = np.r_[0:lo, hi : axis.out]
    if hi > lo:
        border = np.sort(np.r_[border, lo])
    entries = entries_of(axis, sides, border)
    begins = np.searchsorted(entries.rows, border, "left")
    ends = np.searchsorted(entries.rows, border, "right")
    parts = []
    for output, start, stop in zip(border.tolist(), begins.tolist(), ends.tolist(), strict=True):
        columns = entries.columns[start:stop]
        starts = np.flatnonzero(np.r_[True, columns[1:] != columns[:-1]]) if stop > start else np.zeros(0, np.int64)
        count = hi - lo if lo == output < hi else 1
        listed = columns[starts], entries.taps[start:stop], entries.factors[start:stop], starts
        parts.append(Part(output, count, *listed))
    return parts


def _blocks(parts: list[list[Part]], weights: np.ndarray) -> Iterator[tuple[tuple[Part, ...], np.ndarray]]:
    """Give every choice of one part per axis, with the weights of the samples that it reads.

    Interiors come first: memory that is written in long runs is first touched, and so cleared, just before.
    """
    if not parts:
        yield (), weights
        return
    for part in sorted(parts[0], key=lambda part: -part.count):
        folded = part.folded(weights, weights.ndim - len(parts))
        for rest, values in _blocks(parts[1:], folded):
            yield (part, *rest), values


class _Layout:
    """Where the entries of every row lie.

    Row j holds inputs/groups · Π_i n_i(j_i) entries, so before it lie, for each axis i, those of the rows that agree
    with j on the axes before i and come earlier on axis i: Π_{h<i} n_h(j_h) · Σ_{m<j_i} n_i(m) · Π_{h>i} Σ_m n_h(m).
    """

    def __init__(self, taps: Taps, parts: list[list[Part]]) -> None:
        self.taps = taps
        self.inputs = int(taps.weights.shape[1])
        self.counts = [np.repeat([len(p.columns) for p in some], [p.count for p in some]) for some in parts]
        self.before = [np.cumsum(n) - n for n in self.counts]
        totals = [int(n.sum()) for n in self.counts]
        self.after = [prod(totals[i + 1 :]) for i in range(len(totals))]
        self.channel = self.inputs * prod(totals)
        self.entries = taps.outputs * self.channel
        strides = [prod(taps.sizes[i + 1 :]) for i in range(len(taps.axes))]
        self.strides, self.plane = strides, prod(taps.sizes)

    def pointers(self, dtype: np.dtype) -> np.ndarray:
        """Give indptr: where each row starts, and the end."""
        rows = np.full((), self.inputs, np.int64)
        for count in self.counts:
            rows = np.multiply.outer(rows, count.astype(np.int64))
        pointers = np.zeros(self.taps.rows + 1, dtype)
        every = np.broadcast_to(rows, (self.taps.batch * self.taps.outputs, *rows.shape))
        np.cumsum(every, out=pointers[1:])
        return pointers

    def fill(self, block: tuple[Part, ...], values: np.ndarray, data: np.ndarray, indices: np.ndarray) -> None:
        """Write the rows of one block."""
        row = prod(values.shape[1:])
        if row == 0:
            return
        start, steps, ahead = 0, [], self.inputs
        for i, part in enumerate(block):
            start += ahead * int(self.before[i][part.first]) * self.after[i]
            ahead *= len(part.columns)
            steps.append(ahead * self.after[i])
        flat = values.reshape(self.taps.outputs, row)
        counts = [part.count for part in block[:-1]]
        for first, times, run in _runs(block[-1].count if block else 1, row):
            shape = (self.taps.batch, self.taps.outputs, *counts, times, run * row)
            strides = (self.entries, self.channel, *steps[:-1], run * row, 1)
            at = start + first * row
            pattern = np.tile(flat, run).reshape(self.taps.outputs, *(1,) * (len(counts) + 1), run * row)
            _view(data, at, shape, strides)[...] = pattern
            columns = self._columns(block, first, times, run, indices.dtype)
            np.add(*columns, out=_view(indices, at, shape, strides))

    def _columns(
        self, block: tuple[Part, ...], first: int, times: int, run: int, dtype: np.dtype
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the first column of every run of rows, and how far the other columns lie from it."""
        taps = self.taps
        steps = [axis.stride * stride for axis, stride in zip(taps.axes, self.strides, strict=True)]
        ahead = [np.arange(part.count) * step for part, step in zip(block[:-1], steps[:-1], strict=True)]
        last = steps[-1] if steps else 0
        group = np.arange(taps.outputs) // (taps.outputs // taps.groups)
        bases = [np.arange(taps.batch) * (taps.inputs * self.plane), group * (self.inputs * self.plane), *ahead]
        offsets = [np.arange(run) * last, np.arange(self.inputs) * self.plane]
        offsets += [part.columns * stride for part, stride in zip(block, self.strides, strict=True)]
        return _sums([*bases, (first + np.arange(times) * run) * last], dtype)[..., None], _sums(offsets, dtype).ravel()


def _runs(count: int, row: int) -> list[tuple[int, int, int]]:
    """Divide the outputs of a line into (first, times, run): runs of outputs that are one pattern, long enough."""
    run = min(count, max(1, PATTERN // row))
    times, rest = divmod(count, run)
    return [(0, times, run), (times * run, 1, rest)] if rest else [(0, times, run)]


def _view(array: np.ndarray, at: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """See a flat array from an entry on with this shape and these strides, counted in entries; bounds are checked."""
    size = array.itemsize
    return np.ndarray(shape, array.dtype, array, at * size, [stride * size for stride in strides])


def _sums(terms: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """Give every sum of one entry of each term, which lie below the number of columns."""
    total = np.zeros((), dtype)
    for term in terms:
        total = np.add.outer(total, term.astype(dtype))
    return np.asarray(total)
