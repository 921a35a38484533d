"""Samples times how far each counts, part by part, in memory that is used again: fresh pages cost more than sums."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.algorithms.held import places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.held import Intervals
    from faltung.plan.plan import Plan

# What is made between reading samples and storing a quotient should stay in the second and third cache.
BAND_BYTES = 2 << 20


def bands(values: Plan, weights: Plan) -> list[tuple[tuple[int, int], ...]]:
    """Cut the output along its first axis into bands that stay in cache, unless a method's tiles are better whole."""
    whole = tuple((0, n) for n in values.problem.output_shape)
    at = 0 if values.problem.filters is None else 1
    rows, size = whole[at][1], math.prod(values.problem.shape) * values.problem.dtypes.input.itemsize
    step = max(1, rows * BAND_BYTES // max(size, 1))
    if step >= rows or max(*values.grain, *weights.grain) > 1:
        return [whole]
    return [(*whole[:at], (i, min(i + step, rows)), *whole[at + 1 :]) for i in range(0, rows, step)]


class Certain:
    """An array whose samples count as `mask` says, and not at all where they are NaN if one is to `look` for these.

    Samples are given in `dtype`, certainties as `counted`: as bytes if that says it all. Of a larger array, `x` and
    `mask` may hold just the intervals `held` of each axis, one after the other.
    """

    def __init__(
        self, x: np.ndarray, mask: np.ndarray | None, dtype: np.dtype, counted: np.dtype, *, look: bool,
        held: Sequence[Intervals] | None = None,
    ) -> None:  # fmt: skip
        self.x, self.mask, self.dtype, self.counted, self.held = x, mask, dtype, counted, held
        self.looks = look and x.dtype.kind in "fc"
        self._buffers: dict[str, np.ndarray] = {}

    def read(self, reads: Sequence[Intervals]) -> tuple[np.ndarray, np.ndarray]:
        """Give the samples of some intervals times how far each counts, and the latter, until the next call."""
        if self.held is not None:
            reads = [_within(*pair) for pair in zip(reads, self.held, strict=True)]
        block, certainty = _taken(self.x, reads), None if self.mask is None else _taken(self.mask, reads)
        if self.looks:
            there = np.equal(block, block, out=self.buffer("there", block.shape, np.dtype(bool)))
            certainty = there if certainty is None else certainty * there
        filled = block.astype(self.dtype, copy=False)
        if certainty is None:
            return filled, np.ones(block.shape, self.counted)
        if certainty.dtype == bool:
            return self._zeroed(filled, certainty), certainty.view(np.uint8).astype(self.counted, copy=False)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.where(certainty == 0, 0, filled * certainty), certainty.astype(self.counted, copy=False)

    def buffer(self, name: str, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """Give uninitialised memory under a name, the same as before where that is large enough."""
        size, held = math.prod(shape), self._buffers.get(name)
        if held is None or held.size < size:
            held = self._buffers[name] = np.empty(size, dtype)
        return held[:size].reshape(shape)

    def _zeroed(self, x: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Put 0 where samples are not kept; bits and all-ones take a third of the time that a selection takes."""
        if x.dtype.kind == "c":
            return np.where(kept, x, x.dtype.type(0))
        bits = np.dtype(f"i{x.itemsize}")
        chosen = self.buffer("samples", x.shape, bits)
        np.copyto(chosen, kept)
        np.negative(chosen, out=chosen)
        np.bitwise_and(x.view(bits), chosen, out=chosen)
        zeroed: np.ndarray[Any, Any] = chosen.view(x.dtype)
        return zeroed


def _within(intervals: Intervals, held: Intervals) -> Intervals:
    """Say where intervals lie among the samples of others that contain them.

    >>> _within(((1, 3), (8, 9)), ((0, 4), (7, 9)))
    ((1, 3), (5, 6))
    """
    ends = places(held, np.array([(start, stop - 1) for start, stop in intervals], int).reshape(-1, 2))
    return tuple((int(first), int(last) + 1) for first, last in ends)


def _taken(x: np.ndarray, reads: Sequence[Intervals]) -> np.ndarray:
    """Give the samples of intervals, one after the other along each axis."""
    for axis, intervals in enumerate(reads):
        lead = (slice(None),) * axis
        parts = [x[(*lead, slice(*one))] for one in intervals or ((0, 0),)]
        x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
    return x
