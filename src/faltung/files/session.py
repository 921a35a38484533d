"""The work of one process: read, filter, write, region by region."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.files.reader import Reader
from faltung.files.stores import open_source, open_target

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from faltung.files.fingerprint import Fingerprint
    from faltung.files.stores import Address, Box
    from faltung.plan.plan import Plan


@dataclass(frozen=True)
class Task:
    """What a process needs to know; it is pickled."""

    source: Address
    target: Address
    array: str
    plan: Plan
    fingerprint: Fingerprint
    missing: float | None
    threads: int
    #: Bytes for parts that later regions need.
    room: int


class Session:
    """A task with its stores open."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.source, self.target = open_source(task.source), open_target(task.target, task.array)
        self.source.watch(task.fingerprint)
        self.reader = Reader(self.source, task.plan, task.room, min(task.threads, 4))

    def work(self, runs: Sequence[Sequence[Box]]) -> Iterator[Box]:
        """Compute runs of regions, and yield each region once it is on disk.

        A region is written while the next one is read.
        """
        written: tuple[Box, Future[None]] | None = None
        with concurrency(min(self.task.threads, 4)), ThreadPoolExecutor(1) as writer:
            for region in self._ordered(runs):
                try:
                    samples = self.reader.read(region)
                finally:
                    if written is not None:
                        written[1].result()
                        yield written[0]
                values = self._filtered(samples, region)
                del samples
                written = (region, writer.submit(self.target.write, region, values))
                del values
            if written is not None:
                written[1].result()
                yield written[0]

    def _ordered(self, runs: Sequence[Sequence[Box]]) -> Iterator[Box]:
        for run, following in zip_longest(runs, runs[1:], fillvalue=()):
            self.reader.expect([*run, *following])
            yield from run

    def _filtered(self, samples: np.ndarray[Any, Any], region: Box) -> np.ndarray[Any, Any]:
        values = self.task.plan.run_region(samples, region, threads=self.task.threads)
        if self.task.missing is not None and values.dtype.kind == "f":
            values[np.isnan(values)] = self.task.missing
        return values

    def close(self) -> None:
        """Close the input."""
        self.source.close()


def concurrency(chunks: int) -> Any:
    """Let Zarr, where it is used at all, code so many chunks at once: each takes memory."""
    try:
        import zarr
    except ImportError:
        from contextlib import nullcontext

        return nullcontext()
    return zarr.config.set({"async.concurrency": chunks, "threading.max_workers": chunks})


_open: OrderedDict[str, Session] = OrderedDict()
_lock = Lock()


def run_on_cluster(name: str, task: Task, run: Sequence[Box]) -> list[Box]:
    """Compute a run in a worker of a cluster, which keeps the session for the next one."""
    with _lock:
        session = _open.pop(name, None) or Session(task)
    try:
        done = list(session.work([run]))
    except BaseException:
        session.close()
        raise
    with _lock:
        _open[name] = session
        while len(_open) > 4:
            _open.popitem(last=False)[1].close()
    return done


def in_this_process(task: Task, runs: Sequence[Sequence[Box]]) -> Generator[Box]:
    """Compute all runs here."""
    session = Session(task)
    try:
        yield from session.work(runs)
    finally:
        session.close()
