"""Convolutions that can be worked out by hand: by quadrature, by formula, and how honest the error is."""

import math
from functools import lru_cache

import numpy as np
import pytest
from known_convolutions import KNOWN, Known, charge, cubic_spline, quadratic_spline, triangle
from scipy import stats

from faltung.continuous import Function, box, bspline, convolve, correlate, exponential, gaussian

T = np.linspace(-6, 12, 1801)


@lru_cache
def computed(case: Known) -> tuple[Function, Function, Function]:
    f, K = case.f(), case.K()
    return f, K, convolve(f, K)


@pytest.mark.parametrize("case", KNOWN.values(), ids=KNOWN)
def test_quadrature_meets_the_exact_integral_and_its_own_error(case: Known) -> None:
    _, _, s = computed(case)
    assert not s.terms, "a formula was used, where quadrature was to be tested"
    t = case.points()
    off = np.abs(s(t) - case.exact(t)).max()
    assert off < 1e-12
    assert off <= s.error
    assert s.error < 1e-11


@pytest.mark.parametrize("case", KNOWN.values(), ids=KNOWN)
def test_it_commutes(case: Known) -> None:
    f, K, s = computed(case)
    r, t = convolve(K, f), case.points()
    assert np.abs(s(t) - r(t)).max() <= s.error + r.error


