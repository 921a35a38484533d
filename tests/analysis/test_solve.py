"""Least squares against numpy.linalg.lstsq, and a Gaussian process against its formula."""

import numpy as np
import pytest

from faltung import Convolution
from faltung.analysis.matrix import matrix
from faltung.analysis.solve import is_definite, solve
from faltung.analysis.taps import taps_of
from faltung.errors import GeometryError, PlanError

RNG = np.random.default_rng(11)
CASES = [
    (Convolution(RNG.standard_normal((3, 4)), boundary="wrap", axes=(2, 0)), (8, 2, 5)),
    (Convolution(RNG.standard_normal((4, 2, 3, 3)), boundary="wrap", channels=True, groups=2), (2, 4, 5, 4)),
    (Convolution(RNG.standard_normal((2, 4, 3)) + 1j, boundary="wrap", channels=True), (4, 7)),
    (Convolution(list(RNG.standard_normal((3, 4))), boundary="wrap"), 9),
    (Convolution(RNG.standard_normal((3, 4)), boundary="edge", mode="full"), (8, 5)),
    (Convolution(RNG.standard_normal((3, 3)), stride=2, boundary="antireflect"), (8, 7)),
    (Convolution(RNG.standard_normal(3) + 2j, mode="valid"), 9),
]


@pytest.mark.parametrize("regularisation", [0.0, 0.3])
@pytest.mark.parametrize(("c", "shape"), CASES, ids=str)
def test_least_squares(c, shape, regularisation) -> None:
    A = matrix(c, shape).toarray()
    y = RNG.standard_normal(c.output_shape(shape))
    stacked = np.vstack([A, np.sqrt(regularisation) * np.eye(A.shape[1])]) if regularisation else A
    right = np.r_[y.ravel(), np.zeros(len(stacked) - y.size)]
    want = np.linalg.lstsq(stacked, right, rcond=1e-13)[0]
    got = solve(c, y, shape, regularisation=regularisation, tolerance=1e-13)
    assert got.shape == ((shape,) if isinstance(shape, int) else shape)
    assert got.dtype == A.dtype
    np.testing.assert_allclose(got.ravel(), want, atol=1e-7 * np.abs(want).max())


def test_lost_waves_get_the_least_norm() -> None:
    x = solve(Convolution([1.0, 1.0], boundary="wrap"), np.array([2.0, 2.0, 2.0, 2.0]), 4)
    np.testing.assert_allclose(x, 1, atol=1e-14)


@pytest.mark.parametrize(("shape", "reach"), [(60, 59), ((9, 12), (8, 11))])
def test_a_gaussian_process_on_a_grid(shape, reach) -> None:
    sizes, reaches = np.atleast_1d(shape), np.atleast_1d(reach)
    lags = np.meshgrid(*(np.arange(-r, r + 1) for r in reaches), indexing="ij")
    covariance = np.exp(-np.sqrt(sum(lag**2 for lag in lags)) / 6.0)
    noisy = covariance.copy()
    noisy[tuple(reaches)] += 0.05
    y = RNG.standard_normal(shape)
    c = Convolution(noisy, boundary="zero")
    # Two axes at once are positive definite, but not provably so by the torus.
    known = None if is_definite(taps_of(c, shape)) else True
    assert (known is None) == (c.kernel.ndim == 1)
    places = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), -1).reshape(-1, len(sizes))
    K = np.exp(-np.linalg.norm(places[:, None] - places, axis=-1) / 6.0)
    want = np.linalg.solve(K + 0.05 * np.eye(len(K)), y.ravel())
    np.testing.assert_allclose(solve(c, y, shape, positive_definite=known).ravel(), want, rtol=1e-7, atol=1e-8)
    complex_y = y + 2j * y
    np.testing.assert_allclose(
        solve(c, complex_y, shape, positive_definite=known).ravel(), want * (1 + 2j), rtol=1e-7, atol=1e-7
    )


@pytest.mark.parametrize(
    ("c", "shape"),
    [
        (Convolution([1.0, 1.0, 1.0], boundary="zero"), 9),
        (Convolution([1.0, 3.0, 0.5], boundary="zero"), 9),
        (Convolution([1.0, 3.0, 1.0], boundary="edge"), 9),
        (Convolution([1.0, 3.0, 1.0], boundary="zero", stride=2), 9),
        (Convolution([1.0, 3.0, 1.0], boundary="zero", anchor=0), 9),
        (Convolution([[[1.0, 3.0, 1.0]]], boundary="zero", channels=True), (2, 1, 9)),
        (Convolution([1j, 3.0, 1j], boundary="zero"), 9),
    ],
    ids=str,
)
def test_nothing_else_passes_for_definite(c, shape) -> None:
    assert not is_definite(taps_of(c, shape))
    # It is solved all the same.
    y = np.ones(c.output_shape(shape))
    np.testing.assert_allclose(np.linalg.norm(c(solve(c, y, shape)) - y), residual(c, shape, y), atol=1e-6)


def residual(c, shape, y) -> float:
    A = matrix(c, shape).toarray()
    return float(np.linalg.norm(A @ np.linalg.lstsq(A, y.ravel())[0] - y.ravel()))


def test_what_does_not_converge_says_so() -> None:
    c = Convolution(np.exp(-(np.arange(-20, 21) ** 2) / 50.0), boundary="edge")
    y = RNG.standard_normal(64)
    with pytest.raises(PlanError, match=r"LSQR stopped after 3 iterations .* raise regularisation"):
        solve(c, y, 64, max_iterations=3)
    near = Convolution(np.r_[np.full(40, 0.01), 1.0, np.full(40, 0.01)], boundary="zero")
    with pytest.raises(PlanError, match="conjugate gradients stopped after 1 iterations"):
        solve(near, y, 64, max_iterations=1)


def test_arguments() -> None:
    with pytest.raises(GeometryError, match="regularisation must be a number of at least 0, not -1"):
        solve(Convolution([1.0]), np.ones(3), 3, regularisation=-1)
    with pytest.raises(GeometryError, match=r"y has the shape \(4,\)"):
        solve(Convolution([1.0]), np.ones(4), 3)
    assert solve(Convolution([1.0]), np.ones(0), 0).shape == (0,)
    with pytest.raises(GeometryError, match="positive_definite=True for an operator of 3 x 5; only a square one"):
        solve(Convolution([1.0, 2.0, 1.0], mode="valid"), np.ones(3), 5, positive_definite=True)


def test_a_promise_holds_for_layers_too() -> None:
    kernel = np.zeros((2, 2, 3))
    kernel[0, 0] = kernel[1, 1] = [1.0, 3.0, 1.0]
    kernel[0, 1] = kernel[1, 0] = [0.0, 0.5, 0.0]
    c = Convolution(kernel, channels=True, boundary="zero")
    y = RNG.standard_normal((4, 2, 7))
    want = np.linalg.solve(matrix(c, y.shape).toarray(), y.ravel())
    np.testing.assert_allclose(solve(c, y, y.shape, positive_definite=True).ravel(), want, rtol=1e-8)
