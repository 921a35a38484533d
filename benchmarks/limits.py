"""What the machine can do, measured beside the cases: a matrix product and a copy; and the threads of everybody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GEMM_SIDE = 1024
GEMM_FLOPS = 2 * GEMM_SIDE**3
COPY_BYTES = 64 << 20


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Give every library the same number of threads."""
    with ExitStack() as stack:
        if find_spec("cv2"):
            import cv2

            cv2.setNumThreads(threads)
        if find_spec("torch"):
            import torch

            torch.set_num_threads(threads)
        if find_spec("scipy"):
            import scipy.fft

            stack.enter_context(scipy.fft.set_workers(threads))
        if find_spec("pyvips"):
            import pyvips

            pyvips.concurrency_set(threads)
        stack.enter_context(_controller().limit(limits=threads))
        yield


def sgemm(threads: int) -> Callable[[], object]:
    """Multiply two 1024² float32 matrices on so many threads."""
    generator = np.random.default_rng(1)
    a, b = generator.standard_normal((2, GEMM_SIDE, GEMM_SIDE), np.float32)
    product = np.empty_like(a)

    def call() -> object:
        with _controller().limit(limits=threads, user_api="blas"):
            return np.dot(a, b, out=product)

    return call


@cache
def _copied() -> tuple[np.ndarray, np.ndarray]:
    return np.ones(COPY_BYTES // 8), np.zeros(COPY_BYTES // 8)


def copy(threads: int) -> Callable[[], object]:
    """Copy 64 MiB in as many pieces as there are threads."""
    source, target = (np.array_split(array, threads) for array in _copied())
    if threads == 1:
        return lambda: np.copyto(target[0], source[0])
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(np.copyto, target, source))
