"""The sparse matrix equals the call and the definition, for generated problems and for layers; it is canonical CSR."""

from collections import Counter
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings

from faltung import Convolution, definition
from faltung.analysis.matrix import matrix
from faltung.errors import BoundaryError, DtypeError, GeometryError
from faltung.problem.dtypes import resolve
from strategies import RULES, Case, bound, problems

LINEAR = tuple(rule for rule in RULES if rule != "constant")
seen: Counter[str] = Counter()


def described(case: Case) -> Convolution:
    return Convolution(case.kernel, flip=case.name == "convolve", **case.kwargs)


def wide(x: np.ndarray) -> np.ndarray:
    """Give the array in a dtype that SciPy multiplies, every value kept."""
    return x.astype({"c": np.complex128, "f": np.float64}.get(x.dtype.kind, np.int64))


def check(case: Case) -> None:
    c = described(case)
    A = matrix(c, case.x.shape)
    got = (A @ wide(case.x).ravel()).reshape(c.output_shape(case.x.shape))
    want, call = case.definition(), c(case.x)
    assert got.shape == want.shape
    dtypes = resolve(case.x.dtype, case.kernel.dtype, None)
    if got.dtype.kind == "i":
        assert (got.astype(object) == want).all()
    else:
        error = np.abs(got.astype(want.dtype) - want)
        assert (error <= 2 * bound(case, "c16" if got.dtype.kind == "c" else "f8")).all()
    allowed = bound(case, dtypes.accumulate, dtypes.output) + 2 * bound(case, "c16")
    assert (np.abs(got - call.astype(got.dtype)) <= allowed).all()
    canonical(A)
    seen["non-zero"] += np.count_nonzero(want) >= 0.3 * want.size > 0
    seen["cases"] += 1
    for rule in LINEAR:
        seen[rule] += rule in str(case.kwargs.get("boundary", "")) and want.size > 0


def canonical(A) -> None:
    """Check what SciPy is told: the pointers ascend, every row's columns ascend strictly, and fit."""
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    assert (np.diff(A.indptr) >= 0).all()
    assert A.indptr[-1] == len(A.indices) == len(A.data)
    assert ((np.diff(rows) > 0) | (np.diff(A.indices) > 0)).all()
    assert len(A.indices) == 0 or (A.indices.min() >= 0 and A.indices.max() < A.shape[1])


@settings(max_examples=150)
@given(problems(boundaries=LINEAR))
def test_any_problem_equals_the_call_and_the_definition(case: Case) -> None:
    check(case)


def test_every_rule_was_generated() -> None:
    if not seen["cases"]:
        pytest.skip("runs after test_any_problem_equals_the_call_and_the_definition")
    assert all(seen[rule] for rule in LINEAR)
    assert seen["non-zero"] >= 0.3 * seen["cases"]


LAYERS = [
    ((2, 4, 7, 5), (6, 2, 3, 2), {"groups": 2, "stride": (2, 1), "boundary": ["wrap", ("edge", "antireflect")]}),
    ((3, 9), (5, 3, 4), {"padding": [(5, 2)], "dilation": 2}),
    ((2, 4, 3, 6), (3, 1, 9), {"groups": 3, "boundary": "symmetric"}),
    ((4, 2, 3, 4, 5), (2, 4, 2, 3, 2, 2), {"mode": "full"}),
    ((0, 2, 6), (3, 2, 3), {}),
    ((2, 2, 0), (3, 2, 3), {}),
]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("shape", "kernel_shape", "options"), LAYERS, ids=str)
@pytest.mark.parametrize("kind", ["i8", "f8", "c16"])
def test_a_layer_is_the_sum_over_its_channels(shape, kernel_shape, options, flip, kind) -> None:
    rng = np.random.default_rng(5)
    kernel, x = (rng.integers(-9, 10, size).astype(kind) for size in (kernel_shape, shape))
    if kind == "c16":
        kernel, x = kernel + 1j * rng.integers(-9, 10, kernel_shape), x - 2j
    c = Convolution(kernel, channels=True, flip=flip, **options)
    got = (matrix(c, shape) @ x.ravel()).reshape(c.output_shape(shape))
    assert np.array_equal(got, literally(x, kernel, flip, options))


