"""Regions of a plan: every algorithm gives the bits of the whole, from the samples it asked for and no others."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from region_samples import decades, held

import faltung as ft
from faltung.compiler import kernels
from faltung.errors import DtypeError, PlanError
from faltung.plan.choice import ALGORITHMS
from strategies import problems

Array = np.ndarray[Any, Any]
compiled = pytest.mark.skipif(not kernels.available(), reason="nothing is compiled here")
FILTERS = ("direct", "separable", "window_sum", "fourier")
LAYERS = ("layer", "banks", "direct")
DONE: Counter[str] = Counter()
# The least regions of each algorithm that the tests of this file compare.
LEAST = {"direct": 300, "separable": 150, "window_sum": 150, "fourier": 150, "numpy": 40, "layer": 30, "banks": 40}


def some_region(rng: np.random.Generator, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Draw a region: often whole, of one sample, or empty along an axis."""
    region = []
    for n in shape:
        start, stop = sorted(rng.integers(0, n + 1, 2).tolist())
        kind = rng.integers(0, 8)
        if kind < 2:
            start, stop = 0, n
        elif kind < 4 and n:
            start = int(rng.integers(0, n))
            stop = start + 1
        elif kind == 4 and rng.random() < 0.2:
            stop = start
        elif stop == start and n:
            start, stop = 0, n
        region.append((start, stop))
    return region


def assert_regions(plan: Any, x: Array, rng: np.random.Generator, regions: int = 3, what: Any = "") -> None:
    want = plan(x)
    for _ in range(regions):
        region = some_region(rng, want.shape)
        source = held(x, plan.reads(region))
        got = plan.run_region(source, region, threads=int(rng.integers(1, 3)))
        expected = want[tuple(slice(*part) for part in region)]
        assert got.dtype == expected.dtype, what
        assert got.shape == expected.shape, what
        assert got.tobytes() == expected.tobytes(), (what, region)
        DONE[plan.recipe.algorithm] += 1


def fitting_kernel(kernel: Array, algorithm: str, rng: np.random.Generator) -> Array:
    """Give a kernel of the same shape and dtype that an algorithm is for."""
    if algorithm == "window_sum":
        return np.full(kernel.shape, kernel.flat[0] or 1, kernel.dtype)
    if algorithm == "separable":
        lines = [rng.integers(-2, 3, n) for n in kernel.shape]
        result = np.ones((), kernel.dtype)
        for line in lines:
            result = np.multiply.outer(result, np.where(line == 0, 1, line).astype(kernel.dtype))
        return result
    return kernel


@compiled
@pytest.mark.parametrize("algorithm", FILTERS)
def test_a_region_has_the_bits_of_the_whole(algorithm: str) -> None:
    @settings(max_examples=90)
    @given(problems(max_rank=4), st.integers(0, 2**32 - 1))
    def check(case: Any, seed: int) -> None:
        rng = np.random.default_rng(seed)
        kernel = fitting_kernel(case.kernel, algorithm, rng)
        bank: Any = [kernel, kernel[::-1]] if rng.random() < 0.2 else kernel
        try:
            c = ft.Convolution(bank, flip=case.name == "convolve", **case.kwargs)
            plan = c.plan(case.x.shape, case.x.dtype, algorithm=algorithm)
            plan(case.x)
        except (PlanError, DtypeError):
            return
        assert_regions(plan, case.x, rng, 3, case)

    check()


