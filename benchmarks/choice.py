"""Does the planner choose well? Problems drawn from a seed, every algorithm that can be forced, and the choice."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

import faltung as ft
from benchmarks.harness import Figure, Outcome
from benchmarks.limits import limited
from benchmarks.progress import track
from faltung.plan.choice import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.case import Array
    from faltung.plan.plan import Plan

SEED, DRAWN, QUICK_DRAWN = 20_261_123, 200, 6
ROUNDS, MORE_ROUNDS, QUICK_ROUNDS = 5, 15, 2
LEAST_SECONDS, HOPELESS = 2e-3, 3.0
NEAR, FAR = 1.15, 2.0
BOUNDARIES = ("zero", "edge", "reflect", "symmetric", "wrap", "constant:3")
DESIGNS = ("random", "separable", "gaussian", "box", "integer")
# What a problem costs by definition, at most: the slowest algorithm is timed too.
MOST_MACS = 2e10
LISTED = 6


@dataclass(frozen=True)
class Drawn:
    """A correlation in mode "same"."""

    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    dtype: str
    design: str
    boundary: str
    stride: int

    @property
    def name(self) -> str:
        shape, kernel = ("x".join(map(str, sizes)) for sizes in (self.shape, self.kernel))
        return f"{self.dtype} {shape}, {self.design} {kernel}, {self.boundary}, stride {self.stride}"

    def data(self) -> tuple[Array, Array]:
        """Draw the array and the kernel; the same problem always gets the same."""
        generator = np.random.default_rng(crc32(self.name.encode()))
        dtype = np.dtype(self.dtype)
        if dtype.kind == "f":
            x: Array = generator.standard_normal(self.shape, dtype.type)
        else:
            x = generator.integers(0, 200, self.shape).astype(dtype)
        return x, _kernel(self, generator, np.float64 if self.dtype == "float64" else np.float32)


def _kernel(drawn: Drawn, generator: np.random.Generator, dtype: Any) -> Array:
    """Make a kernel of the design: integers for "integer", else of the dtype given."""
    if drawn.design == "integer":
        return generator.integers(-9, 10, drawn.kernel)
    if drawn.design == "random":
        return generator.standard_normal(drawn.kernel).astype(dtype)
    if drawn.design == "box":
        return np.full(drawn.kernel, 1 / np.prod(drawn.kernel), dtype)
    lines = []
    for size in drawn.kernel:
        at = np.arange(size) - (size - 1) / 2
        smooth = np.exp(-((at / (size / 6)) ** 2) / 2)
        lines.append(smooth / smooth.sum() if drawn.design == "gaussian" else generator.standard_normal(size))
    product = lines[0]
    for line in lines[1:]:
        product = np.multiply.outer(product, line)
    return product.astype(dtype)


def problems(count: int = DRAWN) -> list[Drawn]:
    """Draw lines of 10^4 to 10^6 samples, pictures of 64² to 2048², volumes of 32³ to 128³; kernels of 3 to 63."""
    generator = np.random.default_rng(SEED)
    found: list[Drawn] = []
    while len(found) < count:
        rank = int(generator.choice([1, 2, 3], p=[0.15, 0.65, 0.2]))
        low, high = {1: (10_000, 1_000_000), 2: (64, 2048), 3: (32, 128)}[rank]
        taps = [_log(generator, 3, 63)] * rank
        taps = taps if generator.random() < 0.7 else [_log(generator, 3, 63) for _ in range(rank)]
        drawn = Drawn(
            shape=tuple(_log(generator, low, high) for _ in range(rank)),
            kernel=tuple(taps),
            dtype=str(generator.choice(["float32", "float64", "uint8", "int32"], p=[0.5, 0.2, 0.2, 0.1])),
            design=str(generator.choice(DESIGNS, p=[0.4, 0.15, 0.15, 0.15, 0.15])),
            boundary=str(generator.choice(BOUNDARIES)),
            stride=int(generator.choice([1, 2, 3], p=[0.85, 0.1, 0.05])),
        )
        if np.prod(drawn.shape, dtype=float) * np.prod(drawn.kernel, dtype=float) <= MOST_MACS:
            found.append(drawn)
    return found


def _log(generator: np.random.Generator, low: int, high: int) -> int:
    return round(float(np.exp(generator.uniform(np.log(low), np.log(high)))))


@dataclass(frozen=True)
class Timing:
    """What became of a problem: the planner's choice, seconds and predicted nanoseconds of every algorithm."""

    name: str
    chosen: str
    seconds: Mapping[str, float]
    predicted: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """The time of the choice over that of the best."""
        return self.seconds[self.chosen] / min(self.seconds.values())

    @property
    def text(self) -> str:
        times = ", ".join(f"{name} {spent * 1e3:.3g} ms" for name, spent in sorted(self.seconds.items(), key=_second))
        predicted = ", ".join(f"{name} {self.predicted[name] / 1e6:.3g}" for name in self.predicted)
        return f"{self.ratio:5.2f}x  {self.name}: {self.chosen} taken; {times} (predicted {predicted})"


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


