"""Timing in turns, checking against the definition, and the verdict on one case."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import numpy as np

import faltung as ft
from benchmarks import limits, peers
from benchmarks.check import Check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.case import Array, Case

Call = Callable[[], Any]
ROUNDS, QUICK_ROUNDS, SLOW_ROUNDS = 20, 3, 3
SLOW = 10.0  # a peer so many times slower in round one gets SLOW_ROUNDS
SAMPLE_SECONDS = 1e-3  # shorter calls are repeated within a round
PAUSE_SECONDS = 5e-3
US = "faltung"


@dataclass(frozen=True)
class Spread:
    """A median and its quartiles."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Array) -> Spread:
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
        return cls(float(median), float(low), float(high), len(values))


@dataclass(frozen=True)
class Figure:
    """One number with its target, `at least` or `at most`; without a target it only informs."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        high_enough = self.at_least is None or self.value >= self.at_least
        return high_enough and (self.at_most is None or self.value <= self.at_most)


@dataclass(frozen=True)
class Standing:
    """A peer beside us; the ratio is its time over ours, so above 1 we are faster."""

    name: str
    settings: str
    ratio: Spread
    error: float
    correct: bool


@dataclass(frozen=True)
class Result:
    """One case measured."""

    name: str
    group: str
    seconds: Spread
    error: float
    correct: bool
    standings: tuple[Standing, ...]  # the fastest peer first
    figures: tuple[Figure, ...]
    sgemm_share: float | None  # our arithmetic rate over that of the matrix product
    copy_share: float | None  # the bytes of input and output per second over those of the copy

    @property
    def best(self) -> Standing | None:
        """The fastest peer whose answer is right."""
        return next((standing for standing in self.standings if standing.correct), None)


@dataclass(frozen=True)
class Outcome:
    """What a suite gives back."""

    results: tuple[Result, ...] = ()
    figures: tuple[Figure, ...] = ()
    wrong: tuple[str, ...] = ()  # where our own answer differs from the definition


def race(calls: Mapping[str, Call], rounds: int, *, pause: bool = False) -> tuple[dict[str, Array], dict[str, Any]]:
    """Time calls in turns, in another order each round; give seconds per call by round, and the last results.

    With several threads, let the others' idle workers stop spinning first, and wake those of the call to be timed.
    """
    repeats: dict[str, int] = {}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    last: dict[str, Any] = {}
    generator = np.random.default_rng(0)
    for name, call in calls.items():
        once, _ = _timed(call, 1)
        once = _timed(call, 1)[0] if once < 0.5 else once  # the first call compiles, plans and touches new pages
        repeats[name] = ceil(SAMPLE_SECONDS / once) if once < SAMPLE_SECONDS else 1
    names = list(calls)
    gc.disable()
    try:
        for turn in range(rounds):
            for name in map(names.__getitem__, generator.permutation(len(names))):
                if turn < SLOW_ROUNDS or seconds[name][0] <= SLOW * seconds[names[0]][0]:
                    if pause:
                        sleep(PAUSE_SECONDS)
                        calls[name]()
                    spent, last[name] = _timed(calls[name], repeats[name])
                    seconds[name].append(spent)
    finally:
        gc.enable()
    return {name: np.array(values) for name, values in seconds.items()}, last


def _timed(call: Call, repeats: int) -> tuple[float, Any]:
    start = perf_counter()
    for _ in range(repeats):
        result = call()
    return (perf_counter() - start) / repeats, result


def ratio(theirs: Array, ours: Array) -> Spread:
    """Compare round by round: what disturbs a round disturbs both."""
    return Spread.of(theirs / ours[: len(theirs)])


def measure(case: Case, threads: int, rounds: int) -> Result:
    """Race faltung against every peer that can do the case, and judge."""
    x, kernel = case.data()
    convolution = ft.Convolution(kernel, flip=False, **case.asked)
    out = convolution(x, dtype="input" if case.rounded else None, threads=threads)
    rivals = peers.of(case, x, kernel, out.dtype)
    calls: dict[str, Call] = {US: lambda: convolution(x, out=out, threads=threads)}
    calls |= {peer.name: peer.call for peer in rivals}
    if case.limits:
        calls |= {"sgemm": limits.sgemm(threads), "copy": limits.copy(threads)}
    with limits.limited(threads):
        seconds, answers = race(calls, rounds, pause=threads > 1)
    ours, check = seconds[US], Check(case, x, kernel, out)
    standings = [
        Standing(peer.name, peer.settings, ratio(seconds[peer.name], ours), *check(answers[peer.name]))
        for peer in rivals
    ]
    standings.sort(key=lambda standing: standing.ratio.median)
    sgemm = copy = None
    if case.limits:
        flops, moved = 2 * out.size * kernel.size / limits.GEMM_FLOPS, (x.nbytes + out.nbytes) / 2 / limits.COPY_BYTES
        sgemm, copy = flops * ratio(seconds["sgemm"], ours).median, moved * ratio(seconds["copy"], ours).median
    measured = {s.name: s.ratio.median for s in standings if s.correct} | {"sgemm": sgemm or 0.0}
    figures = judge(case.name, case.targets, measured)
    return Result(case.name, case.group, Spread.of(ours), *check(answers[US]), tuple(standings), figures, sgemm, copy)


def judge(name: str, targets: Mapping[str, float], measured: Mapping[str, float]) -> tuple[Figure, ...]:
    """Compare what was measured with the targets of a case."""
    figures = []
    for peer, least in targets.items():
        unit, note = "of its rate" if peer == "sgemm" else "x", "" if peer in measured else "peer missing or wrong"
        value = measured.get(peer, float("nan"))
        figures.append(Figure(f"{name} / {peer}", value, unit, at_least=least, note=note))
    return tuple(figures)
