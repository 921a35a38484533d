"""Scratch memory: one buffer a thread, kept between calls while it is small."""

from __future__ import annotations

import threading

import numpy as np

# A fresh large allocation costs a page fault every 4 KiB, which is more than a small convolution itself.
KEEP_BYTES = 8 << 20
ALIGNMENT = 64


class _Kept(threading.local):
    size = 0
    address = 0
    buffer: np.ndarray | None = None


_kept = _Kept()


def borrow(size: int) -> tuple[int, np.ndarray | None]:
    """Give the address of at least `size` uninitialised bytes on a cache line, and what must be held meanwhile.

    The next call in the same thread may give the same memory.
    """
    if size <= _kept.size:
        return _kept.address, _kept.buffer
    buffer = aligned((size,), np.dtype(np.uint8))
    address = buffer.__array_interface__["data"][0]
    if size <= KEEP_BYTES:
        _kept.size, _kept.address, _kept.buffer = size, address, buffer
    return address, buffer


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Give an uninitialised array that starts on a cache line."""
    count = dtype.itemsize
    for size in shape:
        count *= size
    raw = np.empty(count + ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + count].view(dtype).reshape(shape)
