"""Scratch memory: a buffer for samples and one for weights in each thread, kept between calls while it is small."""

from __future__ import annotations

import math
import threading

import numpy as np

# A fresh large allocation costs a page fault every 4 KiB, which is more than a small convolution itself.
KEEP_BYTES = 8 << 20
KEEP_WEIGHTS = 32 << 20
ALIGNMENT = 64


class _Kept(threading.local):
    size = 0
    address = 0
    buffer: np.ndarray | None = None


_kept, _weights = _Kept(), _Kept()


def borrow(size: int) -> tuple[int, np.ndarray | None]:
    """Give the address of at least `size` uninitialised bytes on a cache line, and what must be held meanwhile.

    The next call in the same thread may give the same memory.
    """
    return _borrow(_kept, size, KEEP_BYTES)


def borrow_weights(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Give an uninitialised array for weights that are packed for one call; the next one in this thread reuses it."""
    size = math.prod(shape) * dtype.itemsize
    _, buffer = _borrow(_weights, size, KEEP_WEIGHTS)
    assert buffer is not None
    return buffer[:size].view(dtype).reshape(shape)


def _borrow(kept: _Kept, size: int, most: int) -> tuple[int, np.ndarray | None]:
    if size <= kept.size:
        return kept.address, kept.buffer
    buffer = aligned((size,), np.dtype(np.uint8))
    address = buffer.__array_interface__["data"][0]
    if size <= most:
        kept.size, kept.address, kept.buffer = size, address, buffer
    return address, buffer


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Give an uninitialised array that starts on a cache line."""
    count = dtype.itemsize
    for size in shape:
        count *= size
    raw = np.empty(count + ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + count].view(dtype).reshape(shape)
