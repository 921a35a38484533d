"""Convolution over one period: against Fourier series, the discrete Fourier transform and sums of repetitions."""

import math
import pickle

import numpy as np
import pytest

from faltung.continuous import (
    Function,
    Periodic,
    box,
    bspline,
    convolve,
    correlate,
    exponential,
    gaussian,
    impulse,
    sample,
)
from faltung.errors import PlanError, ProblemError

TURN = 2 * math.pi
T = np.linspace(-9, 11, 2001) + 1e-4


@pytest.mark.parametrize("k", [1, 2, 7])
def test_a_wave_is_an_eigenfunction(k: int) -> None:
    """Convolution multiplies a wave by the kernel's Fourier transform, and keeps its frequency."""
    wave = Function(lambda x: np.cos(k * x), support=(0, TURN))
    kernels = {
        math.exp(-(k**2) * 0.125): gaussian(0.5),
        math.sin(k / 2) / (k / 2): box(),
        (math.sin(k / 2) / (k / 2)) ** 4: bspline(3),
    }
    for factor, K in kernels.items():
        s = convolve(wave, K, period=TURN)
        assert np.abs(s(T) - factor * np.cos(k * T)).max() <= min(s.error, 1e-12)
    s = convolve(wave, exponential(2), period=TURN)  # transform 1/(2 + ik)
    assert np.abs(s(T) - (2 * np.cos(k * T) + k * np.sin(k * T)) / (4 + k**2)).max() <= min(s.error, 1e-12)


def test_it_is_the_sum_of_the_repetitions() -> None:
    f, K = Function(lambda x: np.exp(np.sin(3 * x)), support=(0, 2)), gaussian(0.8)
    line, circle = convolve(f, K), convolve(f, K, period=1.5)
    repeated = sum(line(T + 1.5 * k) for k in range(-20, 21))
    assert np.abs(circle(T) - repeated).max() <= min(circle.error, 1e-12)
    assert circle.period == 1.5


def test_box_with_itself_goes_round() -> None:
    s = convolve(box(width=0.75), box(width=0.75), period=1)
    # The triangle of half-width 3/4, whose ends overlap by a half.
    triangle = sum(np.maximum(0, 0.75 - np.abs(T - k)) for k in range(-10, 13))
    assert np.abs(s(T) - triangle).max() < 1e-14
    assert s.breaks == (0.0, 0.25, 0.75)
    assert np.abs(convolve(box(width=3), box(), period=1)(T) - 3).max() < 1e-13


def test_laws() -> None:
    f = Function(lambda x: x, support=(0, 1))
    g = Function(lambda x: np.exp(x), support=(-0.2, 0.4))
    s, r = convolve(f, g, period=1), convolve(g, f, period=1)
    assert np.abs(s(T) - r(T)).max() <= s.error + r.error
    assert np.abs(convolve(f.shift(0.3), g, period=1)(T) - s(T - 0.3)).max() < 1e-13
    assert np.abs(s.shift(0.3)(T) - s(T - 0.3)).max() < 1e-13
    assert np.abs(s.reflect()(T) - s(-T)).max() < 1e-13
    assert np.abs(correlate(f, g, period=1)(T) - convolve(f, g.reflect(), period=1)(T)).max() == 0
    # A Periodic is a factor like any other: with its own period, and with an impulse as its identity.
    again = convolve(s, g)
    assert isinstance(again, Periodic)
    assert np.abs(again(T) - convolve(f, convolve(g, g), period=1)(T)).max() < 1e-13
    assert np.abs(convolve(impulse(), s)(T) - s(T)).max() < 1e-13
    assert np.abs(correlate(s, s)(T) - correlate(s, s)(-T)).max() < 1e-13


def test_derivative_and_integral() -> None:
    f, K = Function(lambda x: x, support=(0, 1)), Function(lambda x: x * (1 - x), support=(0, 1))
    s = convolve(f, K, period=1)
    # f' is 1 with an impulse of -1 at the seam: ∫K - K.
    expected = 1 / 6 - np.mod(T, 1) * (1 - np.mod(T, 1))
    assert np.abs(s.derivative()(T) - expected).max() < 1e-11
    assert s.derivative().cell.impulses == ()
    saw = convolve(f, impulse(), period=1)
    assert np.array(saw.derivative().cell.impulses) == pytest.approx(np.array([(0.0, -1.0)]))
    assert float(saw.derivative().integral(0.5, 0.75)) == pytest.approx(0.25)
    assert float(saw.derivative().integral()) == pytest.approx(0, abs=1e-12)
    assert np.abs(convolve(saw.derivative(), K)(T) - expected).max() < 1e-11
    assert float(s.integral()) == pytest.approx(1 / 12)
    for a, b in [(0.2, 0.9), (-3.3, 4.1), (2, 1.5)]:
        assert float(saw.integral(a, b)) == pytest.approx(
            (math.floor(b) + (b % 1) ** 2 - math.floor(a) - (a % 1) ** 2) / 2
        )
    assert np.allclose(sample(saw, [0.5, 1.0], cell=0.5), [0.5, 0.5])
    assert saw([0, 0.25, 1, 1.25]) == pytest.approx([0.5, 0.25, 0.5, 0.25], abs=1e-15)


def test_sampled_on_the_torus_it_is_the_digital_circular_convolution() -> None:
    """Trigonometric polynomials: n samples give the integral exactly, so the two convolutions are one."""
    n, x = 16, np.arange(16) / 16
    f = Function(lambda x: 1 + np.cos(TURN * x) - np.sin(3 * TURN * x), support=(0, 1))
    K = Function(lambda x: np.cos(TURN * x) + 2 * np.cos(3 * TURN * x - 1), support=(0, 1))
    circular = np.fft.ifft(np.fft.fft(f(x)) * np.fft.fft(K(x))).real / n
    s = convolve(f, K, period=1)
    assert np.abs(s(x) - circular).max() <= min(s.error, 1e-12)


def test_refused_and_described() -> None:
    for period in (0, -1, math.inf, math.nan):
        with pytest.raises(ProblemError, match="give one finite length above 0"):
            convolve(box(), box(), period=period)
    s = convolve(box(), box(), period=2)
    with pytest.raises(ProblemError, match=r"the periods are \[2.0, 3.0\]"):
        convolve(s, box(), period=3)
    with pytest.raises(ProblemError, match="impulses at 0"):
        sample(convolve(impulse(), impulse(), period=1), [0.0])
    with pytest.raises(ProblemError, match="no derivative"):
        convolve(box(), impulse(), period=2).derivative().derivative()
    with pytest.raises(PlanError, match="periods long"):
        convolve(gaussian(), gaussian(), period=1e-5)
    assert repr(s).startswith("Periodic(period=2, breaks=(0.0, 1.0), error ")
    assert s._repr_html_().startswith("<code>Periodic(")
    assert pickle.loads(pickle.dumps(s))(0.3) == s(0.3)
