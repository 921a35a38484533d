"""Arrays that lie flush against memory which may not be touched."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
PAGE, CANARY = mmap.PAGESIZE, 0xA5


class Guards:
    """Memory between two inaccessible pages; `end` says which of them arrays touch."""

    def __init__(self) -> None:
        self.end = True
        self._free: dict[int, list[tuple[mmap.mmap, int]]] = {}
        self._used: list[tuple[int, tuple[mmap.mmap, int], int, int]] = []

    def address(self, size: int) -> int:
        """Give `size` bytes; those before (or after) them on the same page are canaries."""
        pages = max(1, -(-size // PAGE))
        spare = self._free.setdefault(pages, [])
        arena = spare.pop() if spare else self._new(pages)
        first = arena[1] + PAGE
        ctypes.memset(first, CANARY, pages * PAGE)
        place = first + (pages * PAGE - size if self.end else 0)
        self._used.append((pages, arena, place, size))
        return place

    def array(self, shape: Any, dtype: Any = np.float64, values: Any = None) -> Array:
        """Give an array flush against the guard."""
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = (ctypes.c_uint8 * size).from_address(self.address(size))
        result: Array = np.frombuffer(raw, np.uint8).view(dtype).reshape(shape)
        if values is not None:
            result[...] = values
        return result

    def check_and_reuse(self) -> None:
        """Look at the canaries of everything given since the last time, and take it back."""
        for pages, arena, place, size in self._used:
            first, last = arena[1] + PAGE, arena[1] + PAGE * (1 + pages)
            outside = ctypes.string_at(first, place - first) + ctypes.string_at(place + size, last - place - size)
            assert outside == bytes([CANARY]) * len(outside), "memory beside an array was written"
            self._free[pages].append(arena)
        self._used.clear()

    @staticmethod
    def _new(pages: int) -> tuple[mmap.mmap, int]:
        memory = mmap.mmap(-1, (pages + 2) * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        assert protect(start, PAGE, 0) == protect(start + (pages + 1) * PAGE, PAGE, 0) == 0
        return memory, start
