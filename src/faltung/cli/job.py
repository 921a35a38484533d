"""``faltung apply`` on arrays larger than memory: a face of `faltung.files.job`."""

from __future__ import annotations

import logging
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faltung.errors import GeometryError, ProblemError
from faltung.files.stores import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.cli.apply import Job
    from faltung.files.job import Progress

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
STORES = (".zarr", ".nc", ".nc4")
SECONDS = 10.0  # between two lines where nobody watches


@dataclass(frozen=True, kw_only=True)
class Large:
    """What the user asked of a job on stores, as text."""

    source: str
    target: str
    part: str | None = None
    max_memory: str | None = None
    workers: int | None = None
    scheduler: str | None = None
    chunks: str | None = None
    shards: str | None = None
    resume: bool = False
    verify: bool = False
    dry_run: bool = False

    @property
    def wanted(self) -> bool:
        """Whether this is a job on stores, and not on a picture: a store is named, or an option that only jobs have."""
        stores = [Address(self.source), Address(self.target)]
        named = any(one.remote or one.path.is_dir() or one.path.suffix.lower() in STORES for one in stores)
        options = (self.part, self.max_memory, self.workers, self.scheduler, self.chunks, self.shards)
        return named or any(one is not None for one in options) or self.resume or self.verify or self.dry_run


@dataclass(frozen=True)
class Shape:
    """What the choice of axes looks at; samples are not read this way."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __getitem__(self, index: object) -> Any:
        msg = "a store is read box by box"
        raise TypeError(msg)


def apply_large(large: Large, job: Job, say: Callable[[str], object]) -> None:
    """Run a job on stores; ``say`` receives the plan, if it is wanted, and one line about the result."""
    from faltung.cli.apply import prepare, wanted_dtype
    from faltung.files import Picture
    from faltung.files import job as jobs
    from faltung.files.memory import few_arenas
    from faltung.files.stores import open_source

    few_arenas()
    # When a job fails, chunks may be in flight, of which asyncio would report each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if job.series is not None and large.part is not None:
        msg = "--series and --part both name a picture of a TIFF; give one of them"
        raise ProblemError(msg)
    part = large.part if job.series is None else str(job.series)
    source = open_source(Address(large.source, part))
    opened = Picture(Shape(source.shape, source.dtype), source.about.letters, "")
    picture = opened.with_layout(job.layout) if job.layout else opened
    prepared = jobs.prepare(
        large.source, large.target, prepare(job, picture), part=part, dtype=wanted_dtype(job, picture),
        max_memory=size("--max-memory", large.max_memory), workers=large.workers, scheduler=large.scheduler,
        threads=job.threads, chunks=integers("--chunks", large.chunks), shards=integers("--shards", large.shards),
    )  # fmt: skip
    source.close()
    try:
        if job.explain or large.dry_run:
            say(str(prepared))
        if large.dry_run:
            return
        with Watch() as watch:
            done = jobs.run(prepared, resume=large.resume, verify=large.verify, force=job.force, progress=watch)
    finally:
        prepared.source.close()
    say(summary(done))


def summary(done: Any) -> str:
    """Say in one line what a job did."""
    size_ = " x ".join(map(str, done.shape))
    if not done.computed:
        return f"{done.target}: {size_} {done.dtype}, complete already"
    before = f", {done.before} of {done.before + done.computed} regions were there" if done.before else ""
    return f"{done.target}: {size_} {done.dtype}, {done.seconds:.2f} s{before}"


def size(option: str, text: str | None) -> int | None:
    """Read a number of bytes: 500MB, 1.5GiB, 1e9.

    >>> size("--max-memory", "1.5 GB"), size("--max-memory", "2GiB")
    (1500000000, 2147483648)
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kmgt]?i?)b?\s*", text.lower())
    try:
        return int(float(found[1]) * UNITS[found[2]]) if found else int(text)
    except (ValueError, KeyError):
        msg = f"{option} {text!r} is no number of bytes; write 500MB, 1GB or 1.5GiB"
        raise ProblemError(msg) from None


def integers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Read whole numbers with commas between them."""
    if text is None:
        return None
    try:
        return tuple(int(piece) for piece in text.split(","))
    except ValueError:
        msg = f"{option} {text!r}: expected one whole number for each axis of the output, such as 64,256,256"
        raise GeometryError(msg) from None


class Watch:
    """Shows how far a job is: one line that is written over on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self.terminal, self.said, self.shown = sys.stderr.isatty(), time.monotonic(), False

    def __call__(self, progress: Progress) -> None:
        """Show progress."""
        now = time.monotonic()
        if now - self.said < (0.2 if self.terminal else SECONDS):
            return
        self.said, self.shown = now, True
        share = 100 * progress.done / max(1, progress.total)
        line = f"{share:5.1f} %  {progress.rate / 1e6:,.0f} MB/s  {duration(progress.left)} left"
        print(f"\r{line:<60}" if self.terminal else f"{line}\n", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.terminal and self.shown:
            print(file=sys.stderr)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            for note in getattr(error, "__notes__", ()):
                print(f"faltung: stopped; {note}", file=sys.stderr)


def duration(seconds: float) -> str:
    """Write a time as people do.

    >>> duration(7), duration(200), duration(7500)
    ('7 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds == float("inf"):
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
