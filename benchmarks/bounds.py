"""Do the error bounds hold, and can they be reached? Every algorithm forced on 10 000 drawn problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.bound_cases import Share, problem, shares
from benchmarks.harness import Figure, Outcome
from benchmarks.progress import track

if TYPE_CHECKING:
    from collections.abc import Iterator

DRAWN, QUICK_DRAWN = 10_000, 150
# A bound that nobody comes near is no bound.
REACHED = 0.01


def run(threads: int, quick: bool) -> Outcome:
    """Measure all; an error above its bound is a wrong answer."""
    del threads  # errors do not depend on them
    numbers = range(QUICK_DRAWN if quick else DRAWN)
    found = [share for number in track(numbers, "bounds") for share in shares(problem(number))]
    return Outcome(figures=tuple(figures(found)), wrong=tuple(_beyond(found)))


def _beyond(found: list[Share]) -> list[str]:
    return [
        f"{one.algorithm}, error {one.share:.3g} times its bound: {one.name}" for one in found if not one.share <= 1
    ]


def figures(found: list[Share]) -> Iterator[Figure]:
    """Give for each algorithm the largest share of its bound that was reached."""
    for algorithm in dict.fromkeys(one.algorithm for one in found):
        mine = [one for one in found if one.algorithm == algorithm]
        worst = max(mine, key=lambda one: one.share)
        note = f"{len(mine)} problems, median {np.median([one.share for one in mine]):.2g}; {worst.name}"
        yield Figure(
            f"{algorithm}: largest error over its bound", worst.share, "", at_least=REACHED, at_most=1, note=note
        )
