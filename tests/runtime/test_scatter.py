"""Scatter is the transpose of the extension that the definition spells out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faltung import definition
from faltung.errors import GeometryError
from faltung.problem.boundary import axis_map, parse
from faltung.runtime.scatter import scatter

RULES = ("zero", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric")


def transposed(start: int, stop: int, n: int, sides: tuple[str, str]) -> np.ndarray:
    """Give the columns that unit samples extend to: entry (i, j) is what coordinate i reads of sample j."""
    unit = np.eye(n, dtype=int)
    return np.array([[definition.extend(unit[j], [i], [sides]) for j in range(n)] for i in range(start, stop)], int)


@given(
    st.integers(1, 6),
    st.integers(-15, 8),
    st.integers(0, 20),
    st.sampled_from(RULES),
    st.sampled_from(RULES),
    st.data(),
)
def test_one_axis_is_the_transpose_of_the_definition(n, start, length, low, high, data) -> None:
    mapped = axis_map(start, start + length, n, parse([(low, high)], 1)[0])
    y = data.draw(st.lists(st.integers(-99, 99), min_size=length, max_size=length))
    E = transposed(start, start + length, n, (low, high)).reshape(length, n)
    assert np.array_equal(scatter(np.array(y, np.int64), [mapped], (n,)), E.T @ np.array(y, int))


def test_axes_fold_one_after_the_other_and_none_is_left_alone() -> None:
    maps = [axis_map(-3, 7, 4, parse("antireflect", 1)[0]), None, axis_map(-2, 4, 3, parse([("wrap", "edge")], 1)[0])]
    y = np.random.default_rng(0).integers(-9, 10, (10, 2, 6))
    E, F = transposed(-3, 7, 4, ("antireflect",) * 2), transposed(-2, 4, 3, ("wrap", "edge"))
    got = scatter(y, maps, (4, 2, 3))
    assert np.array_equal(got, np.einsum("ia,ibk,kc->abc", E, y, F))
    assert got.flags.owndata


def test_an_infinite_value_reaches_only_what_it_was_read_from() -> None:
    y = np.array([np.inf, 1.0, 2.0, 3.0, 5.0, np.nan])
    for rule, want in [("wrap", [6, np.nan, np.inf]), ("zero", [1, 2, 3]), ("reflect", [1, np.inf, 3])]:
        sides = parse([(rule, "zero" if rule == "reflect" else rule)], 1)[0]
        got = scatter(y[: 5 if rule == "reflect" else 6], [axis_map(-1, 4 if rule == "reflect" else 5, 3, sides)], (3,))
        np.testing.assert_array_equal(got, want)


def test_floats_are_summed_in_one_order_whatever_the_layout() -> None:
    rng = np.random.default_rng(1)
    y = (rng.standard_normal((40, 33)) * 10.0 ** rng.uniform(-6, 6, (40, 33))).astype(np.float32)
    maps = [axis_map(-15, 25, 10, parse("symmetric", 1)[0]), axis_map(-20, 13, 7, parse("wrap", 1)[0])]
    kept = y.copy()
    want = scatter(y, maps, (10, 7))
    assert np.array_equal(y, kept)
    assert np.array_equal(scatter(kept, maps, (10, 7), overwrite=True), want)
    assert want.dtype == np.float32
    assert np.array_equal(scatter(np.asfortranarray(y), maps, (10, 7)), want)
    assert np.array_equal(scatter(np.repeat(y, 2, axis=1)[:, ::2], maps, (10, 7)), want)


def test_an_unextended_array_is_copied() -> None:
    y = np.arange(6.0).reshape(2, 3)
    got = scatter(y, [None, None], (2, 3))
    assert np.array_equal(got, y)
    assert not np.shares_memory(got, y)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(GeometryError, match=r"has the shape \(4,\), but its maps are those of \(5,\)"):
        scatter(np.zeros(4), [axis_map(-1, 4, 3, parse("edge", 1)[0])], (3,))
