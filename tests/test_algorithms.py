"""The contract of every algorithm: forced by name, it gives what the definition gives, within its bound, NaN included.

An algorithm may refuse a problem; each must have served many, or the tests fail.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung as ft
from faltung import definition
from faltung.plan.choice import ALGORITHMS
from faltung.plan.plan import Plan
from strategies import Case, problems

# What an algorithm needs to find in the kernel; everything else takes any.
STRUCTURE = {"window_sum": "constant", "separable": "low rank"}


def usable() -> list[str]:
    """Name the algorithms that serve at least some problem here: what is compiled, or NumPy where nothing is."""
    found = []
    for name in ALGORITHMS:
        kernel = kernel_for(name, np.random.default_rng(0), (9, 9))
        try:
            ft.Convolution(kernel).plan((300, 300), np.float32, algorithm=name)
        except ft.errors.PlanError:
            continue
        found.append(name)
    return found


def kernel_for(name: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw a kernel that an algorithm can use."""
    structure = STRUCTURE.get(name)
    if structure == "constant":
        return np.full(shape, rng.uniform(-2, 2))
    if structure == "low rank":
        kernel = np.zeros(shape)
        for _ in range(rng.integers(1, 3)):
            factors = [rng.standard_normal(k) for k in shape]
            kernel += np.einsum(",".join("abcde"[: len(shape)]) + "->" + "abcde"[: len(shape)], *factors)
        return kernel
    return rng.standard_normal(shape)


NAMES = usable()
served: Counter[str] = Counter()
worst: dict[str, float] = dict.fromkeys(NAMES, 0.0)


def check(name: str, case: Case, plan: Plan, want: np.ndarray) -> None:
    """Compare an answer with the definition, and remember how near its error came to the bound."""
    values = [rule.value for sides in plan.problem.boundary for rule in sides]
    largest = max([abs(complex(v)) for v in values] + [float(np.abs(case.x.astype(complex)).max(initial=0))])
    tiny = case.kernel.size * float(np.finfo(np.float32).smallest_subnormal) * 4
    error = np.abs(plan(case.x).astype(want.dtype) - want)
    assert (error <= plan.error_bound * largest + tiny).all()
    if plan.error_bound and largest and error.size:
        worst[name] = max(worst[name], float(error.max()) / (plan.error_bound * largest))


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_keeps_its_bound(name) -> None:
    @settings(max_examples=150, deadline=None)
    @given(problems(max_rank=4, dtypes=("f4", "f8", "u1", "i2", "c8"), kernel_dtypes=("f4", "f8")), st.integers(0, 99))
    def run(case: Case, seed: int) -> None:
        rng = np.random.default_rng(seed)
        kernel = kernel_for(name, rng, case.kernel.shape).astype(case.kernel.dtype)
        case = Case(case.name, case.x, kernel, case.kwargs)
        convolution = ft.Convolution(kernel, flip=case.name == "convolve", **case.kwargs)
        try:
            plan = convolution.plan(case.x.shape, case.x.dtype, algorithm=name)
        except ft.errors.PlanError:
            return
        served[name] += 1
        check(name, case, plan, case.definition())

    run()
    assert served[name] >= 30
    # A bound that nothing comes near is no bound.
    assert worst[name] >= 0.01


