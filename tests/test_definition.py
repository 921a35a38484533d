"""The definition against values worked out by hand."""

from __future__ import annotations

import doctest
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from faltung import definition
from faltung.definition import convolve, correlate, extend, magnitude
from faltung.errors import BoundaryError, GeometryError

I = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])  # noqa: E741
K = np.array([[1, 2], [0, -1]])
# Sums


def test_the_note_s_cross_correlation_verbatim() -> None:
    # C[j,k] = I[j,k]·1 + I[j,k+1]·2 + I[j+1,k]·0 - I[j+1,k+1]
    # C[0,0] = 1 + 4 - 5, C[0,1] = 2 + 6 - 6, C[1,0] = 4 + 10 - 8, C[1,1] = 5 + 12 - 9
    assert_array_equal(correlate(I, K, origin=0, mode="valid"), [[0, 2], [6, 8]])
    # With zeros outside, C[0,2] = 3, C[1,2] = 6, C[2,:] = 7 + 16, 8 + 18, 9.
    assert_array_equal(correlate(I, K, origin=0, boundary="zero"), [[0, 2, 3], [6, 8, 6], [23, 26, 9]])


def test_the_note_s_convolution_verbatim() -> None:
    # (I*K)[j,k] = I[j,k]·1 + I[j,k-1]·2 + I[j-1,k]·0 - I[j-1,k-1]
    expected = [[1, 4, 7], [4, 5 + 8 - 1, 6 + 10 - 2], [7, 8 + 14 - 4, 9 + 16 - 5]]
    assert_array_equal(convolve(I, K, origin=0, boundary="zero"), expected)
    # The full sum goes one index further: (I*K)[0,3] = 2·3, [1,3] = 2·6 - 3, [3,:] = 0, -7, -8, -9.
    full = [[*expected[0], 6], [*expected[1], 9], [*expected[2], 18 - 6], [0, -7, -8, -9]]
    assert_array_equal(convolve(I, K, mode="full"), full)


def test_the_default_origin_is_the_middle() -> None:
    # An impulse at 2: correlate gives K[o + 2 - j] at j, convolve K[o + j - 2], with o = 4 // 2.
    x = [0, 0, 1, 0, 0]
    assert_array_equal(correlate(x, [1, 2, 3, 4], boundary="zero"), [0, 4, 3, 2, 1])
    assert_array_equal(convolve(x, [1, 2, 3, 4], boundary="zero"), [1, 2, 3, 4, 0])
    assert_array_equal(correlate(x, [1, 2, 3, 4], boundary="zero", origin=0), [3, 2, 1, 0, 0])
    # An origin may lie outside the kernel: with -1 its first entry reads I[j + 1].
    assert_array_equal(correlate([1, 2, 4], [1], boundary="zero", origin=-1), [2, 4, 0])


def test_stride_dilation_and_padding() -> None:
    x = [1, 2, 4, 8, 16, 32]
    # Dilated by 2: x[j] - x[j + 2] at j = 0..3, then every second.
    assert_array_equal(correlate(x, [1, -1], mode="valid", dilation=2), [-3, -6, -12, -24])
    assert_array_equal(correlate(x, [1, -1], mode="valid", dilation=2, stride=2), [-3, -12])
    # 'same' with stride is every second of the dense result x[j - 1] + x[j].
    assert_array_equal(correlate(x, [1, 1], boundary="zero", stride=2), [1, 6, 24])
    # One zero before, two after: windows start at -1, 0, ..., 6.
    assert_array_equal(correlate(x, [1, 10], padding=[(1, 2)]), [10, 21, 42, 84, 168, 336, 32, 0])
    assert_array_equal(convolve(x, [10, 1], padding=[(1, 2)], stride=3), [10, 84, 32])
    # The same number on both sides, and one per axis.
    assert_array_equal(correlate([1, 2], [1, 1], padding=1), [1, 3, 2])
    assert_array_equal(correlate([[1, 2]], [[1, 1]], padding=(0, 1)), [[1, 3, 2]])


def test_default_boundaries() -> None:
    assert_array_equal(correlate([1, 2], [1, 1, 1]), [1 + 1 + 2, 1 + 2 + 2])  # symmetric
    assert_array_equal(correlate([1, 2], [1, 1, 1], padding=1), [3, 3])  # zero
    assert_array_equal(correlate([1, 2], [1, 1, 1], mode="full"), [1, 3, 3, 2])  # zero


