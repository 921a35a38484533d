"""The first call of a fresh process: with an empty cache it imports llvmlite and compiles, with a full one it loads."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import fresh
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, Figure, Outcome

# However many kernels there are: a sum of taps takes four objects, a transform seven.
KERNELS, HANDFUL = 100, 8
FIRST = """
from time import perf_counter as now
import json, sys
import numpy as np, faltung as ft
ft.correlate
k = int(sys.argv[1])
generator = np.random.default_rng(0)
x, kernel = generator.standard_normal((64, 64), np.float32), generator.standard_normal((k, k), np.float32)
times = [now()]
for _ in range(2):
    y = ft.correlate(x, kernel, boundary="wrap")
    times.append(now())
first, second = np.diff(times)
window = x[32 - k // 2 :, 32 - k // 2 :][:k, :k].astype(float)
error = np.abs(y[32, 32] - (window * kernel).sum()) / np.abs(kernel).sum()
print(json.dumps({"first": first, "second": second, "error": float(error)}))
"""
MANY = """
import json, sys
import numpy as np, faltung as ft
count, k = int(sys.argv[1]), int(sys.argv[2])
generator = np.random.default_rng(0)
x = generator.standard_normal((300, 300), np.float32)
for _ in range(count):
    ft.correlate(x, generator.standard_normal((k, k), np.float32))
print(json.dumps({}))
"""
LLVMLITE = """
from time import perf_counter as now
import json
start = now()
import llvmlite.binding
print(json.dumps({"seconds": now() - start}))
"""


def run(threads: int, quick: bool) -> Outcome:
    """Measure cold and warm first calls, and count what many kernels of one geometry compile."""
    del threads  # the first call is the user's plain one
    rounds = QUICK_ROUNDS if quick else ROUNDS
    figures, wrong = [], []
    for k in (3, 15):
        cold, warm = _first_calls(k, rounds)
        figures += [
            _figure(f"{k}x{k}: first call, empty cache, with import of llvmlite", cold, at_most=150),
            _figure(f"{k}x{k}: first call, full cache", warm, at_most=5),
        ]
        wrong += [f"first call {k}x{k}" for run in (*cold, *warm) if run["error"] > 1e-5][:1]
    imports = [fresh.run(LLVMLITE)["seconds"] * 1e3 for _ in range(rounds)]
    figures.append(Figure("of which import llvmlite.binding, alone", float(np.median(imports)), "ms"))
    for k in (3, 15):
        name = f"objects compiled for {KERNELS} kernels {k}x{k}"
        figures.append(Figure(name, _objects(k), "", at_most=HANDFUL))
    return Outcome(figures=tuple(figures), wrong=tuple(wrong))


def _first_calls(k: int, rounds: int) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    cold, warm = [], []
    for turn in range(rounds + 1):
        with TemporaryDirectory() as folder:
            cache = Path(folder) / "cache"
            runs = [fresh.run(FIRST, k, kernels=cache) for _ in range(2)]
            if turn:  # the first one wrote bytecode
                cold.append(runs[0])
                warm.append(runs[1])
    return cold, warm


def _figure(name: str, runs: list[dict[str, float]], at_most: float) -> Figure:
    low, median, high = np.quantile([run["first"] for run in runs], (0.25, 0.5, 0.75)) * 1e3
    second = np.median([run["second"] for run in runs]) * 1e3
    note = f"[{low:.1f}, {high:.1f}], {len(runs)} fresh processes; second call {second:.3f} ms"
    return Figure(name, float(median), "ms", at_most=at_most, note=note)


def _objects(k: int) -> int:
    with TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        fresh.run(MANY, KERNELS, k, kernels=cache)
        return sum(1 for file in cache.iterdir() if file.suffix == ".o")
