"""Kernels by name, against values worked out by hand, SciPy's impulse responses, and their texts of refusal."""

from __future__ import annotations

import math
import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

import faltung as ft
from faltung import filters
from faltung.errors import FileError, GeometryError, ProblemError
from faltung.files import write

if TYPE_CHECKING:
    from pathlib import Path


def impulse(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return 1 in the middle of zeros."""
    x = np.zeros(shape)
    x[tuple(n // 2 for n in shape)] = 1
    return x


@given(
    sigma=st.lists(st.floats(0.3, 2.5), min_size=1, max_size=3),
    truncate=st.sampled_from([1.0, 2.5, 4.0]),
)
def test_gaussian_is_the_impulse_response_of_scipy(sigma: list[float], truncate: float) -> None:
    kernel = filters.gaussian(sigma, ndim=len(sigma), truncate=truncate).kernel
    radii = [int(truncate * s + 0.5) for s in sigma]
    assert kernel.shape == tuple(2 * r + 1 for r in radii)
    response = ndimage.gaussian_filter(impulse(kernel.shape), sigma, truncate=truncate, mode="constant")
    np.testing.assert_allclose(kernel, response, rtol=1e-12, atol=1e-18)


def test_gaussian_by_hand() -> None:
    e = math.exp(-0.5)
    expected = np.array([e, 1, e]) / (1 + 2 * e)
    np.testing.assert_allclose(filters.gaussian(1, ndim=1, truncate=1).kernel, expected, rtol=1e-15)


def test_gaussian_leaves_an_axis_of_sigma_0_alone() -> None:
    assert filters.gaussian((0, 2.0)).shape == (1, 17)
    np.testing.assert_array_equal(filters.gaussian(0).kernel, [[1.0]])


def test_gaussian_with_a_sigma_whose_square_underflows_is_the_identity() -> None:
    np.testing.assert_array_equal(filters.gaussian(1e-200, ndim=1, truncate=1e200).kernel, [0, 1, 0])


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_sums_and_symmetry(ndim: int) -> None:
    sums = {"gaussian:sigma=1.3": 1, "box:size=3": 1, "sobel": 0, "laplacian": 0, "sharpen:amount=0.7": 1}
    for text, total in sums.items():
        kernel = filters.parse(text, ndim).kernel
        assert kernel.ndim == ndim
        assert kernel.sum() == pytest.approx(total, abs=1e-14)
        sign = -1 if text == "sobel" else 1
        np.testing.assert_array_equal(np.flip(kernel), sign * kernel)


def test_known_kernels() -> None:
    np.testing.assert_array_equal(filters.box((1, 4)).kernel, [[0.25] * 4])
    np.testing.assert_array_equal(filters.sobel(0).kernel, [[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    np.testing.assert_array_equal(filters.sobel(1).kernel, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    np.testing.assert_array_equal(filters.laplacian(1).kernel, [1, -2, 1])
    np.testing.assert_array_equal(filters.laplacian(3).kernel[1], [[0, 1, 0], [1, -6, 1], [0, 1, 0]])
    np.testing.assert_array_equal(filters.sharpen(0.5).kernel, [[0, -0.5, 0], [-0.5, 3, -0.5], [0, -0.5, 0]])


def test_dtypes_of_taps() -> None:
    whole = [filters.sobel().kernel.dtype, filters.laplacian().kernel.dtype]
    real = [f.kernel.dtype for f in (filters.gaussian(1), filters.box(3), filters.sharpen())]
    assert whole == [np.int64] * 2
    assert real == [np.float64] * 3


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_sobel_is_positive_where_values_grow_and_has_the_slope_it_says(ndim: int) -> None:
    for axis in range(ndim):
        ramp = np.indices((7,) * ndim)[axis]
        middle = (3,) * ndim
        assert ft.correlate(ramp, filters.sobel(axis, ndim))[middle] == 2 * 4 ** (ndim - 1)
        assert ft.convolve(ramp, filters.sobel(axis, ndim))[middle] == -2 * 4 ** (ndim - 1)
        np.testing.assert_array_equal(filters.sobel(axis - ndim, ndim).kernel, filters.sobel(axis, ndim).kernel)


def test_sobel_and_laplacian_equal_scipy() -> None:
    x = np.random.default_rng(0).integers(-999, 999, (9, 11))
    for axis in (0, 1):
        np.testing.assert_array_equal(ft.correlate(x, filters.sobel(axis)), ndimage.sobel(x, axis))
    np.testing.assert_array_equal(ft.correlate(x, filters.laplacian()), ndimage.laplace(x))


def test_filters_make_a_bank() -> None:
    x = np.random.default_rng(0).integers(-999, 999, (20, 30))
    found = ft.correlate(x, [filters.sobel(0), filters.sobel(1)])
    np.testing.assert_array_equal(found, [ndimage.sobel(x, 0), ndimage.sobel(x, 1)])


@pytest.mark.parametrize("ndim", [1, 2, 4])
def test_laplacian_of_the_squared_radius(ndim: int) -> None:
    squares = sum(axis**2 for axis in np.indices((5,) * ndim))
    assert ft.correlate(squares, filters.laplacian(ndim))[(2,) * ndim] == 2 * ndim


def test_a_filter_is_an_array_that_cannot_be_changed() -> None:
    f = filters.gaussian(1.5)
    np.testing.assert_array_equal(np.asarray(f), f.kernel)
    assert np.asarray(f, np.float32).dtype == np.float32
    again = pickle.loads(pickle.dumps(f))
    for one in (f, again):
        with pytest.raises(ValueError, match="read-only"):
            one.kernel[0, 0] = 1
    assert repr(again) == repr(f)
    assert repr(filters.box(3)) == "box(size=3, ndim=2): k[i] = 1 / Π size, 3x3 float64"


def test_html_is_escaped() -> None:
    f = filters.Filter("<b>", np.ones(1), "k = 1")
    assert f._repr_html_() == "<code>&lt;b&gt;(): k = 1, 1 float64</code>"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: filters.gaussian(-1), ProblemError, "gaussian: sigma is -1; give standard deviations in samples"),
        (lambda: filters.gaussian(math.inf), ProblemError, "gaussian: sigma is inf; give standard deviations"),
        (lambda: filters.gaussian(True), ProblemError, "gaussian: sigma is True; give standard deviations"),
        (lambda: filters.gaussian(10**400), ProblemError, "gaussian: sigma is 1000"),
        (lambda: filters.gaussian(1, truncate=0), ProblemError, "gaussian: truncate is 0; give a number of sigmas"),
        (lambda: filters.gaussian((1, 2, 3)), GeometryError, "sigma has 3 values (1, 2, 3) for 2 axes; give one, or 2"),
        (lambda: filters.gaussian(1e9), GeometryError, "taps; at most 16777216 are sampled"),
        (lambda: filters.gaussian(1e308), GeometryError, "taps; at most 16777216 are sampled"),
        (lambda: filters.box(0), GeometryError, "box: size is 0; give whole numbers of samples, 1 or more"),
        (lambda: filters.box(2.5), GeometryError, "box: size is 2.5; give whole numbers"),
        (lambda: filters.box(5000), GeometryError, "box: the kernel would have 5000 x 5000 taps; at most 16777216"),
        (lambda: filters.sobel(2), GeometryError, "sobel: axis is 2; with 2 axes give -2 to 1"),
        (lambda: filters.sharpen(math.nan), ProblemError, "sharpen: amount is nan; give a number, such as 1"),
        (lambda: filters.laplacian(0), GeometryError, "ndim is 0; a filter has 1 to 15 axes"),
        (lambda: filters.laplacian(16), GeometryError, "ndim is 16; a filter has 1 to 15 axes"),
    ],
)
def test_refused_parameters(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_parse_gives_what_the_function_gives() -> None:
    for text, f in {
        "gaussian:sigma=1,2.5,truncate=3": filters.gaussian((1, 2.5), truncate=3),
        "sobel:axis=0": filters.sobel(0),
        "sobel": filters.sobel(),
        "sharpen:amount=2e-1": filters.sharpen(0.2),
    }.items():
        np.testing.assert_array_equal(filters.parse(text).kernel, f.kernel)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blur", "unknown filter 'blur'; there are gaussian:sigma=...; box:size=...; disk:radius=...; binomial;"),
        ("", "unknown filter ''; there are gaussian"),
        ("schar", "unknown filter 'schar' (did you mean scharr?); there are gaussian"),
        ("gaussian", "filter gaussian needs sigma: write gaussian:sigma=...,truncate=4.0"),
        ("gaussian:2", "filter gaussian: '2' has no name; write gaussian:sigma=...,truncate=4.0"),
        ("gaussian:sgima=2", "filter gaussian has no parameter 'sgima'; it takes sigma, truncate"),
        ("laplacian:size=2", "filter laplacian has no parameter 'size'; it takes spacing"),
        ("box:size=3,size=5", "filter box: size is given twice in 'size=3,size=5'"),
        ("gaussian:sigma=wide", "gaussian: sigma is 'wide'; give standard deviations in samples, 0 or more"),
        ("gaussian:sigma=1,", "gaussian: sigma is (1, ''); give standard deviations"),
        ("custom", "filter custom needs file: write custom:file=..."),
        ("box:ndim=3,size=3", "filter box has no parameter 'ndim'; it takes size"),
    ],
)
def test_refused_texts(text: str, message: str) -> None:
    with pytest.raises(ProblemError, match=re.escape(message)):
        filters.parse(text)


def test_custom_reads_any_path(tmp_path: Path) -> None:
    path = tmp_path / "a=b,c:d.npy"
    taps = np.array([[1, -2], [3, 4]], ">i2")
    np.save(path, taps)
    found = filters.parse(f"custom:file={path}")
    np.testing.assert_array_equal(found.kernel, taps)
    assert found.kernel.dtype == np.int16
    assert found.formula == "taps of a=b,c:d.npy"


def test_custom_refusals(tmp_path: Path) -> None:
    np.save(tmp_path / "three.npy", np.ones((3, 3, 3)))
    with pytest.raises(GeometryError, match="the kernel has 3 axes, but 2 axes are filtered; name 3 axes, or give a"):
        filters.parse(f"custom:file={tmp_path / 'three.npy'}")
    with pytest.raises(FileError, match=r"absent\.npy: no such file"):
        filters.custom(tmp_path / "absent.npy")
    np.save(tmp_path / "objects.npy", np.array([None]))
    with pytest.raises(FileError, match="holds Python objects, which are never unpickled; save a numeric array"):
        filters.custom(tmp_path / "objects.npy")
    picture = tmp_path / "kernel.tif"
    write(picture, np.ones((3, 3), np.uint8))
    with pytest.raises(FileError, match="a kernel is read from an NPY file, and this is TIFF"):
        filters.custom(picture)
