"""Where the samples lie that windows chose: among all that is read, and in the array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms import pool_places
from faltung.errors import GeometryError
from faltung.pooling.ordered import fill, ordered
from faltung.problem.geometry import Axis

if TYPE_CHECKING:
    from faltung.pooling.windows import Windows


def extrema(x: np.ndarray, windows: Windows, kind: str, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Give extrema, and where they lie among all that the windows read: flat indices into the extended axes."""
    array, kind, restore = ordered(x, windows, kind)
    array, maps = windows.read(array, fill(kind, array.dtype))
    values, place = pool_places.places(array, maps, array_axes(windows), kind, threads)
    return restore(values), flat(place, windows)


def array_axes(windows: Windows) -> list[Axis]:
    """Describe every axis of the extended array; a carried axis has one tap."""
    axes = [Axis(size, 1, 1, 1, 0, size) for size in windows.shape]
    for axis, one in zip(windows.axes, windows.extended().along, strict=True):
        axes[axis] = one
    return axes


def flat(place: np.ndarray, windows: Windows) -> np.ndarray:
    """Turn places in windows into flat indices of the extended pooled axes; what does not count is never chosen."""
    axes = windows.extended().along
    steps = np.cumprod([1, *(axis.size for axis in reversed(axes))])[-2::-1]
    taps = _outer([axis.dilation * step * np.arange(axis.taps) for axis, step in zip(axes, steps, strict=True)])
    starts = [axis.stride * step * np.arange(axis.out) for axis, step in zip(axes, steps, strict=True)]
    at: np.ndarray = taps.ravel()[place]
    for part in windows.per_axis(starts):
        at += part
    if windows.ignores:
        marks = windows.ignored()
        wrong = ~_outer([~mark for mark in marks], np.logical_and).ravel()[at]
        if wrong.any():
            # Samples as low as what is ignored are equal to it: then the first that counts is chosen.
            firsts = [_first(mark, axis) * step for mark, axis, step in zip(marks, axes, steps, strict=True)]
            at[wrong] = np.broadcast_to(sum(windows.per_axis(firsts)), at.shape)[wrong]
    return at


def first_samples(windows: Windows) -> np.ndarray:
    """Give the index in the array of the first sample of each window, where padding is none."""
    steps = np.cumprod([1, *reversed(windows.sizes)])[-2::-1]
    found = zip(windows.ignored(), windows.extended().along, windows.along, steps, strict=True)
    firsts = [(_first(mark, axis) - one.low) * step for mark, axis, one, step in found]
    return np.asarray(sum(windows.per_axis(firsts)))


def indices(at: np.ndarray, windows: Windows) -> np.ndarray:
    """Turn flat indices of the extended pooled axes into those of the array's pooled axes; a constant has -1."""
    if not windows.padded and windows.ends == windows.sizes:
        return at
    maps = [windows.maps(0)[axis].index for axis in windows.axes]
    steps = np.cumprod([1, *reversed(windows.sizes)])[-2::-1]
    sources = _outer([index * step for index, step in zip(maps, steps, strict=True)])
    constant = ~_outer([index >= 0 for index in maps], np.logical_and)
    sources[constant] = -1
    found: np.ndarray = sources.ravel()[at]
    return found


def check_indices(windows: Windows) -> None:
    """Refuse indices where a chosen value may be no sample of the array."""
    if windows.has_odd_rules:
        msg = "return_indices=True with an odd boundary rule, whose padding holds values that are nowhere in the array"
        raise GeometryError(msg + "; use an even rule, or boundary=None")


def _outer(parts: list[np.ndarray], op: np.ufunc = np.add) -> np.ndarray:
    result = parts[0]
    for part in parts[1:]:
        result = op.outer(result, part)
    return np.array(result)


def _first(mark: np.ndarray, axis: Axis) -> np.ndarray:
    """Give the first place that counts in each window, along one axis."""
    at = axis.stride * np.arange(axis.out)[:, None] + axis.dilation * np.arange(axis.taps)
    return np.take_along_axis(at, mark[at].argmin(1)[:, None], 1)[:, 0]
