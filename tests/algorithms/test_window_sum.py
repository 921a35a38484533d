"""Window sums give what the definition gives, within their bound, whatever the tiles, threads and instruction set."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import faltung as ft
from faltung import definition
from faltung.algorithms import window_tiles
from faltung.algorithms.task import Recipe, Rejection, Task
from faltung.algorithms.window_sum import propose
from faltung.compiler import kernels
from faltung.plan.planner import _load_dtype
from faltung.problem.kernel import facts
from faltung.runtime.workspace import aligned

needs_compiler = pytest.mark.skipif(not kernels.available(), reason="compiled kernels are off")
RULES = ["zero", "constant:3", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric"]


def task(convolution, shape, dtype, out_dtype=None):
    problem, bank = convolution._problem(shape, np.dtype(dtype), out_dtype)
    problem = replace(problem, filters=len(bank))
    return Task(problem, _load_dtype(problem), tuple(bank), tuple(facts(kernel) for kernel in bank), 1e-4)


def solve(convolution, x, threads=1, out_dtype=None):
    asked = task(convolution, x.shape, x.dtype, out_dtype)
    recipe = propose(asked)
    assert isinstance(recipe, Recipe)
    method = recipe.prepare()
    out = np.full((len(asked.kernels), *method.out_shape), 77, asked.problem.dtypes.output)
    method.run(np.ascontiguousarray(x, asked.load).reshape(method.in_shape), out, threads)
    return out.reshape(asked.problem.output_shape), recipe


def draw(rng):
    """Give a random problem: any rank, kernel, boundary, geometry and dtypes."""
    ndim = int(rng.integers(1, 5))
    shape = tuple(rng.integers(1, {1: 400, 2: 70, 3: 26, 4: 12}[ndim], ndim).tolist())
    count = int(rng.integers(1, ndim + 1))
    axes = tuple(sorted(rng.choice(ndim, count, replace=False).tolist()))
    size = tuple(rng.integers(1, {1: 60, 2: 13, 3: 6, 4: 4}[count], count).tolist())
    dtype = str(rng.choice(["f4", "f8", "u1", "i1", "u2", "i2", "i4", "u4", "i8"]))
    integer = rng.random() < 0.3
    taps = rng.integers(1, 6, 2) if integer else rng.uniform(-2, 2, 2)
    bank = [np.full(size, tap) for tap in taps[: rng.integers(1, 3)]]
    options = {
        "axes": axes, "stride": rng.integers(1, 4, count).tolist(), "dilation": rng.integers(1, 4, count).tolist(),
        "boundary": rng.choice(RULES, count).tolist(), "mode": str(rng.choice(["same", "full", "valid"])),
    }  # fmt: skip
    low, high = (0, 100) if dtype[0] == "u" else (-100, 100)
    x = rng.standard_normal(shape) * 100 if dtype[0] == "f" else rng.integers(low, high, shape)
    return x.astype(dtype), bank, options


def worst_error(x, bank, options, threads):
    """Compare with the definition; give the largest error as a share of the bound (0 for integers)."""
    convolution = ft.Convolution(bank, flip=False, **options)
    got, recipe = solve(convolution, x, threads)
    dtypes = task(convolution, x.shape, x.dtype).problem.dtypes
    worst = 0.0
    for result, kernel in zip(got, bank, strict=True):
        want = definition.correlate(x, kernel, **options)
        if dtypes.accumulate.kind == "i":
            np.testing.assert_array_equal(result, want)
        elif result.size:
            odd = sum(rule.startswith("anti") for rule in options["boundary"])
            largest = max(np.abs(x.astype(float)).max(), 3.0) * 9**odd
            # Converting samples and taps rounds too, and odd rules compute.
            unit = np.finfo(dtypes.accumulate).eps / 2
            allowed = (recipe.error + (2 + 5 * odd) * unit * np.abs(kernel).sum()) * 1.01 * largest
            error = np.abs(result.astype(want.dtype) - want).max()
            assert error <= allowed
            worst = max(worst, float(error / (recipe.error * largest)))
    return worst


@needs_compiler
@pytest.mark.parametrize("tile", [window_tiles.TILE_BYTES, 20_000, 3_000])
def test_random_problems_are_within_the_bound(tile, monkeypatch) -> None:
    monkeypatch.setattr(window_tiles, "TILE_BYTES", tile)
    monkeypatch.setattr(window_tiles, "BYTES_PER_THREAD", 1000)
    rng, worst, served = np.random.default_rng(tile), 0.0, 0
    while served < 24:
        x, bank, options = draw(rng)
        try:
            convolution = ft.Convolution(bank, flip=False, **options)
            convolution.output_shape(x.shape)
        except ft.errors.FaltungError:  # a valid window larger than the array
            continue
        if bank[0].size < 2:
            continue
        worst = max(worst, worst_error(x, bank, options, threads=1 + served % 2))
        served += 1
    assert worst >= 0.05


@needs_compiler
def test_bits_depend_neither_on_tiles_nor_threads_nor_place(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((90, 300)) * 10 ** rng.uniform(-3, 3, (90, 300))).astype(np.float32)
    c = ft.Convolution(np.full((7, 31), 1 / 217), flip=False, boundary="reflect")
    whole, _ = solve(c, x)
    monkeypatch.setattr(window_tiles, "BYTES_PER_THREAD", 1000)
    for tile in (40_000, 9_000):
        monkeypatch.setattr(window_tiles, "TILE_BYTES", tile)
        np.testing.assert_array_equal(solve(c, x, threads=2)[0], whole)
    # Of a part of the array, the outputs whose windows it holds.
    np.testing.assert_array_equal(solve(c, x[11:70, 13:200])[0][0, 3:-3, 15:-15], whole[0, 14:67, 28:185])


PRINT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_window_sum import *
rng = np.random.default_rng(0)
for shape, size, dtype in (((60, 90), (9, 14), "f4"), ((3000,), (63,), "f8"), ((40, 50), (31, 5), "u1")):
    x = (rng.standard_normal(shape) * 99).astype(dtype)
    print(solve(ft.Convolution(np.full(size, 0.37), flip=False), x)[0].tobytes().hex())
"""


