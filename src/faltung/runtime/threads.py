"""A light thread pool: jobs are compiled kernels, which release the GIL.

Workers wait on a lock each; handing over a job takes a few microseconds. The pool starts on first use, is dropped in a
forked child, and its daemon threads never hold up the interpreter's exit. A caller always works too, so that progress
never depends on a worker, and calls from several threads at once share nothing but the idle workers.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from functools import cache
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
    _Batch(jobs).run(min(threads, len(jobs)) - 1)


class _Batch:
    """Jobs that several threads take from one queue."""

    def __init__(self, jobs: Sequence[Callable[[], None]]) -> None:
        self._queue = deque(jobs)
        self._errors: list[BaseException] = []

    def run(self, helpers: int) -> None:
        workers = _pool.take(helpers)
        try:
            for worker in workers:
                worker.start_batch(self)
            self.work()
        except BaseException as error:
            self._stop(error)
        # Whatever happens, nobody may go on writing to the caller's arrays after this call.
        interrupted = False
        while any(worker.busy for worker in workers):
            try:
                for worker in workers:
                    worker.wait()
            except BaseException as error:
                interrupted = True
                self._stop(error)
        if not interrupted:
            _pool.give(workers)
        else:
            _pool.dismiss(workers)
        if self._errors:
            raise self._errors[0]

    def _stop(self, error: BaseException) -> None:
        self._errors.append(error)
        self._queue.clear()

    def work(self) -> None:
        while not self._errors:
            try:
                job = self._queue.popleft()
            except IndexError:
                return
            try:
                job()
            except BaseException as error:
                self._stop(error)


class _Worker:
    """One daemon thread that waits for batches; `busy` from the moment it is given one until it is done."""

    def __init__(self) -> None:
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._batch: _Batch | None = None
        self.busy = self._dismissed = False
        threading.Thread(target=self._loop, name="faltung", daemon=True).start()

    def start_batch(self, batch: _Batch) -> None:
        self._batch, self.busy = batch, True
        self._go.release()

    def wait(self) -> None:
        """Wait until it is done; returns at once, or a little late, if that was waited for before."""
        while self.busy and not self._done.acquire(timeout=0.1):
            pass

    def dismiss(self) -> None:
        """End the thread: an interrupt may have left its locks in any state."""
        self._dismissed = True
        if self._go.locked():
            self._go.release()

    def _loop(self) -> None:
        while not self._dismissed:
            self._go.acquire()
            if self._batch is not None:
                self._batch.work()
                self._batch, self.busy = None, False
                if self._done.locked():
                    self._done.release()


class _Pool:
    """Idle workers; more are made when a call finds none, up to the CPUs of the machine."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._made = 0
        self._limit = max(os.cpu_count() or 1, default_threads())

    def take(self, count: int) -> list[_Worker]:
        with self._lock:
            taken = [self._idle.pop() for _ in range(min(count, len(self._idle)))]
            while len(taken) < count and self._made < self._limit:
                try:
                    taken.append(_Worker())
                except RuntimeError:  # the interpreter is shutting down, or the system has no more threads
                    break
                self._made += 1
            return taken

    def dismiss(self, workers: list[_Worker]) -> None:
        with self._lock:
            self._made -= len(workers)
        for worker in workers:
            worker.dismiss()

    def give(self, workers: list[_Worker]) -> None:
        with self._lock:
            self._idle.extend(workers)


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    # Threads do not survive a fork: the child starts with an empty pool and a lock that nobody holds.
    os.register_at_fork(after_in_child=_pool.reset)
