"""Blurred and polyphase down-sampling: against their formulas, and exactly equivariant to every circular shift."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from faltung.antialias import blur_pool, polyphase_pool
from faltung.errors import BoundaryError, DtypeError, GeometryError


def rotations(x, axes):
    """Give every circular shift along some axes, as bytes."""
    return {np.roll(x, shift, axes).tobytes(): shift for shift in itertools.product(*(range(x.shape[a]) for a in axes))}


def assert_equivariant(x, stride, axes, shifts=None, order=2):
    """Every circular shift of the input gives a circular shift of the output, bit for bit."""
    y = polyphase_pool(x, stride, axes, order)
    allowed = rotations(y, axes)
    every = itertools.product(*(range(x.shape[a]) for a in axes))
    for shift in shifts if shifts is not None else every:
        shifted = polyphase_pool(np.roll(x, shift, axes), stride, axes, order)
        assert shifted.tobytes() in allowed, (shift, x)
        if all(s % stride == 0 for s in shift):
            assert shifted.tobytes() == np.roll(y, [s // stride for s in shift], axes).tobytes()


SHAPES = {(1, 2): (24,), (1, 3): (27,), (2, 2): (8, 6), (2, 3): (9, 6), (3, 2): (4, 6, 2), (3, 3): (6, 3, 3)}


def arrays(shape, rng):
    """Give inputs of every kind: without ties, and with ties of norm, of multiset, and of all but the place."""
    grid = np.indices(shape)
    decades = 10.0 ** rng.integers(-150, 150, shape)
    return {
        "random": rng.standard_normal(shape),
        "decades": rng.standard_normal(shape) * decades,
        "float32": rng.standard_normal(shape).astype("f4"),
        "constant": np.full(shape, 0.1),
        "zero": np.zeros(shape),
        "checkers": (grid.sum(0) % 2).astype(float),
        "stripes": (grid[-1] % 3).astype(float),
        "symmetric": sum(np.minimum(g, n - 1 - g) for g, n in zip(grid, shape, strict=True)).astype(float),
        "signs": rng.choice([-1.0, 1.0], shape),
        "few values": rng.integers(0, 2, shape).astype(float),
        "one spot": (grid.sum(0) == 0).astype(float),
        "signed zeros": rng.choice([-0.0, 0.0], shape),
        "integers": rng.integers(-2, 3, shape),
        "wide integers": rng.integers(2**62, 2**62 + 4, shape),
        "bytes": rng.integers(0, 3, shape).astype("u1"),
        "bool": rng.random(shape) < 0.5,
        "complex": rng.choice([1, -1, 1j, -1j], shape),
        "permuted": rng.permuted(np.tile(rng.standard_normal(math.prod(shape) // 3), 3)).reshape(shape),
        "nan": np.where(rng.random(shape) < 0.1, np.nan, rng.integers(0, 2, shape)),
        "infinite": np.where(rng.random(shape) < 0.1, -np.inf, rng.integers(0, 2, shape)),
    }


@pytest.mark.parametrize(("rank", "stride"), SHAPES)
def test_equivariance_error_is_zero(rank, stride):
    shape = SHAPES[rank, stride]
    for seed in range(2):
        for x in arrays(shape, np.random.default_rng(seed)).values():
            assert_equivariant(x, stride, tuple(range(rank)))


@pytest.mark.parametrize("order", [0.5, 1, 2, 3, np.inf])
def test_orders_are_equivariant(order):
    for seed in range(4):
        for x in arrays((12,), np.random.default_rng(seed)).values():
            assert_equivariant(x, 2, (0,), order=order)
            assert_equivariant(x, 3, (0,), order=order)


def test_ties_of_the_norm_are_resolved_by_contents():
    # Two grids of equal norm and equal samples in another cyclic order, and another of another sign.
    for first, second in (
        ([1, 2, 3, 0, 0, 0], [1, 3, 2, 0, 0, 0]),
        ([1, 2, 3, 4], [-1, 2, 3, 4]),
        ([3, 4, 0], [5, 0, 0]),
    ):
        x = np.stack([first, second], -1).ravel().astype(float)
        assert_equivariant(x, 2, (0,))
        assert_equivariant(np.stack([second, first], -1).ravel().astype(float), 2, (0,))


def test_norms_whose_rounded_sums_depend_on_the_order():
    rng = np.random.default_rng(3)
    values = rng.standard_normal(64) * 10.0 ** rng.integers(-8, 1, 64)
    x = np.stack([values, rng.permutation(values)], -1).ravel()
    assert len({sum(np.roll(values, i) ** 2) for i in range(64)}) > 1  # summed from left to right, the norm wanders
    assert_equivariant(x, 2, (0,))


def test_channels_share_a_choice_and_batches_do_not():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3, 4, 8, 6))
    y, phases = polyphase_pool(x, 2, (2, 3), batch_axes=0, return_phase=True)
    assert y.shape == (3, 4, 4, 3)
    assert phases.shape == (3, 2)
    for image, pooled, (i, j) in zip(x, y, phases, strict=True):
        np.testing.assert_array_equal(pooled, image[:, i::2, j::2])
        norms = {(a, b): (image[:, a::2, b::2] ** 2).sum() for a in range(2) for b in range(2)}
        assert norms[i, j] == max(norms.values())
    together, phase = polyphase_pool(x, 2, (2, 3), return_phase=True)
    np.testing.assert_array_equal(together, x[:, :, phase[0] :: 2, phase[1] :: 2])
    tied = np.stack([np.ones((8, 6)), np.indices((8, 6)).sum(0) % 2])
    assert_equivariant(tied, 2, (1, 2))
    assert_equivariant(rng.integers(0, 2, (2, 6, 4)).astype(float), 2, (1, 2))


def test_axes_strides_and_types():
    x = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(polyphase_pool(x, (2, 3)), x[1::2, 2::3])
    np.testing.assert_array_equal(polyphase_pool(x, 3, axes=-1), x[:, 2::3])
    np.testing.assert_array_equal(polyphase_pool(x.T, 2, axes=1, batch_axes=0), x.T[:, 1::2])
    assert polyphase_pool(x.astype(">f4"), 2).dtype == np.dtype(">f4")
    np.testing.assert_array_equal(polyphase_pool(x[::-1, ::-1], 2), x[::-1, ::-1][::2, ::2])
    assert polyphase_pool(np.zeros((0, 4)), 2).shape == (0, 2)
    assert polyphase_pool(x, 1).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((np.zeros(5), 2), GeometryError, "axis 0 has 5 samples, no multiple of the stride 2"),
        ((np.zeros(4), 0), GeometryError, "stride 0 on axis 0"),
        ((np.zeros(4), 2, 1), GeometryError, "no axis 1"),
        ((np.zeros(4), 2, 0, 0), GeometryError, "order=0"),
        ((np.zeros(4, "O"), 2), DtypeError, "object"),
    ],
)
def test_what_has_no_meaning_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        polyphase_pool(*arguments)
    with pytest.raises(GeometryError, match="batch_axes"):
        polyphase_pool(np.zeros((4, 4)), 2, batch_axes=0)


def by_formula(x, window, stride, axes, mode):
    """Blur axis by axis with Pascal's triangle, and subsample."""
    for axis in axes:
        k = window[axes.index(axis)]
        pairs = [(0, 0)] * x.ndim
        pairs[axis] = ((k - 1) // 2, k // 2)
        padded = np.pad(x, pairs, mode=mode)
        weights = np.poly1d([1, 1]) ** (k - 1)
        total = sum(w * np.take(padded, range(t, t + x.shape[axis]), axis) for t, w in enumerate(weights.coeffs))
        x = np.take(total / 2 ** (k - 1), range(0, x.shape[axis], stride), axis)
    return x


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize(
    ("shape", "axes"), [((20,), (0,)), ((9, 12), (0, 1)), ((3, 7, 8, 5), (1, 3)), ((4, 5, 6), (0, 1, 2))]
)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_blur_pool_is_its_formula(window, shape, axes, stride):
    x = np.random.default_rng(5).standard_normal(shape)
    for mode in ("reflect", "wrap", "edge"):
        want = by_formula(x, [window] * len(axes), stride, axes, mode)
        got = blur_pool(x, window, stride, axes, mode)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)
    assert got.shape == tuple(-(-n // stride) if a in axes else n for a, n in enumerate(shape))


def test_blur_pool_keeps_constants_and_kills_the_fastest_wave():
    np.testing.assert_array_equal(blur_pool(np.ones((6, 8), "f4")), np.ones((3, 4), "f4"))
    wave = np.cos(np.pi * np.arange(12))
    np.testing.assert_allclose(blur_pool(wave, boundary="wrap"), 0, atol=1e-15)
    assert blur_pool(np.ones(8, "u1")).dtype == np.float32
    assert blur_pool(np.ones((2, 8)), (3,)).shape == (2, 4)
    with pytest.raises(GeometryError, match="window 0"):
        blur_pool(np.ones(8), 0)
    with pytest.raises(BoundaryError, match="nonsense"):
        blur_pool(np.ones(8), boundary="nonsense")