@compiled
@pytest.mark.parametrize("algorithm", FILTERS)
@pytest.mark.parametrize("seed", range(8))
def test_regions_of_many_tiles(algorithm: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, kernel_shape = [
        ((5000,), (33,)),
        ((230, 310), (9, 12)),
        ((3, 150, 170), (11, 7)),
        ((40, 50, 60), (3, 4, 5)),
    ][seed % 4]
    kernel = fitting_kernel(decades(rng, kernel_shape), algorithm, rng)
    boundary = ["wrap", "reflect", "zero", "constant:0.3", "antireflect", "edge", ("constant:1", "wrap"), "symmetric"][
        seed
    ]
    axes = tuple(range(-len(kernel_shape), 0))
    stride = [1, 2, 1, 1, 3, 1, 1, 1][seed]
    boundary = [boundary] * len(axes) if isinstance(boundary, tuple) else boundary
    plan = ft.Convolution(kernel, axes=axes, boundary=boundary, stride=stride).plan(shape, "f4", algorithm=algorithm)
    assert_regions(plan, decades(rng, shape), rng, 8, (shape, boundary))


@compiled
@pytest.mark.parametrize("algorithm", FILTERS)
@pytest.mark.parametrize("seed", range(4))
def test_repairs_decide_in_a_region_as_in_the_whole(algorithm: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = decades(rng, (90, 130))
    for value in (np.nan, np.inf, -np.inf, 3e38, -2e38, 1e30):
        x[tuple(rng.integers(0, n) for n in x.shape)] = value
    x[20:50, 30:80] *= 1e-25
    kernel = fitting_kernel(decades(rng, (7, 6)), algorithm, rng)
    boundary = ["reflect", "zero", "wrap", "antisymmetric"][seed]
    plan = ft.Convolution(kernel, boundary=boundary).plan(x.shape, x.dtype, algorithm=algorithm)
    with np.errstate(all="ignore"):
        want = plan(x)
    for _ in range(12):
        region = some_region(rng, want.shape)
        with np.errstate(all="ignore"):
            got = plan.run_region(held(x, plan.reads(region)), region)
        part = want[tuple(slice(*one) for one in region)]
        # (The sign and payload of a NaN say nothing.)
        assert np.array_equal(np.isnan(got), np.isnan(part)), region
        assert np.where(np.isnan(got), 0, got).tobytes() == np.where(np.isnan(part), 0, part).tobytes(), region


@compiled
def test_narrow_outputs_are_repaired_by_their_windows_alone() -> None:
    rng = np.random.default_rng(3)
    x = decades(rng, (300, 400))
    x[40, 50], x[200, 300], x[100, 350] = np.inf, 3e38, np.nan
    line = np.array([1.0, -2.0, 1.0, 0.5, 1.0], "f4")
    plan = ft.Convolution(np.outer(line, line)).plan(x.shape, x.dtype, "i2", algorithm="separable")
    assert_regions(plan, x, rng, 12)


@compiled
@pytest.mark.parametrize("algorithm", LAYERS)
@pytest.mark.parametrize("seed", range(6))
def test_layers(algorithm: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = 8 if algorithm == "direct" else [1, 2][seed % 2]
    size, outputs = (8, 8) if algorithm == "direct" else (4, 32)
    kernel = decades(rng, (outputs, size // groups, *((3, 4) if seed < 4 else (1, 1))))
    padding = [(2, 1), (0, 3)] if seed % 3 else None
    c = ft.Convolution(kernel, channels=True, groups=groups, stride=1 + seed % 2, padding=padding, flip=False)
    x = decades(rng, (2, size, 21, 19))
    assert_regions(c.plan(x.shape, x.dtype, algorithm=algorithm), x, rng, 5)


@pytest.mark.parametrize("layer", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_numpy_alone(layer: bool, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "available", lambda: False)
    rng = np.random.default_rng(seed)
    x = decades(rng, (2, 3, 20, 17))
    if layer:
        c = ft.Convolution(decades(rng, (4, 3, 3, 3)), channels=True, flip=False, stride=2)
    else:
        c = ft.Convolution(decades(rng, (5, 3)), axes=(2, 3), boundary=["wrap", "antireflect", "edge", "zero"][seed])
    assert_regions(c.plan(x.shape, x.dtype, algorithm="banks" if layer else "numpy"), x, rng, 12)


@compiled
@pytest.mark.parametrize("algorithm", FILTERS)
def test_complex_numbers_and_constants(algorithm: str) -> None:
    rng = np.random.default_rng(1)
    x = decades(rng, (3, 41, 37)) + 1j * decades(rng, (3, 41, 37))
    kernel = fitting_kernel(decades(rng, (5, 4)), algorithm, rng).astype("c8")
    if algorithm in ("direct", "fourier"):
        kernel = kernel + 1j * kernel[::-1]
    for boundary in ("wrap", ("constant", 1 - 2j)):
        for bank in (kernel, [kernel, 2 * kernel]):
            c = ft.Convolution(bank, axes=(-2, -1), boundary=boundary)
            try:
                plan = c.plan(x.shape, x.dtype, algorithm=algorithm)
            except PlanError:
                assert algorithm == "window_sum"
                continue
            assert_regions(plan, x, rng, 5, boundary)


def test_zz_every_algorithm_was_compared() -> None:
    assert set(LEAST) == set(ALGORITHMS)
    wanted = LEAST if kernels.available() else {"numpy": 40, "banks": 40}
    assert {name: n for name, n in wanted.items() if DONE[name] < n} == {}, DONE
