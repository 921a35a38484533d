"""Scratch memory lies on cache lines, belongs to one thread, and large buffers are not kept."""

from __future__ import annotations

import ctypes
import threading
from itertools import pairwise

import numpy as np
import pytest

from faltung.runtime import workspace


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 4096, 1_000_003, workspace.KEEP_BYTES + 1])
def test_borrowed_memory_is_aligned_and_writable(size: int) -> None:
    address, held = workspace.borrow(size)
    assert address % workspace.ALIGNMENT == 0
    ctypes.memset(address, 7, size)
    assert held is None or (held[:size] == 7).all()


def test_small_buffers_are_kept_and_large_ones_are_not() -> None:
    first, _held = workspace.borrow(100_000)
    assert workspace.borrow(50_000)[0] == workspace.borrow(100_000)[0] == workspace.borrow(1)[0]
    assert first % workspace.ALIGNMENT == 0
    kept = workspace.borrow(1)[0]
    large, held = workspace.borrow(workspace.KEEP_BYTES + 1)
    assert held is not None
    assert held.nbytes > workspace.KEEP_BYTES
    assert large != kept
    assert workspace.borrow(1)[0] == kept


def test_a_larger_request_replaces_the_kept_buffer() -> None:
    found: list[int] = []

    def ask() -> None:
        found.append(workspace.borrow(1000)[0])
        address, held = workspace.borrow(2000)
        assert held is not None
        found.extend((address, workspace.borrow(1500)[0]))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found[1] == found[2]


def test_threads_share_nothing() -> None:
    places: dict[int, tuple[int, int]] = {}
    together = threading.Barrier(4)

    def ask(number: int) -> None:
        address, held = workspace.borrow(10_000)
        places[number] = (address, address + 10_000)
        together.wait(timeout=20)
        assert held is not None
        held[:10_000] = number
        together.wait(timeout=20)
        assert (held[:10_000] == number).all()

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ordered = sorted(places.values())
    assert len(ordered) == 4
    assert all(a[1] <= b[0] for a, b in pairwise(ordered))


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", "c16"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 0), (2, 3, 7), (1, 100_000)])
def test_aligned_arrays(shape: tuple[int, ...], dtype: str) -> None:
    array = workspace.aligned(shape, np.dtype(dtype))
    assert array.shape == shape
    assert array.dtype == np.dtype(dtype)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.size == 0 or array.ctypes.data % workspace.ALIGNMENT == 0
    array[...] = 1
    assert array.sum() == array.size
