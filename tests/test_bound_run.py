"""No error exceeds its bound, whatever the data; `python -m benchmarks bounds` does the same with 10 000 problems."""

import sys
from pathlib import Path

import numpy as np
import pytest

from faltung.compiler import kernels
from faltung.plan.choice import ALGORITHMS

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bound_cases import DATA, DESIGNS, problem, shares

DRAWN = 160
FLOATS = ("direct", "separable", "window_sum", "fourier") if kernels.available() else ("numpy",)


@pytest.fixture(scope="module")
def found():
    return [share for number in range(DRAWN) for share in shares(problem(number))]


def test_no_error_exceeds_its_bound(found) -> None:
    beyond = [one for one in found if not one.share <= 1]
    assert not beyond


@pytest.mark.parametrize("algorithm", FLOATS)
def test_the_bound_can_be_reached(found, algorithm) -> None:
    measured = [one.share for one in found if one.algorithm == algorithm]
    assert len(measured) >= 10
    assert max(measured) >= 0.01


def test_every_kind_of_problem_is_met() -> None:
    names = [problem(number).name for number in range(DRAWN)]
    for word in (
        *(f" {design} kernel" for design in DESIGNS),
        *(f" {data} data" for data in DATA),
        "float32",
        "float64",
    ):
        assert sum(word in name for name in names) >= 5, word
    assert set(FLOATS) <= set(ALGORITHMS)


def test_wrong_answers_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from faltung.plan.plan import Plan

    right = Plan.__call__
    monkeypatch.setattr(Plan, "__call__", lambda self, x, **run: right(self, x, **run) * (1 + np.float32(1e-3)))
    assert all(one.share > 1 for one in shares(problem(0)))