@needs_compiler
def test_bits_do_not_depend_on_the_instruction_set() -> None:
    from faltung.compiler import isa as isas

    results = set()
    for name in isas.runnable(isas._host_features()):
        done = subprocess.run(
            [sys.executable, "-c", PRINT, str(Path(__file__).parent)],
            env={**os.environ, "FALTUNG_ISA": name}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        results.add(done.stdout)
    assert len(results) == 1


@needs_compiler
def test_nan_inf_and_huge_values_stay_in_their_windows() -> None:
    x = np.random.default_rng(0).standard_normal((120, 140)).astype(np.float32)
    c = ft.Convolution(np.full((31, 31), 1 / 961), flip=False)
    clean = solve(c, x)[0][0]
    for value in (np.nan, np.inf, -np.inf, 1e20):
        y = x.copy()
        y[60, 70] = value
        got = solve(c, y)[0][0]
        inside = np.zeros(x.shape, bool)
        inside[45:76, 55:86] = True
        np.testing.assert_array_equal(got[~inside], clean[~inside])
        np.testing.assert_allclose(got[inside], np.float32(value) / 961, rtol=1e-5)
    y = x.copy()
    y[60, 70], y[61, 71] = np.inf, -np.inf
    assert np.isnan(solve(c, y)[0][0]).sum() == 900


@needs_compiler
@pytest.mark.parametrize(("dtype", "value"), [("f4", 3e38), ("f8", 1.7e308)])
@pytest.mark.parametrize("size", [(31, 31), (1, 31), (2, 2)])
def test_means_of_huge_values_do_not_overflow(dtype, value, size) -> None:
    x = np.full((50, 60), value, dtype)
    x[::2] *= 0.5
    kernel = np.full(size, 0.99 / np.prod(size))
    got = solve(ft.Convolution(kernel, flip=False, mode="valid"), x)[0][0]
    want = definition.correlate(x, kernel, mode="valid")
    np.testing.assert_allclose(got.astype(want.dtype), want, rtol=1e-5)


@needs_compiler
def test_integers_are_exact_up_to_the_edge_of_their_types() -> None:
    for dtype, size in (("u1", (16, 16)), ("i1", (16, 17)), ("u2", (9, 9)), ("i2", (5, 100)), ("u1", (100, 90))):
        where = np.random.default_rng(0).integers(0, 120, (4, 2)).tolist()
        limits = np.iinfo(dtype)
        for value in (limits.min, limits.max):
            x = np.full((120, 130), value, dtype)
            x[0, 0] = 1
            got = solve(ft.Convolution(np.ones(size, int), flip=False, boundary="wrap"), x)[0][0]
            want = definition.correlate(x, np.ones(size, int), boundary="wrap", at=where)
            np.testing.assert_array_equal([got[i, j] for i, j in where], want)


@needs_compiler
def test_a_mean_of_bytes_rounds_and_saturates() -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 70)).astype(np.uint8)
    for tap in (1 / 25, 0.2, -0.1):
        kernel = np.full((5, 5), tap)
        got = solve(ft.Convolution(kernel, flip=False), x, out_dtype="input")[0][0]
        want = definition.correlate(x, kernel)
        np.testing.assert_array_equal(got, np.clip(np.rint(want), 0, 255))


@needs_compiler
def test_large_outputs_are_stored_past_the_caches() -> None:
    x = np.random.default_rng(0).standard_normal((1100, 1100)).astype(np.float32)[:, :1088]
    got = aligned((1, *x.shape), x.dtype)
    propose(task(ft.Convolution(np.ones((3, 9)), flip=False), x.shape, x.dtype)).prepare().run(x, got, 1)
    assert any(getattr(nest, "stream", False) for nest in kernels.compiled())
    where = [(0, 0), (1099, 1087), (500, 600), (37, 1087), (255, 64)]
    want = definition.correlate(x, np.ones((3, 9)), at=where)
    np.testing.assert_allclose([got[0][i] for i in where], want.astype(float), atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "dtype", "reason"),
    [
        (np.arange(9.0).reshape(3, 3), "f4", "not all equal"), (np.zeros((3, 3)), "f4", "zero, subnormal or not finite"),
        (np.full((3, 3), 1e-40), "f4", "subnormal"), (np.full((3, 3), np.inf), "f8", "not finite"),
        (np.ones((1, 1)), "f4", "single tap"),
    ],
)  # fmt: skip
@needs_compiler
def test_what_it_does_not_serve_is_rejected_with_a_reason(kernel, dtype, reason) -> None:
    answer = propose(task(ft.Convolution(kernel), (20, 20), dtype))
    assert isinstance(answer, Rejection)
    assert reason in answer.reason


@needs_compiler
def test_it_explains_how_windows_are_built() -> None:
    recipe = propose(task(ft.Convolution(np.full((7, 31), 0.1)), (300, 400), "f4"))
    text = str(recipe.prepare().describe())
    assert "windows of" in text
    assert "31 = " in text
    assert recipe.workspace >= max(job.scratch_bytes for job in recipe.prepare().jobs((1600, 4), 1))
    shapes = [(n, n) for n in (3, 9, 31)]
    times = [propose(task(ft.Convolution(np.ones(size)), (2048, 2048), "f4")).nanoseconds for size in shapes]
    assert times == sorted(times)
    assert times[2] < 2.5 * times[0]