def time_all(drawn: Drawn, threads: int, rounds: int) -> Timing:
    """Time every algorithm in turns; the least of the rounds counts, more of them where the choice looks bad."""
    x, kernel = drawn.data()
    c = ft.Convolution(kernel, flip=False, boundary=drawn.boundary, stride=drawn.stride)
    plans = _plans(c, x)
    chosen = c.plan(x.shape, x.dtype).recipe.algorithm
    out = np.empty(plans[chosen].problem.output_shape, plans[chosen].problem.dtypes.output)
    seconds = {name: _once(plan, x, out, threads) for name, plan in plans.items()}
    for turn in range(MORE_ROUNDS if rounds > QUICK_ROUNDS else rounds):
        best = min(seconds.values())
        if turn >= rounds and seconds[chosen] <= (1 + (NEAR - 1) / 2) * best:
            break
        for name, plan in plans.items():
            if name == chosen or seconds[name] <= HOPELESS * best:
                seconds[name] = min(seconds[name], _timed(plan, x, out, threads))
    return Timing(drawn.name, chosen, seconds, {name: plan.recipe.nanoseconds for name, plan in plans.items()})


def _plans(c: ft.Convolution, x: Array) -> dict[str, Plan]:
    """Plan with every algorithm that serves the problem."""
    found = {}
    for name in ALGORITHMS:
        try:
            found[name] = c.plan(x.shape, x.dtype, algorithm=name)
        except ft.errors.PlanError:
            continue
    return found


def _once(plan: Plan, x: Array, out: Array, threads: int) -> float:
    """Time a call after one that compiles and prepares."""
    plan.run(x, out, threads)
    return _timed(plan, x, out, threads)


def _timed(plan: Plan, x: Array, out: Array, threads: int) -> float:
    """Give the least seconds of a call, in as many as fill a few milliseconds."""
    least, started = np.inf, perf_counter()
    while (before := perf_counter()) - started < LEAST_SECONDS or not np.isfinite(least):
        plan.run(x, out, threads)
        least = min(least, perf_counter() - before)
    return float(least)


def run(threads: int, quick: bool) -> Outcome:
    """Time the problems; say how often the choice is near the best, and list the worst."""
    rounds, drawn = (QUICK_ROUNDS, QUICK_DRAWN) if quick else (ROUNDS, DRAWN)
    with limited(threads):
        timings = [time_all(problem, threads, rounds) for problem in track(problems(drawn), "choice")]
    return Outcome(figures=figures(timings))


def figures(timings: list[Timing]) -> tuple[Figure, ...]:
    """Sum up, and list the worst."""
    ratios = np.array([timing.ratio for timing in timings])
    choices = [timing.chosen for timing in timings]
    best = [min(timing.seconds, key=timing.seconds.__getitem__) for timing in timings]
    near = 100 * float(np.mean(ratios <= NEAR))
    taken = ", ".join(
        f"{name} {choices.count(name)} (best {best.count(name)})" for name in dict.fromkeys(choices + best)
    )
    worst = sorted(timings, key=lambda timing: -timing.ratio)[:LISTED]
    return (
        Figure(f"of {len(timings)} problems: chosen within 15 % of the best", near, "%", at_least=90, note=taken),
        Figure("time of the worst choice over the best", float(ratios.max()), "x", at_most=FAR),
        *(Figure(f"number {n}: {timing.text}", timing.ratio, "x") for n, timing in enumerate(worst, 1)),
    )
