"""Dask arrays: lazy, never rechunked, and equal to the answer in memory bit for bit."""

from __future__ import annotations

import os
import pickle
import signal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung as ft
from faltung.compiler import kernels
from faltung.errors import DtypeError, GeometryError, PlanError, ProblemError
from strategies import problems

da = pytest.importorskip("dask.array")

Array = np.ndarray[Any, Any]
ALGORITHMS = ("direct", "separable", "window_sum", "fourier") if kernels.available() else ("numpy",)


def decades(rng: np.random.Generator, shape: Any, dtype: str = "f4") -> Array:
    return (rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 3, shape)).astype(dtype)


def random_chunks(rng: np.random.Generator, size: int) -> tuple[int, ...]:
    """Chunks of one sample, of a prime number, of random sizes, or one that holds everything."""
    step = int(rng.choice([1, 2, 3, 5, 7, 11, 13, size + 1]))
    if size == 0:
        return (0,)
    if rng.random() < 0.3:
        cuts = np.unique(rng.integers(1, size, 3)) if size > 1 else np.zeros(0, int)
        return tuple(np.diff([0, *cuts.tolist(), size]).tolist())
    return tuple(min(step, size - at) for at in range(0, size, step))


def assert_equal(c: ft.Convolution, x: Array, chunks: Any, **options: Any) -> None:
    lazy = da.from_array(x, chunks=chunks)
    got, want = c(lazy, **options), c(x, **options)
    assert isinstance(got, da.Array)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    assert type(got._meta) is np.ndarray
    assert got._meta.dtype == want.dtype
    found = got.compute(scheduler="synchronous")
    assert found.tobytes() == want.tobytes()


