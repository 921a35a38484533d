"""The laws of convolution, where they hold exactly, and the counter-examples where they do not.

They hold for mode="full" with zeros outside, and on a torus. Small whole numbers make every sum exact, in any order.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faltung as ft


@st.composite
def arrays(draw, count, torus=False):
    """Draw integer arrays of one rank; on a torus, all of one shape."""
    rank = draw(st.integers(1, 3))
    most = {1: 20, 2: 8, 3: 5}[rank]
    sizes = st.tuples(*[st.integers(1, most)] * rank)
    shape, rng = draw(sizes), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return [rng.integers(-9, 10, shape if torus else draw(sizes)) for _ in range(count)]


def full(a, b):
    return ft.convolve(a, b, mode="full", boundary="zero")


def around(a, b):
    """Convolve on the torus: indices count from 0, modulo the size."""
    return ft.convolve(a, b, anchor=0, boundary="wrap")


LAWS = [(full, False), (around, True)]


@pytest.mark.parametrize(("apply", "torus"), LAWS)
def test_it_commutes_associates_and_distributes(apply, torus) -> None:
    @settings(max_examples=80, deadline=None)
    @given(arrays(3, torus))
    def holds(three) -> None:
        a, b, c = three
        np.testing.assert_array_equal(apply(a, b), apply(b, a))
        np.testing.assert_array_equal(apply(apply(a, b), c), apply(a, apply(b, c)))
        d = c[::-1]
        np.testing.assert_array_equal(apply(a, c + d), apply(a, c) + apply(a, d))
        np.testing.assert_array_equal(apply(3 * a, b), 3 * apply(a, b))
        one = np.ones((1,) * a.ndim, int)
        if torus:
            one = np.zeros(a.shape, int)
            one.flat[0] = 1
        np.testing.assert_array_equal(apply(a, one), a)

    holds()


@settings(max_examples=80, deadline=None)
@given(arrays(2, torus=True))
def test_it_is_the_product_of_spectra_on_the_torus(two) -> None:
    a, b = two
    want = np.fft.ifftn(np.fft.fftn(a) * np.fft.fftn(b)).real
    np.testing.assert_allclose(around(a, b), want, atol=1e-8)


@settings(max_examples=80, deadline=None)
@given(arrays(2, torus=True), st.integers(-30, 30))
def test_shifts_pass_through_on_the_torus(two, shift) -> None:
    a, b = two
    np.testing.assert_array_equal(around(np.roll(a, shift, 0), b), np.roll(around(a, b), shift, 0))


@settings(max_examples=80, deadline=None)
@given(arrays(2))
def test_sizes_and_sums_multiply_out(two) -> None:
    a, b = two
    assert full(a, b).shape == tuple(m + n - 1 for m, n in zip(a.shape, b.shape, strict=True))
    assert full(a, b).sum() == a.sum() * b.sum()


@settings(max_examples=80, deadline=None)
@given(arrays(3, torus=True))
def test_correlation_is_the_adjoint_of_convolution(three) -> None:
    a, b, k = three
    assert (around(a, k) * b).sum() == (a * ft.correlate(b, k, anchor=0, boundary="wrap")).sum()


def test_correlation_does_not_commute() -> None:
    a, b = np.array([1, 2, 4]), np.array([1, 0, 3])
    forth, back = (ft.correlate(*pair, mode="full", boundary="zero") for pair in ((a, b), (b, a)))
    assert forth.tolist() == [3, 6, 13, 2, 4]
    assert back.tolist() == [4, 2, 13, 6, 3]


def test_cropped_to_same_it_need_not_commute() -> None:
    a, b = np.array([1, 2, 4, 8]), np.array([1, 1])
    assert ft.convolve(a, b, boundary="zero").tolist() == [3, 6, 12, 8]
    assert ft.convolve(b, a, boundary="zero").tolist() == [6, 12]


def test_at_a_mirrored_edge_shifts_do_not_pass_through() -> None:
    x, k = np.array([0, 0, 0, 1]), np.array([1, 0, 0])
    moved = ft.correlate(np.roll(x, -1), k, boundary="edge")
    assert moved.tolist() == [0, 0, 0, 1]
    assert np.roll(ft.correlate(x, k, boundary="edge"), -1).tolist() == [0, 0, 0, 0]


def test_at_a_mirrored_edge_it_does_not_associate() -> None:
    x, a, b = np.array([1, 0, 0]), np.array([1, 0, 0]), np.array([0, 0, 1])
    # One step there and one back are not nothing where samples fall over the edge.
    twice = ft.convolve(ft.convolve(x, a, boundary="zero"), b, boundary="zero")
    once = ft.convolve(x, ft.convolve(a, b, boundary="zero"), boundary="zero")
    assert once.tolist() == [1, 0, 0]
    assert twice.tolist() == [0, 0, 0]
