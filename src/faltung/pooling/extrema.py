"""Largest and smallest samples of windows, and which samples these are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.algorithms.extremum import Extremum, neutral
from faltung.algorithms.pool_chosen import Chosen
from faltung.compiler import kernels
from faltung.pooling import places
from faltung.pooling.ordered import fill, ordered
from faltung.problem.dtypes import Dtypes
from faltung.problem.geometry import Axis
from faltung.problem.problem import Problem
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from faltung.pooling.ordered import Kind
    from faltung.pooling.windows import Windows

KEPT = 32
# Windows with more places than this, for each output in their stride, are put together from shorter ones (measured).
MOST_TAPS = 150
# Fewer carried samples than this fill no register.
LEAST_LANES = 16


class Extrema:
    """The extrema of one pooling, prepared once for each shape and dtype."""

    def __init__(self) -> None:
        self._values: Kept[Any, tuple[Extremum, bool]] = Kept(KEPT)
        self._chosen: Kept[Any, _Compiled | None] = Kept(KEPT)

    def values(self, x: np.ndarray, windows: Windows, kind: str, threads: int) -> np.ndarray:
        """Give the extremum of every window."""
        array, kind, restore = ordered(x, windows, kind)
        key = (windows, array.dtype, kind)
        found = self._values.get(key)
        if found is None:
            found = _extremum(windows, array.dtype, kind)
            self._values.keep(key, found)
        extremum, extended = found
        if extended:
            array = windows.everything(array, fill(kind, array.dtype))
        out = np.empty(windows.output_shape, array.dtype)
        if out.size:
            extremum.run(array, out, threads)
        return restore(out)

    def chosen(self, x: np.ndarray, windows: Windows, kind: str, threads: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the extremum of every window, and its index in the pooled axes of the array."""
        array, wanted, restore = ordered(x, windows, kind)
        key = (windows, array.dtype, wanted)
        found = self._chosen.get(key)
        if found is None:
            found = _compiled(windows, array.dtype, wanted)
            self._chosen.keep(key, found)
        if found is None or 0 in windows.output_shape:
            values, at = places.extrema(x, windows, kind, threads)
            return values, places.indices(at, windows)
        values, indices = found.run(array, threads)
        if len(found.clipped):
            _leave_padding(values, indices, windows, found.clipped, fill(wanted, array.dtype))
        return restore(values), indices


class _Compiled(NamedTuple):
    """Compiled loops for an array whose axes are taken in an order, and outputs along the lanes that touch padding."""

    chosen: Chosen
    order: tuple[int, ...]
    clipped: np.ndarray

    def run(self, array: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray]:
        """Give values and indices in the array's own order of axes."""
        if self.order == tuple(range(array.ndim)):
            return self.chosen.run(array, threads)
        values, indices = self.chosen.run(array.transpose(self.order), threads)
        back = tuple(np.argsort(self.order))
        return np.ascontiguousarray(values.transpose(back)), np.ascontiguousarray(indices.transpose(back))


def _extremum(windows: Windows, dtype: np.dtype, kind: Kind) -> tuple[Extremum, bool]:
    # A rule that ends where ceil mode goes on is none that the windows themselves can follow.
    extended = windows.sides is not None and windows.overhangs
    if extended:
        windows = windows.extended()
    sides = windows.sides if windows.sides is not None else (neutral(kind, dtype),) * len(windows.axes)
    problem = Problem(windows.shape, windows.axes, windows.along, sides, Dtypes(dtype, dtype, dtype, dtype))
    return Extremum(problem, kind), extended


def _compiled(windows: Windows, dtype: np.dtype, kind: Kind) -> _Compiled | None:
    """Prepare compiled loops, where padding does not count and windows are not too large."""
    many = windows.taps > MOST_TAPS * math.prod(axis.stride for axis in windows.along)
    far = math.prod(windows.sizes) >= 2**31
    if not kernels.available() or many or far or (windows.sides is not None and windows.padded):
        return None
    last, rank = windows.axes[-1], len(windows.shape)
    tail = math.prod(windows.shape[last + 1 :])
    # What is carried behind the windows makes good lanes if it is long; else it goes before everything.
    front = range(last + 1, rank) if tail < LEAST_LANES else range(0)
    order = (*front, *(i for i in range(rank) if i not in front))
    pooled = dict(zip(windows.axes, windows.along, strict=True))
    axes = [pooled.get(i) or Axis(n, 1, 1, 1, 0, n) for i, n in enumerate(windows.shape)]
    clipped = np.flatnonzero(windows.counted(padding=False)[-1] < windows.along[-1].taps)
    lanes_are_pooled = order[-1] == last
    return _Compiled(
        Chosen([axes[i] for i in order], [order.index(i) for i in windows.axes], neutral(kind, dtype), kind, dtype),
        order,
        clipped if lanes_are_pooled else np.zeros(0, np.int64),
    )


def _leave_padding(
    values: np.ndarray, indices: np.ndarray, windows: Windows, clipped: np.ndarray, lowest: float
) -> None:
    """Let windows that hold nothing above the value of padding choose their first sample."""
    border = (slice(None),) * windows.axes[-1] + (clipped,)
    wrong = values[border] == lowest
    if wrong.any():
        firsts = np.broadcast_to(places.first_samples(windows), indices.shape)
        indices[border] = np.where(wrong, firsts[border], indices[border])
