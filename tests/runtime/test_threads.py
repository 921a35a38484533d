"""The pool hands work over, survives errors, needs no worker, and never changes a bit."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import faltung as ft
from faltung.algorithms import direct, tap_loops
from faltung.runtime import threads

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]


def on_threads(count: int, work: Callable[[int], None]) -> None:
    """Run work(0) .. work(count - 1) at once and raise what any of them raised."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    started = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in started)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("jobs", [0, 1, 2, 3, 50])
def test_every_job_runs_once(jobs: int, count: int) -> None:
    done: list[int] = []
    threads.run([lambda n=n: done.append(n) for n in range(jobs)], count)
    assert sorted(done) == list(range(jobs))


def two_meet() -> set[int]:
    """Run two jobs that wait for each other: this ends only if two threads work at once."""
    together, seen = threading.Barrier(2), set()

    def job() -> None:
        seen.add(threading.get_ident())
        together.wait(timeout=10)

    threads.run([job, job], 2)
    return seen


def test_a_worker_helps_and_the_caller_works_too() -> None:
    if threads._pool._limit < 2:
        pytest.skip("one CPU has no worker")
    for _ in range(20):
        seen = two_meet()
        assert len(seen) == 2
        assert threading.get_ident() in seen


def test_one_thread_means_this_thread() -> None:
    seen: list[int] = []
    threads.run([lambda: seen.append(threading.get_ident())] * 5, 1)
    assert seen == [threading.get_ident()] * 5


def test_a_hand_over_is_quick() -> None:
    threads.run([lambda: None, lambda: None], 2)
    times = []
    for _ in range(300):
        start = time.perf_counter()
        threads.run([lambda: None, lambda: None], 2)
        times.append(time.perf_counter() - start)
    # Far below the 120 µs of a thread pool executor on a quiet machine; this one may be busy.
    assert sorted(times)[len(times) // 4] < 2e-3


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("count", [1, 2])
def test_the_first_error_is_raised_and_the_pool_goes_on(error: BaseException, count: int) -> None:
    def fail() -> None:
        raise error

    for _ in range(10):
        with pytest.raises(type(error)) as caught:
            threads.run([lambda: None, fail, *[lambda: None] * 5], count)
        assert caught.value is error
    done: list[int] = []
    threads.run([lambda n=n: done.append(n) for n in range(9)], 3)
    assert sorted(done) == list(range(9))
    if threads._pool._limit >= 2:
        assert len(two_meet()) == 2


def test_after_an_error_no_further_job_starts() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        threads.run([fail, *[lambda n=n: done.append(n) for n in range(1000)]], 1)
    assert done == []
    with pytest.raises(ValueError, match=r"^$"):
        threads.run([fail, *[lambda n=n: time.sleep(1e-3) for n in range(100_000)]], 2)


def test_many_callers_need_no_worker() -> None:
    """More calls at once than the pool may ever have workers: each caller works itself."""

    def call(number: int) -> None:
        for _ in range(20):
            done: list[int] = []
            threads.run([lambda n=n, done=done: done.append(n) for n in range(7)], 4)
            assert sorted(done) == list(range(7))

    on_threads(16, call)
    workers = [thread for thread in threading.enumerate() if thread.name == "faltung"]
    assert 0 < len(workers) <= threads._pool._limit
    assert all(thread.daemon for thread in workers)


@pytest.mark.parametrize(("given", "count"), [("3", 3), ("1", 1), ("64", 64)])
def test_the_environment_chooses_the_threads(monkeypatch: pytest.MonkeyPatch, given: str, count: int) -> None:
    monkeypatch.setenv("FALTUNG_THREADS", given)
    assert threads.default_threads.__wrapped__() == count


@pytest.mark.parametrize("given", ["", "0", "-2", "many", "1.5"])
def test_what_is_no_count_means_all_cpus(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("FALTUNG_THREADS", given)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert threads.default_threads.__wrapped__() == cpus


def arrays(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    shape = (300 + 17 * seed, 400 + seed)
    x = rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 3, shape)
    return x.astype(np.float32 if seed % 2 else np.float64), rng.standard_normal((3 + seed % 4, 5))


def test_eight_threads_on_one_convolution_give_the_bits_of_one() -> None:
    x, kernel = arrays(1)
    want = ft.Convolution(kernel)(x, threads=1).tobytes()
    for count in (1, 2, 3):
        shared, together = ft.Convolution(kernel), threading.Barrier(8)

        def call(number: int, shared: Any = shared, together: Any = together, count: int = count) -> None:
            together.wait(timeout=20)
            for _ in range(5):
                assert shared(x, threads=count).tobytes() == want

        on_threads(8, call)


def test_eight_threads_on_different_problems_give_the_bits_of_one() -> None:
    given = [arrays(seed) for seed in range(8)]
    want = [ft.correlate(x, kernel, threads=1).tobytes() for x, kernel in given]
    together = threading.Barrier(8)

    def call(number: int) -> None:
        together.wait(timeout=20)
        for turn in range(16):
            x, kernel = given[(number + turn) % 8]
            assert ft.correlate(x, kernel, threads=1 + turn % 3).tobytes() == want[(number + turn) % 8]

    on_threads(8, call)


def test_packed_weights_stay_where_the_first_caller_found_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads pack the same kernel at once: an address that one of them uses must not be freed by the other."""
    weights, together = direct.Weights([np.arange(9.0)]), threading.Barrier(2)
    pack, found = tap_loops.pack, {}

    def slow(kernel: Array, form: tap_loops.Form) -> Array:
        packed = pack(kernel, form)
        together.wait(timeout=2)
        return packed

    def call(number: int) -> None:
        # A lock around packing lets only one thread in, which is as good.
        with contextlib.suppress(threading.BrokenBarrierError):
            found[number] = weights.address(0, tap_loops.Form(1, 3, 3))

    monkeypatch.setattr(tap_loops, "pack", slow)
    on_threads(2, call)
    assert len(set(found.values())) <= 1
