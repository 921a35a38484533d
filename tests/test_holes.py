"""Missing samples: normalised convolution against its formula, written out with the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung as ft
from faltung import definition

SMOOTH = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])


def formula(name, x, kernel, certainty, boundary="symmetric", outside=1.0, **options):
    """Σk · Σ k c x / Σ k c in extended precision; beyond a constant edge `outside` is the certainty."""
    apply = getattr(definition, name)
    filled = np.where(certainty > 0, x, 0) * certainty
    total = apply(filled, kernel, boundary=boundary, **options)
    weight = apply(
        certainty,
        kernel,
        boundary=("constant", outside) if boundary in ("zero",) or isinstance(boundary, tuple) else boundary,
        **options,
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight == 0, np.nan, kernel.sum() * total / np.where(weight == 0, 1, weight))


def sample(seed, shape, holes=0.3, dtype=np.float64):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(dtype)
    x[rng.random(shape) < holes] = np.nan
    return x


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["correlate", "convolve"]),
    st.sampled_from(["zero", "edge", "reflect", "symmetric", "wrap"]),
    st.sampled_from([(12,), (9, 11), (4, 5, 6)]),
    st.integers(1, 3),
    st.integers(1, 2),
)
def test_nan_is_left_out_as_the_formula_says(seed, name, boundary, shape, stride, dilation) -> None:
    x = sample(seed, shape)
    kernel = np.random.default_rng(seed + 1).random((3,) * len(shape)) + 0.1
    options = {"boundary": boundary, "stride": stride, "dilation": dilation}
    want = formula(name, x, kernel, (~np.isnan(x)).astype(float), **options)
    got = getattr(ft, name)(x, kernel, nan="ignore", **options)
    np.testing.assert_allclose(got, want.astype(float), rtol=1e-12, atol=1e-12)


def test_it_equals_astropy() -> None:
    convolution = pytest.importorskip("astropy.convolution")
    x = sample(0, (60, 70), 0.05)
    kernel = np.outer(np.hanning(11)[1:-1], np.hanning(11)[1:-1])
    for boundary, theirs in (("zero", "fill"), ("edge", "extend"), ("wrap", "wrap")):
        want = convolution.convolve(x, kernel, boundary=theirs, nan_treatment="interpolate", normalize_kernel=True)
        got = ft.convolve(x, kernel / kernel.sum(), boundary=boundary, nan="ignore")
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
    want = convolution.convolve(x, kernel, boundary="wrap", preserve_nan=True)
    got = ft.convolve(x, kernel / kernel.sum(), boundary="wrap", nan="ignore", preserve_nan=True)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


def test_a_mask_leaves_samples_out_whatever_they_hold() -> None:
    x = np.random.default_rng(0).standard_normal((20, 30))
    mask = np.random.default_rng(1).random(x.shape) < 0.6
    want = formula("correlate", x, SMOOTH, mask.astype(float))
    for hidden in (0.0, np.nan, np.inf, 1e300):
        got = ft.correlate(np.where(mask, x, hidden), SMOOTH, mask=mask)
        np.testing.assert_allclose(got, want.astype(float), rtol=1e-12, atol=1e-12)


def test_weights_count_in_proportion() -> None:
    x = np.random.default_rng(0).standard_normal((20, 30))
    weights = np.random.default_rng(1).random(x.shape)
    want = formula("correlate", x, SMOOTH, weights)
    np.testing.assert_allclose(ft.correlate(x, SMOOTH, mask=weights), want.astype(float), rtol=1e-12, atol=1e-12)


def test_nan_that_the_mask_lets_through_propagates() -> None:
    x = np.ones((9, 9))
    x[4, 4] = np.nan
    mask = np.ones((9, 9), bool)
    mask[0, 0] = False
    assert np.isnan(ft.correlate(x, SMOOTH, mask=mask)).sum() == 9
    assert not np.isnan(ft.correlate(x, SMOOTH, mask=mask, nan="ignore")).any()


def test_windows_without_enough_weight_are_nan() -> None:
    x = np.array([1.0, np.nan, np.nan, np.nan, 5.0, 6.0])
    kernel = np.array([0.25, 0.5, 0.25])
    got = ft.correlate(x, kernel, nan="ignore", boundary="edge")
    np.testing.assert_allclose(got, [1, 1, np.nan, 5, 16 / 3, 6 - 1 / 4], equal_nan=True)
    got = ft.correlate(x, kernel, nan="ignore", boundary="edge", min_weight=0.5)
    np.testing.assert_allclose(got, [1, np.nan, np.nan, np.nan, 16 / 3, 6 - 1 / 4], equal_nan=True)


def test_nothing_missing_is_the_plain_answer() -> None:
    x = np.random.default_rng(0).standard_normal((50, 60)).astype(np.float32)
    np.testing.assert_array_equal(ft.correlate(x, SMOOTH, nan="ignore"), ft.correlate(x, SMOOTH))


def test_what_lies_outside_can_be_left_out() -> None:
    x = np.array([1.0, 2.0, 3.0])
    kernel = np.array([1.0, 1.0, 1.0]) / 3
    got = ft.correlate(x, kernel, nan="ignore", boundary="constant:nan")
    np.testing.assert_allclose(got, [1.5, 2.0, 2.5])
    # Without asking, zeros beyond the edge are samples like others.
    got = ft.correlate(x, kernel, nan="ignore", boundary="zero")
    np.testing.assert_allclose(got, [1.0, 2.0, 5 / 3])


def test_types() -> None:
    x = np.array([1, 2, 250, 4], np.uint8)
    mask = np.array([True, True, False, True])
    got = ft.correlate(x, [1, 1, 1], mask=mask, boundary="edge")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [4, 4.5, 9, 12])
    assert ft.correlate(x, [1.0, 1.0, 1.0], mask=mask, dtype="input").tolist() == [4, 4, 9, 12]
    halves = np.array([1, np.nan, 3], np.float16)
    assert ft.correlate(halves, [1.0, 1.0, 1.0], nan="ignore").dtype == np.float16
    z = np.array([1 + 1j, complex(np.nan, 2), 3 - 1j])
    np.testing.assert_allclose(ft.correlate(z, [1.0, 1.0, 1.0], nan="ignore", boundary="edge")[1], 6.0)


def test_banks_and_carried_axes() -> None:
    x = sample(3, (20, 30, 3))
    bank = [SMOOTH, np.ones((3, 3))]
    got = ft.correlate(x, bank, axes=(0, 1), nan="ignore")
    for filter_, kernel in enumerate(bank):
        for channel in range(3):
            want = ft.correlate(x[..., channel], kernel, nan="ignore")
            np.testing.assert_allclose(got[filter_, ..., channel], want, rtol=1e-12)


def test_out_is_written() -> None:
    x = sample(3, (20, 30))
    out = np.empty((20, 30))
    assert ft.correlate(x, SMOOTH, nan="ignore", out=out) is out
    np.testing.assert_array_equal(out, ft.correlate(x, SMOOTH, nan="ignore"))
    with pytest.raises(ft.errors.GeometryError, match=r"out must be a writable array of shape \(20, 30\)"):
        ft.correlate(x, SMOOTH, nan="ignore", out=np.empty((20, 31)))


X = np.ones((5, 6))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"nan": "drop"}, "ProblemError", "nan='drop': expected 'propagate'.*or 'ignore'"),
        (
            {"mask": np.ones((4, 4))},
            "GeometryError",
            r"mask of shape \(4, 4\) does not fit the input of shape \(5, 6\)",
        ),
        ({"mask": np.full((5, 6), 2.0)}, "ProblemError", "mask has values outside 0 to 1"),
        ({"mask": np.full((5, 6), "a")}, "DtypeError", "mask must hold booleans"),
        ({"nan": "ignore", "min_weight": 2}, "ProblemError", "min_weight=2: expected the share"),
        ({"nan": "ignore", "boundary": "antireflect"}, "BoundaryError", "'antireflect' mirrors through the edge"),
        ({"nan": "ignore", "preserve_nan": True, "mode": "full"}, "GeometryError", "preserve_nan needs .*mode='full'"),
        ({"nan": "ignore", "kernel": [[1, 0, -1]] * 3}, "ProblemError", "taps sum to 0"),
        ({"nan": "ignore", "kernel": SMOOTH * 1j}, "DtypeError", "need a real kernel"),
        ({"mask": X == 0, "dtype": np.int32}, "DtypeError", "some outputs see no sample at all, and int32 cannot say"),
    ],
)
def test_refusals_say_what_and_how(options, error, text) -> None:
    with pytest.raises(getattr(ft.errors, error), match=text):
        ft.correlate(X, options.pop("kernel", SMOOTH), **options)
