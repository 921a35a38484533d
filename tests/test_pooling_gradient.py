"""Gradients: sums and means by <A x, y> = <x, Aᵀ y>, all others by differences; and the way back from indices."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from faltung.errors import DtypeError, GeometryError
from faltung.pooling import Pooling, adaptive_pool, global_pool, max_pool, median_pool, pool_gradient, unpool
from pooling_cases import RULES, cases


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(kinds=("mean", "sum"), dtypes=("f8", "f8", "f4", "c16"), rules=(None, None, *RULES)))
def test_sums_and_means_are_adjoint(case):
    pooling, rng = case.pooling(), np.random.default_rng(0)
    try:
        zero = pooling(np.zeros(case.x.shape))
    except GeometryError:
        return
    x = rng.standard_normal(case.x.shape)
    g = rng.standard_normal(zero.shape)
    # A constant makes the operation affine: its linear part is what is left without it.
    there = ((pooling(x) - zero) * g).sum()
    gradient = pooling.gradient(g, x)
    size = 300 * math.prod(case.window) * (np.abs(g).sum() + 1) * 3
    assert abs(there - (x * gradient).sum()) <= size * 2.0**-52
    both = pooling.gradient(g + 2j * g, x)
    np.testing.assert_allclose(both, (1 + 2j) * gradient, rtol=1e-12, atol=1e-12)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(kinds=("max", "min", "median", "lp"), dtypes=("f8",)))
def test_gradients_are_those_of_differences(case):
    pooling, rng = case.pooling(), np.random.default_rng(1)
    # Apart from each other, from zero and from the boundary's constant, so that the choice is stable.
    x = rng.permutation(np.arange(case.x.size) + 0.37).reshape(case.x.shape) / 7 * rng.choice([-1, 1])
    try:
        y = pooling(x)
    except GeometryError:
        return
    odd = pooling.windows(x.shape).has_odd_rules
    g = rng.standard_normal(y.shape)
    got = pooling.gradient(g, x)
    step = 1e-6
    for at in rng.permutation(x.size)[:8]:
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved.flat[at] += sign * step
            ends.append((pooling(moved) * g).sum())
        slopes = [(ends[0] - (y * g).sum()) / step, ((y * g).sum() - ends[1]) / step]
        if odd and abs(slopes[0] - slopes[1]) > 1e-3:
            continue  # extrapolated samples may be equal: a corner
        if case.kind == "lp" and case.p < 1 and odd:
            continue  # extrapolated samples may be zero, where the slope is infinite
        assert abs((ends[0] - ends[1]) / (2 * step) - got.flat[at]) <= 1e-4 * (1 + abs(got.flat[at])) * g.size


@pytest.mark.parametrize("boundary", [None, *RULES])
@pytest.mark.parametrize("kind", ["mean", "sum"])
def test_every_boundary_stride_and_dilation_is_adjoint(kind, boundary):
    rng = np.random.default_rng(2)
    for stride, dilation, ceil_mode in itertools.product((1, 2, 3), (1, 2), (False, True)):
        pooling = Pooling(
            (3, 2), kind=kind, stride=stride, dilation=dilation, padding=(2, 1), boundary=boundary, ceil_mode=ceil_mode
        )
        x, zero = rng.standard_normal((2, 7, 8)), pooling(np.zeros((2, 7, 8)))
        g = rng.standard_normal(zero.shape)
        there, back = ((pooling(x) - zero) * g).sum(), (x * pooling.gradient(g, x)).sum()
        assert abs(there - back) <= 1e-12 * (1 + abs(there))


def test_whom_a_gradient_reaches():
    assert pool_gradient([1.0], [3.0, 3.0, 1.0], Pooling(3)).tolist() == [1, 0, 0]
    assert pool_gradient([1.0], [np.nan, 3.0, np.nan], Pooling(3)).tolist() == [0, 0, 1]
    assert pool_gradient([1.0], [3.0, 1.0, 1.0], Pooling(3, kind="median")).tolist() == [0, 1, 0]
    got = pool_gradient([1.0, 2.0], [0.0, 0.0, 3.0, -4.0], Pooling(2, kind="lp"))
    np.testing.assert_allclose(got, [0, 0, 1.2, -1.6], rtol=1e-15)
    assert pool_gradient([1.0], [3.0, -5.0, 5.0], Pooling(3, kind="lp", p=np.inf)).tolist() == [0, -1, 0]
    # What a boundary's constant receives is lost, and what an odd rule reads is split.
    assert pool_gradient([1.0, 1.0], [-3.0], Pooling(2, stride=1, padding=1, boundary="zero")).tolist() == [0]
    odd = Pooling(2, stride=1, padding=[(0, 1)], boundary="antireflect")
    assert pool_gradient([0.0, 1.0], [1.0, 5.0], odd).tolist() == [-1, 2]
    assert Pooling(2).gradient(np.ones(2, "f4"), np.zeros(4, "f4")).dtype == np.float32
    assert Pooling(2).gradient(np.ones(2, "f2"), np.zeros(4, "f2")).dtype == np.float32
    assert Pooling(2).gradient(np.zeros((0, 2)), np.zeros((0, 4))).shape == (0, 4)


def test_gradients_that_have_no_meaning_are_refused():
    with pytest.raises(GeometryError, match=r"has the shape \(3,\), but pooling an array of shape \(4,\) gives \(2,\)"):
        pool_gradient(np.ones(3), np.ones(4), Pooling(2))
    with pytest.raises(DtypeError, match="which is real"):
        pool_gradient(np.ones(2, complex), np.ones(4), Pooling(2))
    with pytest.raises(DtypeError, match="norms of complex numbers"):
        pool_gradient(np.ones(2), np.ones(4, complex), Pooling(2, kind="lp"))


def test_global_and_adaptive_pooling():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((3, 40, 50))
    for kind, op in (("max", np.max), ("min", np.min), ("mean", np.mean), ("sum", np.sum)):
        for axes in (None, (1, 2), -1, (0,)):
            np.testing.assert_allclose(global_pool(x, kind, axes), op(x, axes, keepdims=True), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        global_pool(x, "lp", (1, 2), p=3), (np.abs(x) ** 3).sum((1, 2), keepdims=True) ** (1 / 3)
    )
    np.testing.assert_array_equal(global_pool(x, "lp", p=np.inf), np.abs(x).max(keepdims=True))
    assert global_pool(x, "median", 0).tolist() == np.median(x, 0, keepdims=True).tolist()
    assert adaptive_pool([5, 1, 3, 2, 9], 2, "median").tolist() == [3, 3]
    assert adaptive_pool(np.arange(600, dtype="u1"), 2, "sum").tolist() == [int(np.arange(300).astype("u1").sum()), int(np.arange(300, 600).astype("u1").sum())]  # fmt: skip
    assert adaptive_pool([1, 2, 3], 6, "max").tolist() == [1, 1, 2, 2, 3, 3]
    assert adaptive_pool(np.ones((2, 9), ">f4"), (None, 2)).dtype == np.float32
    assert adaptive_pool(x, 7, axes=(0, 2)).shape == (7, 40, 7)
    with pytest.raises(GeometryError, match="is empty"):
        global_pool(np.zeros((0, 3)))
    with pytest.raises(GeometryError, match="output_size 0 on axis 0"):
        adaptive_pool(x, 0)
    with pytest.raises(GeometryError, match="2 entries for 1 pooled axes"):
        adaptive_pool(x, (1, 2), axes=0)
    with pytest.raises(GeometryError, match="unknown kind"):
        global_pool(x, "average")
    with pytest.raises(DtypeError, match="no order"):
        global_pool(np.ones(999, complex))


def test_unpool_puts_values_where_they_came_from():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((4, 9, 5))
    for options in ({}, {"axes": (0, 1)}, {"axes": (2, 0)}, {"stride": 1, "padding": 1}):
        axes = options.get("axes", (1, 2))
        values, indices = max_pool(x, (2, 2), return_indices=True, **options)
        back = unpool(values, indices, [x.shape[a] for a in axes], axes)
        assert back.shape == x.shape
        assert set(back[back != 0]) == set(values.ravel())
        np.testing.assert_array_equal(back[back != 0], x[back != 0])
    values, indices = median_pool(x, (3, 3), return_indices=True, padding=1, boundary="zero")
    assert (indices == -1).any()
    back = unpool(values, indices, (9, 5))
    np.testing.assert_array_equal(back[back != 0], x[back != 0])
    with pytest.raises(GeometryError, match="do not lie in the 4 samples"):
        unpool([1, 2], [0, 4], 4)
    with pytest.raises(GeometryError, match="integer indices"):
        unpool([1, 2], [0], 4)
