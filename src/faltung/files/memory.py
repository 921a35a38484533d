"""What a job may use: the memory of processes, and what is left of a limit for regions."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from faltung.errors import PlanError
from faltung.files.cut import Budget

MIB = 1 << 20
WORKER = 100 * MIB  # an interpreter with NumPy, Zarr and the kernels
SLACK = 40 * MIB  # of each process: what allocators hold back, threads, the first compilation
SHARE = 0.9  # of what is left: buffers come in whole pages and chunks


def few_arenas() -> None:
    """Ask glibc for two heaps instead of eight for each core: each keeps what its threads once held.

    A job in a process of its own calls this; the bound would else be missed by some chunks for each thread.
    """
    if sys.platform == "linux":
        import ctypes

        arena_max = -8
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(arena_max, 2)


def resident() -> int:
    """Give the bytes that this process occupies now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def available() -> int:
    """Give half of the memory that the system has free, or 1 GiB where it does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 // 2
    except OSError:
        pass
    return 1 << 30


def budget(limit: int | None, workers: int, working: int, threads: int) -> Budget:
    """Say what regions may take in each process, ``workers`` 0 meaning this one alone.

    Raises:
        PlanError: the processes alone take more than the limit; the text has the arithmetic.
    """
    allowed = available() if limit is None else limit
    own = resident()
    fixed = own + SLACK + workers * (WORKER + SLACK)
    said = f"of the {allowed:,} bytes allowed, {own:,} are this process and {SLACK:,} its slack"
    if workers:
        said += f", {WORKER:,} + {SLACK:,} each of {workers} workers"
    left = int((allowed - fixed) * SHARE) // max(1, workers)
    said += f", which leaves {max(0, left):,} for regions" + (" in each" if workers > 1 else "")
    if left <= 0:
        msg = f"--max-memory is too small: {said}; allow more than {fixed:,} bytes, or use fewer workers"
        raise PlanError(msg)
    return Budget(left, working, threads, said)
