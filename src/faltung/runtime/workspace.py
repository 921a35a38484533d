"""Scratch memory: one buffer a thread, kept between calls while it is small."""

from __future__ import annotations

import threading

import numpy as np

# A fresh large allocation costs a page fault every 4 KiB, which is more than a small convolution itself.
KEEP_BYTES = 8 << 20
ALIGNMENT = 64
_local = threading.local()


def borrow(size: int) -> np.ndarray:
    """Give at least `size` uninitialised bytes, aligned to a cache line.

    The next call in the same thread may give the same memory.
    """
    buffer: np.ndarray | None = getattr(_local, "buffer", None)
    if buffer is not None and buffer.size >= size:
        return buffer
    raw = np.empty(size + ALIGNMENT, np.uint8)
    aligned = raw[-raw.__array_interface__["data"][0] % ALIGNMENT :][:size]
    if size <= KEEP_BYTES:
        _local.buffer = aligned
    return aligned
