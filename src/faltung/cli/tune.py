"""What ``tune`` does: it measures the constants of `faltung.runtime.machine` on this machine, and keeps them."""

from __future__ import annotations

import math
import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.direct import UNSHARED
from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.convolution import Convolution
from faltung.errors import CompileError, FileError
from faltung.runtime import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Call = Callable[[], object]

SIDE, TAPS, COPIED = 256, 15, 1 << 23
# What is timed once is repeated until it takes so long.
SAMPLE_SECONDS = 2e-3


def tune_lines(seconds: float) -> Iterator[str]:
    """Measure for about so many seconds, write the file, and say what was found."""
    if not kernels.available():
        msg = "nothing is compiled here (llvmlite is missing, or FALTUNG_JIT=0), so that there is nothing to tune"
        raise CompileError(msg)
    path, isa = machine.tuned_path(), isas.host().name
    shipped, found = machine.TABLE[isa], measure(seconds)
    try:
        machine.write(path, found, isa)
    except OSError as error:
        msg = f"the constants cannot be written to {path} ({error.strerror}); name another file by {machine.TUNED}"
        raise FileError(msg) from None
    yield f"{isa:<14}{'measured':>10}{'shipped':>10}"
    for name in machine.MEASURED:
        yield f"{name:<14}{getattr(found, name):>10.4g}{getattr(shipped, name):>10.4g}"
    yield f"written to {path}"
    chosen = os.environ.get(machine.TUNED, "")
    used = chosen if chosen not in ("", "0") else "1"
    yield f"plans are made with these constants where {machine.TUNED}={used} is set, and only there"


def measure(seconds: float) -> machine.Machine:
    """Time a few calls in turns, and give the constants they stand for; the least time of each counts."""
    with _shipped():
        calls = _calls()
        least = dict.fromkeys(calls, math.inf)
        started = perf_counter()
        for _ in _turns(started, seconds):
            for name, call in calls.items():
                least[name] = min(least[name], _timed(call))
    lanes = isas.host().vector_bytes // 4
    work = SIDE**2 * TAPS**2 * (1 + UNSHARED / TAPS)
    return replace(
        machine.TABLE[isas.host().name],
        vector_ops=round(work / lanes / least["float32"] / 1e9, 3),
        int32=round(least["int32"] / least["float32"], 3),
        int64=round(least["int64"] / least["float32"] / 2, 3),  # half as many lie in a vector
        memory_bytes=round(2 * COPIED * 8 / least["memory"] / 1e9, 2),
        call=round(least["call"] * 1e9),
    )


@contextmanager
def _shipped() -> Iterator[None]:
    """Plan with the constants that are shipped: those to be measured need not exist yet."""
    before = os.environ.pop(machine.TUNED, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[machine.TUNED] = before


def _calls() -> dict[str, Call]:
    """Give what is timed: sums of each type, a copy that no cache holds, and a call that does nearly nothing."""
    generator = np.random.default_rng(0)
    found: dict[str, Call] = {}
    for name, taken in (("float32", np.float32), ("int32", np.uint8), ("int64", np.int32)):
        kernel = generator.integers(-9, 10, (TAPS, TAPS)).astype(np.float32 if name == "float32" else np.int64)
        found[name] = _direct(generator.integers(0, 99, (SIDE, SIDE)).astype(taken), kernel)
    found["call"] = _direct(np.ones((8, 8), np.float32), np.ones((3, 3), np.float32))
    source, target = np.ones((2, COPIED))
    found["memory"] = lambda: np.copyto(target, source)
    return found


def _direct(x: np.ndarray, kernel: np.ndarray) -> Call:
    plan = Convolution(kernel).plan(x.shape, x.dtype, algorithm="direct")
    out = plan(x, threads=1)
    return lambda: plan.run(x, out, 1)


def _turns(started: float, seconds: float) -> Iterable[int]:
    """Count turns until the time is over, with a bar on a terminal."""
    turns = _counted(started, seconds)
    if not sys.stderr.isatty():
        yield from turns
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("tuning", total=seconds)
        for turn in turns:
            yield turn
            bar.update(task, completed=perf_counter() - started)


def _counted(started: float, seconds: float) -> Iterator[int]:
    turn = 0
    while turn == 0 or perf_counter() - started < seconds:
        yield turn
        turn += 1


def _timed(call: Call) -> float:
    """Give the least seconds of a call."""
    least, started = math.inf, perf_counter()
    while (before := perf_counter()) - started < SAMPLE_SECONDS or not math.isfinite(least):
        call()
        least = min(least, perf_counter() - before)
    return least
