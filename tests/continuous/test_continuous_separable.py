"""Products of functions of one variable, in any rank, and their sums."""

import numpy as np
import pytest
from scipy import stats

from faltung.continuous import Function, Separable, box, bspline, convolve, correlate, exponential, gaussian, sample
from faltung.errors import GeometryError, ProblemError

X = np.linspace(-2, 3, 26)[:, None]
Y = np.linspace(-3, 2, 31)


def test_gaussians_in_two_dimensions() -> None:
    s = convolve(Separable([gaussian(0.3), gaussian(0.5, 1)]), Separable([gaussian(0.4), gaussian(1.2)]))
    exact = stats.norm.pdf(X, 0, 0.5) * stats.norm.pdf(Y, 1, 1.3)
    assert s(X, Y).shape == (26, 31)
    assert np.abs(s(X, Y) - exact).max() < 1e-15


def test_a_sum_of_products_against_the_double_integral() -> None:
    wave = Function(np.cos, support=(0, 2))
    f = Separable([wave, box()]) - 2 * Separable([exponential(3), wave])
    K = Separable([bspline(1), gaussian(0.3)]) + Separable([box(), box()])
    s = convolve(f, K)
    assert s.ndim == 2
    assert len(s.products) == 4
    h = 1 / 64
    x, y = np.arange(-1 + h / 2, 8, h), np.arange(-4 + h / 2, 5, h)
    for at in [(0.4, 0.3), (1.2, -0.6)]:
        # Midpoints on cells that the edges of all boxes meet: second order.
        riemann = (f(x[:, None], y) * K(at[0] - x[:, None], at[1] - y)).sum() * h * h
        assert float(s(*at)) == pytest.approx(riemann, abs=2e-2)


def test_every_product_is_convolved_with_every_product() -> None:
    f = Separable([box(), gaussian()]) + Separable([gaussian(), box()])
    K = Separable([bspline(2), exponential()])
    s = convolve(f, K)
    exact = convolve(box(), bspline(2))(X) * convolve(gaussian(), exponential())(Y)
    exact = exact + convolve(gaussian(), bspline(2))(X) * convolve(box(), exponential())(Y)
    assert np.array_equal(s(X, Y), exact)
    assert s.support == ((-np.inf, np.inf), (-np.inf, np.inf))
    assert np.abs(convolve(K, f)(X, Y) - exact).max() <= 2 * s.error
    assert 0 < s.error < 1e-12


def test_calculus() -> None:
    s = Separable([gaussian(), exponential(2)]) * 3
    assert s.integral() == pytest.approx(1.5)
    slope = s.derivative(-2)
    assert np.abs(slope(X, Y) + X * s(X, Y)).max() < 1e-11
    assert np.array_equal(s.shift([1, -2])(X, Y), s(X - 1, Y + 2))
    assert np.array_equal(s.reflect()(X, Y), s(-X, -Y))
    assert np.array_equal((-s)(X, Y), -s(X, Y))
    c = correlate(s, s)
    assert np.abs(c(X, Y) - convolve(s, s.reflect())(X, Y)).max() == 0


def test_three_axes_sampled_by_points_and_by_cells() -> None:
    s = Separable([box(width=2), bspline(1), gaussian()])
    axes = [np.arange(-2, 3) * 1.0, np.arange(-1, 1, 0.5), np.array([0.0, 1.0])]
    points = sample(s, axes)
    assert points.shape == (5, 4, 2)
    assert np.array_equal(points, s(axes[0][:, None, None], axes[1][:, None], axes[2]))
    cells = sample(s, axes, cell=1)
    mean = stats.norm.cdf(0.5) - stats.norm.cdf(-0.5)
    assert cells[2, 2, 0] == pytest.approx(1 * 0.75 * mean)  # the hat's mean over (-1/2, 1/2) is 3/4
    assert cells[1, 2, 0] == pytest.approx(0.5 * 0.75 * mean)


def test_refused() -> None:
    with pytest.raises(GeometryError, match="at least one"):
        Separable([])
    with pytest.raises(GeometryError, match=r"\['Function', 'int'\]"):
        Separable([box(), 3])
    plane, space = Separable([box()] * 2), Separable([box()] * 3)
    for call in (lambda: convolve(plane, space), lambda: plane + space):
        with pytest.raises(GeometryError, match="have 2 and 3 axes"):
            call()
    with pytest.raises(GeometryError, match="has 2 variables and got 1"):
        plane(1.0)
    with pytest.raises(GeometryError, match="axis is 2; with 2 axes give -2 to 1"):
        plane.derivative(2)
    with pytest.raises(GeometryError, match="1 distances for 2 axes"):
        plane.shift([1])
    with pytest.raises(GeometryError, match="one list of points for each axis"):
        sample(plane, [0.0, 1.0])
    with pytest.raises(ProblemError, match="the factor is inf"):
        plane * np.inf
    with pytest.raises(ProblemError, match=r"give two Functions.*two Separables"):
        convolve(plane, box())
    with pytest.raises(ProblemError, match="with a period"):
        convolve(plane, plane, period=1)
    assert repr(plane).startswith("Separable(2 axes, support=((-0.5, 0.5), (-0.5, 0.5)), 1 product, error ")
    assert "2 products" in (plane + plane)._repr_html_()
