"""The adjoint is the conjugate transpose: exactly for integers, to rounding for floats; solvers take the operator."""

import numpy as np
import pytest
from hypothesis import given, settings

from faltung import Convolution
from faltung.analysis.matrix import matrix
from faltung.analysis.operator import adjoint, linear_operator
from faltung.analysis.sharing import sharing
from faltung.analysis.taps import taps_of
from faltung.errors import BoundaryError, GeometryError
from strategies import RULES, Case, problems

LINEAR = tuple(rule for rule in RULES if rule != "constant")


def described(case: Case) -> Convolution:
    return Convolution(case.kernel, flip=case.name == "convolve", **case.kwargs)


@settings(max_examples=100)
@given(problems(max_rank=4, boundaries=LINEAR, dtypes=("i2", "i4"), kernel_dtypes=("i1", "i2"), layouts=("C",)))
def test_integers_are_exactly_the_transpose(case: Case) -> None:
    c, shape = described(case), case.x.shape
    y = np.random.default_rng(0).integers(-9, 10, c.output_shape(shape)).astype(np.int16)
    # <A e, y> for every unit array e would be the definition; A itself is proved equal to it in test_matrix.
    got = adjoint(c, y, shape)
    assert got.dtype == np.int64
    assert np.array_equal(got.ravel(), matrix(c, shape).T @ y.ravel().astype(np.int64))


@settings(max_examples=100)
@given(problems(boundaries=LINEAR, dtypes=("f4", "f8", "c8", "c16"), kernel_dtypes=("f4", "f8", "c16")))
def test_the_dot_test(case: Case) -> None:
    c, rng = described(case), np.random.default_rng(0)
    y = rng.standard_normal(c.output_shape(case.x.shape)) + 1j * rng.standard_normal(c.output_shape(case.x.shape))
    if case.x.dtype.kind != "c" and case.kernel.dtype.kind != "c":
        y = y.real
    forward, back = c(case.x.astype(np.result_type(case.x, np.float64))), adjoint(c, y, case.x.shape)
    left, right = np.vdot(forward, y), np.vdot(case.x, back)
    # Rounding is a multiple of the sum of magnitudes over all edges; at folded borders weights of A itself may cancel.
    edges = sharing(c, case.x.shape)
    weights = np.abs(edges.factors * c.kernel.ravel().astype(complex)[edges.parameters])
    scale = np.abs(case.x.astype(complex)).ravel()[edges.columns] * weights @ np.abs(y).ravel()[edges.rows]
    assert abs(left - right) <= 1e-14 * (case.kernel.size + y.size + 10) * scale + 1e-300


LAYERS = [
    ((2, 4, 7, 5), (6, 2, 3, 2), {"groups": 2, "stride": (2, 1), "boundary": ["wrap", ("edge", "antireflect")]}),
    ((3, 9), (5, 3, 4), {"padding": [(5, 2)], "dilation": 2}),
    ((2, 4, 6, 6), (4, 1, 3, 3), {"groups": 4, "boundary": "symmetric", "flip": False}),
    ((0, 2, 6), (3, 2, 3), {}),
    ((2, 2, 0), (3, 2, 3), {}),
]


@pytest.mark.parametrize(("shape", "kernel_shape", "options"), LAYERS, ids=str)
def test_layers(shape, kernel_shape, options) -> None:
    rng = np.random.default_rng(1)
    kernel = rng.integers(-9, 10, kernel_shape) + 1j * rng.integers(-9, 10, kernel_shape)
    c = Convolution(kernel, channels=True, **options)
    y = rng.integers(-9, 10, c.output_shape(shape)) + 2j
    assert np.array_equal(adjoint(c, y, shape).ravel(), matrix(c, shape).conj().T @ y.ravel())


def test_a_bank_sums_what_its_maps_hand_back() -> None:
    c = Convolution(list(np.arange(24).reshape(3, 2, 4)), axes=(2, 0), boundary="reflect", stride=2)
    y = np.random.default_rng(3).integers(-9, 10, c.output_shape((5, 3, 7)))
    assert np.array_equal(adjoint(c, y, (5, 3, 7)).ravel(), matrix(c, (5, 3, 7)).T @ y.ravel())


