"""Pooling equals torch where torch has it: values, indices and gradients, on hundreds of drawn problems."""

from __future__ import annotations

import numpy as np
import pytest

from faltung.errors import GeometryError
from faltung.pooling import Pooling, adaptive_pool, lp_pool, max_pool, unpool

torch = pytest.importorskip("torch")
F = torch.nn.functional

LONGEST = {1: 60, 2: 24, 3: 11}


def draw(rng):
    rank = int(rng.integers(1, 4))
    window = rng.integers(1, 6, rank).tolist()
    options = {
        "stride": rng.integers(1, 5, rank).tolist(),
        "padding": [int(rng.integers(0, k // 2 + 1)) for k in window],
        "dilation": rng.integers(1, 3, rank).tolist(),
        "ceil_mode": bool(rng.integers(2)),
    }
    sizes = rng.integers(1, LONGEST[rank], rank).tolist()
    x = rng.integers(-9, 9, (2, 3, *sizes)) if rng.random() < 0.5 else rng.standard_normal((2, 3, *sizes))
    return rank, window, options, x.astype("f4" if rng.random() < 0.6 else "f8")


def counts_everywhere(pooling, shape):
    """Whether every window holds a sample: the smallest sum of ones is not zero."""
    ones = Pooling(
        pooling.window, kind="sum", stride=pooling.stride, padding=pooling.padding, dilation=pooling.dilation,
        ceil_mode=pooling.ceil_mode,
    )  # fmt: skip
    return ones(np.ones(shape)).min() > 0


def gradient_of(y, x, rng):
    g = rng.standard_normal(tuple(y.shape)).astype(y.detach().numpy().dtype)
    y.backward(torch.from_numpy(g))
    return g, x.grad.numpy()


def test_max_pool():
    rng, seen = np.random.default_rng(0), 0
    while seen < 220:
        rank, window, options, x = draw(rng)
        if seen % 4 == 0:
            x.flat[rng.integers(0, x.size, 4)] = rng.choice([np.nan, -np.inf, np.inf])
        if seen % 25 == 0:
            x[:] = -np.inf
        t = torch.from_numpy(x).requires_grad_()
        try:
            want, places = getattr(F, f"max_pool{rank}d")(t, window, return_indices=True, **options)
        except RuntimeError:  # the output is too small
            with pytest.raises(GeometryError, match="leaves no output"):
                max_pool(x, window, **options)
            continue
        pooling = Pooling(window, **options)
        if not counts_everywhere(pooling, x.shape):
            assert torch.isneginf(want).any()
            with pytest.raises(GeometryError, match="padding alone"):
                pooling(x)
            continue
        values, indices = pooling(x, return_indices=True)
        np.testing.assert_array_equal(values, want.detach())
        np.testing.assert_array_equal(pooling(x), want.detach())
        np.testing.assert_array_equal(indices, places)
        g, grad = gradient_of(want, t, rng)
        np.testing.assert_allclose(pooling.gradient(g, x), grad, rtol=1e-5, atol=1e-5)
        seen += 1


def test_mean_pool():
    rng, seen = np.random.default_rng(1), 0
    while seen < 160:
        rank, window, options, x = draw(rng)
        del options["dilation"]
        t = torch.from_numpy(x).requires_grad_()
        counted = bool(rng.integers(2))
        try:
            want = getattr(F, f"avg_pool{rank}d")(t, window, count_include_pad=counted, **options)
        except RuntimeError:
            continue
        pooling = Pooling(window, kind="mean", count_padding=counted, **options)
        tolerance = 1e-5 if x.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(pooling(x), want.detach(), rtol=tolerance, atol=10 * tolerance)
        g, grad = gradient_of(want, t, rng)
        np.testing.assert_allclose(pooling.gradient(g, x), grad, rtol=tolerance, atol=10 * tolerance)
        seen += 1


@pytest.mark.parametrize("p", [1.0, 2.0, 4.0])
def test_lp_pool_of_positive_samples(p):
    rng = np.random.default_rng(2)
    for rank, window, stride in ((1, [4], [3]), (2, [3, 2], [2, 2]), (3, [2, 2, 3], [1, 2, 2])):
        x = rng.random((2, 3, *[9] * rank)) + 0.1
        t = torch.from_numpy(x).requires_grad_()
        want = getattr(F, f"lp_pool{rank}d")(t, p, window if rank > 1 else window[0], stride)
        np.testing.assert_allclose(lp_pool(x, window, p, stride=stride), want.detach(), rtol=1e-12)
        g, grad = gradient_of(want, t, rng)
        got = Pooling(window, kind="lp", p=p, stride=stride).gradient(g, x)
        np.testing.assert_allclose(got, grad, rtol=1e-11, atol=1e-13)


def test_adaptive_pool():
    rng = np.random.default_rng(3)
    for _ in range(120):
        rank = int(rng.integers(1, 4))
        sizes, wanted = (rng.integers(1, 12, rank).tolist() for _ in range(2))
        x = rng.standard_normal((2, 3, *sizes))
        t = torch.from_numpy(x)
        np.testing.assert_allclose(
            adaptive_pool(x, wanted), getattr(F, f"adaptive_avg_pool{rank}d")(t, wanted), rtol=1e-12, atol=1e-13
        )
        np.testing.assert_array_equal(
            adaptive_pool(x, wanted, "max"), getattr(F, f"adaptive_max_pool{rank}d")(t, wanted)
        )
    x = rng.standard_normal((2, 50, 41))
    np.testing.assert_array_equal(
        adaptive_pool(x, (None, 1), "max"), F.adaptive_max_pool2d(torch.from_numpy(x), (None, 1))
    )


def test_unpool():
    rng = np.random.default_rng(4)
    for rank in (1, 2, 3):
        x = rng.standard_normal((2, 3, *[8] * rank))
        values, indices = max_pool(x, [2] * rank, return_indices=True)
        want = getattr(F, f"max_unpool{rank}d")(torch.from_numpy(values), torch.from_numpy(indices), 2)
        np.testing.assert_array_equal(unpool(values, indices, (8,) * rank), want)
