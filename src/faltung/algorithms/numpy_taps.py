"""The direct sum of taps with NumPy alone: what runs without llvmlite or with FALTUNG_JIT=0.

One product and one sum per tap over a block of the output, in the kernel's C order; slower, but the same answers to
rounding and the same rules.
"""

from __future__ import annotations

import copy
import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.task import Recipe, Rejection, gamma, unit_roundoff
from faltung.compiler import kernels as compiled
from faltung.runtime import gather, regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.task import Task

BLOCK_POINTS = 1 << 18
# Nanoseconds of one product and its sum, and of a call (measured on arrays of a few thousand to a few million points).
MAC, CALL = 1.2, 40_000.0


def propose(task: Task) -> Recipe | Rejection:
    """Offer the sum of taps by NumPy where nothing is compiled."""
    if compiled.available():
        return Rejection("numpy", "the same sums are compiled here")
    accumulate, taps = task.problem.dtypes.accumulate, task.kernels[0].size
    unit, norm1 = unit_roundoff(accumulate), max(float(facts.norm1) for facts in task.facts)
    norm2 = max(float(np.sqrt((k.astype(float) ** 2).sum())) for k in task.kernels)
    return Recipe(
        algorithm="numpy",
        nanoseconds=CALL + MAC * task.problem.macs,
        workspace=3 * BLOCK_POINTS * accumulate.itemsize,
        # A product rounds before the sums do.
        error=gamma(taps + 1, unit) * norm1,
        expected=unit * math.sqrt(taps + 1) * norm2,
        arithmetic=("numpy",),
        prepare=lambda: NumpyTaps(task),
        relative=True,
    )


class NumpyTaps:
    """The NumPy method for one problem."""

    def __init__(self, task: Task) -> None:
        problem = self.problem = task.problem
        self.load_dtype = task.load
        self.axes = problem.array_axes()
        boundary = dict(zip(problem.axes, problem.boundary, strict=True))
        self.sides = [boundary.get(i) for i in range(len(problem.shape))]
        self.in_shape, self.out_shape = problem.shape, problem.map_shape
        self.weights = self._weights(task.kernels)

    def run(self, source: np.ndarray, out: np.ndarray, threads: int) -> None:
        """Fill `out` (filters, *output shape); NumPy decides about threads itself."""
        box = tuple((0, axis.out) for axis in self.axes)
        if regions.size(box) == 0:
            return
        axis = max(range(len(box)), key=lambda i: box[i][1]) if box else 0
        pieces = regions.split(box, axis, -(-regions.size(box) // BLOCK_POINTS)) if box else [box]
        for piece in pieces:
            self._block(source, out, piece)

    def shortcut(self) -> None:
        """Give none: NumPy's own overhead is larger."""

    def reweighed(self, weight: np.ndarray) -> NumpyTaps:
        """Give the same method for other weights (1, filters, ...)."""
        other = copy.copy(self)
        other.weights = self._weights(weight[0])
        return other

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, for `Plan.explain`."""
        return [
            ("method", "by NumPy: one product and one sum per tap (llvmlite is missing, or FALTUNG_JIT=0)"),
            ("order", "one chain of products and sums per output, in the kernel's C order"),
            ("memory", f"about {BLOCK_POINTS:,} points at a time, three arrays each"),
        ]

    def _weights(self, kernels: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
        """Give the kernels in the accumulator's type, with one axis for each axis of the array."""
        shape = [axis.taps for axis in self.axes]
        return [k.astype(self.problem.dtypes.accumulate).reshape(shape) for k in kernels]

    def _block(self, source: np.ndarray, out: np.ndarray, box: regions.Box) -> None:
        reads = [axis.reads(*part) for axis, part in zip(self.axes, box, strict=True)]
        maps = [
            gather.coordinates(*read, axis.size, side)
            for read, axis, side in zip(reads, self.axes, self.sides, strict=True)
        ]
        accumulate = self.problem.dtypes.accumulate
        block = gather.extended(source, maps).astype(accumulate)
        sizes = [stop - start for start, stop in box]
        where = tuple(slice(*part) for part in box)
        for filter_, kernel in enumerate(self.weights):
            total = np.zeros(sizes, accumulate)
            with np.errstate(all="ignore"):
                for tap in product(*(range(axis.taps) for axis in self.axes)):
                    window = tuple(
                        slice(axis.dilation * t, axis.dilation * t + axis.stride * (n - 1) + 1, axis.stride)
                        for axis, t, n in zip(self.axes, tap, sizes, strict=True)
                    )
                    total += block[window] * kernel[tap]
                out[filter_, ...][where] = stored(total, self.problem.dtypes.output)


def stored(total: np.ndarray, output: np.dtype) -> np.ndarray:
    """Turn accumulators into the output's type: floats round half to even and saturate as integers, NaN gives 0."""
    if output.kind not in "iu" or total.dtype == output:
        return total.astype(output)
    limits = np.iinfo(output)
    if total.dtype.kind in "iu":
        held = np.iinfo(total.dtype)
        clipped: np.ndarray = np.clip(total, max(limits.min, held.min), min(limits.max, held.max))
        return clipped.astype(output)
    rounded = np.nan_to_num(np.rint(total), nan=0.0, posinf=np.inf, neginf=-np.inf)
    # The largest integers of 32 and 64 bits are no floats: what reaches them is set, not converted.
    low, high = rounded <= float(limits.min), rounded >= float(limits.max)
    result: np.ndarray = np.where(low | high, 0, rounded).astype(output)
    result[low], result[high] = limits.min, limits.max
    return result
