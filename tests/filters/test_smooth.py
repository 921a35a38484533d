"""Means: gaussian and its derivatives, box, disk, binomial, lanczos, motion; against closed forms, SciPy and OpenCV."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

from faltung import filters

Array = np.ndarray[Any, Any]


def moment(taps: Array, *powers: int, spacing: float = 1.0) -> float:
    """Return Σ k·Π x^power, x counted from the middle."""
    grids = np.meshgrid(*[spacing * (np.arange(n) - (n - 1) / 2) for n in taps.shape], indexing="ij")
    return float((taps * math.prod(x**p for x, p in zip(grids, powers, strict=True))).sum())


@given(sigma=st.floats(0.5, 4), order=st.integers(0, 4), spacing=st.floats(0.2, 3), extra=st.integers(0, 1))
def test_a_derivative_is_exact_on_polynomials_of_its_degree(
    sigma: float, order: int, spacing: float, extra: int
) -> None:
    size = 2 * math.floor(4 * sigma / spacing + 2.5) + 1 + extra
    if sigma / spacing < 0.5:
        sigma = spacing / 2
    taps = filters.gaussian(sigma, 1, order=order, spacing=spacing, size=size).kernel
    for power in range(order + 1):
        expected = math.factorial(order) if power == order else 0
        scale = sigma ** (power - order) * math.factorial(order)
        assert moment(taps, power, spacing=spacing) == pytest.approx(expected, abs=1e-9 * scale * 4**order)


@pytest.mark.parametrize("order", [0, 1, 2, 3, (0, 2), (1, 1), (2, 1)])
def test_sampled_derivatives_are_those_of_scipy(order: Any) -> None:
    x = np.zeros((41, 45))
    x[20, 22] = 1
    f = filters.gaussian((1.5, 2.2), order=order, normalise="sampled")
    # SciPy correlates with the mirrored kernel, so that its impulse response is that of a convolution, mirrored.
    response = ndimage.gaussian_filter(x, (1.5, 2.2), order=order, mode="constant")
    reach = [n // 2 for n in f.shape]
    found = response[20 - reach[0] : 21 + reach[0], 22 - reach[1] : 23 + reach[1]]
    np.testing.assert_allclose(np.flip(f.kernel), found, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_both_normalisations_meet_for_wide_gaussians(order: int) -> None:
    exact = filters.gaussian(3.0, 1, 9.0, order=order).kernel
    sampled = filters.gaussian(3.0, 1, 9.0, order=order, normalise="sampled").kernel
    np.testing.assert_allclose(exact, sampled, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [4, 7, 10, 11])
def test_sizes(size: int) -> None:
    found = filters.gaussian(1.3, 1, size=size).kernel
    x = np.arange(size) - (size - 1) / 2
    np.testing.assert_allclose(found, stats.norm.pdf(x, 0, 1.3) / stats.norm.pdf(x, 0, 1.3).sum(), rtol=1e-12)
    if size % 2:
        np.testing.assert_allclose(found, cv2.getGaussianKernel(size, 1.3).ravel(), rtol=1e-12)
    assert filters.gaussian(1.3, size=(size, 5)).shape == (size, 5)


def test_spacing_is_the_unit_of_sigma() -> None:
    physical = filters.gaussian((2.0, 1.0), spacing=(0.5, 0.25))
    np.testing.assert_array_equal(physical.kernel, filters.gaussian(4.0).kernel)
    slope = filters.gaussian(2.0, order=(1, 0), spacing=(0.5, 0.25)).kernel
    np.testing.assert_allclose(slope, filters.gaussian((4.0, 8.0), order=(1, 0)).kernel / 0.5, rtol=1e-12)


def test_box_with_a_spacing_has_the_moments_of_its_width() -> None:
    for width, h in [(1.0, 0.4), (3.0, 1.0), (2.0, 1.0), (0.1, 1.0), (7.3, 0.9)]:
        taps = filters.box(width, 1, spacing=h).kernel
        assert taps.sum() == pytest.approx(1, abs=1e-14)
        np.testing.assert_array_equal(taps, taps[::-1])
    np.testing.assert_array_equal(filters.box(2, 1, spacing=1).kernel, [0.25, 0.5, 0.25])
    np.testing.assert_array_equal(filters.box(3, 1, spacing=1).kernel, filters.box(3, 1).kernel)


@given(radius=st.floats(0.05, 9), other=st.floats(0.05, 9))
def test_disk_covers_its_area(radius: float, other: float) -> None:
    kernel = filters.disk((radius, other)).kernel
    assert kernel.sum() == pytest.approx(1, abs=1e-13)
    np.testing.assert_array_equal(kernel, np.flip(kernel, 0))
    np.testing.assert_array_equal(kernel, np.flip(kernel, 1))
    if min(radius, other) > 1:
        # A cell inside counts 1 of an area π·a·b.
        assert kernel.max() == pytest.approx(1 / (math.pi * radius * other), rel=1e-12)


@pytest.mark.parametrize("radius", [0.8, 1.0, 2.3])
def test_disk_against_counting(radius: float) -> None:
    reach, fine = math.ceil(radius - 0.5), 401
    u = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    cells = (u[:, None] ** 2 + u**2 <= radius**2).reshape(2 * reach + 1, fine, 2 * reach + 1, fine).mean((1, 3))
    np.testing.assert_allclose(filters.disk(radius).kernel * math.pi * radius**2, cells, atol=2e-4)


def test_ball() -> None:
    kernel = filters.disk(3.2, ndim=3).kernel
    assert kernel.max() * 4 / 3 * math.pi * 3.2**3 == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(kernel, kernel.transpose(2, 0, 1), rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(filters.disk(1.25, 1).kernel * 2.5, [0.75, 1, 0.75])
    assert filters.disk(1.7, ndim=4).kernel.sum() == pytest.approx(1)
    np.testing.assert_array_equal(filters.disk(2.0, spacing=(1, 0.5)).kernel, filters.disk((2, 4)).kernel)


@pytest.mark.parametrize("radius", [1, 2, 3, 4.5, 7])
def test_disk_without_antialiasing_is_that_of_morphology(radius: float) -> None:
    morphology = pytest.importorskip("skimage.morphology")
    inside = filters.disk(radius, antialias=False).kernel > 0
    np.testing.assert_array_equal(inside, morphology.disk(math.floor(radius)) if radius % 1 == 0 else inside)
    grid = np.hypot(*np.indices(inside.shape) - (len(inside) // 2))
    np.testing.assert_array_equal(inside, grid <= radius)


@pytest.mark.parametrize("size", [1, 2, 3, 6, 9, 1024])
def test_binomial(size: int) -> None:
    taps = filters.binomial(size, 1).kernel
    np.testing.assert_allclose(taps, stats.binom.pmf(np.arange(size), size - 1, 0.5), rtol=1e-9)
    assert math.fsum(taps) == 1
    assert moment(taps, 2) == pytest.approx((size - 1) / 4, rel=1e-12)
    np.testing.assert_array_equal(filters.binomial((2, 3)).kernel, np.outer([0.5, 0.5], [0.25, 0.5, 0.25]))


@pytest.mark.parametrize(("factor", "lobes"), [(1, 3), (2, 2), (2, 3), (2.5, 3), (4, 4)])
def test_lanczos(factor: float, lobes: int) -> None:
    taps = filters.lanczos(factor, lobes, 1).kernel
    n = len(taps) // 2
    x = np.arange(-n, n + 1) / factor
    assert abs(x).max() < lobes <= (n + 1) / factor
    shape = np.sinc(x) * np.sinc(x / lobes)
    np.testing.assert_allclose(taps, shape / shape.sum(), rtol=1e-12, atol=1e-17)
    if factor == 1:
        np.testing.assert_allclose(taps, np.eye(5)[2], atol=1e-16)
    even = filters.lanczos(2, size=12, ndim=1).kernel
    assert even.sum() == pytest.approx(1)
    np.testing.assert_array_equal(even, even[::-1])


def test_lanczos_halves_the_wave_at_the_new_nyquist_frequency() -> None:
    for factor in (2, 3, 4):
        taps = filters.lanczos(factor, 6, 1).kernel
        x = np.arange(len(taps)) - len(taps) // 2
        response = [float(taps @ np.cos(2 * np.pi * f * x)) for f in (0.2 / factor, 0.5 / factor, 0.8 / factor)]
        np.testing.assert_allclose(response, [1, 0.5, 0], atol=0.02)


@given(length=st.floats(0.1, 30), angle=st.floats(-360, 360))
def test_motion_has_the_moments_of_a_line(length: float, angle: float) -> None:
    taps = filters.motion(length, angle).kernel
    assert taps.min() >= 0
    assert taps.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(taps, np.flip(taps))
    # A line has variance L²/12 along itself; sharing between neighbours adds at most 1/4 along each axis.
    direction = np.array([math.sin(math.radians(angle)), math.cos(math.radians(angle))])
    exact = length**2 / 12 * np.outer(direction, direction)
    found = [[moment(taps, 2, 0), moment(taps, 1, 1)], [moment(taps, 1, 1), moment(taps, 0, 2)]]
    np.testing.assert_allclose(found, exact, atol=0.3)


def test_motion_along_axes_and_diagonals() -> None:
    np.testing.assert_allclose(filters.motion(5).kernel, [[0.2] * 5], rtol=1e-14)
    np.testing.assert_allclose(filters.motion(5, 90).kernel, [[0.2]] * 5, rtol=1e-14)
    np.testing.assert_allclose(filters.motion(4, ndim=1).kernel, [0.125, 0.25, 0.25, 0.25, 0.125], rtol=1e-14)
    np.testing.assert_allclose(filters.motion(7, 180).kernel, filters.motion(7).kernel, rtol=1e-14)
    np.testing.assert_allclose(filters.motion(9.4, 30).kernel, filters.motion(9.4, -30).kernel[::-1], atol=1e-14)
    np.testing.assert_allclose(filters.motion(9.4, 30).kernel, filters.motion(9.4, 60).kernel.T, atol=1e-14)
    volume = filters.motion(6.0, direction=(1, 2, -2), ndim=3).kernel
    assert volume.sum() == pytest.approx(1, abs=1e-14)
    assert moment(volume, 0, 1, 1) == pytest.approx(-3 * 4 / 9, abs=0.05)
    np.testing.assert_allclose(
        filters.motion(8, direction=(1, 2)).kernel, filters.motion(8, math.degrees(math.atan2(1, 2))).kernel, atol=1e-14
    )
    np.testing.assert_allclose(
        filters.motion(4.0, 90, spacing=(0.5, 1)).kernel, filters.motion(8.0, 90).kernel, rtol=1e-14
    )


def test_motion_at_an_angle_against_dense_points() -> None:
    found = filters.motion(7.3, 25).kernel
    t = (np.arange(200_000) + 0.5) / 200_000 - 0.5
    y, x = 7.3 * t * math.sin(math.radians(25)), 7.3 * t * math.cos(math.radians(25))
    expected = np.zeros(found.shape)
    low = np.floor(y).astype(int)
    columns = np.rint(x).astype(int) + found.shape[1] // 2
    np.add.at(expected, (low + found.shape[0] // 2, columns), (1 - (y - low)) / len(t))
    np.add.at(expected, (low + 1 + found.shape[0] // 2, columns), (y - low) / len(t))
    np.testing.assert_allclose(found, expected, atol=1e-5)
