from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from faltung.errors import DtypeError, GeometryError
from faltung.problem.kernel import facts

# The first draw of a session may be slow: it reads the constants of every imported module.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

INTEGERS = [np.dtype(d) for d in ("i1", "u1", "i2", "u4", "i8", "u8", ">i4")]


@unhurried
@given(
    arrays.arrays(st.sampled_from(INTEGERS), arrays.array_shapes(min_dims=0, max_dims=3, max_side=4)),
)
def test_integer_kernels_have_exact_norms(kernel: np.ndarray) -> None:
    weights = [int(w) for w in kernel.ravel()]
    found = facts(kernel)
    assert found.norm1 == sum(abs(w) for w in weights)
    assert found.norm_max == max(abs(w) for w in weights)
    assert type(found.norm1) is type(found.norm_max) is int
    assert found.nonzero == sum(w != 0 for w in weights)
    assert found.constant == (len(set(weights)) == 1)
    assert (found.shape, found.taps, found.finite) == (kernel.shape, len(weights), True)


def exact_parity(kernel: np.ndarray, axis: int) -> str | None:
    """Compare every pair of taps as exact numbers."""
    lines = [
        [Fraction(w) for w in line.tolist()] for line in np.moveaxis(kernel, axis, -1).reshape(-1, kernel.shape[axis])
    ]
    if all(line == line[::-1] for line in lines):
        return "even"
    return "odd" if all(line == [-w for w in line[::-1]] for line in lines) else None


@unhurried
@given(
    half=arrays.arrays(
        st.sampled_from([np.dtype(d) for d in ("i1", "u1", "i8", "u8", "f4")]),
        arrays.array_shapes(min_dims=1, max_dims=3, max_side=3),
        elements={"min_value": 0, "max_value": 3},
    ),
    kind=st.sampled_from(["even", "odd", "plain"]),
)
def test_symmetry_by_comparing_every_pair(half: np.ndarray, kind: str) -> None:
    mirrored = np.flip(half, 0)
    if kind == "odd":
        mirrored = np.zeros_like(mirrored) - mirrored
    kernel = half if kind == "plain" else np.concatenate((half, mirrored), 0)
    assert facts(kernel).symmetric == tuple(exact_parity(kernel, axis) for axis in range(kernel.ndim))


@pytest.mark.parametrize(
    ("kernel", "symmetric"),
    [
        ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], ("even", "odd")),
        ([[1, 2], [3, 4]], (None, None)),
        ([1j, 0, -1j], ("odd",)),
        ([1 + 1j, 2, 1 + 1j], ("even",)),
        ([1 + 1j, 2, 1 - 1j], (None,)),
        ([0, 0], ("even",)),
        ([-0.0, 0.0], ("even",)),
        ([7], ("even",)),
        (np.array([-128, -128], np.int8), ("even",)),
        (np.array([-128, 0, 127], np.int8), (None,)),
        (np.array([1, 0, 255], np.uint8), (None,)),
        ([True, False, True], ("even",)),
        ([np.nan, 1, np.nan], (None,)),
        (3.0, ()),
    ],
)
def test_symmetry_axis_by_axis(kernel: object, symmetric: tuple[str | None, ...]) -> None:
    assert facts(np.array(kernel)).symmetric == symmetric


def test_the_smallest_integer_does_not_wrap() -> None:
    lowest = np.full(4, -(2**63), np.int64)
    assert (facts(lowest).norm1, facts(lowest).norm_max) == (2**65, 2**63)
    assert facts(np.array([-(2**63), -(2**63), 1], np.int64)).symmetric == (None,)
    assert facts(np.full(3, 2**64 - 1, np.uint64)).norm1 == 3 * (2**64 - 1)


def test_bool_counts_as_uint8() -> None:
    found = facts(np.array([True, False, True]))
    assert (found.norm1, found.norm_max, found.nonzero, found.constant) == (2, 1, 2, False)
    assert type(found.norm1) is int


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "c8", "c16"])
def test_float_norms_are_taken_in_double_precision(dtype: str) -> None:
    found = facts(np.full(10_000, -8, dtype))
    assert (found.norm1, found.norm_max) == (80_000.0, 8.0)
    assert type(found.norm1) is type(found.norm_max) is float


def test_complex_norms_are_moduli() -> None:
    found = facts(np.array([3 + 4j, -5]))
    assert (found.norm1, found.norm_max, found.constant) == (10.0, 5.0, False)


def test_constant_kernels() -> None:
    assert facts(np.full((3, 4), 0.1)).constant
    assert facts(np.zeros(3)).constant
    assert not facts(np.array([0.1, 0.1, np.nextafter(0.1, 1)])).constant


def test_nan_and_infinity() -> None:
    found = facts(np.array([np.nan, 0.0, 1.0]))
    assert np.isnan(found.norm1)
    assert np.isnan(found.norm_max)
    assert (found.finite, found.constant, found.nonzero) == (False, False, 2)
    found = facts(np.array([np.inf, -np.inf]))
    assert (found.norm1, found.norm_max, found.finite, found.symmetric) == (np.inf, np.inf, False, ("odd",))


def test_a_norm_beyond_the_range_is_infinite_and_silent() -> None:
    found = facts(np.full(4, 1e308))
    assert (found.norm1, found.norm_max, found.finite) == (np.inf, 1e308, True)


def test_bfloat16_kernels() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    found = facts(np.array([1, -0.5, 1], bfloat16))
    assert (found.norm1, found.norm_max, found.symmetric, found.finite) == (2.5, 1.0, ("even",), True)


def test_views_of_any_stride_and_facts_that_can_be_hashed() -> None:
    kernel = np.arange(24).reshape(4, 6)
    found = facts(kernel[::-2, ::3].T)
    assert (found.shape, found.norm1, found.norm_max) == ((2, 2), 18 + 21 + 6 + 9, 21)
    assert hash(found) == hash(facts(np.array([[18, 6], [21, 9]])))


def test_what_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"a kernel of shape \(3, 0\) has no taps; every axis needs at least one"):
        facts(np.zeros((3, 0)))
    with pytest.raises(DtypeError, match=r"the kernel has dtype object, but only bool, .* x\.astype\(np\.float64\)"):
        facts(np.array([1, None]))
