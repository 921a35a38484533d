"""Pooling equals its definition, window by window: any rank, axes, boundary, geometry, dtype and layout."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faltung.compiler import kernels
from faltung.errors import BoundaryError, DtypeError, GeometryError
from faltung.pooling import Pooling, lp_pool, max_pool, mean_pool, median_pool, min_pool, pool, sum_pool
from pooling_cases import KINDS, Case, cases, extended


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_pooling_is_its_definition(kind, data):
    case = data.draw(cases(kinds=(kind,)))
    want, chosen = case.definition()
    pooling = case.pooling()
    if want is None:
        with pytest.raises(GeometryError, match="padding alone"):
            pooling(case.x)
        return
    got = pooling(case.x, threads=1 + case.x.size % 2)
    assert got.shape == want.shape == pooling.output_shape(case.x.shape)
    eps = np.finfo(got.dtype).eps if got.dtype.kind in "fc" else 0
    if case.kind in ("max", "min", "median"):
        odd = any(rule and rule.startswith("anti") for rule in case.rules)
        if not (odd and got.dtype.kind == "f"):
            assert (got == want.astype(got.dtype)).all()
        else:
            np.testing.assert_allclose(got, want.astype(float), rtol=8 * eps, atol=600 * eps)
        if not (odd and case.x.dtype.kind == "i"):
            assert got.dtype == case.x.dtype.newbyteorder("=")
        if not pooling.windows(case.x.shape).has_odd_rules:
            values, indices = pooling(case.x, return_indices=True)
            assert values.tobytes() == got.tobytes() or (values == got).all()
            np.testing.assert_array_equal(indices, case.in_pooled_axes(chosen))
        return
    if case.kind == "sum" and got.dtype.kind in "iu":
        assert (got == want).all()
        return
    want = want.astype(np.result_type(got.dtype, "f8"))
    # Samples are at most 20, extrapolated ones a few times that.
    scale = np.prod(case.window) * 600 / (np.prod(case.window) if case.kind == "mean" else 1)
    scale *= np.prod(case.window) ** 2 if case.kind == "lp" and case.p < 1 else 1
    np.testing.assert_allclose(got, want, rtol=4 * eps, atol=4 * eps * scale)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
def test_extreme_values_and_equal_ones(dtype):
    """Values that are equal to what stands for padding, everywhere or here and there, and all types' limits."""
    dtype = np.dtype(dtype)
    low, high = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    rng = np.random.default_rng(0)
    for values in ([low], [high], [low, high, 1]):
        for shape in ((40,), (7, 37), (2, 5, 9), (4, 5, 18)):
            x = rng.choice(np.array(values, dtype), shape)
            rank = min(2, x.ndim)
            axes = tuple(range(x.ndim - rank, x.ndim)) if shape[-1] != 18 else (0, 1)
            for stride, kind in itertools.product((1, 2), ("max", "min", "median")):
                window, ones = [1] * x.ndim, (1,) * x.ndim
                step, pads = list(ones), [0] * x.ndim
                for axis in axes:
                    window[axis], step[axis], pads[axis] = 3, stride, 1
                rules = tuple(None if a in axes else "zero" for a in range(x.ndim))
                case = Case(
                    x, kind, tuple(window), tuple(step), tuple(pads), tuple(pads), ones, rules, axes, False, True, 2
                )
                want, chosen = _by_sorting(case)
                got, indices = case.pooling()(x, return_indices=True)
                assert (got == want).all()
                assert (case.pooling()(x) == want).all()
                np.testing.assert_array_equal(indices, case.in_pooled_axes(chosen))


