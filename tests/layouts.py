"""Arrays of equal values that lie differently in memory; what lies between their samples would spoil any sum."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LAYOUTS = (
    "C", "C", "C", "F", "transposed", "reversed", "every other", "window", "broadcast", "misaligned", "big-endian",
    "read-only",
)  # fmt: skip


def lay_out(array: Array, layout: str, rng: np.random.Generator) -> Array:
    """Give `array` in another layout; "broadcast" repeats one line of it, all others keep its values."""
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "transposed":
        order = rng.permutation(array.ndim)
        return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    if layout == "reversed":
        axes = tuple(axis for axis in range(array.ndim) if rng.random() < 0.7)
        return np.flip(np.ascontiguousarray(np.flip(array, axes)), axes)
    if layout == "every other":
        return _inside(array, [2] * array.ndim, 0)
    if layout == "window":
        return _inside(array, [1] * array.ndim, 3)
    if layout == "broadcast" and array.size:
        axis = int(rng.integers(array.ndim))
        return np.broadcast_to(array.take([0], axis), array.shape)
    if layout == "misaligned":
        memory = np.empty(array.nbytes + 1, np.uint8)
        result: Array = np.ndarray(array.shape, array.dtype, memory.data, offset=1)
        result[...] = array
        return result
    if layout == "big-endian":
        return array.astype(array.dtype.newbyteorder(">"))
    if layout == "read-only":
        array.setflags(write=False)
    return array


def _inside(array: Array, steps: list[int], margin: int) -> Array:
    """Surround every sample with NaN, or with the largest integer."""
    spoiled = np.nan if array.dtype.kind in "fc" else True if array.dtype.kind == "b" else np.iinfo(array.dtype).max
    memory = np.full([n * step + 2 * margin for n, step in zip(array.shape, steps, strict=True)], spoiled, array.dtype)
    part = tuple(slice(margin, margin + n * step, step) for n, step in zip(array.shape, steps, strict=True))
    memory[part] = array
    return memory[part]