def test_correlation_conjugates_the_kernel_and_convolution_does_not() -> None:
    # (1 + 2i)·conj(3 - i) = (1 + 2i)(3 + i) = 1 + 7i;  (1 + 2i)(3 - i) = 5 + 5i
    assert correlate([1 + 2j], [3 - 1j])[0] == 1 + 7j
    assert convolve([1 + 2j], [3 - 1j])[0] == 5 + 5j
    assert correlate([2], [3 - 1j])[0] == 6 + 2j
    assert convolve([1 + 2j], [3])[0] == 3 + 6j
    # A complex constant makes a real array's outside complex: 1 + (2 - i).
    assert correlate([1.0], [1, 1], boundary=("constant", 2 - 1j), origin=0)[0] == 3 - 1j


def test_integers_are_exact_beyond_64_bits() -> None:
    big = np.array([2**63 - 1, -(2**63)], np.int64)
    assert correlate(big, [2**40, 1], mode="valid").tolist() == [(2**63 - 1) * 2**40 - 2**63]
    assert correlate(np.array([2**64 - 1], np.uint64), [-1]).tolist() == [1 - 2**64]
    assert convolve([2**70], [2**70]).tolist() == [2**140]
    assert magnitude(np.array([-128], np.int8), np.array([-128], np.int8)).tolist() == [16384]
    small = correlate(np.array([200, 200], np.uint8), np.array([1, 1], np.uint8), mode="valid")
    assert (small.dtype, small.tolist()) == (np.int64, [400])
    # 2·0 - 200 does not wrap around, and bools add up.
    assert extend(np.array([0, 200], np.uint8), [-1], "antireflect") == -200
    assert correlate([True, True], [True, True], mode="valid").tolist() == [2]


def test_floats_are_wider_than_double() -> None:
    # 1 + 2⁻⁵⁸ - 1, which double rounds to 0.
    assert correlate([1.0, 2.0**-58, -1.0], [1, 1, 1], mode="valid")[0] == 2.0**-58


def test_fractions_where_long_double_is_no_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definition, "WIDE", False)
    x, tenth = np.array([0.1, 0.1, 0.1], np.float32), Fraction(float(np.float32(0.1)))
    assert correlate(x, [1.0, 1, 1], mode="valid").tolist() == [3 * tenth]
    assert correlate(x, [0.1], boundary="constant:0.1", padding=1)[0] == Fraction(0.1) ** 2
    assert extend(x, [-1], ("constant", 0.25)) == Fraction(1, 4)
    assert convolve(np.array([1 + 2j]), [3 - 1j])[0] == 5 + 5j
    assert_array_equal(correlate([np.inf, 1.0, np.nan], [1, 1], mode="valid"), [np.inf, np.nan])


def test_nan_and_inf_go_where_the_sum_puts_them() -> None:
    nan, inf = np.nan, np.inf
    x = [1.0, nan, 3.0, 4.0, inf, 6.0, 7.0]
    # 0·NaN and 0·Inf are NaN: every window that holds one is NaN.
    assert_array_equal(correlate(x, [1, 0], mode="valid"), [nan, nan, 3, nan, inf, 6])
    assert_array_equal(correlate([inf, -inf], [1, 1], mode="valid"), [nan])
    assert_array_equal(correlate([1.0, 2.0], [1, inf], mode="valid"), [inf])
    # A real kernel has no imaginary part that could turn Inf into NaN.
    value = correlate(np.array([complex(inf, 1)]), [2.0])[0]
    assert (value.real, value.imag) == (inf, 2)


def test_magnitude_sums_absolute_values() -> None:
    # |1|·|2| + |-3|·|-1|, and at the low end 2·|edge| + |x| = 2·1 + 3.
    assert_array_equal(magnitude([1, -3], [2, -1], mode="valid"), [5])
    assert_array_equal(magnitude([-1, -3], [1], padding=[(1, 0)], boundary="antireflect"), [5, 1, 3])
    assert_array_equal(magnitude([1, -3], [2, -1], mode="full", flip=True), [2, 1 + 6, 3])
    assert_array_equal(magnitude([3 + 4j], [-2j]), [10])
    assert_array_equal(magnitude([1], [1], padding=1, boundary="constant:-6"), [6, 1, 6])


def test_rank_zero_and_empty_axes() -> None:
    assert correlate(np.array(3), np.array(-4)).item() == -12
    assert correlate(np.array(3), np.array(-4), at=[()]).tolist() == [-12]
    for mode in ("same", "full", "valid"):
        assert correlate(np.zeros((0, 4)), np.ones((3, 2)), mode=mode).shape[0] == 0
    # Two constants on either side of nothing: windows start at -2, -1, 0.
    assert_array_equal(correlate(np.zeros(0, int), [1, 1], padding=2, boundary="constant:3"), [6, 6, 6])
    assert correlate(np.zeros((0, 4)), np.ones(3), axes=1).shape == (0, 4)


