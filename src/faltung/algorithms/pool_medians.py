"""Medians of windows: the samples of each are put in order, in blocks of bounded size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from faltung.algorithms.pool_places import blocks, read
from faltung.runtime import threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.problem.boundary import AxisMap
    from faltung.problem.geometry import Axis
    from faltung.runtime.regions import Box

# Samples of the windows of a block, which are copied.
BLOCK = 1 << 18
# Windows along a single axis longer than this keep a heap while they move (measured).
LONG = 16


def medians(
    source: np.ndarray, maps: Sequence[AxisMap], axes: Sequence[Axis], samples: np.ndarray, count: int = 1
) -> np.ndarray:
    """Give the sample at index n // 2 of every window of n in order; NaN where there is one.

    `maps` extends each axis of the array, by the largest value where nothing counts; `axes` are those of the extended
    array (low = 0), of which carried ones have one tap; `samples` holds n, and broadcasts against the output.
    """
    out = np.empty([axis.out for axis in axes], source.dtype)
    if out.size and _slides(axes, samples, source):
        return _sliding(read(source, maps, axes, tuple((0, axis.out) for axis in axes)), axes, out)
    ranks = np.broadcast_to(samples // 2, out.shape)
    one_rank = None if samples.size == 0 or samples.min() != samples.max() else int(samples.flat[0]) // 2

    def job(box: Box) -> None:
        part = tuple(slice(*pair) for pair in box)
        windows = _windows(read(source, maps, axes, box), axes)
        if one_rank is not None:
            found = np.partition(windows, one_rank, -1)[..., one_rank]
        else:
            found = np.take_along_axis(np.sort(windows, -1), ranks[part][..., None], -1)[..., 0]
        if source.dtype.kind == "f":
            found = np.where(np.isnan(windows).any(-1), source.dtype.type(np.nan), found)
        out[part] = found

    _run(job, axes, count)
    return out


def first_places(
    source: np.ndarray,
    maps: Sequence[AxisMap],
    axes: Sequence[Axis],
    values: np.ndarray,
    counts: np.ndarray,
    count: int = 1,
) -> np.ndarray:
    """Find, in C order, the first place of every window that counts and holds the window's value.

    `counts` marks what counts in the extended array, and broadcasts against it. NaN equals NaN here.
    """
    found = np.empty(values.shape, np.int64)
    spread = np.broadcast_to(counts, [len(chosen.index) for chosen in maps])

    def job(box: Box) -> None:
        part = tuple(slice(*pair) for pair in box)
        reads = tuple(slice(*axis.reads(*pair)) for axis, pair in zip(axes, box, strict=True))
        windows, value = _windows(read(source, maps, axes, box), axes), values[part][..., None]
        equal = (windows == value) | ((value != value) & (windows != windows))
        found[part] = (equal & _windows(spread[reads], axes)).argmax(-1)

    _run(job, axes, count)
    return found


def _run(job: object, axes: Sequence[Axis], count: int) -> None:
    taps = math.prod(axis.taps for axis in axes)
    strides = math.prod(axis.stride for axis in axes)
    boxes = blocks(axes, max(1, BLOCK * strides // taps))
    threads.run([lambda box=box: job(box) for box in boxes], count)  # type: ignore[misc,operator]


def _windows(samples: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """Give the samples of every window along a new last axis, in C order."""
    windows = sliding_window_view(samples, [axis.span for axis in axes])
    outputs = tuple(slice(None, None, axis.stride) for axis in axes)
    windows = windows[outputs + tuple(slice(None, None, axis.dilation) for axis in axes)]
    return windows.reshape(*windows.shape[: len(axes)], -1)


def _slides(axes: Sequence[Axis], samples: np.ndarray, source: np.ndarray) -> bool:
    """Say whether long windows move along one axis, sample by sample, and all of them are full."""
    long = [axis for axis in axes if axis.taps > 1]
    full = len(long) == 1 and bool((samples == long[0].taps).all())
    steps = all(axis.stride == axis.dilation == 1 for axis in axes)
    number = source.dtype != np.uint64 and not (source.dtype.kind == "f" and np.isnan(source).any())
    return full and steps and number and long[0].taps > LONG


def _sliding(samples: np.ndarray, axes: Sequence[Axis], out: np.ndarray) -> np.ndarray:
    """Let SciPy move a window along each line."""
    from scipy.ndimage import median_filter

    along = next(i for i, axis in enumerate(axes) if axis.taps > 1)
    taps = axes[along].taps
    lines, results = np.moveaxis(samples, along, -1), np.moveaxis(out, along, -1)
    for place in np.ndindex(lines.shape[:-1]):
        line = median_filter(np.ascontiguousarray(lines[place]), taps, mode="nearest")
        results[place] = line[taps // 2 : taps // 2 + results.shape[-1]]
    return out
