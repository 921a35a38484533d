"""A light thread pool: jobs are compiled kernels, which release the GIL.

Workers wait on one queue, and a call never waits for a worker that has not begun, so handing over costs microseconds.
The pool starts on first use, is dropped in a forked child, and its daemon threads never hold up the interpreter's exit.
A caller always works too: progress never depends on a worker, and calls from several threads share nothing else.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from functools import cache
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@cache
def default_threads() -> int:
    """Give the number of CPUs this process may use, or FALTUNG_THREADS."""
    chosen = os.environ.get("FALTUNG_THREADS", "")
    if chosen.isdigit() and int(chosen) > 0:
        return int(chosen)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(jobs: Sequence[Callable[[], None]], threads: int) -> None:
    """Run all jobs, on this thread and up to `threads` - 1 workers; the first exception is raised here."""
    if threads <= 1 or len(jobs) <= 1:
        for job in jobs:
            job()
        return
    _Batch(jobs, min(threads, len(jobs)) - 1).run()


class _Batch:
    """Jobs that several threads take from one queue.

    A helper must hold a ticket to begin. The caller takes back those that are left when the jobs have run out, so it
    waits for helpers that are at work, never for one that has yet to wake up.
    """

    def __init__(self, jobs: Sequence[Callable[[], None]], helpers: int) -> None:
        self._queue = deque(jobs)
        self._tickets = deque(range(helpers))
        self._helpers = helpers
        self._ended: list[None] = []
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._taken_back = 0
        self._errors: list[BaseException] = []

    def run(self) -> None:
        try:
            _pool.call(self, self._helpers)
            self._work()
        except BaseException as error:
            self._stop(error)
        # Whatever happens, nobody may go on writing to the caller's arrays after this call.
        while len(self._ended) + self._unused() < self._helpers:
            try:
                with contextlib.suppress(Empty):
                    self._wake.get(timeout=0.1)
            except BaseException as error:
                self._stop(error)
        if self._errors:
            raise self._errors[0]

    def help(self) -> None:
        """Work for the caller, if it still waits for that."""
        try:
            self._tickets.pop()
        except IndexError:
            return
        self._work()
        self._ended.append(None)
        self._wake.put(None)

    def _work(self) -> None:
        while True:
            try:
                job = self._queue.popleft()
            except IndexError:
                return
            try:
                job()
            except BaseException as error:
                self._stop(error)

    def _stop(self, error: BaseException) -> None:
        self._errors.append(error)
        self._queue.clear()

    def _unused(self) -> int:
        """Take the remaining tickets back, and say how many were never used."""
        with contextlib.suppress(IndexError):
            while True:
                self._tickets.pop()
                self._taken_back += 1
        return self._taken_back


class _Pool:
    """Daemon threads that wait for batches on one queue, as many as were ever asked for, up to the machine's CPUs."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._calls: SimpleQueue[_Batch] = SimpleQueue()
        self._lock = threading.Lock()
        self._made = 0
        self._limit = max(os.cpu_count() or 1, default_threads())

    def call(self, batch: _Batch, helpers: int) -> None:
        with self._lock:
            while self._made < min(helpers, self._limit):
                try:
                    threading.Thread(target=_serve, args=(self._calls,), name="faltung", daemon=True).start()
                except RuntimeError:  # the interpreter is shutting down, or the system has no more threads
                    break
                self._made += 1
        for _ in range(helpers):
            self._calls.put(batch)


def _serve(calls: SimpleQueue[_Batch]) -> None:
    while True:
        calls.get().help()


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork: the child starts with an empty pool and a lock that nobody holds.
    os.register_at_fork(after_in_child=_pool.reset)
