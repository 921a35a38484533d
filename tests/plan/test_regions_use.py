"""What a plan says of its regions: what they read, what memory they take, what is refused; and plans that travel."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from region_samples import decades, held

import faltung as ft
from faltung.algorithms import fourier_cost
from faltung.compiler import kernels
from faltung.errors import DtypeError, GeometryError, PlanError
from faltung.plan import moving

compiled = pytest.mark.skipif(not kernels.available(), reason="nothing is compiled here")
FILTERS = ("direct", "separable", "window_sum", "fourier")


def test_what_a_region_reads() -> None:
    def reads(region: Any, shape: Any = 100, algorithm: str | None = None, **options: Any) -> Any:
        return ft.Convolution(np.arange(1.0, 6.0), **options).plan(shape, float, algorithm=algorithm).reads(region)

    assert reads([(10, 20)]) == (((8, 22),),)
    assert reads([(0, 3)]) == (((0, 5),),)
    assert reads([(0, 3)], boundary="wrap") == (((0, 5), (98, 100)),)
    assert reads([(0, 100)], boundary="wrap") == (((0, 100),),)
    assert reads([(50, 50)]) == ((),)
    assert reads([(3, 5)], stride=10) == (((28, 43),),)
    assert reads([(3, 5)], dilation=3) == (((0, 11),),)
    assert reads([(0, 2)], mode="full") == (((0, 2),),)
    assert reads([(3, 4), (2, 4)], (7, 100), axes=-1) == (((3, 4),), ((0, 6),))


def test_an_odd_rule_reads_the_edge_it_mirrors_through() -> None:
    plan = ft.Convolution([0.0, 0.0, 0.0, 0.0, 1.0], boundary="antireflect").plan(50, float)
    x = np.arange(50.0) ** 2
    assert plan.reads([(0, 1)]) == (((0, 3),),)
    assert plan.run_region(x[:3], [(0, 1)]) == plan(x)[:1]


@compiled
def test_tiles_are_read_whole_and_with_their_partners() -> None:
    plan = ft.Convolution(np.random.default_rng(0).standard_normal((31, 31))).plan(
        (2000, 2000), "f4", algorithm="fourier"
    )
    tiling = plan.planes[0].method.tiling  # type: ignore[attr-defined]
    (rows,), (columns,) = plan.reads([(1000, 1001), (1000, 1001)])
    assert rows[1] - rows[0] == tiling.size[0]
    assert columns[1] - columns[0] <= tiling.step[1] + tiling.size[1]


@pytest.mark.parametrize("layout", ["slice", "fortran", "negative", "strided"])
def test_any_strides_serve(layout: str) -> None:
    rng = np.random.default_rng(0)
    x = decades(rng, (60, 70))
    plan = ft.Convolution(decades(rng, (5, 4))).plan(x.shape, x.dtype)
    region = [(10, 30), (20, 61)]
    source = held(x, plan.reads(region))
    if layout == "slice":
        source = x[tuple(slice(*part[0]) for part in plan.reads(region))]
    elif layout == "fortran":
        source = np.asfortranarray(source)
    elif layout == "negative":
        source = source[::-1, ::-1].copy()[::-1, ::-1]
    else:
        source = np.repeat(source, 2, axis=1)[:, ::2]
    out = np.empty((41, 20), "f4").T
    assert plan.run_region(source, region, out) is out
    assert np.array_equal(out, plan(x)[10:30, 20:61])


def test_the_output_may_lie_in_the_samples() -> None:
    x = np.arange(40.0)
    plan = ft.Convolution([1.0, 2.0, 4.0]).plan(40, float)
    want = plan(x)
    plan.run_region(x[9:31], [(10, 30)], out=x[9:29])
    assert np.array_equal(x[9:29], want[10:30])


def test_integers_are_scanned_where_they_are_read() -> None:
    x = np.ones(100, "i8")
    x[90] = 2**62
    plan = ft.Convolution([4, 4]).plan(100, "i8")
    with pytest.raises(DtypeError):
        plan(x)
    assert plan.run_region(x[:10], [(1, 10)]).tolist() == [8] * 9
    with pytest.raises(DtypeError):
        plan.run_region(held(x, plan.reads([(80, 100)])), [(80, 100)])


def test_clear_errors() -> None:
    plan = ft.Convolution([1.0, 2.0, 1.0]).plan(100, float)
    for region, text in [
        ([(0, 101)], "no part of the output's"),
        ([(5, 3)], "no part of the output's"),
        ([(0, 5), (0, 5)], "has 2 axes"),
        (7, "one \\(start, stop\\) for each axis"),
        ([(0.5, 3)], "integers"),
        ([3], "one \\(start, stop\\) for each axis"),
    ]:
        with pytest.raises(GeometryError, match=text):
            plan.reads(region)  # type: ignore[arg-type]
    with pytest.raises(GeometryError, match=r"needs an array of shape \(12,\)"):
        plan.run_region(np.zeros(10), [(20, 30)])
    with pytest.raises(GeometryError, match="float32"):
        plan.run_region(np.zeros(12, "f4"), [(20, 30)])
    with pytest.raises(GeometryError, match="out must be a writable array"):
        plan.run_region(np.zeros(12), [(20, 30)], out=np.zeros(9))


@pytest.mark.parametrize("algorithm", [None, *FILTERS])
def test_a_grid_of_regions_keeps_to_its_memory(algorithm: str | None) -> None:
    if algorithm and not kernels.available():
        pytest.skip("nothing is compiled here")
    rng = np.random.default_rng(0)
    kernel = np.ones((7, 7), "f4")
    x = decades(rng, (700, 900))
    plan = ft.Convolution(kernel, boundary="wrap").plan(x.shape, x.dtype, algorithm=algorithm)
    limit = plan.recipe.workspace + 1_500_000
    regions = plan.regions(limit, threads=1)
    assert len(regions) > 3
    assert max(plan.region_bytes(region, threads=1) for region in regions) <= limit
    out, want = np.full(x.shape, np.nan, "f4"), plan(x)
    for region in regions:
        where = tuple(slice(*part) for part in region)
        assert np.isnan(out[where]).all()
        plan.run_region(held(x, plan.reads(region)), region, out=out[where])
    assert out.tobytes() == want.tobytes()
    assert len(plan.regions(10**9)) == 1


@compiled
@pytest.mark.parametrize("algorithm", FILTERS)
@pytest.mark.parametrize("dtype", ["f4", "u1", "c8"])
@pytest.mark.parametrize(("shape", "axes"), [((700, 800), (0, 1)), ((400, 300, 3), (0, 1)), ((300, 400, 3), (1, 0))])
def test_a_region_takes_no_more_memory_than_it_says(algorithm: str, dtype: str, shape: Any, axes: Any) -> None:
    rng = np.random.default_rng(0)
    x = (rng.random(shape) * 100).astype(dtype)
    kernel = np.ones((9, 11), "f4") if algorithm != "direct" else decades(rng, (9, 11))
    plan = ft.Convolution(kernel, axes=axes, boundary="antireflect").plan(shape, dtype, algorithm=algorithm)
    for region in ([(0, n // 2 + 1) for n in shape], [(n // 3, n - n // 4) for n in shape]):
        source = held(x, plan.reads(region))
        plan.run_region(source, region, threads=2)
        tracemalloc.start()
        plan.run_region(source, region, threads=2)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert source.nbytes + peak <= plan.region_bytes(region, threads=2)


def test_regions_may_hold_whole_chunks_of_a_store() -> None:
    plan = ft.Convolution(np.ones((5, 5), "f4")).plan((1000, 700), "f4")
    limit = plan.recipe.workspace + 1_000_000
    regions = plan.regions(limit, threads=1, multiples=(64, 50))
    assert len(regions) > 4
    assert all(a % 64 == 0 and (b % 64 == 0 or b == 1000) for (a, b), _ in regions)
    assert all(a % 50 == 0 and (b % 50 == 0 or b == 700) for _, (a, b) in regions)
    assert sum((b - a) * (d - c) for (a, b), (c, d) in regions) == 700_000
    with pytest.raises(PlanError, match="smallest region, of 500 x 50 outputs"):
        plan.regions(limit // 8, threads=1, multiples=(500, 50))
    with pytest.raises(GeometryError, match="for each axis"):
        plan.regions(limit, multiples=(64,))


def test_memory_that_no_region_keeps_to_is_refused_with_the_arithmetic() -> None:
    plan = ft.Convolution(np.ones((5, 5))).plan((500, 500), float)
    with pytest.raises(PlanError, match=r"smallest region, of 1 x 1 outputs, needs .* \(samples\) \+ .* = .* bytes"):
        plan.regions(1000)


@pytest.mark.parametrize("algorithm", [None, *FILTERS])
def test_a_plan_travels(algorithm: str | None) -> None:
    if algorithm and not kernels.available():
        pytest.skip("nothing is compiled here")
    rng = np.random.default_rng(0)
    x = decades(rng, (200, 150))
    c = ft.Convolution(np.ones((5, 6), "f4"), boundary="reflect")
    plan = c.plan(x.shape, x.dtype, algorithm=algorithm)
    moved = pickle.loads(pickle.dumps(plan))
    assert moved.signature == plan.signature
    assert moved.token == plan.token
    assert moved(x).tobytes() == plan(x).tobytes()
    assert pickle.loads(pickle.dumps(plan)) is moved
    assert "not " in moved.explain()
    other = ft.Convolution(np.ones((5, 6), "f4") * 2, boundary="reflect").plan(x.shape, x.dtype, algorithm=algorithm)
    assert other.token != plan.token


@compiled
def test_nothing_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ft.Convolution(np.ones((31, 30), "f4"), axes=(1, 2)).plan((2, 300, 400), "f4", algorithm="fourier")
    stored = pickle.dumps(plan)

    def choose(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(fourier_cost, "best_tiling", choose)
    moving._restored.clear()
    assert pickle.loads(stored).signature == plan.signature


def test_a_plan_for_other_instructions_is_refused() -> None:
    plan = ft.Convolution([1.0, 2.0]).plan(10, float)
    plan.recipe = replace(plan.recipe, arithmetic=("another machine",))
    with pytest.raises(PlanError, match="same instruction set"):
        pickle.loads(pickle.dumps(plan))
