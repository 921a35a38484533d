"""Layers and pooling on Dask arrays: lazy, and equal to the answer in memory bit for bit."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung as ft
from faltung.errors import FaltungError, GeometryError
from pooling_cases import KINDS, cases

da = pytest.importorskip("dask.array")

Array = np.ndarray[Any, Any]
RULES = ("zero", "edge", "reflect", "symmetric", "wrap", "antireflect", "constant:2")


def random_chunks(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Cut every axis at up to three places."""
    cuts = [np.unique(rng.integers(0, n, rng.integers(0, 4))) if n else np.zeros(0, int) for n in shape]
    ends = [[0, *(int(c) for c in one if c), n] for one, n in zip(cuts, shape, strict=True)]
    return tuple(tuple(np.diff(one).tolist()) if one[-1] else (0,) for one in ends)


@st.composite
def layers(draw: st.DrawFn) -> tuple[Array, Array, dict[str, Any], np.random.Generator]:
    """Draw an input, a weight and the options of a layer of 1 to 3 axes."""
    rank, groups = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2, 3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    window = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    sizes = tuple(draw(st.integers(9, 40 if rank < 3 else 14)) for _ in range(rank))
    dtype = draw(st.sampled_from(["f4", "f8", "i2"]))
    x = rng.integers(-9, 9, (draw(st.integers(1, 3)), groups * draw(st.integers(1, 3)), *sizes)).astype(dtype)
    if dtype != "i2":
        x *= rng.uniform(0.1, 1000, x.shape).astype(dtype)
    weight = rng.integers(-4, 5, (groups * draw(st.integers(1, 3)), x.shape[1] // groups, *window)).astype(dtype)
    options = {
        "stride": [draw(st.integers(1, 3)) for _ in range(rank)], "dilation": draw(st.integers(1, 2)), "groups": groups,
        "padding": [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(rank)],
        "boundary": draw(st.sampled_from(RULES)),
    }  # fmt: skip
    return x, weight, options, rng


@settings(max_examples=60, deadline=None)
@given(layers())
def test_a_layer_in_any_chunks(case: Any) -> None:
    x, weight, options, rng = case
    bias = np.arange(len(weight)).astype(weight.dtype)
    lazy = ft.nn.conv(da.from_array(x, chunks=random_chunks(rng, x.shape)), weight, bias, activation="relu", **options)
    want = ft.nn.conv(x, weight, bias, activation="relu", **options)
    assert isinstance(lazy, da.Array)
    assert (lazy.shape, lazy.dtype) == (want.shape, want.dtype)
    assert lazy.compute(scheduler="synchronous").tobytes() == want.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_pooling_in_any_chunks(kind: str, data: Any, seed: int) -> None:
    case = data.draw(cases(kinds=(kind,)))
    pooling = case.pooling()
    chunks = random_chunks(np.random.default_rng(seed), case.x.shape)
    try:
        want = pooling(case.x)
    except FaltungError as error:
        with pytest.raises(type(error)):
            pooling(da.from_array(case.x, chunks=chunks)).compute(scheduler="synchronous")
        return
    windows = pooling.windows(case.x.shape)
    if kind == "lp" or windows.has_odd_rules or (windows.sides is not None and windows.overhangs):
        with pytest.raises(GeometryError, match="need the array in memory"):
            pooling(da.from_array(case.x, chunks=chunks))
        return
    lazy = pooling(da.from_array(case.x, chunks=chunks))
    assert isinstance(lazy, da.Array)
    assert (lazy.shape, lazy.dtype) == (want.shape, want.dtype)
    got = lazy.compute(scheduler="synchronous")
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    assert got.tobytes() == np.ascontiguousarray(want).tobytes()


def test_only_the_chunks_that_a_pool_reads_are_computed() -> None:
    seen: list[Any] = []

    def note(block: Array, block_info: Any = None) -> Array:
        seen.append(block_info[0]["chunk-location"] if block_info else None)
        return block

    x = da.zeros(100, chunks=10).map_blocks(note, dtype=float, meta=np.empty(0))
    ft.pool(x, 5, stride=1, padding=2, boundary="wrap")[:10].compute(scheduler="synchronous")
    assert sorted(seen) == [(0,), (1,), (9,)]


def test_a_layer_travels_to_another_process() -> None:
    x = da.random.default_rng(0).random((1, 2, 20, 20), chunks=(1, 2, 7, 20))
    y = ft.nn.conv(x, np.ones((3, 2, 3, 3)), [1.0, 2.0, 3.0], padding="same:torch")
    again = pickle.loads(pickle.dumps(y))
    want = ft.nn.conv(x.compute(), np.ones((3, 2, 3, 3)), [1.0, 2.0, 3.0], padding="same:torch")
    assert again.compute(scheduler="processes", num_workers=2).tobytes() == want.tobytes()


def test_what_cannot_be_is_said_at_once() -> None:
    x = da.zeros((1, 4, 20), chunks=5)
    with pytest.raises(GeometryError, match="4"):
        ft.nn.conv(x, np.ones((3, 3, 3)))
    with pytest.raises(GeometryError, match="3 output channels"):
        ft.nn.conv(x, np.ones((3, 4, 3)), bias=[1.0])
    with pytest.raises(GeometryError, match="unknown activation 'rely'"):
        ft.nn.conv(x, np.ones((3, 4, 3)), activation="rely")
    with pytest.raises(GeometryError, match="indices"):
        ft.pool(x, 2, return_indices=True)