# Single outputs


def test_at_gives_these_outputs_and_no_others() -> None:
    # The values of the first test at (1, 1), (0, 0) and (1, 1) again.
    assert_array_equal(correlate(I, K, origin=0, mode="valid", at=[(1, 1), (0, 0), (1, 1)]), [8, 0, 8])
    assert convolve(I, K, at=[]).shape == (0,)
    assert correlate([2**62], [8], at=[(0,)]).tolist() == [2**65]
    with pytest.raises(IndexError):
        correlate(I, K, at=[(3, 0)])


def test_at_reads_little_of_a_large_array() -> None:
    x = np.zeros((4000, 4000), np.uint8)
    x[1999:2002, 7] = 1, 2, 3
    start = time.perf_counter()
    assert correlate(x, np.ones((3, 3), int), at=[(2000, 6), (2000, 9), (0, 0)]).tolist() == [6, 0, 0]
    assert time.perf_counter() - start < 2  # Converting all of it takes minutes.


# The extension


def test_extension_by_hand() -> None:
    x = [1, 2, 4]
    expected = {
        "zero": [0, 0, 0, 0, 1, 2, 4, 0, 0, 0],
        "constant:5": [5, 5, 5, 5, 1, 2, 4, 5, 5, 5],
        "edge": [1, 1, 1, 1, 1, 2, 4, 4, 4, 4],
        "reflect": [1, 2, 4, 2, 1, 2, 4, 2, 1, 2],
        "symmetric": [4, 4, 2, 1, 1, 2, 4, 4, 2, 1],
        "wrap": [4, 1, 2, 4, 1, 2, 4, 1, 2, 4],
        # Beyond the third sample the mirror is itself extended: x[-3] = 2·1 - x[3] = 2 - (2·4 - 2).
        "antireflect": [-5, -4, -2, 0, 1, 2, 4, 6, 7, 8],
        # x[-4] = 2·1 - x[3] = 2 - (2·4 - 4).
        "antisymmetric": [-2, -2, 0, 1, 1, 2, 4, 4, 6, 7],
    }
    for rule, values in expected.items():
        assert [extend(x, [i], rule) for i in range(-4, 6)] == values, rule


def test_each_rule_of_a_pair_extends_its_side_as_if_it_ruled_both() -> None:
    values = [extend([1, 2, 4], [i], [("reflect", "constant:9")]) for i in range(-5, 5)]
    assert values == [2, 1, 2, 4, 2, 1, 2, 4, 9, 9]


# Refusals


@pytest.mark.parametrize(
    ("kwargs", "error", "text"),
    [
        (
            {"boundary": "mirror"},
            BoundaryError,
            "unknown boundary 'mirror'; the rules are zero, constant, edge, reflect",
        ),
        (
            {"boundary": ["edge"]},
            GeometryError,
            r"boundary=\['edge'\] has 1 entries, the kernel 2 axes; give one for all",
        ),
        ({"mode": "sane"}, GeometryError, "unknown mode 'sane'; the modes are 'same', 'full' and 'valid'"),
        ({"stride": 0}, GeometryError, r"stride 0, dilation 1, kernel of shape \(2, 2\): each must be at least 1"),
        (
            {"dilation": (1, 2, 3)},
            GeometryError,
            r"dilation=\(1, 2, 3\) has 3 entries, the kernel 2 axes; give one for",
        ),
        ({"axes": 0}, GeometryError, "the kernel has 2 axes, but 1 are filtered; name one axis for each with axes="),
    ],
)
def test_what_has_no_meaning_is_refused(kwargs: dict[str, Any], error: type[Exception], text: str) -> None:
    for function in (correlate, convolve, magnitude):
        with pytest.raises(error, match=text):
            function(I, K, **kwargs)


def test_other_refusals() -> None:
    with pytest.raises(
        BoundaryError, match="the boundary rule 'edge' cannot extend an axis of length 0; use 'zero' or"
    ):
        correlate(np.zeros(0), [1, 1], padding=1, boundary="edge")
    with pytest.raises(GeometryError, match=r"the index \(1,\) has 1 entries, the array 2 axes; give one per axis"):
        extend(I, [1])
    with pytest.raises(GeometryError, match=r"kernel of shape \(0,\): each must be at least 1"):
        correlate([1, 2], [])


def test_the_examples_in_the_documentation() -> None:
    found = doctest.testmod(definition)
    assert found.attempted >= 5
    assert found.failed == 0
