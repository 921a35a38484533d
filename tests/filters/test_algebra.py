"""Filters put together: against the definition, and as laws that hold for every filter."""

from __future__ import annotations

import math
import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faltung import correlate, definition, filters
from faltung.errors import DtypeError, GeometryError, ProblemError
from faltung.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]


@st.composite
def made(draw: st.DrawFn, ndim: int) -> Filter:
    """Draw a filter of whole taps with any anchor."""
    shape = [draw(st.integers(1, 4)) for _ in range(ndim)]
    anchor = [draw(st.integers(0, n - 1)) for n in shape]
    taps = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(-9, 10, shape)
    return Filter("f", taps, "k = random", anchor=anchor)


several = st.integers(1, 3).flatmap(lambda ndim: st.tuples(*[made(ndim)] * 3))


def applied(f: Filter, x: Array) -> Array:
    """Correlate on a torus, by the definition."""
    return definition.correlate(x, f.kernel, origin=f.anchor, boundary="wrap")


def same(a: Filter, b: Filter) -> None:
    assert a.anchor == b.anchor
    np.testing.assert_array_equal(a.kernel, b.kernel)


def field(ndim: int) -> Array:
    return np.random.default_rng(ndim).integers(-99, 100, (7, 6, 5)[:ndim])


@given(several)
def test_what_a_composition_does(fs: tuple[Filter, ...]) -> None:
    a, b, _ = fs
    x = field(a.ndim)
    np.testing.assert_array_equal(applied(a @ b, x), applied(a, applied(b, x)))
    np.testing.assert_array_equal(applied(a + b, x), applied(a, x) + applied(b, x))
    np.testing.assert_array_equal(applied(a - b, x), applied(a, x) - applied(b, x))
    np.testing.assert_array_equal(applied(3 * a, x), 3 * applied(a, x))
    np.testing.assert_array_equal(applied(-a, x), -applied(a, x))
    np.testing.assert_array_equal(applied(a.centred(), x), applied(a, x))
    assert a.centred().anchor == tuple(n // 2 for n in a.centred().shape)


@given(several)
def test_full_convolution_of_the_kernels(fs: tuple[Filter, ...]) -> None:
    a, b, _ = fs
    x = field(a.ndim)
    once = definition.convolve(x, (a @ b).kernel, mode="full")
    twice = definition.convolve(definition.convolve(x, b.kernel, mode="full"), a.kernel, mode="full")
    np.testing.assert_array_equal(once, twice)


@given(several)
def test_laws(fs: tuple[Filter, ...]) -> None:
    a, b, c = fs
    same(a @ b, b @ a)
    same(a @ (b @ c), (a @ b) @ c)
    same(a + b, b + a)
    same((a + b) + c, a + (b + c))
    negative = -a
    same(-negative, a)
    same(2 * a, a + a)
    same(a - b, a + -b)
    same(a @ (b + c), a @ b + a @ c)


def test_the_anchor_of_two_even_kernels() -> None:
    step = Filter("step", [-1, 1], "k = [-1, 1]")
    second = step @ step
    assert second.anchor == (2,)
    assert not second.is_centred
    assert repr(second).endswith("3 int64, anchor (2,)")
    # Twice the backward difference, by hand: x[p] - 2·x[p - 1] + x[p - 2].
    squares = np.arange(6) ** 2
    np.testing.assert_array_equal(definition.correlate(squares, second.kernel, origin=second.anchor)[2:], [2] * 4)
    np.testing.assert_array_equal(second.centred().kernel, [1, -2, 1, 0])
    np.testing.assert_array_equal(Filter("f", [1, 2, 3], "k", anchor=0).centred().kernel, [0, 0, 1, 2, 3])


def test_known_compositions() -> None:
    np.testing.assert_array_equal((filters.box(2) @ filters.box(2)).kernel * 16, np.outer([1, 2, 1], [1, 2, 1]))
    delta = Filter("identity", np.ones((1, 1), np.int64), "k = 1")
    same(delta - filters.laplacian(), 1 * filters.sharpen())
    np.testing.assert_allclose((2 * delta - filters.gaussian(1)).kernel, filters.unsharp(1).kernel, rtol=0, atol=1e-16)
    difference = filters.gaussian(1) - filters.gaussian(1.6)
    np.testing.assert_array_equal(difference.kernel, filters.dog(1).kernel)
    wide = filters.gaussian(3, truncate=8) @ filters.gaussian(4, truncate=8)
    middle = [n // 2 for n in wide.shape]
    inner = wide.kernel[middle[0] - 40 : middle[0] + 41, middle[1] - 40 : middle[1] + 41]
    np.testing.assert_allclose(inner, filters.gaussian(5, truncate=8).kernel, rtol=0, atol=1e-12)


def test_texts() -> None:
    a, b = filters.box(3), filters.sobel(0)
    f = 2 * (a @ b) - b / 4
    assert f.label == "2 * (box(size=3, ndim=2) @ sobel(axis=0, ndim=2)) - 0.25 * sobel(axis=0, ndim=2)"
    assert f.formula == (
        "k = 2·(box ∗ sobel) - 0.25·sobel, where box: k[i] = 1 / Π size; "
        "sobel: k = [-1, 0, 1] along axis ⊗ [1, 2, 1] along the others"
    )
    again = pickle.loads(pickle.dumps(f))
    assert repr(again) == repr(f)
    assert repr(again @ a) == repr(f @ a)
    assert (a - (a - a)).label.endswith(" - (box(size=3, ndim=2) - box(size=3, ndim=2))")
    assert (a @ (a @ a)).label.endswith(" @ (box(size=3, ndim=2) @ box(size=3, ndim=2))")
    assert (-(a + b)).label == "-(box(size=3, ndim=2) + sobel(axis=0, ndim=2))"


def test_the_text_is_python_that_makes_the_filter() -> None:
    f = filters.gaussian(1.5) @ filters.sobel() - 3 * -filters.box((3, 4)) + filters.disk(2.0)
    again = eval(f.label, {name: getattr(filters, name) for name in filters.REGISTRY})
    np.testing.assert_array_equal(again.kernel, f.kernel)
    assert again.label == f.label


def test_dtypes() -> None:
    a, b = filters.sobel(0), filters.scharr(1)
    assert [f.kernel.dtype.name for f in (a @ b, a + b, 2 * a, -a, a * 0.5, a / 2, 1j * a)] == (
        ["int64"] * 4 + ["float64"] * 2 + ["complex128"]
    )
    assert (np.float32(2) * filters.box(3)).kernel.dtype == np.float64
    assert isinstance(np.int64(2) * a, Filter)
    narrow = Filter("narrow", np.array([100, 100], np.int8), "k = 100")
    np.testing.assert_array_equal((narrow @ narrow).kernel, [10000, 20000, 10000])
    np.testing.assert_array_equal((narrow + narrow).kernel, [200, 200])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: filters.box(3) @ filters.box(3, ndim=1), GeometryError, "box(size=3, ndim=1): the kernels have 2 and 1 axes"),
        (lambda: filters.box(3) + filters.box(3, ndim=3), GeometryError, "put together axis by axis; make both with ndim=3"),
        (lambda: math.inf * filters.box(3), ProblemError, "inf * box(size=3, ndim=2): the factor is inf; give a finite"),
        (lambda: filters.box(3) / 0, ProblemError, "box(size=3, ndim=2) / 0: give a divisor other than 0"),
        (lambda: 10**400 * filters.box(3), ProblemError, "give a finite number"),
        (lambda: 2**62 * filters.sobel(), DtypeError, "do not fit into 64 bits; make one of the filters float64"),
        (lambda: Filter("f", [1, 2], "k", anchor=2), GeometryError, "anchor is 2; give the index of a tap of the 2 kernel"),
        (lambda: Filter("f", [1, 2], "k", anchor=(0, 0)), GeometryError, "anchor has 2 values (0, 0) for 1 axes"),
    ],
)  # fmt: skip
def test_refusals(make: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        make()


@pytest.mark.parametrize("other", [1, "x", None])
def test_what_is_no_filter_and_no_number(other: Any) -> None:
    f = filters.box(3, ndim=1)
    for operation in (lambda: f + other, lambda: f @ other, lambda: f - other, lambda: other - f, lambda: True * f):
        with pytest.raises(TypeError, match="unsupported operand"):
            operation()


def test_arrays_are_not_taken_for_filters() -> None:
    f, x = filters.box(3, ndim=1), np.ones(3)
    operations: list[Callable[[], object]] = [
        lambda: f + x, lambda: f - x, lambda: f @ x, lambda: f * x, lambda: f / x,
        lambda: x + f, lambda: x - f, lambda: x @ f, lambda: x * f,
    ]  # fmt: skip
    for operation in operations:
        with pytest.raises(TypeError, match=r"goes with filters and numbers; faltung\.correlate\(x, f\) applies it"):
            operation()
    np.testing.assert_array_equal(np.asarray(f) * x, f.kernel)


def custom_step() -> Filter:
    return Filter("step", np.array([-1.0, 1.0]), "k = [-1, 1]")


def test_a_composition_lies_where_its_parts_would_put_it() -> None:
    """Two even filters have their common middle between samples: the anchor of the product goes along."""
    step = custom_step()
    x = np.random.default_rng(0).standard_normal(30)
    twice = correlate(correlate(x, step, boundary="wrap"), step, boundary="wrap")
    np.testing.assert_allclose(correlate(x, step @ step, boundary="wrap"), twice, atol=1e-12)
    with pytest.raises(GeometryError, match="different anchors"):
        correlate(x, [step @ step, filters.binomial(3, ndim=1)])
