"""A comparison that is no plain correlation: calls in turns, answers beside values worked out exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import US, Call, Result, Spread, Standing, judge, race, ratio
from benchmarks.limits import limited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.case import Array
    from benchmarks.work import Peer


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What is called, ours and the peers'; the exact values at some outputs, the scale and tolerance of errors."""

    group: str
    name: str
    ours: Call
    rivals: list[Peer]
    at: list[tuple[int, ...]]
    exact: Array
    tolerance: float
    scale: float = 1.0
    targets: Mapping[str, float] = field(default_factory=dict)

    def check(self, answer: Any) -> tuple[float, bool]:
        """Give the largest error over the scale, and whether that is tolerable."""
        sampled = np.array([np.asarray(answer)[index] for index in self.at])
        error = float(np.abs(sampled - self.exact).max()) / self.scale
        return error, error <= self.tolerance

    def measure(self, threads: int, rounds: int) -> Result:
        """Race everybody, and judge."""
        calls = {US: self.ours} | {peer.name: peer.call for peer in self.rivals}
        with limited(threads):
            seconds, answers = race(calls, rounds, pause=threads > 1)
        standings = [
            Standing(peer.name, peer.settings, ratio(seconds[peer.name], seconds[US]), *self.check(answers[peer.name]))
            for peer in self.rivals
        ]
        standings.sort(key=lambda standing: standing.ratio.median)
        figures = judge(self.name, self.targets, {s.name: s.ratio.median for s in standings if s.correct})
        spread, checked = Spread.of(seconds[US]), self.check(answers[US])
        return Result(self.name, self.group, spread, *checked, tuple(standings), figures, None, None)
