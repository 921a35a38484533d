import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from faltung.errors import GeometryError
from faltung.problem.geometry import Axis, integer, normalize_axes, output_shape, per_axis, resolve

# The first draw of a session may be slow: it reads the constants of every imported module.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

X = np.array([3, -11, 8, 101, -57, 20, 9, -4, 31, 77])
SIZES = range(1, 9)


def run(axis: Axis, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Apply the formula of Axis's docstring, with zeros beyond the array."""
    out = np.zeros(axis.out, x.dtype)
    for o, t in itertools.product(range(axis.out), range(axis.taps)):
        at = axis.stride * o + axis.dilation * t - axis.low
        out[o] += weights[t] * x[at] if 0 <= at < axis.size else 0
    return out


def dilated(weights: np.ndarray, dilation: int) -> np.ndarray:
    wide = np.zeros(dilation * (len(weights) - 1) + 1, weights.dtype)
    wide[::dilation] = weights
    return wide


@pytest.mark.parametrize(("mode", "stride", "dilation"), list(itertools.product(["full", "valid"], [1, 2, 3], [1, 2])))
def test_full_and_valid_agree_with_numpy(mode: str, stride: int, dilation: int) -> None:
    for n, k in itertools.product(range(5, 10), [1, 2, 3]):
        weights = np.arange(1, k + 1)
        (axis,) = resolve((n,), (k,), mode=mode, stride=stride, dilation=dilation)
        expected = np.correlate(X[:n], dilated(weights, dilation), mode)[::stride]
        np.testing.assert_array_equal(run(axis, X[:n], weights), expected)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_agrees_with_ndimage_for_every_anchor(flip: bool, stride: int) -> None:
    for n, k in itertools.product(SIZES, [1, 2, 3, 4, 5]):
        weights = np.arange(1, k + 1)
        for anchor in [None, *range(-k, k)]:
            (axis,) = resolve((n,), (k,), anchor=anchor, stride=stride, flip=flip)
            at = k // 2 if anchor is None else anchor % k
            reference = ndimage.convolve1d if flip else ndimage.correlate1d
            expected = reference(X[:n], weights, mode="constant", origin=at - k // 2)[::stride]
            found = run(axis, X[:n], weights[::-1] if flip else weights)
            np.testing.assert_array_equal(found, expected, f"{n} {k} {anchor}")


def test_same_with_dilation_spreads_the_taps_about_the_anchor() -> None:
    weights = np.array([5, 7, 11])
    (axis,) = resolve((10,), (3,), dilation=2)
    np.testing.assert_array_equal(run(axis, X, weights), ndimage.correlate1d(X, dilated(weights, 2), mode="constant"))
    assert resolve((10,), (3,), dilation=4, anchor=0)[0].low == 0
    assert resolve((10,), (3,), dilation=4, anchor=0, flip=True)[0].low == 8


@unhurried
@given(
    n=st.integers(0, 30), k=st.integers(1, 6), stride=st.integers(1, 5), dilation=st.integers(1, 4),
    pads=st.tuples(st.integers(0, 12), st.integers(0, 12)),
)  # fmt: skip
def test_padding_keeps_what_fits_into_the_padded_axis(
    n: int, k: int, stride: int, dilation: int, pads: tuple[int, int]
) -> None:
    low, high = pads
    span = dilation * (k - 1) + 1
    starts = [s for s in range(0, n + low + high, stride) if s + span <= n + low + high]
    if n and not starts:
        with pytest.raises(GeometryError, match="but the padded array has"):
            resolve((n,), (k,), padding=[pads], stride=stride, dilation=dilation)
        return
    (axis,) = resolve((n,), (k,), padding=[pads], stride=stride, dilation=dilation)
    assert axis == Axis(n, k, stride, dilation, low, len(starts))


@unhurried
@given(
    size=st.integers(0, 20), taps=st.integers(1, 6), stride=st.integers(1, 5), dilation=st.integers(1, 4),
    low=st.integers(0, 25), out=st.integers(0, 25),
)  # fmt: skip
def test_interior_and_reads_by_enumeration(
    size: int, taps: int, stride: int, dilation: int, low: int, out: int
) -> None:
    axis = Axis(size, taps, stride, dilation, low, out)
    read = [[stride * o + dilation * t - low for t in range(taps)] for o in range(out)]
    inside = [o for o, row in enumerate(read) if all(0 <= c < size for c in row)]
    lo, hi = axis.interior
    assert list(range(lo, hi)) == inside
    assert 0 <= lo <= hi <= out
    assert axis.span == dilation * taps - dilation + 1
    for o_lo, o_hi in itertools.combinations(range(0, out + 1, 3), 2):
        rows = list(itertools.chain(*read[o_lo:o_hi]))
        assert axis.reads(o_lo, o_hi) == (min(rows), max(rows) + 1)


def test_no_outputs_read_nothing() -> None:
    start, stop = Axis(10, 3, 2, 1, 1, 5).reads(4, 4)
    assert start == stop


@pytest.mark.parametrize("options", [{}, {"mode": "full"}, {"mode": "valid"}, {"padding": 0}, {"padding": 1}])
def test_an_empty_axis_gives_an_empty_result_where_the_padding_holds_no_kernel(options: dict[str, Any]) -> None:
    assert resolve((0,), (3,), **options)[0].out == 0


def test_padding_of_an_empty_axis_that_holds_the_kernel_counts() -> None:
    assert resolve((0,), (3,), padding=2)[0].out == 2


def test_each_axis_has_its_own_numbers() -> None:
    found = resolve((9, 10), (3, 4), padding=[(1, 0), (2, 3)], stride=(2, 1), dilation=[1, 3])
    assert found == (Axis(9, 3, 2, 1, 1, 4), Axis(10, 4, 1, 3, 2, 6))
    assert resolve((9, 10), (3, 4), padding=(1, 2)) == resolve((9, 10), (3, 4), padding=[(1, 1), (2, 2)])
    assert resolve((9, 10), (3, 4), anchor=(0, -1)) == (Axis(9, 3, 1, 1, 0, 9), Axis(10, 4, 1, 1, 3, 10))
    assert resolve((), ()) == ()


def test_numpy_integers_become_ints() -> None:
    numbers = {"stride": np.int64(2), "dilation": np.array([1]), "padding": np.uint8(1)}
    (axis,) = resolve((np.int64(9),), (np.int32(3),), **numbers)
    assert axis == Axis(9, 3, 2, 1, 1, 5)
    assert {type(getattr(axis, name)) for name in Axis.__slots__} == {int}


# --- what is refused, and what the message says -------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "some"}, "unknown mode 'some'; the modes are 'same', 'full', 'valid'"),
        ({"mode": "full", "padding": 1}, "mode='full' and padding=1 were both given, but a mode is a named padding"),
        ({"stride": 0}, "stride 0 on axis 0: expected an integer >= 1"),
        ({"stride": (1, -2)}, "stride -2 on axis 1: expected an integer >= 1"),
        ({"stride": 1.0}, "stride must be made of integers, got 1.0 (float); give an int"),
        ({"stride": True}, "stride must be made of integers, got True (bool); give an int"),
        ({"stride": np.True_}, "stride must be made of integers, got np.True_ (bool); give an int"),
        (
            {"stride": (1, 2, 3)},
            "stride=(1, 2, 3) has 3 entries for 2 filtered axes; give one integer, or one per axis",
        ),
        ({"dilation": 0}, "dilation 0 on axis 0: expected an integer >= 1"),
        ({"dilation": "2"}, "dilation must be made of integers, got '2' (str)"),
        ({"padding": -1}, "padding -1 on axis 0: expected an integer >= 0"),
        ({"padding": [(0, 1), (2, -3)]}, "padding -3 on axis 1: expected an integer >= 0"),
        (
            {"padding": (1, 2, 3)},
            "has 3 entries for 2 filtered axes; give one integer, one per axis, or one (low, high)",
        ),
        ({"padding": [(1, 2)]}, "padding=[(1, 2)] has 1 entries for 2 filtered axes"),
        ({"padding": [(1, 2), 3]}, "expected a (low, high) pair for axis 1, got 3"),
        ({"padding": [(1, 2, 3), (1, 2)]}, "expected a (low, high) pair for axis 0, got (1, 2, 3)"),
        ({"padding": 0.5}, "padding must be made of integers, got 0.5 (float)"),
        ({"anchor": 3}, "anchor 3 on axis 0 lies outside the kernel, which has 3 taps there; use -3 to 2"),
        ({"anchor": (0, -6)}, "anchor -6 on axis 1 lies outside the kernel, which has 5 taps there; use -5 to 4"),
        ({"anchor": (0, 0, 0)}, "anchor=(0, 0, 0) has 3 entries for 2 filtered axes"),
        ({"anchor": 1, "mode": "valid"}, "anchor=1 with mode='valid': only mode='same' has an anchor; leave it out"),
        ({"mode": "valid", "stride": 2, "dilation": (1, 3)}, "no output; use mode='same' or a smaller kernel"),
        ({"anchor": 1, "padding": 1}, "anchor=1 with padding=: only mode='same' has an anchor; leave it out"),
        (
            {"mode": "valid", "dilation": (1, 3)},
            "13 samples of axis 1 (5 taps, dilation 3), but the array has 10, so mode='valid' leaves no output",
        ),
        (
            {"padding": [(0, 0), (1, 0)], "dilation": 3},
            "(5 taps, dilation 3), but the padded array has 1 + 10 + 0 = 11; pad by 2 more, or use a smaller kernel",
        ),
    ],
)
def test_the_message_for_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=re.escape(message)):
        resolve((9, 10), (3, 5), **options)