SHAPES = [((1500,), (65,)), ((300, 420), (13, 17)), ((257, 611), (31, 6)), ((40, 50, 60), (5, 7, 6))]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("boundary", ["zero", "constant:3", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize(("shape", "size"), SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_several_tiles_of_every_axis(name, shape, size, boundary, dtype) -> None:
    rng = np.random.default_rng(len(shape))
    x, kernel = rng.standard_normal(shape).astype(dtype), kernel_for(name, rng, size)
    convolution = ft.Convolution(kernel, flip=False, boundary=boundary)
    plan = convolution.plan(shape, dtype, algorithm=name)
    got = plan(x, threads=2)
    where = [tuple(int(i) for i in rng.integers(0, shape)) for _ in range(40)]
    where += [
        tuple(0 if end else n - 1 for end, n in zip(ends, shape, strict=True))
        for ends in np.ndindex(*(2,) * len(shape))
    ]
    want = definition.correlate(x, kernel, boundary=boundary, at=where)
    error = np.abs(np.array([got[i] for i in where], want.dtype) - want)
    norm, most = np.abs(kernel).sum(), max(np.abs(x).max(), 3.0)
    assert error.max() <= plan.error_bound * most
    assert error.max() <= (1e-4 if dtype == "f4" else 1e-13) * norm * most
    np.testing.assert_array_equal(got, plan(x, threads=1))
    np.testing.assert_array_equal(got, plan(np.asfortranarray(x), threads=1))


@pytest.mark.parametrize("name", NAMES)
def test_one_nan_reaches_exactly_its_windows(name) -> None:
    x = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    kernel = kernel_for(name, np.random.default_rng(1), (31, 31))
    clean = ft.correlate(x, kernel, algorithm=name)
    x[200, 300] = np.nan
    got = ft.correlate(x, kernel, algorithm=name)
    assert np.isnan(got).sum() == 961
    assert np.isnan(got[185:216, 285:316]).all()
    rest = ~np.isnan(got)
    np.testing.assert_allclose(got[rest], clean[rest], atol=2e-4 * np.abs(kernel).sum() * 5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("boundary", ["zero", "reflect", "wrap"])
def test_nan_and_inf_are_where_the_definition_puts_them(name, boundary) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((80, 90))
    x[30, 40], x[0, 0], x[79, 50], x[35, 44] = np.nan, np.inf, -np.inf, np.inf
    kernel = kernel_for(name, rng, (7, 5))
    got = ft.correlate(x, kernel, boundary=boundary, algorithm=name)
    want = definition.correlate(x, kernel, boundary=boundary).astype(float)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)])
    finite = np.isfinite(want)
    assert finite.mean() > 0.5
    np.testing.assert_allclose(got[finite], want[finite], atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_a_huge_pixel_spoils_only_its_windows(name) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((200, 210)).astype(np.float32)
    kernel = kernel_for(name, rng, (15, 15))
    x[100, 100] = 1e20
    got = ft.correlate(x, kernel, algorithm=name)
    away = np.ones(x.shape, bool)
    away[93:108, 93:108] = False
    x[100, 100] = 0
    want = ft.correlate(x.astype(float), kernel, algorithm=NAMES[0])
    assert np.abs(got - want)[away].max() <= 1e-4 * np.abs(kernel).sum() * np.abs(x).max()


@pytest.mark.parametrize("name", NAMES)
def test_windows_of_zeros_give_zero(name) -> None:
    x = np.zeros((150, 160), np.float32)
    x[:40, :40] = np.random.default_rng(0).standard_normal((40, 40))
    kernel = kernel_for(name, np.random.default_rng(1), (11, 11))
    got = ft.correlate(x, kernel, algorithm=name, boundary="zero")
    assert (got[46:] == 0).all()
    assert (got[:, 46:] == 0).all()
    assert np.count_nonzero(got) > 1500


@pytest.mark.parametrize("name", NAMES)
def test_data_over_six_decades_cancel_within_the_bound(name) -> None:
    rng = np.random.default_rng(5)
    x = (rng.standard_normal((120, 130)) * 10 ** rng.uniform(-3, 3, (120, 130))).astype(np.float32)
    x[:, 1::2] = -x[:, ::2]  # neighbours cancel
    kernel = kernel_for(name, rng, (9, 8))
    plan = ft.Convolution(kernel, flip=False, boundary="wrap").plan(x.shape, x.dtype, algorithm=name)
    want = definition.correlate(x, kernel, boundary="wrap")
    assert np.abs(plan(x) - want).max() <= plan.error_bound * np.abs(x).max()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fourier"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1"])
def test_shifts_pass_through_bit_for_bit(name, dtype) -> None:
    """Whatever works window by window gives equal windows equal bits, wherever they lie."""
    rng = np.random.default_rng(6)
    x = (rng.standard_normal((131, 157)) * 10 ** rng.uniform(0, 2, (131, 157))).astype(dtype)
    convolution = ft.Convolution(kernel_for(name, rng, (11, 13)), boundary="wrap")
    plain = convolution(x, algorithm=name)
    for shift in ((1, 0), (0, 1), (17, 31), (-5, 64)):
        moved = convolution(np.roll(x, shift, (0, 1)), algorithm=name)
        np.testing.assert_array_equal(moved, np.roll(plain, shift, (0, 1)))