@pytest.mark.parametrize(("kind", "result"), [("f2", "f4"), ("f4", "f4"), ("?", "f8"), ("c8", "c8"), (">f8", "f8")])
def test_dtypes(kind, result) -> None:
    assert adjoint(Convolution([0.5, 1.0]), np.ones(4, kind), 4).dtype == np.dtype(result)
    assert adjoint(Convolution([0.5, 1.0], axes=1), np.ones((0, 4), kind), (0, 4)).dtype == np.dtype(result)


def test_scipy_solves_with_it() -> None:
    from scipy.sparse.linalg import lsqr, svds

    c = Convolution(np.array([[0.0, 1.0, 0.0], [1.0, 6.0, 2.0], [0.0, 1.0, 0.0]]), boundary="edge")
    x = np.random.default_rng(0).standard_normal((12, 9))
    op = linear_operator(c, x.shape)
    assert op.dtype == np.float64
    found = lsqr(op, c(x).ravel(), atol=1e-14, btol=1e-14)[0]
    np.testing.assert_allclose(found.reshape(x.shape), x, atol=1e-9)
    want = np.linalg.svd(matrix(c, x.shape).toarray(), compute_uv=False)[:3]
    np.testing.assert_allclose(np.sort(svds(op, k=3, return_singular_vectors=False))[::-1], want, rtol=1e-10)


def test_operators_take_integers_and_stacks_and_keep_single_precision() -> None:
    c = Convolution(np.array([1, 2, 4]), boundary="wrap")
    op, A = linear_operator(c, 5), matrix(c, 5).toarray()
    assert (op @ np.arange(5)).tolist() == (A @ np.arange(5)).tolist()
    assert np.array_equal(op @ np.eye(5), A)
    assert np.array_equal(op.H @ np.eye(5), A.T)
    assert op.matvec(np.ones(5, np.float32)).dtype == np.float32


def test_pylops() -> None:
    pylops = pytest.importorskip("pylops")
    c = Convolution([[1.0, 2.0], [0.0, 1.0]], stride=2)
    op = pylops.aslinearoperator(linear_operator(c, (6, 5)))
    assert pylops.utils.dottest(op, *op.shape, verb=False)


def test_what_does_not_fit() -> None:
    with pytest.raises(
        GeometryError, match=r"y has the shape \(4,\), but the output for an input of \(4,\) has \(2,\)"
    ):
        adjoint(Convolution([1, 2], stride=2), np.zeros(4), 4)
    with pytest.raises(BoundaryError, match="affine"):
        adjoint(Convolution([1, 2], boundary="constant:1"), np.zeros(4), 4)


@settings(max_examples=60)
@given(problems(max_rank=3, boundaries=LINEAR, dtypes=("f8",), layouts=("C",), kernel_dtypes=("i1", "i2", "u1", "?")))
def test_the_sharing_map_names_every_weight(case: Case) -> None:
    c = described(case)
    shared = sharing(c, case.x.shape)
    got = np.zeros((np.prod(c.output_shape(case.x.shape), dtype=int), case.x.size), int)
    np.add.at(got, (shared.rows, shared.columns), shared.factors * c.kernel.ravel().astype(int)[shared.parameters])
    assert np.array_equal(got, matrix(c, case.x.shape).toarray())


def test_sharing_in_layers_and_banks_counts_the_stacked_kernel() -> None:
    for c, shape in [
        (Convolution(np.arange(36).reshape(6, 2, 3), channels=True, groups=2, boundary="edge"), (2, 4, 5)),
        (Convolution(list(np.arange(6).reshape(3, 2)), axes=0, boundary="zero"), (4, 2)),
    ]:
        shared, A = sharing(c, shape), matrix(c, shape)
        got = np.zeros(A.shape, int)
        np.add.at(got, (shared.rows, shared.columns), shared.factors * c.kernel.ravel()[shared.parameters])
        assert np.array_equal(got, A.toarray())


def test_one_kernel_at_every_position() -> None:
    shared = sharing(Convolution([1, 2, 3], flip=False, mode="valid"), 10)
    for parameter in range(3):
        mine = shared.parameters == parameter
        assert mine.sum() == 8
        assert set(shared.columns[mine] - shared.rows[mine]) == {parameter}


def test_carried_axes_are_counted() -> None:
    taps = taps_of(Convolution([1, 2], axes=1), (3, 4, 5))
    assert (taps.carried, taps.rows, taps.columns) == (15, 60, 60)
