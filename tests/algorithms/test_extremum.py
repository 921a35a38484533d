"""Extrema equal those of every window taken by itself, NaN included, for all types and geometries."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.ndimage as ndi

from faltung.algorithms import window_tiles
from faltung.algorithms.extremum import Extremum, neutral
from faltung.compiler import kernels
from faltung.errors import DtypeError, FaltungError
from faltung.problem.boundary import parse
from faltung.problem.dtypes import Dtypes
from faltung.problem.geometry import resolve
from faltung.problem.problem import Problem

DTYPES = ["f4", "f8", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]


def describe(shape, axes, geometry, sides, dtype):
    dtype = np.dtype(dtype)
    return Problem(shape, axes, geometry, sides, Dtypes(dtype, dtype, dtype, dtype))


def run(x, kind, axes, geometry, sides, threads=1):
    problem = describe(x.shape, axes, geometry, sides, x.dtype)
    out = np.empty(problem.map_shape, x.dtype)
    Extremum(problem, kind).run(x, out, threads)
    return out


def by_definition(x, kind, axes, geometry, pads, **padding):
    pairs = [(0, 0)] * x.ndim
    for axis, pad in zip(axes, pads, strict=True):
        pairs[axis] = pad
    result, op = np.pad(x, pairs, **padding), np.maximum if kind == "max" else np.minimum
    for axis, g in zip(axes, geometry, strict=True):
        windows = [np.take(result, np.arange(g.out) * g.stride + g.dilation * t, axis) for t in range(g.taps)]
        result = op.reduce(windows)
    return result


def draw(rng, dtype):
    ndim = int(rng.integers(1, 5))
    shape = tuple(rng.integers(1, {1: 400, 2: 70, 3: 26, 4: 12}[ndim], ndim).tolist())
    count = int(rng.integers(1, ndim + 1))
    axes = tuple(sorted(rng.choice(ndim, count, replace=False).tolist()))
    window = rng.integers(1, {1: 80, 2: 20, 3: 9, 4: 5}[count], count).tolist()
    pads = [tuple(pair) for pair in rng.integers(0, 8, (count, 2)).tolist()]
    geometry = resolve(
        [shape[a] for a in axes], window, padding=pads, stride=rng.integers(1, 5, count).tolist(),
        dilation=rng.integers(1, 4, count).tolist(),
    )  # fmt: skip
    if dtype.kind == "f":
        x = (rng.standard_normal(shape) * 50).astype(dtype)
        if rng.random() < 0.5:
            x.flat[rng.integers(0, x.size, 3)] = rng.choice([np.nan, -np.nan, np.inf, -np.inf])
    else:
        limits = np.iinfo(dtype)
        x = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    return x, axes, geometry, pads


@pytest.mark.parametrize("tile", [window_tiles.TILE_BYTES, 4_000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_random_windows(dtype, tile, monkeypatch) -> None:
    monkeypatch.setattr(window_tiles, "TILE_BYTES", tile)
    monkeypatch.setattr(window_tiles, "BYTES_PER_THREAD", 1000)
    rng, dtype, served = np.random.default_rng(tile), np.dtype(dtype), 0
    while served < 12:
        try:
            x, axes, geometry, pads = draw(rng, dtype)
        except FaltungError:  # a window larger than the padded array
            continue
        kind = "max" if served % 2 or dtype == "u8" else "min"
        rule = ["neutral", "edge", "reflect", "wrap"][served % 4]
        if rule == "neutral":
            sides = (neutral(kind, dtype),) * len(axes)
            padding = {"mode": "constant", "constant_values": sides[0][0].value}
        else:
            sides, padding = parse(rule, len(axes)), {"mode": rule}
        got = run(x, kind, axes, geometry, sides, threads=1 + served % 2)
        np.testing.assert_array_equal(got, by_definition(x, kind, axes, geometry, pads, **padding))
        served += 1


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize(("shape", "window"), [((300, 310), (15, 15)), ((40, 50, 60), (5, 9, 7)), ((5000,), (201,))])
def test_large_windows_equal_scipy(shape, window, kind) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    axes = tuple(range(len(shape)))
    got = run(x, kind, axes, resolve(shape, window), parse("symmetric", len(shape)))
    name = {"max": ndi.maximum_filter, "min": ndi.minimum_filter}[kind]
    np.testing.assert_array_equal(got, name(x, window, mode="reflect"))


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_nan_of_either_sign_reaches_exactly_its_windows(dtype, kind) -> None:
    for value in (np.nan, -np.nan):
        x = np.random.default_rng(0).standard_normal((100, 110)).astype(dtype)
        x[50, 60] = np.copysign(np.nan, value)
        x[20, 20], x[80, 90] = np.inf, -np.inf
        got = run(x, kind, (0, 1), resolve(x.shape, (7, 9)), (neutral(kind, x.dtype),) * 2)
        assert np.isnan(got).sum() == 63
        assert np.isnan(got[47:54, 56:65]).all()


@pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")
def test_zeros_have_an_order() -> None:
    x = np.array([-0.0, 0.0, -0.0, -0.0, 0.0, 0.0])
    sides = (neutral("max", x.dtype),)
    assert np.signbit(run(x, "max", (0,), resolve((6,), (2,)), sides)).tolist() == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert np.signbit(run(x, "min", (0,), resolve((6,), (2,)), sides)).tolist()[1:] == [True, True, True, True, False]


def test_strided_views_and_empty_arrays() -> None:
    x = np.random.default_rng(0).integers(0, 255, (60, 140)).astype(np.uint8)
    sides = (neutral("max", x.dtype),) * 2
    for view in (x[::2, ::2], x[::-1], x.T, x[:, 5:90]):
        want = ndi.maximum_filter(view, 5, mode="constant")
        np.testing.assert_array_equal(run(view, "max", (0, 1), resolve(view.shape, (5, 5)), sides), want)
    assert run(x[:0], "max", (0, 1), resolve((0, 140), (5, 5)), sides).shape == (0, 140)


def test_minima_of_uint64_have_no_neutral_constant() -> None:
    with pytest.raises(DtypeError, match="convert to int64, or name a boundary rule"):
        neutral("min", np.dtype(np.uint64))


def test_without_a_compiler_the_answers_are_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "scipy or nan or views"],
        env={**os.environ, "FALTUNG_JIT": "0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_it_describes_itself() -> None:
    problem = describe((90, 100), (0, 1), resolve((90, 100), (31, 31)), (neutral("max", np.dtype("f4")),) * 2, "f4")
    assert "31 = " in str(Extremum(problem, "max").describe())
