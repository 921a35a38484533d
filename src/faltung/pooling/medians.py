"""Medians of windows, and where they lie among all that the windows read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms import pool_medians
from faltung.pooling.ordered import fill, ordered
from faltung.pooling.places import array_axes, flat, indices

if TYPE_CHECKING:
    from faltung.pooling.windows import Windows


def median(x: np.ndarray, windows: Windows, threads: int) -> np.ndarray:
    """Give the median of every window."""
    array, _, restore = ordered(x, windows, "median")
    return restore(_medians(array, windows, threads))


def chosen(x: np.ndarray, windows: Windows, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Give medians, and the index of each in the pooled axes of the array."""
    values, at = places(x, windows, threads)
    return values, indices(at, windows)


def places(x: np.ndarray, windows: Windows, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Give medians, and the flat index of each in the extended pooled axes: of equal samples the first."""
    array, _, restore = ordered(x, windows, "median")
    values, marks = _medians(array, windows, threads), windows.ignored()
    counts = np.ones((1,) * array.ndim, bool)
    for axis, mark in zip(windows.axes, marks, strict=True):
        counts = counts & ~mark.reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    array, maps = windows.read(array, fill("min", array.dtype))
    found = pool_medians.first_places(array, maps, array_axes(windows), values, counts, threads)
    return restore(values), flat(found, windows)


def _medians(array: np.ndarray, windows: Windows, threads: int) -> np.ndarray:
    samples = windows.samples(padding=windows.sides is not None)
    array, maps = windows.read(array, fill("min", array.dtype))
    return pool_medians.medians(array, maps, array_axes(windows), samples, threads)