@pytest.mark.parametrize(
    ("shape", "kernel", "message"),
    [
        (
            (4, 5, 6),
            (3, 3),
            "kernel of shape (3, 3) has 2 axes, but 3 axes of the array, of sizes (4, 5, 6), are filtered",
        ),
        ((4, 5, 6), (3, 3), "with axes="),
        ((4, 5), (3, 0), "axis 1 of the kernel of shape (3, 0) is empty; every axis needs at least one tap"),
        ((4, -5), (3, 3), "the array's shape (4, -5) has a negative size on axis 1; sizes are >= 0"),
        ((4.0,), (3,), "the array's shape must be made of integers, got 4.0 (float)"),
    ],
)
def test_the_message_for_shapes_that_do_not_fit(shape: Any, kernel: Any, message: str) -> None:
    with pytest.raises(GeometryError, match=re.escape(message)):
        resolve(shape, kernel)


def test_axes_are_normalized_in_the_order_given() -> None:
    assert normalize_axes(None, 3, 3) == (0, 1, 2)
    assert normalize_axes((-1, 0), 3, 2) == (2, 0)
    assert normalize_axes(-2, 3, 1) == (1,)
    assert normalize_axes(np.array([1, 2]), 3, 2) == (1, 2)
    assert normalize_axes((), 3, 0) == ()


