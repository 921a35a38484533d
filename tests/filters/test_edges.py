"""Derivatives, sharpening and Gabor: slopes, moments, SciPy, OpenCV and scikit-image; and texts of refusal."""

from __future__ import annotations

import math
import re
from typing import Any

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import gabor_kernel

from faltung import definition, filters
from faltung.errors import GeometryError, ProblemError

Array = np.ndarray[Any, Any]


def at_middle(f: filters.Filter, x: Array) -> float:
    """Correlate where the window lies inside, by the definition."""
    middle = tuple(n // 2 for n in x.shape)
    return float(definition.correlate(x, f.kernel, at=[middle])[0])


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("name", ["sobel", "scharr"])
def test_slopes_in_physical_units(name: str, ndim: int) -> None:
    for axis in range(ndim):
        ramp = 0.25 * np.indices((5,) * ndim)[axis].astype(float)
        make = getattr(filters, name)
        assert at_middle(make(axis, ndim, spacing=0.25), ramp) == pytest.approx(1, abs=1e-14)
        weight = {"sobel": 4, "scharr": 16}[name]
        assert at_middle(make(axis, ndim), 4 * ramp) == 2 * weight ** (ndim - 1)


def test_scharr_is_opencvs_and_truer_than_sobel() -> None:
    impulse = np.zeros((5, 5))
    impulse[2, 2] = 1
    for axis, (dx, dy) in [(1, (1, 0)), (0, (0, 1))]:
        response = cv2.Scharr(impulse, cv2.CV_64F, dx, dy)[1:4, 1:4]
        np.testing.assert_array_equal(filters.scharr(axis).kernel, np.flip(response))
    y, x = np.indices((9, 9)) - 4
    errors = {}
    for name in ("sobel", "scharr"):
        worst = 0.0
        for angle in np.radians(np.arange(0, 91, 5)):
            wave = np.sin(0.8 * (x * np.cos(angle) + y * np.sin(angle)))
            slopes = [at_middle(getattr(filters, name)(axis), wave) for axis in (0, 1)]
            worst = max(worst, abs(math.atan2(*slopes) - angle))
        errors[name] = worst
    assert errors["scharr"] < errors["sobel"] / 3


def test_laplacian_with_spacing() -> None:
    z, y = np.indices((5, 5)) * np.array([0.5, 2.0])[:, None, None]
    assert at_middle(filters.laplacian(spacing=(0.5, 2)), 3 * z**2 - y**2 + z * y) == pytest.approx(6 - 2)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_log_is_exact_on_quadratics(ndim: int) -> None:
    f = filters.log((1.5, 1.2, 2.0)[:ndim], ndim, spacing=(1.0, 0.5, 1.5)[:ndim])
    x = [h * (np.arange(n) - n // 2) for n, h in zip(f.shape, (1.0, 0.5, 1.5), strict=False)]
    grids = np.meshgrid(*x, indexing="ij")
    assert f.kernel.sum() == pytest.approx(0, abs=1e-13)
    assert (f.kernel * grids[0]).sum() == pytest.approx(0, abs=1e-12)
    assert (f.kernel * sum(g**2 for g in grids)).sum() == pytest.approx(2 * ndim, abs=1e-11)
    assert f.kernel[tuple(n // 2 for n in f.shape)] < 0


def test_log_is_scipys() -> None:
    x = np.zeros((41, 41))
    x[20, 20] = 1
    f = filters.log((1.5, 2.5), normalise="sampled")
    response = ndimage.gaussian_laplace(x, (1.5, 2.5), mode="constant")
    reach = [n // 2 for n in f.shape]
    np.testing.assert_allclose(
        f.kernel, response[20 - reach[0] : 21 + reach[0], 20 - reach[1] : 21 + reach[1]], rtol=1e-9, atol=1e-16
    )


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_dog(ndim: int) -> None:
    f = filters.dog(1.2, 1.6, ndim)
    x = np.zeros(f.shape)
    x[tuple(n // 2 for n in f.shape)] = 1
    narrow, wide = (ndimage.gaussian_filter(x, 1.2 * r, truncate=4, mode="constant") for r in (1, 1.6))
    np.testing.assert_allclose(f.kernel, narrow - wide, rtol=0, atol=1e-15)
    assert f.kernel.sum() == pytest.approx(0, abs=1e-14)


def test_dog_of_a_small_ratio_tends_to_the_laplacian() -> None:
    # The heat equation: dG/dσ = σ·ΔG.
    ratio, sigma = 1.001, 3.0
    narrow = filters.dog(sigma, ratio, truncate=7) * (-1 / ((ratio - 1) * sigma**2))
    difference = narrow - filters.log(sigma, truncate=7)
    assert abs(difference.kernel).max() < 3e-3 * abs(filters.log(sigma).kernel).max()


def test_unsharp() -> None:
    x = np.random.default_rng(0).standard_normal((25, 27))
    smooth = ndimage.gaussian_filter(x, (1.0, 2.0), mode="reflect")
    f = filters.unsharp((1.0, 2.0), 0.7)
    found = definition.correlate(x, f.kernel, boundary="symmetric").astype(float)
    np.testing.assert_allclose(found, x + 0.7 * (x - smooth), atol=1e-13)
    np.testing.assert_allclose(filters.unsharp(1.5, -1).kernel, filters.gaussian(1.5).kernel, atol=1e-16)
    assert f.kernel.sum() == pytest.approx(1)


@pytest.mark.parametrize(("angle", "aspect", "phase"), [(0, 1, 0), (30, 0.5, 40), (90, 2, -90), (135, 0.7, 180)])
def test_gabor_is_opencvs_up_to_its_sum(angle: float, aspect: float, phase: float) -> None:
    f = filters.gabor(7, 2.5, angle, phase, aspect)
    rows, columns = f.shape
    wave = cv2.getGaborKernel((columns, rows), 2.5, math.radians(angle), 7, aspect, math.radians(phase), cv2.CV_64F)
    envelope = np.hypot(*(cv2.getGaborKernel((columns, rows), 2.5, math.radians(angle), 7, aspect, p, cv2.CV_64F)
                          for p in (0, math.pi / 2)))  # fmt: skip
    # OpenCV stores the kernel turned by half a circle.
    np.testing.assert_allclose(f.kernel, np.flip(wave) / envelope.sum(), rtol=0, atol=1e-15)


def test_gabor_is_scikit_images_up_to_its_sum() -> None:
    exact = gabor_kernel(0.15, theta=math.radians(25), sigma_x=3, sigma_y=4, n_stds=5)
    parts = [filters.gabor(1 / 0.15, 3, 25, phase, 0.75, truncate=7) for phase in (0, -90)]
    cut = [slice(n // 2 - m // 2, n // 2 + m // 2 + 1) for n, m in zip(parts[0].shape, exact.shape, strict=True)]
    for part, expected in zip(parts, (exact.real, exact.imag), strict=True):
        np.testing.assert_allclose(part.kernel[tuple(cut)], expected, rtol=0, atol=1e-7)


def test_gabor_in_any_rank() -> None:
    assert filters.gabor(6, balanced=True).kernel.sum() == pytest.approx(0, abs=1e-15)
    line = filters.gabor(6, 3, ndim=1).kernel
    np.testing.assert_allclose(filters.gabor(6, 3, ndim=3).kernel.sum((0, 1)), line, atol=1e-15)
    turned = filters.gabor(6, 3, direction=(2, 0, 0), ndim=3).kernel
    np.testing.assert_allclose(turned, filters.gabor(6, 3, ndim=3).kernel.transpose(2, 0, 1), atol=1e-16)
    plane = filters.gabor(6, 3, direction=(1, 1)).kernel
    np.testing.assert_allclose(plane, filters.gabor(6, 3, 45).kernel, atol=1e-16)
    np.testing.assert_array_equal(filters.gabor(3, 1.5, spacing=0.5).kernel, filters.gabor(6, 3).kernel)
    # The answer to the wave it is made for; and the bandwidth of an octave: half of it at 2/3 and 4/3 of the frequency.
    x = np.arange(-9, 10)
    f = filters.gabor(6, ndim=1, truncate=6).kernel
    x = np.arange(len(f)) - len(f) // 2
    gains = [float(f @ np.cos(2 * np.pi * x / 6 * factor)) for factor in (1, 2 / 3, 4 / 3)]
    np.testing.assert_allclose(gains, [0.5, 0.25, 0.25], atol=2e-3)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: filters.gaussian(1, order=11), ProblemError, "order is 11; give the order of a derivative, 0 to 10"),
        (lambda: filters.gaussian(1, order=(0, 1, 2)), GeometryError, "order has 3 values (0, 1, 2) for 2 axes"),
        (lambda: filters.gaussian(0, order=1), GeometryError, "order 1 needs more than 1 taps with a weight along its axis"),
        (lambda: filters.gaussian(0.1, order=2), GeometryError, "there are 1: raise sigma or truncate"),
        (lambda: filters.gaussian(1, spacing=0), ProblemError, "gaussian: spacing is 0; give the distance of samples"),
        (lambda: filters.gaussian(1, normalise="sum"), ProblemError, "normalise is 'sum'; give one of moments, sampled"),
        (lambda: filters.gaussian(1, size=2.5), GeometryError, "gaussian: size is 2.5; give whole numbers"),
        (lambda: filters.box(0, spacing=1), ProblemError, "box: size is 0; give the width of the window, above 0"),
        (lambda: filters.box(1e30, spacing=1), GeometryError, "taps; at most 16777216 are sampled"),
        (lambda: filters.disk(0), ProblemError, "disk: radius is 0; give radii, above 0"),
        (lambda: filters.disk(1, antialias="yes"), ProblemError, "disk: antialias is 'yes'; give true or false"),
        (lambda: filters.disk(1e300), GeometryError, "disk: the kernel would have"),
        (lambda: filters.binomial(0), GeometryError, "binomial: size is 0; give whole numbers"),
        (lambda: filters.binomial(1025), GeometryError, "give at most 1024, or use gaussian with sigma = sqrt(size - 1)/2"),
        (lambda: filters.lanczos(0.5), ProblemError, "lanczos: factor is 0.5; give a factor of at least 1, such as 2"),
        (lambda: filters.lanczos(2, lobes=1.5), ProblemError, "lanczos: lobes is 1.5; give a whole number of at least 1"),
        (lambda: filters.motion(0), ProblemError, "motion: length is 0; give the length of the line, above 0"),
        (lambda: filters.motion(1e300), GeometryError, "motion: the kernel would have"),
        (lambda: filters.motion(5, 30, ndim=1), GeometryError, "motion: angle is 30, but the kernel has 1 axis"),
        (lambda: filters.motion(5, 30, direction=(1, 1)), ProblemError, "motion: angle=30 and direction=(1, 1) are given"),
        (lambda: filters.motion(5, direction=(0, 0)), ProblemError, "direction is (0, 0); give a vector other than 0"),
        (lambda: filters.motion(5, direction=(1, 1, 1)), GeometryError, "direction has 3 values (1, 1, 1) for 2 axes"),
        (lambda: filters.scharr(3), GeometryError, "scharr: axis is 3; with 2 axes give -2 to 1"),
        (lambda: filters.sobel(spacing=-1), ProblemError, "sobel: spacing is -1; give the distance of samples"),
        (lambda: filters.laplacian(spacing=(1, 0)), ProblemError, "laplacian: spacing is (1, 0); give the distance"),
        (lambda: filters.log(0), ProblemError, "log: sigma is 0; give standard deviations, above 0"),
        (lambda: filters.dog(1, ratio=1), ProblemError, "dog: ratio is 1; give a number above 1, such as 1.6"),
        (lambda: filters.dog(-1), ProblemError, "dog: sigma is -1; give standard deviations, above 0"),
        (lambda: filters.unsharp(1, math.inf), ProblemError, "unsharp: amount is inf; give a number, such as 1"),
        (lambda: filters.gabor(0), ProblemError, "gabor: wavelength is 0; give the length of the wave, above 0"),
        (lambda: filters.gabor(5, phase="x"), ProblemError, "gabor: phase is 'x'; give degrees, such as 90"),
        (lambda: filters.gabor(5, aspect=0), ProblemError, "gabor: aspect is 0; give a ratio above 0, such as 1"),
        (lambda: filters.gabor(5, truncate=-1), ProblemError, "gabor: truncate is -1; give a number of sigmas above 0"),
    ],
)  # fmt: skip
def test_refused_parameters(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        make()