@settings(max_examples=40)
@given(problems(max_rank=3), st.integers(0, 2**32 - 1))
def test_any_problem_in_any_chunks(case: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = case.x[tuple(slice(0, 40) for _ in case.x.shape)]
    chunks = tuple(random_chunks(rng, n) for n in x.shape)
    if np.prod([len(one) for one in chunks]) > 200:
        chunks = x.shape
    try:
        c = ft.Convolution(case.kernel, flip=case.name == "convolve", **case.kwargs)
        c(x)
    except ProblemError:  # a smaller array may leave no output
        return
    assert_equal(c, x, chunks)


CHUNKS = [((1,) * 23, (1,) * 19), ((7, 7, 7, 2), (5, 5, 5, 4)), ((23,), (19,)), ((11, 1, 11), (2, 15, 2))]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
def test_every_algorithm(algorithm: str, chunks: Any) -> None:
    rng = np.random.default_rng(0)
    x, line = decades(rng, (23, 19)), np.array([1, -2, 0.5, 3], "f4")
    kernel = np.full((5, 4), 0.3, "f4") if algorithm == "window_sum" else np.outer(decades(rng, 5), line)
    for options in ({"boundary": "wrap"}, {"stride": (2, 3), "boundary": "reflect"}, {"mode": "full", "dilation": 4}):
        assert_equal(ft.Convolution(kernel, **options), x, chunks, algorithm=algorithm)


def test_small_chunks_share_a_task() -> None:
    rng = np.random.default_rng(0)
    x = decades(rng, (60, 50))
    lazy = da.from_array(x, chunks=1)
    got = ft.correlate(lazy, decades(rng, (11, 9)), boundary="wrap")
    assert got.chunks == lazy.chunks
    assert len(got.dask) - len(lazy.dask) < 8 * lazy.npartitions


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_larger_arrays(algorithm: str) -> None:
    rng = np.random.default_rng(0)
    x, line = decades(rng, (3, 310, 290)), decades(rng, 9)
    kernel = np.full((9, 9), 0.3, "f4") if algorithm == "window_sum" else np.outer(line, line)
    c = ft.Convolution(kernel, axes=(1, 2), boundary=["wrap", "antireflect"])
    assert_equal(c, x, ((1, 2), (101, 101, 101, 7), (150, 140)), algorithm=algorithm)


def test_banks_layers_complex_numbers_and_dtypes() -> None:
    rng = np.random.default_rng(0)
    x = decades(rng, (4, 30, 26))
    kernel = decades(rng, (5, 4))
    assert_equal(ft.Convolution([kernel, -kernel], axes=(1, 2)), x, (3, 8, 9))
    assert_equal(ft.Convolution(decades(rng, (6, 4, 3, 3)), channels=True, flip=False), x, (3, 8, 9))
    assert_equal(ft.Convolution(kernel + 1j * kernel, axes=(1, 2), boundary="constant:1"), x + 2j * x, (2, 8, 9))
    assert_equal(ft.Convolution(kernel > 0, axes=(1, 2)), (abs(x) * 9 % 255).astype("u1"), (2, 8, 9), dtype="u1")


@pytest.mark.parametrize(
    ("options", "size", "chunks", "want"),
    [
        ({}, 10, (3, 3, 4), (3, 3, 4)),
        ({"stride": 2}, 10, (3, 3, 4), (2, 1, 2)),
        ({"stride": 4}, 10, (1,) * 10, (1, 1, 1)),
        ({"mode": "valid"}, 10, (3, 3, 4), (2, 3, 3)),
        ({"mode": "valid"}, 5, (1, 1, 1, 1, 1), (1, 1, 1)),
        ({"mode": "full"}, 10, (3, 3, 4), (4, 3, 5)),
        ({"padding": 0, "stride": 3}, 10, (5, 5), (2, 1)),
    ],
)
def test_chunks_of_the_output_follow_the_input(options: Any, size: int, chunks: Any, want: Any) -> None:
    x = da.from_array(np.arange(float(size)), chunks=(chunks,))
    assert ft.correlate(x, [1.0, 2.0, 3.0], **options).chunks == (want,)


def test_nothing_is_computed_and_nothing_is_rechunked() -> None:
    def fail(_: Any) -> Any:
        raise AssertionError

    x = da.zeros((100, 100), chunks=(9, 100)).map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    y = ft.convolve(x, np.ones((51, 3)))
    assert y.chunks == x.chunks
    assert not any("rechunk" in str(key) for key in y.dask)


def test_only_what_is_read_is_computed() -> None:
    seen: list[Any] = []

    def note(block: Array, block_info: Any = None) -> Array:
        seen.append(block_info[0]["chunk-location"] if block_info else None)
        return block

    x = da.zeros(100, chunks=10).map_blocks(note, dtype=float, meta=np.empty(0))
    y = ft.correlate(x, np.ones(5), boundary="wrap", algorithm=ALGORITHMS[0])
    y[:10].compute(scheduler="synchronous")
    assert sorted(seen) == [(0,), (1,), (9,)]


def test_the_graph_grows_with_the_chunks_and_has_one_plan() -> None:
    def tasks(n: int) -> int:
        x = da.zeros((10 * n, 10 * n), chunks=10)
        return len(ft.correlate(x, np.ones((3, 3)), boundary="wrap").dask) - len(x.dask)

    few, some, many = tasks(4), tasks(8), tasks(16)
    assert (many - 1) == 4 * (some - 1) == 16 * (few - 1)
    y = ft.correlate(da.zeros(1000, chunks=10), np.arange(1.0, 10))
    assert sum(str(key).endswith("-work") for key in y.dask) == 1


def test_equal_questions_have_equal_names() -> None:
    x, k = da.zeros(100, chunks=10), np.arange(5.0)
    assert ft.correlate(x, k).name == ft.correlate(x, k.copy()).name
    assert len({ft.correlate(x, k).name, ft.correlate(x, 2 * k).name, ft.convolve(x, k).name}) == 3


def test_clear_errors() -> None:
    x = da.from_array(np.arange(20.0), chunks=5)
    with pytest.raises(GeometryError, match="compute_chunk_sizes"):
        ft.correlate(x[x > 3], [1, 1])
    with pytest.raises(GeometryError, match="out="):
        ft.correlate(x, [1, 1], out=np.zeros(20))
    with pytest.raises(ProblemError, match="expected 'propagate'"):
        ft.correlate(x, [1, 1], nan="omit")
    with pytest.raises(GeometryError, match=r"mask of shape \(3,\) does not fit"):
        ft.correlate(x, [1, 1], mask=np.ones(3))
    with pytest.raises(ProblemError, match="outside 0 to 1"):
        ft.correlate(x, [1, 1], mask=np.full(20, 2.0)).compute()
    with pytest.raises(DtypeError, match="no NaN"):
        ft.correlate(x, [1, 1], dtype="i4", preserve_nan=True)
    with pytest.raises(DtypeError, match="masked"):
        ft.correlate(da.ma.masked_greater(x, 3), [1, 1])
    with pytest.raises(PlanError, match="unknown algorithm"):
        ft.correlate(x, [1, 1], algorithm="guess")
    with pytest.raises(GeometryError, match="threads"):
        ft.correlate(x, [1, 1], threads=0)


def test_integers_that_overflow_are_refused_when_they_are_computed() -> None:
    x = np.ones(100, "i8")
    x[90] = 2**62
    y = ft.correlate(da.from_array(x, chunks=10), [4, 4])
    assert y[:50].compute().tolist() == [8] * 50
    with pytest.raises(DtypeError):
        y.compute()


def slowed(block: Array) -> Array:
    """Take long enough that a worker can be lost under way."""
    import time

    time.sleep(0.05)
    return block


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_of_processes_one_of_which_is_killed() -> None:
    distributed = pytest.importorskip("distributed")
    rng = np.random.default_rng(0)
    x, kernel = decades(rng, (200, 230)), decades(rng, (7, 9))
    c = ft.Convolution(kernel, boundary=["wrap", "reflect"])
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options, host="127.0.0.1", silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        lazy = da.from_array(x, chunks=(20, 23))
        assert c(lazy).compute().tobytes() == c(x).tobytes()
        found = client.run(pickle.loads, pickle.dumps(c.plan(x.shape, x.dtype)))
        assert {plan.signature for plan in found.values()} == {c.plan(x.shape, x.dtype).signature}

        started = c(lazy.map_blocks(slowed, dtype="f4", meta=np.empty((0, 0), "f4"))).persist()
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        assert started.compute().tobytes() == c(x).tobytes()