def literally(x, kernel, flip, options):
    """Sum the definition's maps, channel by channel; every sum of these small integers is exact."""
    rank = kernel.ndim - 2
    asked = {name: value for name, value in options.items() if name != "groups"}
    groups, per = options.get("groups", 1), kernel.shape[1]
    batched = x.reshape(prod(x.shape[: x.ndim - rank - 1]), *x.shape[x.ndim - rank - 1 :])
    # No kernel of a layer is conjugated, but the definition's correlation does it.
    one = definition.convolve if flip else lambda a, k, **kw: definition.correlate(a, np.conj(k), **kw)
    maps = [
        [
            sum(one(image[o // (len(kernel) // groups) * per + i], kernel[o, i], **asked) for i in range(per))
            for o in range(len(kernel))
        ]
        for image in batched
    ]
    size = one(np.zeros(x.shape[x.ndim - rank :], int), kernel[0, 0], **asked).shape
    return np.array(maps).reshape(*x.shape[: x.ndim - rank - 1], len(kernel), *size)


def test_a_bank_stacks_its_maps() -> None:
    rng = np.random.default_rng(2)
    kernels, x = list(rng.integers(-9, 10, (3, 2, 4))), rng.integers(-9, 10, (5, 3, 6))
    A = matrix(Convolution(kernels, axes=(2, 0), stride=(1, 2), boundary="antisymmetric"), x.shape)
    want = [definition.convolve(x, k, axes=(2, 0), stride=(1, 2), boundary="antisymmetric") for k in kernels]
    assert A.dtype == np.int64
    assert np.array_equal(A @ x.ravel(), np.ravel(want))


@pytest.mark.parametrize(("kernel", "kind"), [([True, False], "i"), (np.ones(2, "f2"), "f"), ([1j, 2.0], "c")])
def test_dtypes_are_the_kernels_kind_in_full_width(kernel, kind) -> None:
    A = matrix(Convolution(kernel), 5)
    assert (A.dtype.kind, A.dtype.itemsize) == (kind, 16 if kind == "c" else 8)


def test_toeplitz_is_scipys() -> None:
    from scipy.linalg import convolution_matrix

    kernel = np.random.default_rng(0).standard_normal(5)
    for mode in ("full", "valid"):
        A = matrix(Convolution(kernel, mode=mode, boundary="zero"), 40).toarray()
        assert np.array_equal(A, convolution_matrix(kernel, 40, mode))


def test_infinite_weights_stay_in_place() -> None:
    A = matrix(Convolution([1.0, np.inf, 2.0], boundary="symmetric"), 4)
    assert np.array_equal(np.isinf(A.toarray()), np.eye(4, dtype=bool))
    assert not np.isnan(A.data).any()


def test_a_scalar_kernel_and_an_array_without_axes() -> None:
    assert matrix(Convolution(np.array(3), axes=()), (2, 2)).toarray().tolist() == (3 * np.eye(4)).tolist()
    assert matrix(Convolution(np.array(3)), ()).toarray().tolist() == [[3]]


@pytest.mark.parametrize("pattern", [1, 7, 1000])
def test_blocks_of_any_length_write_the_same(pattern, monkeypatch) -> None:
    c = Convolution(np.arange(12.0).reshape(3, 4), boundary="reflect")
    want = matrix(c, (20, 31))
    monkeypatch.setattr("faltung.analysis.matrix.PATTERN", pattern)
    got = matrix(c, (20, 31))
    assert np.array_equal(got.indices, want.indices)
    assert np.array_equal(got.data, want.data)


def test_constants_are_affine() -> None:
    with pytest.raises(BoundaryError, match=r"axis 1 is extended by the constant 5.*affine.*boundary='zero'"):
        matrix(Convolution([1, 2, 1], boundary="constant:5", axes=1), (3, 4))
    # A constant that no output reads does no harm.
    assert matrix(Convolution([1, 2, 1], boundary="constant:5", mode="valid"), 4).shape == (2, 4)


def test_weights_beyond_int64_are_refused() -> None:
    with pytest.raises(DtypeError, match="does not fit int64"):
        matrix(Convolution(np.array([2**63], np.uint64)), 3)


def test_a_shape_that_does_not_fit() -> None:
    with pytest.raises(GeometryError, match="the kernel has 1 axes and the array has 2"):
        matrix(Convolution([1, 2]), (3, 4))
