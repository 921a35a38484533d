"""What convolution obeys: bilinear, associative, shift equivariant, (f * K)' = f' * K = f * K', with impulses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung.continuous import (
    Function,
    box,
    bspline,
    convolve,
    correlate,
    exponential,
    gaussian,
    impulse,
)
from faltung.errors import ProblemError

T = np.linspace(-7, 9, 1601) + 1e-4  # no point on a jump of the cases below

number = st.floats(-3, 3).map(lambda x: round(x, 3))
length = st.floats(0.1, 3).map(lambda x: round(x, 3))


@st.composite
def pieces(draw: st.DrawFn) -> Function:
    """Draw a function with up to two jumps: waves and polynomials on the line's middle."""
    a = draw(number)
    b = a + draw(length)
    kind = draw(st.sampled_from(["wave", "cubic", "step", "root"]))
    w, c = draw(st.floats(0.5, 9)), (a + b) / 2
    f = {
        "wave": lambda x: np.cos(w * x) * np.exp(x / 4),
        "cubic": lambda x: (x - c) ** 3 - w * x + 1,
        "step": lambda x: np.where(x < c, w, np.cos(x)),
        "root": lambda x: np.sqrt(np.abs(x - c) + 1),
    }[kind]
    return Function(f, support=(a, b), breaks=(c,))


named = st.one_of(
    st.builds(box, length, number, number),
    st.builds(gaussian, length, number, number),
    st.builds(exponential, length, number, number),
    st.builds(lambda n, w, c: bspline(n, w, c), st.integers(0, 4), length, number),
)
functions = st.one_of(pieces(), named)


@settings(max_examples=30)
@given(functions, functions, functions, number, number)
def test_bilinear_and_commutative(f: Function, g: Function, K: Function, a: float, b: float) -> None:
    together, apart = convolve(K, a * f + b * g), a * convolve(f, K) + b * convolve(g, K)
    assert np.abs(together(T) - apart(T)).max() <= 2 * (together.error + apart.error) + 1e-13


@settings(max_examples=30)
@given(functions, functions, number)
def test_shift_equivariance(f: Function, K: Function, d: float) -> None:
    moved, s = convolve(f.shift(d), K), convolve(f, K)
    away = np.abs(T[:, None] - d - s.corners).min(axis=1, initial=1) > 1e-9
    steep = s.pieces.derivative().largest * 1e-15
    assert np.abs(moved(T) - s(T - d))[away].max() <= 2 * (moved.error + s.error) + 10 * steep + 1e-14


@settings(max_examples=20)
@given(functions, functions)
def test_derivative_rule_with_jumps(f: Function, K: Function) -> None:
    """The derivative of either factor, its jumps as impulses, gives the derivative of the convolution."""
    slope = convolve(f, K).derivative()
    away = np.abs(T[:, None] - slope.corners).min(axis=1, initial=1) > 1e-6
    for other in (convolve(f.derivative(), K), convolve(f, K.derivative())):
        off = np.abs(slope(T) - other(T))[away].max()
        assert off <= 1e-10 * max(1, slope.pieces.largest)


def test_derivative_of_a_jump_is_an_impulse() -> None:
    f = Function(lambda x: np.where(x < 1, x, 5.0), support=(0, 2))
    assert f.breaks == (1.0,)
    slope = f.derivative()
    assert [at for at, _ in slope.impulses] == [1.0, 2.0]
    assert [weight for _, weight in slope.impulses] == pytest.approx([4, -5], rel=1e-12)
    assert slope([0.5, 1.5]) == pytest.approx([1, 0], abs=1e-12)
    # The impulses count in the integral: all slopes and jumps together come back to 0.
    assert float(slope.integral()) == pytest.approx(0, abs=1e-12)
    assert float(slope.integral(-1, 1.5)) == pytest.approx(5)
    assert float(slope.integral(1.5, -1)) == pytest.approx(-5)


def test_jumps_contribute_what_leaving_them_out_would_lose() -> None:
    s = convolve(box(), gaussian(0.5))
    without = convolve(Function(lambda x: 0 * x, support=(-0.5, 0.5)), gaussian(0.5))
    expected = gaussian(0.5)(T + 0.5) - gaussian(0.5)(T - 0.5)
    assert np.abs(without(T)).max() == 0
    assert np.abs(convolve(box().derivative(), gaussian(0.5))(T) - expected).max() < 1e-14
    assert np.abs(s.derivative()(T) - expected).max() < 1e-12
    assert np.abs(convolve(box(), gaussian(0.5).derivative())(T) - expected).max() < 1e-12


def test_the_second_derivative_of_a_triangle_is_three_impulses() -> None:
    d = box().derivative()
    assert np.array(convolve(d, d).impulses) == pytest.approx(np.array([(-1, 1), (0, -2), (1, 1)]))
    second = convolve(box(), box()).derivative().derivative()
    assert np.array(second.impulses) == pytest.approx(np.array([(-1, 1), (0, -2), (1, 1)]), abs=1e-12)
    with pytest.raises(ProblemError, match="impulses at -1, 0, 1, and no derivative"):
        second.derivative()


def test_an_impulse_is_the_identity_and_shifts() -> None:
    f = Function(np.cos, support=(0, 1))
    s = convolve(f, impulse())
    assert np.array_equal(s(T), f(T))
    assert s.support == f.support
    assert np.array_equal(convolve(impulse(2, weight=3), f)(T), 3 * f(T - 2))
    assert convolve(impulse(1, 2), impulse(3, 4)).impulses == ((4.0, 8.0),)
    gone = impulse(1) - impulse(1)
    assert not convolve(f, gone)(T).any()
    assert not convolve(gone, gone)(T).any()
    both = convolve(f + impulse(), f + impulse())
    expected = convolve(f, f)(T) + 2 * f(T)
    assert np.abs(both(T) - expected).max() < 1e-14
    assert both.impulses == ((0.0, 1.0),)


@settings(max_examples=10)
@given(pieces(), pieces(), pieces())
def test_associative(f: Function, g: Function, h: Function) -> None:
    left, right = convolve(convolve(f, g), h), convolve(f, convolve(g, h))
    assert np.abs(left(T) - right(T)).max() <= left.error + right.error
    assert left.support == pytest.approx(right.support)


def test_correlation_is_convolution_with_the_reflected_kernel() -> None:
    f, K = Function(np.exp, support=(0, 1)), exponential(2)
    assert np.array_equal(correlate(f, K)(T), convolve(f, K.reflect())(T))
    # Swapping the arguments reflects.
    assert np.abs(correlate(f, K)(T) - correlate(K, f)(-T)).max() < 1e-14


def test_moments_add_as_those_of_independent_variables() -> None:
    """Means and variances of densities add: the sum of independent variables has the convolution as its density."""
    f = Function(lambda x: 2 * x, support=(0, 1))  # mean 2/3, variance 1/18
    s = convolve(f, exponential(4, height=4))  # mean 1/4, variance 1/16
    x = np.linspace(*s.domain, 400_001)
    mean = np.trapezoid(x * s(x), x)
    variance = np.trapezoid((x - mean) ** 2 * s(x), x)
    assert mean == pytest.approx(2 / 3 + 1 / 4, abs=1e-7)
    assert variance == pytest.approx(1 / 18 + 1 / 16, abs=1e-7)
    assert math.isinf(s.support[1])