def _by_sorting(case):
    """Choose in Python's exact numbers, since -x of an unsigned or of the lowest integer is wrong."""
    values, chosen = np.zeros(case.sizes(), case.x.dtype), np.zeros(case.sizes(), np.int64)
    whole, at = extended(case.x, case.low, case.high, case.rules)
    for o in itertools.product(*map(range, case.sizes())):
        lines = [slice(s * i, s * i + k) for i, s, k in zip(o, case.stride, case.window, strict=True)]
        samples = [
            (v, i)
            for v, i in zip(whole[tuple(lines)].ravel().tolist(), at[tuple(lines)].ravel(), strict=True)
            if i >= 0
        ]
        order = sorted((v for v, _ in samples), reverse=case.kind == "max")
        best = order[len(order) // 2 if case.kind == "median" else 0]
        values[o], chosen[o] = best, next(i for v, i in samples if v == best)
    return values, chosen


@pytest.mark.parametrize("kind", KINDS)
def test_nan_reaches_the_windows_that_hold_it(kind):
    x = np.ones((12, 40), "f4")
    x[5, 17] = np.nan
    got = pool(x, (3, 4), kind, stride=1, padding=1)
    want = pool(np.isnan(x).astype("u1"), (3, 4), "max", stride=1, padding=1).astype(bool)
    np.testing.assert_array_equal(np.isnan(got), want)
    if kind in ("max", "min", "median"):
        _, indices = pool(x, (3, 4), kind, stride=1, padding=1, return_indices=True)
        assert (indices[want] == 5 * 40 + 17).all()
        assert (x.ravel()[indices[~want]] == 1).all()


def test_long_windows_and_medians_along_one_axis():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 300))
    windows = np.lib.stride_tricks.sliding_window_view(x, 101, 1)
    for kind, op in (("max", np.max), ("min", np.min), ("mean", np.mean), ("sum", np.sum)):
        np.testing.assert_allclose(pool(x, 101, kind, stride=1), op(windows, -1), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(pool(x, 101, "median", stride=1), np.median(windows, -1))
    np.testing.assert_array_equal(pool(x.T, 101, "median", 1, axes=0), np.median(windows, -1).T)
    np.testing.assert_array_equal(pool(x, 101, return_indices=True, stride=1)[1], windows.argmax(-1) + np.arange(200))
    square = rng.integers(0, 40, (60, 70)).astype("f4")
    values, indices = pool(square, (31, 31), stride=1, padding=15, return_indices=True)
    np.testing.assert_array_equal(values, pool(square, (31, 31), stride=1, padding=15))
    np.testing.assert_array_equal(square.ravel()[indices], values)
    largest = np.lib.stride_tricks.sliding_window_view(square, (31, 31)).reshape(30, 40, -1).argmax(-1)
    want = (largest // 31 + np.arange(30)[:, None]) * 70 + largest % 31 + np.arange(40)
    np.testing.assert_array_equal(indices[15:45, 15:55], want)


@pytest.mark.skipif(not kernels.available(), reason="nothing is compiled here anyway")
def test_without_a_compiler_the_answers_are_the_same(monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.integers(-9, 9, (3, 20, 33)).astype("f4")
    described = [
        ((3, 3), {"stride": 2, "padding": 1}), ((2, 2), {}), ((4, 2), {"stride": 1, "dilation": (2, 1), "axes": (2, 0)}),
        ((2,), {"axes": 1}), ((3, 3), {"stride": 1, "padding": 1, "boundary": "reflect"}),
    ]  # fmt: skip
    compiled = [
        [Pooling(window, kind=kind, **options)(x) for kind in KINDS for window, options in described],
        [pool(x, window, return_indices=True, **options)[1] for window, options in described],
    ]
    monkeypatch.setattr(kernels, "available", lambda: False)
    values = [Pooling(window, kind=kind, **options)(x) for kind in KINDS for window, options in described]
    for got, want in zip(values, compiled[0], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-5)
    for (window, options), want in zip(described, compiled[1], strict=True):
        np.testing.assert_array_equal(Pooling(window, **options)(x, return_indices=True)[1], want)


def test_named_forms_and_result_types():
    x = np.array([[3, 1, 4, 1], [5, 9, 2, 6]], "u1")
    assert max_pool(x, (2, 2)).tolist() == [[9, 6]]
    assert min_pool(x, (2, 2)).tolist() == [[1, 1]]
    assert mean_pool(x, (2, 2)).tolist() == [[4.5, 3.25]]
    assert sum_pool(x, (2, 2)).tolist() == [[18, 13]]
    assert median_pool(x, (2, 2)).tolist() == [[5, 4]]
    np.testing.assert_allclose(lp_pool(x, (1, 2)), np.sqrt([[10, 17], [106, 40]]), rtol=1e-7)
    assert lp_pool(x, (2, 2), p=np.inf).tolist() == [[9, 6]]
    assert [f(x, 2).dtype.name for f in (max_pool, mean_pool, sum_pool, lp_pool)] == [
        "uint8",
        "float32",
        "int32",
        "float32",
    ]
    assert [f(x.astype("i8"), 2).dtype.name for f in (mean_pool, sum_pool, lp_pool)] == ["float64", "int64", "float64"]
    assert mean_pool(np.full(4, 6e4, "f2"), 4).tolist() == [6e4]  # the sum exceeds half floats
    assert lp_pool(np.full(4, 1e30, "f4"), 4).tolist() == [np.float32(2e30)]
    assert lp_pool(np.array([3 + 4j, 0], "c8"), 2).dtype == np.float32


def test_integers_that_an_odd_rule_extrapolates():
    x = np.array([10, 200, 250], "u1")
    got = pool(x, 3, "min", stride=1, padding=1, boundary="antireflect")
    assert got.dtype == np.int32
    assert got.tolist() == [10 - 190, 10, 200]
    with pytest.raises(DtypeError, match="extrapolates"):
        pool(np.array([2**62, -(2**62)]), 3, stride=1, padding=1, boundary="antireflect")


def test_descriptions_show_and_keep_themselves():
    p = Pooling((3, 3), kind="lp", stride=2, padding=1, axes=(1, 2), boundary="reflect", p=3)
    again = pickle.loads(pickle.dumps(p))
    x = np.random.default_rng(2).standard_normal((2, 9, 9, 3))
    np.testing.assert_array_equal(p(x), again(x))
    assert repr(p) == repr(again)
    assert repr(p) == (
        "<Pooling lp 3x3, stride=(2, 2), padding=((1, 1), (1, 1)), boundary='reflect', p=3.0, axes=(1, 2): "
        "y[j] = (Σ_l |x[2·j + l]|^3)^(1/3)>"
    )
    assert repr(Pooling(2)) == "<Pooling max 2: y[j] = max_l x[2·j + l]>"
    assert Pooling((2, 3), stride=1, dilation=(1, 2)).formula == "y[j] = max_l x[j + dilation·l]"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: pool([1, 2], 2, "avg"), GeometryError, "unknown kind of pooling 'avg'; the kinds are 'max'"),
        (lambda: pool([1, 2], 3), GeometryError, r"spans 3 samples of axis 0 .* 0 \+ 2 \+ 0 = 2, .* pad by 1 more"),
        (lambda: pool([1, 2], 2, dilation=3, padding=0), GeometryError, "spans 4 samples of axis 0"),
        (lambda: pool([1, 2], (2, 2)), GeometryError, r"has 2 axes, but the array of shape \(2,\) has 1"),
        (lambda: pool([1, 2], (), axes=()), GeometryError, "pools no axis"),
        (lambda: pool([1, 2], 0), GeometryError, "window 0 on axis 0"),
        (lambda: pool([1, 2], 2, stride=0), GeometryError, "stride 0 on axis 0"),
        (lambda: pool([1, 2], 2, padding=-1), GeometryError, "padding -1 on axis 0"),
        (lambda: pool([1, 2], 2, padding=3), GeometryError, "output 0 on axis 0 has a window of padding alone"),
        (lambda: pool([1, 2], 2, "mean", padding=2, count_padding=False), GeometryError, "of padding alone"),
        (lambda: pool([1, 2], 2, "mean", boundary="edge", count_padding=False), GeometryError, "leave one of them out"),
        (lambda: pool([1, 2], 2, "mean", return_indices=True), GeometryError, "kind='mean', which chooses no sample"),
        (lambda: pool([1, 2], 2, padding=1, boundary="antireflect", return_indices=True), GeometryError, "odd boundary"),
        (lambda: pool([1, 2], 2, padding=1, boundary="nonsense"), BoundaryError, "unknown boundary 'nonsense'"),
        (lambda: pool(np.zeros(4, "u1"), 2, padding=1, boundary="constant:300"), DtypeError, "300 is no uint8"),
        (lambda: pool([1j, 2], 2), DtypeError, "complex numbers have no order"),
        (lambda: pool([1, 2], 2, "lp", p=0), GeometryError, "p=0"),
        (lambda: pool([1, 2], 2, threads=0), GeometryError, "threads"),
        (lambda: pool([1, 2], 2, axes=1), GeometryError, "no axis 1"),
        (lambda: sum_pool(np.array([2**62, 2**62]), 2), DtypeError, "overflow"),
        (lambda: pool(np.array(["a", "b"]), 2), DtypeError, "dtype"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_padding_may_exceed_half_the_window_where_samples_are_met():
    assert pool([1, 2, 3], 3, stride=2, padding=2).tolist() == [1, 3, 3]
    assert pool([1, 2], 2, "sum", stride=1, padding=3).tolist() == [0, 0, 1, 3, 2, 0, 0]
    assert pool([1, 2], 2, stride=1, padding=3, boundary="wrap").tolist() == [2] * 7
    assert pool(np.zeros((0, 4)), 2, axes=1).shape == (0, 2)
    assert pool(np.zeros((3, 0)), 2, axes=1).shape == (3, 0)
