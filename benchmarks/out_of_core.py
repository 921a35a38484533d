"""Zarr arrays larger than the memory allowed: time and peak memory beside an identity job and dask-image."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import faltung as ft
from benchmarks.harness import Figure, Outcome
from faltung.filters import gaussian

SIDE, QUICK_SIDE, CHUNK = 640, 160, 128
ROUNDS, QUICK_ROUNDS = 3, 1
LIMIT = 10**9
PEER = """
import sys, dask, dask.array as da, dask_image.ndfilters as nd
source, target, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
with dask.config.set(scheduler="threads", num_workers=threads):
    nd.gaussian_filter(da.from_zarr(source), 1.0, mode="reflect").to_zarr(target)
"""


def run(threads: int, quick: bool) -> Outcome:
    """Measure a Gaussian over a compressible float32 volume, and check sampled regions bit for bit."""
    side, rounds = (QUICK_SIDE, QUICK_ROUNDS) if quick else (SIDE, ROUNDS)
    with TemporaryDirectory() as folder:
        source = Path(folder) / "x.zarr"
        generate(source, side)
        jobs = {
            "identity": _command(source, folder, "identity", "box:size=1", threads),
            "faltung": _command(source, folder, "faltung", "gaussian:sigma=1", threads),
            "dask-image": [sys.executable, "-c", PEER, str(source), f"{folder}/dask-image.zarr", str(threads)],
        }
        spent: dict[str, list[tuple[float, int]]] = {name: [] for name in jobs}
        for _ in range(rounds):
            for name, command in jobs.items():
                shutil.rmtree(f"{folder}/{name}.zarr", ignore_errors=True)
                spent[name].append(measured(command))
        wrong = () if equal(source, Path(folder) / "faltung.zarr") else ("out-of-core: sampled regions",)
    seconds = {name: float(np.median([one for one, _ in values])) for name, values in spent.items()}
    peak = {name: max(one for _, one in values) for name, values in spent.items()}
    size = f"{side}³ float32, Gaussian of sigma 1, --max-memory {LIMIT / 1e9:g} GB"
    return Outcome(
        (),
        (
            Figure(f"{size}: time over the same job with an identity kernel",
                   seconds["faltung"] / seconds["identity"], "x", at_most=1.5),
            Figure(f"{size}: times faster than dask-image", seconds["dask-image"] / seconds["faltung"], "x",
                   at_least=3.0),
            Figure(f"{size}: memory of all processes", peak["faltung"] / 1e6, "MB", at_most=LIMIT / 1e6),
            Figure(f"{size}: memory of dask-image", peak["dask-image"] / 1e6, "MB"),
        ),
        wrong,
    )  # fmt: skip


def generate(path: Path, side: int) -> None:
    """Write a volume that compresses well, as measured ones do, slab by slab."""
    import zarr

    array = zarr.create_array(str(path), shape=(side,) * 3, chunks=(CHUNK,) * 3, dtype="f4")
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0:side, 0:side]
    plane = np.round(100 * np.sin(columns / 40) * np.cos(rows / 57)).astype(np.float32)
    for start in range(0, side, CHUNK):
        count = min(CHUNK, side - start)
        noise = generator.integers(0, 8, (count, 1, side)).astype(np.float32)
        array[start : start + count] = plane + noise


def measured(command: list[str]) -> tuple[float, int]:
    """Run a command; give its seconds and the peak memory of all its processes, summed."""
    started, peaks = time.perf_counter(), dict[int, int]()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        for pid in family(process.pid):
            peaks[pid] = max(peaks.get(pid, 0), peak_of(pid))
        time.sleep(0.02)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - started, sum(peaks.values())


def family(pid: int) -> list[int]:
    """List a process and those it started, as Linux tells."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    except OSError:
        pass
    return found


def peak_of(pid: int) -> int:
    """Give VmHWM in bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def equal(source: Path, target: Path) -> bool:
    """Compare sampled regions with the answer in memory, bit for bit."""
    import zarr

    x, y = (zarr.open_array(str(path), mode="r") for path in (source, target))
    plan = ft.Convolution(gaussian(1.0, ndim=3), flip=False).plan(x.shape, x.dtype)
    for corner in product(*[(0, (n - 40) // 2, n - 40) for n in x.shape]):
        region = tuple((start, start + 40) for start in corner)
        samples = np.asarray(x[tuple(slice(a, b) for ((a, b),) in plan.reads(region))])
        inside = np.asarray(y[tuple(slice(*one) for one in region)])
        if plan.run_region(samples, region).tobytes() != inside.tobytes():
            return False
    return True


def _command(source: Path, folder: str, name: str, kernel: str, threads: int) -> list[str]:
    return [
        sys.executable, "-m", "faltung.cli", "apply", str(source), f"{folder}/{name}.zarr", "--axes", "0,1,2",
        "--filter", kernel, "--max-memory", str(LIMIT), "--threads", str(threads),
    ]  # fmt: skip