@pytest.mark.parametrize("case", KNOWN.values(), ids=KNOWN)
def test_the_integral_of_a_convolution_is_the_product_of_the_integrals(case: Known) -> None:
    f, K, s = computed(case)
    assert float(s.integral()) == pytest.approx(float(f.integral() * K.integral()), rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("centre", [-3.0, 0.0, 5.0])
@pytest.mark.parametrize("height", [0.5, 1.25, 9.0])
def test_a_jump_within_a_narrow_support_far_from_0(centre: float, height: float) -> None:
    """Coordinates are rounded by more than such a result may be off, if jumps are not allowed for."""
    f = box(width=2, centre=centre)
    K = Function(lambda x: np.where(x < 2.0795, height, np.cos(x)), support=(2, 2.159), breaks=(2.0795,))
    s = convolve(f, K)
    exact = (height * (2.0795 - 2) + np.sin(2.159) - np.sin(2.0795)) * float(f(np.array([centre]))[0])
    inside = np.linspace(centre - 1 + 2.16, centre + 1 + 1.99, 50)
    assert np.abs(s(inside) - exact).max() <= min(s.error, 1e-13)


FORMULAS = {
    "box * box": (box(), box(), triangle),
    "box * box, apart": (box(centre=2, height=3), box(centre=-1, height=-2), lambda t: -6 * triangle(t - 1)),
    "triangle * box": (bspline(1), box(), quadratic_spline),
    "triangle * triangle": (bspline(1), bspline(1), cubic_spline),
    "wide splines": (bspline(1, spacing=2, area=3), box(width=2), lambda t: 3 * quadratic_spline(t / 2)),
    "Gaussian * Gaussian": (gaussian(3, 1, area=2), gaussian(4, 2), lambda t: 2 * stats.norm.pdf(t, 3, 5)),
    "exponential * box": (exponential(2, height=3), box(), lambda t: 3 * charge(2, 1)(t)),
    "box * exponential": (box(width=0.5), exponential(20), charge(20, 0.5)),
    "late exponential * box": (exponential(2, start=1), box(centre=2), lambda t: charge(2, 1)(t - 3)),
    "reflected exponential * box": (exponential(2).reflect(), box(), lambda t: charge(2, 1)(-t)),
    "exponential * exponential": (
        exponential(3),
        exponential(2),
        lambda t: (t > 0) * (np.exp(-2 * t) - np.exp(-3 * t)),
    ),
    "equal rates": (exponential(2), exponential(2, height=3), lambda t: 3 * np.maximum(t, 0) * np.exp(-2 * t)),
    "almost equal rates": (
        exponential(2),
        exponential(2 + 1e-9),
        lambda t: np.maximum(t, 0) * np.exp(-2 * t) * (1 - 5e-10 * t),
    ),
    "opposite exponentials": (
        exponential(3).reflect(),
        exponential(2),
        lambda t: np.exp(-np.where(t > 0, 2 * t, -3 * t)) / 5,
    ),
    "Gaussian * box": (
        gaussian(0.5),
        box(width=2, height=3),
        lambda t: 3 * (stats.norm.cdf(t + 1, scale=0.5) - stats.norm.cdf(t - 1, scale=0.5)),
    ),
    "Gaussian * exponential": (
        gaussian(0.5, mean=1),
        exponential(2, start=0.5),
        lambda t: stats.exponnorm.pdf(t, 1, 1.5, 0.5) / 2,
    ),
    "exponential, reflected * Gaussian": (
        exponential(2).reflect(),
        gaussian(0.5),
        lambda t: stats.exponnorm.pdf(-t, 1, 0, 0.5) / 2,
    ),
}


@pytest.mark.parametrize(("f", "K", "exact"), FORMULAS.values(), ids=FORMULAS)
def test_formulas(f: Function, K: Function, exact) -> None:
    for s in (convolve(f, K), convolve(K, f)):
        expected = exact(T)
        assert np.abs(s(T) - expected).max() <= 1e-14 * np.abs(expected).max()
        assert s.terms or s.formula


@pytest.mark.parametrize(("f", "K", "exact"), FORMULAS.values(), ids=FORMULAS)
def test_a_formula_is_a_function_like_any_other(f: Function, K: Function, exact) -> None:
    """Its pieces, on which integrals, derivatives and further convolutions rest, are the formula."""
    s = convolve(f, K)
    inside = T[(s.domain[0] < T) & (s.domain[1] > T)]
    off = np.abs(s.pieces(inside) - exact(inside)).max()
    assert off <= 2 * s.pieces.errors.max() + s.error
    assert s.pieces.errors.max() <= 1e-13 * s.pieces.largest
    assert float(s.integral()) == pytest.approx(float(f.integral() * K.integral()), rel=1e-13)


def test_a_sharp_exponential_under_a_wide_gaussian_does_not_overflow() -> None:
    s = convolve(gaussian(5), exponential(100, height=100))
    # To first order the sharp kernel of mean 1/100 only shifts, to second it widens by its variance.
    expected = stats.norm.pdf(T, 0.01, math.hypot(5, 0.01))
    assert np.isfinite(s([-300.0, 300.0])).all()
    assert np.abs(s(T) - expected).max() < 1e-9


def test_the_ladder_of_boxes_by_formula_and_by_quadrature() -> None:
    unit = Function(np.ones_like, support=(-0.5, 0.5))
    by_formula, by_pieces = box(), unit
    for degree in range(1, 9):
        by_formula, by_pieces = convolve(by_formula, box()), convolve(by_pieces, unit)
        # The sum of truncated powers, from Schoenberg's paper; it cancels, but at these degrees to 1e-12 only.
        k = np.arange(degree + 2)[:, None]
        signs = (-1.0) ** k * np.array([math.comb(degree + 1, i) for i in k[:, 0]])[:, None]
        u = np.linspace(-(degree + 1) / 2, 0, 300)
        powers = np.maximum(u + (degree + 1) / 2 - k, 0) ** degree
        exact = (signs * powers).sum(axis=0) / math.factorial(degree)
        if degree == 1:
            exact = triangle(u)
        for s in (by_formula, by_pieces, bspline(degree)):
            assert np.abs(s(u) - exact).max() < 1e-13
            assert np.abs(s(-u) - exact).max() < 1e-13
        assert by_pieces.support == by_formula.support == (-(degree + 1) / 2, (degree + 1) / 2)
        assert by_pieces.breaks == pytest.approx(by_formula.breaks)
        assert by_pieces.pieces.degree == degree


def test_error_of_a_ladder_stays_honest() -> None:
    """Four Gaussians of variance 1/4, by quadrature: errors pass from step to step."""
    step = Function(lambda x: stats.norm.pdf(x, scale=0.5), support=(-math.inf, math.inf))
    s = step
    for _ in range(3):
        s = convolve(s, step)
    off = np.abs(s(T) - stats.norm.pdf(T)).max()
    assert off <= s.error < 1e-12


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9])
def test_far_from_the_origin_x_itself_rounds_and_the_error_says_so(far: float) -> None:
    f = Function(lambda x: np.cos(x - far), support=(far, far + 3))
    s = convolve(f, Function(np.ones_like, support=(-0.5, 0.5)))
    t = far + np.linspace(0.5, 2.5, 100)
    off = np.abs(s(t) - (np.sin(t - far + 0.5) - np.sin(t - far - 0.5))).max()
    assert off <= s.error < 1e-13 + 1e-14 * far


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_do_not_matter(scale: float) -> None:
    f = Function(lambda x: np.abs(np.sin(x / scale)), support=(0, 6 * scale))
    s = convolve(f, Function(np.ones_like, support=(0, scale)))
    assert f.breaks == pytest.approx([math.pi * scale], rel=1e-12)
    t = np.linspace(1, 3, 50)
    assert np.abs(s(scale * t) / scale - (np.cos(t - 1) - np.cos(t))).max() <= s.error / scale < 1e-12


def test_a_loose_tolerance_is_admitted() -> None:
    rough = Function(lambda x: np.exp(np.sin(9 * x)), support=(-1, 1), tolerance=1e-5)
    fine = Function(lambda x: np.exp(np.sin(9 * x)), support=(-1, 1))
    s, exact = convolve(rough, box()), convolve(fine, box())
    off = np.abs(s(T) - exact(T)).max()
    assert 1e-11 < off <= s.error < 1e-4


def test_correlation_is_the_integral_over_the_product() -> None:
    f, K = Function(np.cos, support=(0, 2)), Function(np.exp, support=(-1, 0.5))
    c = correlate(f, K)
    x = np.linspace(-1, 0.5, 20001)
    for t in (0.3, 1.0, 2.2):
        shifted = np.where((t + x >= 0) & (t + x <= 2), np.cos(t + x), 0) * np.exp(x)
        assert float(c(t)) == pytest.approx(np.trapezoid(shifted, x), abs=2e-4)
    assert c.support == (-0.5, 3.0)
    assert np.allclose(correlate(box(centre=5), box(centre=2))(T), triangle(T - 3))
