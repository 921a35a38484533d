"""From functions to arrays: cells, and the order at which the digital convolution becomes the continuous one."""

import math

import numpy as np
import pytest

from faltung.continuous import (
    Function,
    Separable,
    box,
    bspline,
    convolve,
    digital,
    exponential,
    gaussian,
    impulse,
    sample,
)
from faltung.errors import PlanError, ProblemError

BUMP = Function(lambda x: np.exp(-1 / np.maximum(1 - x * x, 1e-300)), support=(-1, 1))
STEP = Function(lambda x: np.where(x < 0.123, np.cos(x), 2 + x), support=(-1, 0.917))
HAT = bspline(1, spacing=0.737)


def worst(f: Function, K: Function, spacing: float, **how: bool) -> float:
    """Return the largest error over spacings close to the one given, since a grid may meet the edges by luck."""
    s = convolve(f, K)
    errors = []
    for h in spacing * np.linspace(0.8, 1, 12):
        grid, values = digital(f, K, h, **how)
        errors.append(np.abs(values - s(grid)).max())
    return max(errors)


ORDERS = {
    "both continuous": (HAT, bspline(1, spacing=0.441), False, 2),
    "kink and smooth": (HAT, gaussian(0.7), False, 2),
    "one jumps": (STEP, gaussian(0.7), False, 1),
    "both jump": (box(width=0.831), STEP, False, 1),
    "one jumps, cells": (STEP, gaussian(0.7), True, 2),
    "exponential and hat, cells": (exponential(2, start=0.1), HAT, True, 2),
    "both jump, cells": (box(width=0.831), STEP, True, 1),
}


@pytest.mark.parametrize(("f", "K", "cells", "order"), ORDERS.values(), ids=ORDERS)
def test_order_of_convergence(f: Function, K: Function, cells: bool, order: int) -> None:
    coarse, fine = (worst(f, K, h, cells=cells) for h in (1 / 16, 1 / 128))
    assert math.log(coarse / fine, 8) == pytest.approx(order, abs=0.25)


def test_both_jump_but_cells_are_of_second_order_on_average() -> None:
    """Only next to the kinks of the result, whose share of the line shrinks with h, is the error of first order."""
    f, K = box(width=0.831), STEP
    s = convolve(f, K)

    def total(spacing: float) -> float:
        grid, values = digital(f, K, spacing, cells=True)
        return float(np.abs(values - s(grid)).sum() * spacing)

    coarse, fine = (max(total(h * share) for share in np.linspace(0.8, 1, 12)) for h in (1 / 16, 1 / 128))
    assert math.log(coarse / fine, 8) == pytest.approx(2, abs=0.25)


def test_smooth_functions_converge_faster_than_any_power() -> None:
    errors = [worst(BUMP, BUMP, h) for h in (0.4, 0.2, 0.1, 0.05)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (np.diff(orders) > 0).all()
    assert orders[-1] > 5
    # Gaussians: exp(-c/h²). At a spacing of half a deviation nothing is left.
    assert worst(gaussian(), gaussian(), 0.5) < 1e-15


def test_digital_is_the_sum_written_out() -> None:
    f, K, h = Function(np.exp, support=(0.05, 1)), box(width=0.55), 0.1
    grid, values = digital(f, K, h)
    places = np.arange(-50, 50) * h
    for t, value in zip(grid, values, strict=True):
        assert value == pytest.approx(h * sum(float(f(x)) * float(K(t - x)) for x in places), abs=1e-12)
    assert grid[0] <= -0.225
    assert grid[-1] >= 1.275
    assert np.allclose(np.diff(grid), h)


def test_cells_are_exact_means() -> None:
    f = Function(lambda x: np.where(x < 0.25, 1.0, x**2), support=(0, 1))
    grid = np.array([0.0, 0.25, 0.5, 1.0])
    exact = np.array([0.125, 0.125 + (0.375**3 - 0.25**3) / 3, (0.625**3 - 0.375**3) / 3, (1 - 0.875**3) / 3]) / 0.25
    assert np.allclose(sample(f, grid, cell=0.25), exact, rtol=1e-13)
    assert sample(f, grid.reshape(2, 2)).shape == (2, 2)
    # Cells that meet lose nothing.
    h = 0.1
    assert sample(gaussian(), np.arange(-100, 101) * h, cell=h).sum() * h == pytest.approx(1, rel=1e-14)


def test_refused() -> None:
    for spacing in (0, -1, math.inf, math.nan):
        with pytest.raises(ProblemError, match="give the distance of the samples"):
            digital(box(), box(), spacing)
        with pytest.raises(ProblemError, match="give a length above 0"):
            sample(box(), [0.0], cell=spacing)
    with pytest.raises(PlanError, match="at most 16777216 are taken"):
        digital(box(), box(), 1e-9)
    for call in (lambda: sample(box().derivative(), [0.0]), lambda: digital(impulse(), box(), 0.1)):
        with pytest.raises(ProblemError, match=r"impulses at .*, which have no value"):
            call()
    with pytest.raises(ProblemError, match="impulses"):
        sample(Separable([box(), impulse()]), [[0.0], [0.0]])
