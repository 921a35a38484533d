"""From functions to filters: what the three samplings mean, against closed forms."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.special import erf

from faltung import definition, filters
from faltung.errors import GeometryError, ProblemError
from faltung.filters import from_function

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]


def bell(sigma: float) -> Callable[[Array], Array]:
    return lambda x: np.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))


def positions(f: filters.Filter, spacing: float) -> Array:
    return spacing * (np.arange(f.shape[0]) - f.anchor[0])


def test_point_samples_are_values_times_the_spacing() -> None:
    f = from_function(np.cos, 0.5, 1.0)
    np.testing.assert_allclose(f.kernel, 0.5 * np.cos([-1, -0.5, 0, 0.5, 1]), rtol=1e-15)
    values = from_function(lambda y, x: 10 * y + x, (1, 2), [(-1, 1), (0, 4)], normalise="values")
    np.testing.assert_array_equal(values.kernel, [[-10, -8, -6], [0, 2, 4], [10, 12, 14]])
    assert values.anchor == (1, 0)


def test_the_sampled_gaussian_is_the_named_one() -> None:
    f = from_function(lambda y, x: np.exp(-(y**2 + x**2) / (2 * 1.5**2)), support=6, ndim=2, normalise="sum")
    np.testing.assert_allclose(f.kernel, filters.gaussian(1.5).kernel, rtol=1e-12)


@given(sigma=st.floats(0.4, 3), spacing=st.floats(0.2, 1.5), low=st.floats(-5, -0.5), high=st.floats(0.5, 5))
def test_cells_of_a_gaussian(sigma: float, spacing: float, low: float, high: float) -> None:
    f = from_function(bell(sigma), spacing, (low, high), sampling="cell")
    x = positions(f, spacing)
    upper, lower = (np.clip(x + side * spacing / 2, low, high) / (sigma * math.sqrt(2)) for side in (1, -1))
    np.testing.assert_allclose(f.kernel, (erf(upper) - erf(lower)) / 2, rtol=0, atol=1e-12)


def test_cells_of_a_spline_sum_to_one_and_are_a_spline_of_higher_degree() -> None:
    hat = BSpline.basis_element([-1, 0, 1], extrapolate=False)
    f = from_function(hat, 0.5, 1, sampling="cell", normalise="values")
    # The mean of a spline over a cell is the spline smoothed by a box: exact values by hand.
    np.testing.assert_allclose(f.kernel, [1 / 16, 1 / 2, 7 / 8, 1 / 2, 1 / 16], rtol=1e-14)
    assert from_function(hat, 0.5, 1, sampling="cell").kernel.sum() == pytest.approx(1, abs=1e-14)


def test_cells_of_a_box_are_the_box_filter() -> None:
    f = from_function(lambda y, x: 0 * y + 1, (0.4, 0.3), [(-0.5, 0.5), (-0.7, 0.7)], sampling="cell", normalise="sum")
    np.testing.assert_allclose(f.kernel, filters.box((1.0, 1.4), spacing=(0.4, 0.3)).kernel, rtol=1e-12)


def test_cells_in_three_dimensions() -> None:
    f = from_function(lambda z, y, x: bell(1)(z) * bell(0.7)(y) * bell(2)(x), 1.0, 3.0, ndim=3, sampling="cell")
    lines = [from_function(bell(s), 1.0, 3.0, sampling="cell").kernel for s in (1, 0.7, 2)]
    np.testing.assert_allclose(f.kernel, np.einsum("i,j,k", *lines), rtol=0, atol=1e-12)


@pytest.mark.parametrize("frequency", [0.6, 0.75, 1.0, 1.3])
def test_waves_above_the_nyquist_frequency_vanish(frequency: float) -> None:
    def wave(x: Array) -> Array:
        return np.exp(-(x**2) / (2 * 20**2)) * np.cos(2 * np.pi * frequency * x)

    assert abs(from_function(wave, 1.0, 120).kernel).max() == 1
    assert abs(from_function(wave, 1.0, 120, sampling="antialias").kernel).max() < 1e-4


@pytest.mark.parametrize("frequency", [0.0, 0.1, 0.3, 0.36])
def test_waves_below_it_pass(frequency: float) -> None:
    def wave(x: Array) -> Array:
        return np.exp(-(x**2) / (2 * 20**2)) * np.exp(2j * np.pi * frequency * x)

    f = from_function(wave, 1.0, 120, sampling="antialias")
    np.testing.assert_allclose(f.kernel, wave(positions(f, 1.0)), rtol=0, atol=2e-3)


def test_a_band_limited_kernel_stays_what_it_is() -> None:
    f = from_function(lambda y, x: bell(2)(y) * bell(1.5)(x), 1.0, 12, ndim=2, sampling="antialias")
    points = from_function(lambda y, x: bell(2)(y) * bell(1.5)(x), 1.0, 12, ndim=2)
    difference = 1 * f - 1 * points
    assert abs(difference.kernel).max() < 2e-4 * points.kernel.max()
    assert f.kernel.sum() == pytest.approx(1, abs=1e-3)


def test_correlates_and_convolves_as_the_integral_does() -> None:
    h = 0.05
    t = h * np.arange(-200, 201)
    f = from_function(lambda x: np.exp(-x), h, (0, 12), sampling="cell")
    assert f.anchor == (0,)
    # ∫ bell(x) exp(-(t - x)) dx over x < t, in closed form.
    exact = 0.5 * np.exp(0.5 - t) * (1 + erf((t - 1) / math.sqrt(2)))
    found = definition.convolve(bell(1)(t), f.kernel, origin=f.anchor, boundary="zero").astype(float)
    np.testing.assert_allclose(found, exact, atol=2e-3)


def test_the_origin_is_always_a_tap() -> None:
    f = from_function(lambda x: 0 * x + 1, 1.0, (1.5, 3.5))
    np.testing.assert_array_equal(f.kernel, [0, 0, 1, 1])
    assert f.anchor == (0,)
    np.testing.assert_array_equal(from_function(lambda x: 0 * x + 1, 1.0, (-3.5, -1.5)).kernel, [1, 1, 0, 0])


def test_texts() -> None:
    f = from_function(np.cos, 0.5, 1.0, name="cosine")
    assert repr(f).startswith(
        "cosine(spacing=0.5, support=1.0, sampling='point', normalise='integral'): k[i] = Πh·f(i·h)"
    )


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"support": None}, GeometryError, "support is None; give a number r above 0 for -r to r, (low, high) with"),
        ({"support": (1, -1)}, GeometryError, "support is (1, -1); give a number r"),
        ({"support": -2}, GeometryError, "support is -2; give a number r"),
        ({"support": math.inf}, GeometryError, "support is inf; give a number r"),
        ({"support": [(0, 1)] * 2, "spacing": (1, 1, 1)}, GeometryError, "support has 2 pairs"),
        ({"spacing": 0}, ProblemError, "from_function: spacing is 0; give the distance of samples, above 0"),
        ({"spacing": 1e-9, "support": 1}, GeometryError, "taps; at most 16777216 are sampled"),
        ({"sampling": "area"}, ProblemError, "sampling is 'area'; give one of point, cell, antialias"),
        ({"normalise": "max"}, ProblemError, "normalise is 'max'; give one of integral, values, sum"),
        ({"f": lambda x: x, "normalise": "sum"}, ProblemError, "the taps sum to 0 and cannot be made to sum to 1"),
        ({"f": lambda x: x[:-1]}, GeometryError, "f gives the shape (4,) for coordinates of shape (5,)"),
        ({"f": lambda x: np.where(x > 0, np.inf, 0)}, ProblemError, "f is not finite at (1.0,); give a kernel that is"),
        ({"f": lambda x: x.astype(str)}, ProblemError, "make it return real or complex numbers"),
    ],
)
def test_refusals(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        from_function(**{"f": np.cos, "spacing": 1.0, "support": 2.0, **options})


def test_a_jump_between_samples_is_refused_unless_tolerated() -> None:
    def jump(x: Array) -> Array:
        return 1.0 * (abs(x) < 1.1)

    def corner(y: Array, x: Array) -> Array:
        return jump(x) * jump(y)

    with pytest.raises(ProblemError, match=r"did not settle to 1e-09 .* does f jump, .* Let its support end at jumps"):
        from_function(corner, 1.0, 8.0, ndim=2, sampling="cell")
    rough = from_function(jump, 1.0, 3.0, sampling="cell", tolerance=1e-3).kernel
    np.testing.assert_allclose(rough, [0, 0, 0.6, 1, 0.6, 0, 0], atol=1e-2)
