"""Kernels as products of short ones: exact for integers, to rounding for floats, and never more than is claimed."""

from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faltung.algorithms.factors import Factors, factorise

Array = np.ndarray[Any, Any]
F32, F64, I32, I64 = (np.dtype(name) for name in ("f4", "f8", "i4", "i8"))


def exact(values: Array) -> Array:
    """Make elements rational numbers."""
    return np.array([Fraction(v) for v in values.ravel().tolist()], object).reshape(values.shape)


def multiplied_out(factors: Factors) -> Array:
    """Multiply the cores in rational numbers."""
    product = reduce(lambda a, b: np.tensordot(a, b, axes=1), [exact(core) for core in factors.cores])
    return product.reshape(product.shape[1:-1])


def missed(kernel: Array, factors: Factors) -> float:
    return float(np.abs(multiplied_out(factors) - exact(kernel)).sum())


def outer(*lines: Any) -> Array:
    return reduce(np.multiply.outer, [np.asarray(line) for line in lines])


def gaussian(taps: int, sigma: float) -> Array:
    at = np.arange(taps) - taps // 2
    line = np.exp(-(at**2) / (2 * sigma**2))
    return line / line.sum()


@given(st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=5), min_size=1, max_size=4))
def test_outer_products_of_integers_are_found_exactly(lines: list[list[int]]) -> None:
    kernel = outer(*lines)
    found = factorise(kernel, I32, 0.0)
    assert found is not None
    assert (multiplied_out(found) == kernel).all()
    assert found.residual == 0


def test_integers_that_are_no_outer_product_are_not_factored() -> None:
    assert factorise(np.array([[1, 0], [0, 1]]), I32, 0.0) is None
    assert factorise(outer([1, 2], [3, 4], [5, 6]) + np.eye(2, dtype=int)[:, :, None], I64, 0.0) is None


def test_the_largest_integers_are_factored_modulo_the_accumulators_range() -> None:
    kernel = np.array([[2**31, 2**31]], np.int64)
    found = factorise(kernel, I32, 0.0)
    assert found is not None
    assert [int(v) % 2**32 for v in multiplied_out(found).ravel()] == [2**31, 2**31]


@pytest.mark.parametrize("accumulate", [F32, F64])
@pytest.mark.parametrize("stored", [F32, F64])
def test_a_dense_gaussian_is_an_outer_product_to_the_rounding_of_its_values(stored: Any, accumulate: Any) -> None:
    kernel = outer(gaussian(31, 4.0), gaussian(31, 4.0)).astype(stored)
    unit = float(np.finfo(accumulate).eps) / 2
    found = factorise(kernel, accumulate, 64 * unit, most=1)
    if stored == F32 and accumulate == F64:
        assert found is None
        return
    assert found is not None
    assert found.ranks == (1,)
    assert missed(kernel, found) <= found.residual <= 64 * unit
    for core in found.cores:
        assert (core == core[:, ::-1]).all()


@given(st.data())
def test_the_residual_is_what_is_left_out_at_most(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kernel = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4)
    accumulate = data.draw(st.sampled_from([F32, F64]))
    allowed = 64 * float(np.finfo(accumulate).eps) * np.abs(kernel).sum()
    found = factorise(kernel, accumulate, allowed)
    assert found is not None
    assert missed(kernel, found) <= found.residual <= allowed
    magnitude = float(
        reduce(lambda a, b: np.tensordot(a, b, axes=1), [np.abs(c.astype(float)) for c in found.cores]).sum()
    )
    assert magnitude <= found.magnitude <= magnitude * 1.001
    for core in found.cores[:-1]:
        assert np.abs(core.astype(float)).sum(axis=(0, 1)).max() <= 1 + 1e-6


def test_ranks_are_those_of_the_unfoldings() -> None:
    line, slope = gaussian(9, 1.5), gaussian(9, 1.5) * (np.arange(9) - 4)
    kernel = outer(slope, line, line) + outer(line, slope, line) + outer(line, line, slope)
    found = factorise(kernel, F64, 1e-13)
    assert found is not None
    assert found.ranks == (2, 2)
    assert factorise(kernel, F64, 1e-13, most=1) is None


def test_lines_that_are_symmetric_stay_so_at_a_higher_rank() -> None:
    x, y = np.meshgrid(np.arange(-9, 10), np.arange(-9, 10))
    found = factorise((x * x + y * y - 32) * np.exp(-(x * x + y * y) / 32), F64, 1e-10)
    assert found is not None
    assert found.ranks == (2,)
    for core in found.cores:
        assert (core == core[:, ::-1]).all()


def test_zeros_of_an_outer_product_stay_zeros() -> None:
    found = factorise(outer([0.1, 0.0, 0.7], [0.3, 0.9, 0.0]), F32, 1e-5)
    assert found is not None
    assert [core.ravel().tolist().count(0.0) for core in found.cores] == [1, 1]
    nothing = factorise(np.zeros((3, 4)), F32, 0.0)
    assert nothing is not None
    assert (multiplied_out(nothing) == 0).all()
