"""Filters by name: known values, sums, signs, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import faltung as ft
from faltung import filters
from faltung.errors import ProblemError


@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.3])
def test_gaussian_is_scipys_impulse_response(sigma: float) -> None:
    kernel = np.asarray(filters.gaussian(sigma=sigma, ndim=2))
    impulse = np.zeros(kernel.shape)
    impulse[tuple(n // 2 for n in kernel.shape)] = 1
    want = ndimage.gaussian_filter(impulse, sigma, truncate=4.0, mode="constant")
    np.testing.assert_allclose(kernel, want, rtol=1e-12, atol=1e-16)
    assert kernel.sum() == pytest.approx(1)


def test_known_kernels() -> None:
    assert np.asarray(filters.sobel()).tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert np.asarray(filters.laplacian()).tolist() == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    assert np.asarray(filters.laplacian(ndim=1)).tolist() == [1, -2, 1]
    assert np.asarray(filters.sharpen()).tolist() == [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    np.testing.assert_allclose(np.asarray(filters.box(size=(2, 4))), np.full((2, 4), 1 / 8))


def test_sobel_grows_to_the_right_under_correlation() -> None:
    slope = np.tile(np.arange(6.0), (5, 1))
    assert ft.correlate(slope, filters.sobel())[2, 2] == 8
    assert ft.correlate(slope.T, filters.sobel(axis=0))[2, 2] == 8


def test_a_filter_is_a_kernel_that_knows_its_formula() -> None:
    one = filters.gaussian(sigma=(1.0, 2.0))
    assert np.asarray(one).shape == (9, 17)
    assert "exp" in one.formula
    assert "gaussian" in repr(one)
    with pytest.raises(ValueError, match="read-only"):
        one.kernel[0, 0] = 1


def test_filters_make_a_bank() -> None:
    x = np.random.default_rng(0).standard_normal((20, 30))
    got = ft.correlate(x, [filters.sobel(axis=0), filters.sobel(axis=1)])
    np.testing.assert_array_equal(got[1], ft.correlate(x, filters.sobel(axis=1)))


def test_a_custom_kernel_comes_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.array([[1, 2], [3, 4]]))
    assert np.asarray(filters.parse(f"custom:file={tmp_path / 'k.npy'}")).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blur", "unknown filter 'blur'; there are gaussian:sigma=...,truncate=4.0; box"),
        ("gaussian:width=3", "has no parameter 'width'; it takes sigma, truncate"),
        ("gaussian", "needs sigma"),
        ("gaussian:2", "has no name"),
        ("gaussian:sigma=1,sigma=2,sigma=3", "given twice"),
        ("gaussian:sigma=-1", "sigma"),
        ("gaussian:sigma=wide", "sigma"),
        ("box:size=0", "size"),
    ],
)
def test_what_no_filter_is(text: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message.replace("(", r"\(").replace("...", r"\.\.\.")):
        filters.parse(text)
