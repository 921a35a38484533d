"""A filter over an array larger than memory: bounded, resumable, equal bit for bit to the answer in memory."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung import arguments
from faltung.errors import FaltungError, FileError, ProblemError
from faltung.files import crew, target
from faltung.files.cut import Cut, cut
from faltung.files.fingerprint import Fingerprint
from faltung.files.journal import Head, Journal
from faltung.files.layout import layout
from faltung.files.memory import budget
from faltung.files.session import Task, in_this_process
from faltung.files.stores import Address, open_source
from faltung.runtime.threads import default_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from os import PathLike

    from numpy.typing import DTypeLike

    from faltung.convolution import Convolution
    from faltung.files.cut import Budget
    from faltung.files.stores import Box, Source
    from faltung.files.zarr_create import Layout
    from faltung.plan.plan import Plan


@dataclass(frozen=True)
class Progress:
    """How far a job is: samples of the output on disk, those of this run among them, and its seconds."""

    done: int
    total: int
    gained: int
    seconds: float
    itemsize: int

    @property
    def rate(self) -> float:
        """Bytes of output per second."""
        return self.gained * self.itemsize / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float:
        """Seconds that remain at this rate."""
        return (self.total - self.done) * self.itemsize / self.rate if self.rate else float("inf")


@dataclass(frozen=True)
class Prepared:
    """A job that is understood and fits into memory, and has written nothing yet."""

    source: Source
    source_at: Address
    target_at: Address
    convolution: Convolution
    plan: Plan
    layout: Layout
    cut: Cut
    budget: Budget
    fingerprint: Fingerprint
    workers: int
    scheduler: str | None

    def __str__(self) -> str:
        runs = self.cut.runs()
        size = " x ".join(map(str, self.cut.sizes))
        units = [-(-n // u) for n, u in zip(self.layout.shape, self.layout.units, strict=True)]
        what = "shards" if self.layout.shards else "chunks"
        who = self.scheduler or (f"{self.workers} processes" if self.workers else "this process")
        return (
            f"{self.plan.explain()}\n"
            f"output      {' x '.join(map(str, self.layout.shape))} {self.layout.dtype}, "
            f"{int(np.prod(units, dtype=np.int64)):,} {what} of {' x '.join(map(str, self.layout.units))}\n"
            f"regions     {sum(map(len, runs)):,} of up to {size}, in {len(runs):,} runs, by {who}\n"
            f"memory      {self.budget.arithmetic}; chunks in work {self.budget.working:,}"
        )


@dataclass(frozen=True)
class Result:
    """What a job did: regions computed now, regions that were there already, seconds."""

    target: str
    shape: tuple[int, ...]
    dtype: str
    computed: int
    before: int
    seconds: float


def prepare(
    source: str | PathLike[str], to: str | PathLike[str], convolution: Convolution, *, part: str | None = None,
    dtype: DTypeLike | None = None, algorithm: str | None = None, tolerance: float | None = None,
    max_memory: int | None = None, workers: int | None = None, scheduler: str | None = None, threads: int | None = None,
    chunks: Sequence[int] | None = None, shards: Sequence[int] | None = None, bare: bool = False,
) -> Prepared:  # fmt: skip
    """Plan a job and refuse, before anything is written, what cannot be done; the keywords are those of `apply`."""
    from_, target_at = Address(str(source), part), Address(str(to))
    _check(from_, target_at, workers, scheduler, threads)
    with ExitStack() as stack:
        opened = open_source(from_)
        stack.callback(opened.close)
        plan = convolution.plan(opened.shape, opened.dtype, dtype, algorithm=algorithm, tolerance=tolerance)
        prints = Fingerprint.of(opened.description(), opened.objects())
        provenance = {"plan": plan.signature, "token": plan.token, "input": prints.digest}
        found = layout(target_at, opened, convolution, plan, chunks, shards, provenance, bare=bare)
        count = workers or 0 if scheduler is None else crew.threads_of(scheduler)
        each = threads or (1 if scheduler else max(1, default_threads() // max(1, count)))
        unit_bytes = int(np.prod(found.units, dtype=np.int64)) * plan.problem.dtypes.output.itemsize
        # A unit is copied, coded, and put together with others of its shard; some are in work at once.
        working = opened.working + unit_bytes * 3 * (2 if found.shards else min(4, each))
        allowed = budget(max_memory, count, working, each)
        regions = cut(plan, opened, found.units, allowed)
        stack.pop_all()
    return Prepared(opened, from_, target_at, convolution, plan, found, regions, allowed, prints,
                    workers or 0, scheduler)  # fmt: skip


def apply(
    source: str | PathLike[str], to: str | PathLike[str], convolution: Convolution, *, resume: bool = False,
    verify: bool = False, force: bool = False, progress: Callable[[Progress], object] | None = None, **options: Any,
) -> Result:  # fmt: skip
    """Filter an array that may be larger than memory, from a store into another, region by region.

    ``source`` is a Zarr array or OME-Zarr image (a folder or an fsspec URL), a TIFF, an NPY or a NetCDF file; ``part``
    names the array, level, series or variable in it. ``to`` is a Zarr store (OME-Zarr, v2 or v3 as the input is) or an
    NPY file. The output holds the bits of ``convolution.plan(shape, dtype)(x)``; its chunks are the input's, divided by
    the stride, unless ``chunks`` and ``shards`` say otherwise. Each is written whole and atomically, by one task.

    ``max_memory`` bounds the bytes of all processes together (by default half of what is free); ``workers`` is a number
    of processes beside this one; ``scheduler`` the address of a Dask cluster, whose workers then share ``max_memory``,
    their interpreters included. ``threads`` are those of each process. ``algorithm``, ``tolerance`` and ``dtype`` are
    those of `Convolution.plan`. ``progress`` is called after each region.

    A journal beside the output (``OUT.faltung-job``) names the plan, the kernel, the input's fingerprint, and the
    regions on disk. ``resume`` goes on from it, or begins if there is none; ``verify`` hashes the input's bytes when a
    job begins and when it goes on. ``force`` replaces an output.

    Raises:
        FileError: stores that cannot be read or written, an output that exists, another input, kernel or layout than
            that of the unfinished job. What is marked done is on disk whatever happened.
        PlanError: not even one chunk fits into ``max_memory``; the text has the arithmetic.

    >>> import tempfile, pathlib, numpy as np, faltung as ft
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "x.npy", np.arange(6.0))
    >>> done = apply(folder / "x.npy", folder / "y.npy", ft.Convolution([1, 1, 1], boundary="zero"))
    >>> np.load(folder / "y.npy")
    array([ 1.,  3.,  6.,  9., 12.,  9.])
    """
    prepared = prepare(source, to, convolution, **options)
    try:
        return run(prepared, resume=resume, verify=verify, force=force, progress=progress)
    finally:
        prepared.source.close()


def run(
    job: Prepared, *, resume: bool = False, verify: bool = False, force: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> Result:  # fmt: skip
    """Run a prepared job; the keywords are those of `apply`."""
    started = time.perf_counter()
    journal = Journal.of(job.target_at, anew=force)
    head = Head(
        job.plan.signature, job.plan.token, {"part": job.source_at.part, "missing": job.source.about.missing},
        job.layout.to_json(), job.fingerprint, job.source.content() if verify else None,
    )  # fmt: skip
    try:
        if not target.start(job, journal, head, resume=resume, force=force):
            return Result(job.target_at.url, job.layout.shape, job.layout.dtype, 0, 0, 0.0)
        runs = job.cut.runs()
        left = journal.remaining(runs, job.layout.shape, job.layout.units)
        total = sum(map(len, left))
        _work(job, journal, left, progress, started)
        journal.remove()
        return Result(job.target_at.url, job.layout.shape, job.layout.dtype, total, sum(map(len, runs)) - total,
                      time.perf_counter() - started)  # fmt: skip
    finally:
        journal.close()


def _work(
    job: Prepared, journal: Journal, left: list[list[Box]], progress: Callable[[Progress], object] | None,
    started: float,
) -> None:  # fmt: skip
    """Compute what is left, write down each region that is on disk, and finish the store."""
    total, itemsize = int(np.prod(job.layout.shape, dtype=np.int64)), job.plan.problem.dtypes.output.itemsize
    todo = sum(_size(region) for run in left for region in run)
    gained = 0
    try:
        # Closed at once, so that no worker goes on when this fails.
        with closing(_regions(job, left)) as regions:
            for region in regions:
                journal.add(region)
                gained += _size(region)
                if progress is not None:
                    seconds = time.perf_counter() - started
                    progress(Progress(total - todo + gained, total, gained, seconds, itemsize))
        target.finish(job)
    except (FaltungError, MemoryError, KeyboardInterrupt, SystemExit) as error:
        with suppress(FaltungError, OSError):
            journal.flush()
        share = 100 * (total - todo + gained) // max(1, total)
        said = f"{share} % of {job.target_at.url} is on disk; go on with the same command and --resume (resume=True)"
        if isinstance(error, FaltungError):
            msg = f"{error}; {said}"
            raise type(error)(msg) from error
        error.add_note(said)
        raise


def _regions(job: Prepared, left: list[list[Box]]) -> Generator[Box]:
    task = Task(
        job.source_at, job.target_at, job.layout.array, job.plan, job.fingerprint, job.source.about.missing,
        job.budget.threads, max(0, job.budget.room - job.budget.working - job.cut.needed),
    )  # fmt: skip
    if job.scheduler is not None:
        return crew.on_cluster(task, left, job.scheduler)
    if job.workers:
        return crew.in_processes(task, left, job.workers)
    return in_this_process(task, left)


def _size(region: Box) -> int:
    return int(np.prod([stop - start for start, stop in region], dtype=np.int64))


def _check(
    source: Address, target_at: Address, workers: int | None, scheduler: str | None, threads: int | None
) -> None:
    if threads is not None:
        arguments.check_threads(threads)
    if workers is not None and workers < 0:
        msg = f"workers={workers}: expected a number of processes, or 0 for this one alone"
        raise ProblemError(msg)
    if workers and scheduler:
        msg = "workers are processes on this machine, and a scheduler has its own; give one of them"
        raise ProblemError(msg)
    same = source.url.rstrip("/") == target_at.url.rstrip("/")
    if not same and not source.remote and not target_at.remote and source.path.exists() and target_at.path.exists():
        same = source.path.samefile(target_at.path)
    if same:
        msg = f"{target_at.url}: is input and output; choose another output"
        raise FileError(msg)
