"""The algebra of convolution: it holds on a torus and for mode="full" with zeros, and not elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung import Convolution, convolve
from faltung.analysis.compose import compose
from faltung.analysis.matrix import matrix

arrays = st.builds(
    lambda seed, shape: np.random.default_rng(seed).integers(-9, 10, shape),
    st.integers(0, 2**20),
    st.lists(st.integers(1, 6), min_size=2, max_size=2),
)


def full(kernel: np.ndarray) -> Convolution:
    return Convolution(kernel, mode="full", boundary="zero")


def torus(kernel: np.ndarray) -> Convolution:
    return Convolution(kernel, boundary="wrap", anchor=0)


@settings(max_examples=40)
@given(arrays, arrays, arrays)
def test_full_with_zeros_is_a_commutative_ring(a, b, c) -> None:
    assert np.array_equal(full(a)(b), full(b)(a))
    assert np.array_equal(full(c)(full(b)(a)), full(full(c)(b))(a))
    assert np.array_equal(compose(full(c), full(b)).kernel, full(c)(b))
    assert np.array_equal(full(np.ones((1, 1), int))(a), a)
    other = np.roll(b, 1, 0)
    assert np.array_equal(full(a)(b + other), full(a)(b) + full(a)(other))


@settings(max_examples=40)
@given(st.integers(0, 2**20), st.integers(1, 6), st.integers(1, 6))
def test_a_common_torus_is_one_too(seed, height, width) -> None:
    a, b, c = np.random.default_rng(seed).integers(-9, 10, (3, height, width))
    assert np.array_equal(torus(a)(b), torus(b)(a))
    assert np.array_equal(torus(c)(torus(b)(a)), torus(torus(c)(b))(a))
    A, B = matrix(torus(a), a.shape), matrix(torus(b), a.shape)
    assert np.array_equal((A @ B).toarray(), (B @ A).toarray())
    assert np.array_equal((A @ B).toarray(), matrix(torus(torus(a)(b)), a.shape).toarray())
    shift = (seed % height, seed % width)
    assert np.array_equal(torus(a)(np.roll(b, shift, (0, 1))), np.roll(torus(a)(b), shift, (0, 1)))


@settings(max_examples=40)
@given(arrays, arrays)
def test_correlation_is_the_adjoint_of_convolution(kernel, x) -> None:
    wrapped = Convolution(kernel, boundary="wrap", anchor=0)
    turned = wrapped.like(kernel, flip=False)
    assert np.array_equal(matrix(turned, x.shape).toarray(), matrix(wrapped, x.shape).toarray().T)


@pytest.mark.parametrize("rule", ["zero", "edge", "symmetric"])
def test_cropped_it_does_not_commute(rule) -> None:
    a, b = (Convolution(k, boundary=rule) for k in ([1, 2, 0], [0, 1, 3]))
    x = np.array([1, 0, 0, 0])
    assert not np.array_equal(a(b(x)), b(a(x)))
    # And as functions of two arrays: the output has the size of the first.
    assert convolve([1, 2, 4, 8], [1, 1], boundary=rule).shape != convolve([1, 1], [1, 2, 4, 8], boundary=rule).shape
