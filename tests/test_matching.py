"""Normalised cross-correlation against its formula, scikit-image and OpenCV."""

import cv2
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from skimage.feature import match_template as skimage_match

import faltung as ft
from faltung import match_template


def formula(x, template):
    """The correlation coefficient of every window, in extended precision."""
    windows = sliding_window_view(np.asarray(x, np.longdouble), template.shape)
    axes = tuple(range(x.ndim, 2 * x.ndim))
    centred = windows - windows.mean(axes, keepdims=True)
    pattern = template - np.asarray(template, np.longdouble).mean()
    norms = np.sqrt((centred**2).sum(axes) * (pattern**2).sum())
    return np.where(norms == 0, 0, (centred * pattern).sum(axes) / np.where(norms == 0, 1, norms))


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize(("shape", "size"), [((200,), (17,)), ((40, 50), (7, 8)), ((12, 13, 14), (3, 4, 5))])
def test_it_is_the_coefficient(dtype, shape, size) -> None:
    rng = np.random.default_rng(len(shape))
    x = rng.integers(0, 100, shape).astype(dtype)
    template = x[tuple(slice(3, 3 + n) for n in size)]
    got = match_template(x, template)
    assert got.dtype == (np.float64 if dtype in ("i4", "f8") else np.float32)
    np.testing.assert_allclose(got, formula(x, template).astype(float), atol=1e-12 if got.itemsize == 8 else 1e-7)
    assert np.unravel_index(got.argmax(), got.shape) == (3,) * len(shape)
    assert got.max() == pytest.approx(1)


def test_it_equals_others() -> None:
    rng = np.random.default_rng(0)
    x, template = rng.random((80, 90)).astype(np.float32), rng.random((11, 14)).astype(np.float32)
    np.testing.assert_allclose(match_template(x, template), skimage_match(x, template), atol=1e-5)
    np.testing.assert_allclose(
        match_template(x, template), cv2.matchTemplate(x, template, cv2.TM_CCOEFF_NORMED), atol=1e-5
    )


def test_windows_without_variation_match_nothing() -> None:
    x = np.full((30, 30), 0.1)
    x[20:, 20:] = np.random.default_rng(0).random((10, 10))
    got = match_template(x, np.eye(5))
    assert (got[:15, :15] == 0).all()
    assert (match_template(x, np.full((5, 5), 0.3)) == 0).all()


def test_a_faint_pattern_on_a_high_level_is_found() -> None:
    rng = np.random.default_rng(0)
    x = 1e6 + 1e-3 * rng.standard_normal((60, 60))
    template = x[20:29, 30:39]
    got = match_template(x, template)
    np.testing.assert_allclose(got, formula(x, template).astype(float), atol=1e-6)


def test_borders_and_carried_axes() -> None:
    rng = np.random.default_rng(0)
    x, template = rng.random((20, 25)), rng.random((5, 4))
    want = formula(np.pad(x, [(2, 2), (2, 1)], "reflect"), template)
    np.testing.assert_allclose(
        match_template(x, template, mode="same", boundary="reflect"), want.astype(float), atol=1e-12
    )
    stack = np.stack([x, 3 * x + 1])
    got = match_template(stack, template, axes=(1, 2))
    np.testing.assert_allclose(got[0], got[1], atol=1e-12)
    np.testing.assert_allclose(got[0], match_template(x, template), atol=1e-12)


def test_nan_and_inf_spoil_their_windows_only() -> None:
    x = np.random.default_rng(0).random((30, 30))
    x[10, 10], x[20, 20] = np.nan, np.inf
    got = match_template(x, np.eye(3))
    assert np.isnan(got).sum() == 18
    np.testing.assert_allclose(got[:6, :6], formula(x[:8, :8], np.eye(3)).astype(float), atol=1e-12)


def test_refusals() -> None:
    with pytest.raises(ft.errors.DtypeError, match="the template is complex"):
        match_template(np.ones(5), np.ones(3) * 1j)
    with pytest.raises(ft.errors.GeometryError, match="axes="):
        match_template(np.ones((5, 5)), np.ones(3))