@pytest.mark.parametrize(
    ("axes", "ndim", "kernel_ndim", "message"),
    [
        (
            None,
            3,
            2,
            "the kernel has 2 axes and the array has 3; say which axes it runs along: axes=(-2, -1) for the last",
        ),
        (
            None,
            1,
            2,
            "the kernel has 2 axes and the array has 1; give the kernel at most 1 axes, or the array at least 2",
        ),
        ((0, 3), 3, 2, "axes=(0, 3): there is no axis 3 in an array with 3 axes; use -3 to 2"),
        ((0, -4), 3, 2, "axes=(0, -4): there is no axis -4 in an array with 3 axes; use -3 to 2"),
        (0, 0, 1, "axes=0: there is no axis 0 in an array with 0 axes"),
        ((0, -3), 3, 2, "axes=(0, -3) names an axis twice (they are (0, 0)); name each axis once"),
        (
            (0, 1),
            3,
            1,
            "axes=(0, 1) names 2 axes, but the kernel has 1; name one axis of the array per axis of the kernel",
        ),
        ((0, 1.0), 3, 2, "axes must be made of integers, got 1.0 (float); give an int"),
    ],
)
def test_the_message_for_axes_that_do_not_fit(axes: Any, ndim: int, kernel_ndim: int, message: str) -> None:
    with pytest.raises(GeometryError, match=re.escape(message)):
        normalize_axes(axes, ndim, kernel_ndim)


def test_the_output_shape_keeps_the_other_axes() -> None:
    geometry = resolve((9, 7), (3, 3), mode="full", stride=(2, 1))
    assert output_shape((9, 5, 7, 2), (0, 2), geometry) == (6, 5, 9, 2)
    assert output_shape((9, 5, 7, 2), (), ()) == (9, 5, 7, 2)


def test_integers_and_values_per_axis() -> None:
    assert (integer(np.int16(-3), "n"), type(integer(np.int16(-3), "n"))) == (-3, int)
    assert per_axis([4, 5], 2, "stride", least=1) == (4, 5)
    assert per_axis(-9, 2, "shift", least=None) == (-9, -9)
