"""Any problem equals the definition within the stated bound; what was generated is counted, and no kind is missing."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

import faltung as ft
from faltung import definition
from faltung.compiler import kernels
from faltung.problem.dtypes import resolve
from strategies import RULES, Case, bound, problems

seen: Counter[str] = Counter()
# The bound here is that of the sum of taps; `test_algorithms` holds the others to theirs.
PLAIN = "direct" if kernels.available() else "numpy"


def check(case: Case, got: np.ndarray) -> None:
    """Compare with the definition: shape, dtype, and every value within the bound."""
    want = case.definition()
    dtypes = resolve(case.x.dtype, case.kernel.dtype, None)
    assert got.shape == want.shape
    assert got.dtype == dtypes.output
    if got.dtype.kind in "iu":
        assert (got.astype(object) == want.astype(object)).all()
    else:
        error = np.abs(got.astype(want.dtype) - want)
        limit = bound(case, dtypes.accumulate, dtypes.output)
        assert (error <= limit).all(), f"{(error / limit).max()} of the bound"
    seen["with outputs"] += want.size > 0
    seen["mostly non-zero"] += 0 < want.size <= np.count_nonzero(want) / 0.3


def count(case: Case) -> None:
    seen["cases"] += 1
    seen[f"rank {case.x.ndim}"] += 1
    seen[f"input {case.x.dtype.kind}{case.x.dtype.itemsize}"] += 1
    seen[case.name] += 1
    for keyword in ("mode", "padding", "stride", "dilation", "anchor", "axes"):
        seen[keyword] += keyword in case.kwargs
    for rule in RULES:
        seen[rule] += rule in str(case.kwargs.get("boundary", ""))
    seen["kernel larger than the array"] += any(
        k > n > 0 for k, n in zip(case.kernel.shape, case.x.shape, strict=False)
    )
    seen["empty axis"] += 0 in case.x.shape
    seen["axis of one"] += 1 in case.x.shape
    seen["even kernel"] += any(k % 2 == 0 for k in case.kernel.shape)


@settings(max_examples=600)
@given(problems())
def test_any_problem_equals_the_definition(case: Case) -> None:
    count(case)
    check(case, case.apply(ft, threads=1))


def test_every_kind_was_generated() -> None:
    if not seen["cases"]:
        pytest.skip("runs after test_any_problem_equals_the_definition")
    print(dict(seen))
    wanted = [f"rank {n}" for n in range(1, 6)]
    wanted += [
        f"input {kind}"
        for kind in ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16")
    ]
    wanted += ["correlate", "convolve", "mode", "padding", "stride", "dilation", "anchor", "axes", *RULES]
    wanted += ["kernel larger than the array", "empty axis", "axis of one", "even kernel"]
    assert not [cell for cell in wanted if not seen[cell]]
    assert seen["mostly non-zero"] >= 0.5 * seen["with outputs"]


# Arrays so large that their interior is read in place, in several tiles of every axis and with every kind of tail.
LARGE = [
    ((301, 517), (3, 3), {}),
    ((300, 512), (5, 4), {"boundary": ["wrap", ("edge", "antireflect")]}),
    ((257, 333), (15, 11), {"mode": "full"}),
    ((200, 401), (4, 6), {"mode": "valid", "dilation": (2, 3)}),
    ((400, 303), (7, 7), {"stride": (2, 3), "boundary": "reflect"}),
    ((300, 400), (1, 9), {"boundary": "constant:2"}),
    ((300, 400), (9, 1), {"anchor": (0, 0)}),
    ((2500, 70), (2, 2), {}),
    ((50_001,), (101,), {"boundary": "edge"}),
    ((40_000,), (7,), {"dilation": 5}),
    ((40_000,), (64,), {"stride": 2}),
    ((33, 45, 67), (3, 4, 3), {"boundary": ["zero", "wrap", "symmetric"]}),
    ((9, 12, 30, 40), (3, 2, 3, 3), {}),
    ((150, 200, 3), (5, 5), {"axes": (0, 1)}),
    ((150, 30, 40), (3,), {"axes": (0,)}),
    ((20, 60, 80), (3, 5), {"axes": (1, 2)}),
    ((60, 20, 80), (3, 5), {"axes": (2, 0)}),
    # More than 4 MiB of output: stored past the caches, in whole tiles, with a rest of every kind.
    ((1100, 1024), (3, 3), {}),
    ((1100, 1104), (5, 7), {"boundary": "wrap"}),
    ((1100, 1023), (3, 3), {"mode": "valid"}),
    ((130, 100, 96), (3, 3, 3), {"boundary": "reflect"}),
]
PAIRS = [("f4", "f8"), ("f8", "f4"), ("u1", "f4"), ("i2", "i1"), ("i8", "u4"), ("c8", "c8"), ("f2", "f4")]


@pytest.mark.parametrize(("dtype", "kernel_dtype"), PAIRS)
@pytest.mark.parametrize(("shape", "kernel_shape", "options"), LARGE, ids=str)
@pytest.mark.parametrize("name", ["correlate", "convolve"])
def test_large_arrays_equal_the_definition(name, shape, kernel_shape, options, dtype, kernel_dtype) -> None:
    rng = np.random.default_rng(sum(shape) + len(options))

    def samples(size, kind):
        most = 5 if kind == "f2" else 90  # sums of half floats overflow beyond 65504
        values = rng.integers(0 if kind[0] == "u" else -most, most, size).astype(kind)
        return values + 1j * rng.integers(-9, 9, size).astype(kind) if kind[0] == "c" else values

    case = Case(name, samples(shape, dtype), samples(kernel_shape, kernel_dtype), options)
    got = case.apply(ft, threads=2, algorithm=PLAIN)
    where = [tuple(int(i) for i in rng.integers(0, got.shape)) for _ in range(40)]
    # Both ends of every axis, where rules change and tiles are moved back.
    where += [
        tuple(min(n - 1, e) if e >= 0 else max(0, n + e) for n in got.shape)
        for e in (0, 1, 15, 16, 17, 63, 64, -1, -2, -17, -65)
    ]
    want = case.definition(at=where)
    error = np.abs(np.array([got[i] for i in where]).astype(want.dtype) - want)
    dtypes = resolve(case.x.dtype, case.kernel.dtype, None)
    assert (error <= bound(case, dtypes.accumulate, dtypes.output, at=where)).all()
    assert np.count_nonzero(want) >= 0.3 * want.size


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("boundary", ["zero", "reflect", "wrap", "antisymmetric"])
def test_nan_and_inf_stay_where_the_definition_puts_them(value, boundary) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((150, 260))
    x[70, 90] = x[0, 0] = x[149, 7] = value
    kernel = rng.standard_normal((5, 3))
    kernel[2, 1] = 0.0
    got = ft.correlate(x, kernel, boundary=boundary)
    want = definition.correlate(x, kernel, boundary=boundary).astype(float)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)])
    assert np.isnan(got).sum() >= 1


def test_one_nan_reaches_exactly_its_windows() -> None:
    x = np.zeros((512, 512), np.float32)
    x[200, 300] = np.nan
    assert np.isnan(ft.correlate(x, np.ones((31, 31)))).sum() == 961


@settings(max_examples=60)
@given(problems(max_rank=3, dtypes=("i2", "i4"), kernel_dtypes=("i1", "i2"), names=("convolve",), layouts=("C",)))
def test_full_convolution_with_zeros_commutes(case: Case) -> None:
    kernel = case.kernel.astype(case.x.dtype)
    if case.x.ndim != kernel.ndim or 0 in case.x.shape:
        return
    one = ft.convolve(case.x, kernel, mode="full", boundary="zero")
    other = ft.convolve(kernel, case.x, mode="full", boundary="zero")
    np.testing.assert_array_equal(one, other)


@settings(max_examples=200)
@given(problems(max_rank=3, kernel_dtypes=("f4", "f8", "c8"), dtypes=("f2", "f4", "f8", "c8", "u1")))
def test_no_error_exceeds_the_plans_bound(case: Case) -> None:
    convolution = ft.Convolution(case.kernel, flip=case.name == "convolve", **case.kwargs)
    plan, want = convolution.plan(case.x.shape, case.x.dtype), case.definition()
    values = [rule.value for sides in plan.problem.boundary for rule in sides]
    largest = max([abs(complex(v)) for v in values] + [float(np.abs(case.x.astype(complex)).max(initial=0))])
    tiny = case.kernel.size * float(np.finfo(plan.problem.dtypes.output).smallest_subnormal) * 4
    assert (np.abs(plan(case.x).astype(want.dtype) - want) <= plan.error_bound * largest + tiny).all()
