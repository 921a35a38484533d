"""The definition against numpy.pad with sliding windows, against other libraries, and against the laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage, signal

from faltung import definition
from faltung.definition import convolve, correlate, extend
from strategies import NUMPY_PAD, RULES, Case, bound, problems

# numpy.pad


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_extension_is_that_of_numpy_pad_for_any_overhang(rule: str, n: int) -> None:
    x = np.random.default_rng(n).integers(-50, 50, n)
    written = ("constant", 7) if rule == "constant" else rule
    values = [extend(x, [i], written) for i in range(-23, n + 19)]
    assert_array_equal(values, np.pad(x, (23, 19), **NUMPY_PAD[rule]))


@pytest.mark.parametrize("first", RULES)
@pytest.mark.parametrize("second", RULES)
def test_extension_goes_axis_by_axis(first: str, second: str) -> None:
    x = np.arange(12).reshape(3, 4) ** 2
    rules = [("constant", 7) if rule == "constant" else rule for rule in (first, second)]
    padded = np.pad(np.pad(x, ((4, 4), (0, 0)), **NUMPY_PAD[first]), ((0, 0), (5, 5)), **NUMPY_PAD[second])
    values = [[extend(x, (i, j), rules) for j in range(-5, 9)] for i in range(-4, 7)]
    assert_array_equal(values, padded)


# Other libraries


@pytest.mark.parametrize("name", ["correlate", "convolve"])
@pytest.mark.parametrize(
    ("mode", "rule"),
    [
        ("reflect", "symmetric"),
        ("mirror", "reflect"),
        ("nearest", "edge"),
        ("wrap", "wrap"),
        ("constant", "constant:3"),
    ],
)
@pytest.mark.parametrize("size", [(2,), (5,), (3, 4), (2, 3, 3)])
def test_scipy_ndimage(name: str, mode: str, rule: str, size: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.integers(-9, 9, (9, 6, 5)[: len(size)]), rng.integers(-9, 9, size)
    for shift in (-1, 0):
        expected = getattr(ndimage, name)(x, kernel, mode=mode, cval=3, origin=shift)
        origin = [k // 2 + shift for k in size]
        assert_array_equal(getattr(definition, name)(x, kernel, boundary=rule, origin=origin), expected)


@pytest.mark.parametrize(("fill", "rule"), [("fill", "zero"), ("wrap", "wrap"), ("symm", "symmetric")])
@pytest.mark.parametrize("mode", ["full", "valid"])
def test_scipy_signal(fill: str, rule: str, mode: str) -> None:
    rng = np.random.default_rng(1)
    x, kernel = (rng.normal(size=s) + 1j * rng.normal(size=s) for s in ((7, 6), (3, 4)))
    for name in ("convolve", "correlate"):
        expected = getattr(signal, f"{name}2d")(x, kernel, mode, fill)
        assert_allclose(getattr(definition, name)(x, kernel, mode=mode, boundary=rule), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("mode", ["full", "valid"])
def test_numpy(mode: Any) -> None:
    rng = np.random.default_rng(2)
    x, kernel = rng.integers(-9, 9, 11), rng.integers(-9, 9, 4)
    assert_array_equal(convolve(x, kernel, mode=mode), np.convolve(x, kernel, mode))
    assert_array_equal(correlate(x, kernel, mode=mode), np.correlate(x, kernel, mode))
    assert_array_equal(correlate(x, kernel * 1j, mode=mode), np.correlate(x, kernel * 1j, mode))


def test_torch_stride_dilation_and_padding() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    x, kernel = rng.integers(-9, 9, (17, 14)).astype(float), rng.integers(-9, 9, (3, 4)).astype(float)
    for stride, dilation, padding in [((1, 1), (1, 1), (0, 0)), ((2, 3), (1, 2), (1, 4)), ((3, 1), (4, 1), (5, 0))]:
        tensors = torch.from_numpy(x)[None, None], torch.from_numpy(kernel)[None, None]
        expected = torch.nn.functional.conv2d(*tensors, stride=stride, dilation=dilation, padding=padding)
        result = correlate(x, kernel, stride=stride, dilation=dilation, padding=padding)
        assert_array_equal(result, expected[0, 0].numpy())


def test_other_axes_are_carried_along() -> None:
    rng = np.random.default_rng(4)
    x, kernel = rng.integers(-9, 9, (3, 8, 2)), rng.integers(-9, 9, 3)
    expected = np.stack([[np.convolve(x[i, :, j], kernel) for j in range(2)] for i in range(3)]).swapaxes(1, 2)
    assert_array_equal(convolve(x, kernel, axes=1, mode="full"), expected)
    assert_array_equal(convolve(x, kernel, axes=-2, mode="full"), expected)
    # Axes (2, 1): the kernel's first axis runs along the array's last.
    plane = rng.integers(-9, 9, (2, 3))
    expected = np.stack([ndimage.correlate(image, plane.T, mode="nearest") for image in x])
    assert_array_equal(correlate(x, plane, axes=(2, 1), boundary="edge"), expected)


def _padded(x: Any, axis: int, low: int, high: int, rules: tuple[Any, Any]) -> Any:
    """Pad an axis by numpy.pad, every side by its own rule."""
    before, after = ([(0, 0)] * x.ndim for _ in range(2))
    before[axis], after[axis] = (low, 0), (0, high)
    sides = []
    for rule, widths in zip(rules, (before, after), strict=True):
        name, value = rule if isinstance(rule, tuple) else (*rule.split(":"), 0)[:2]
        how = NUMPY_PAD[name] if name != "constant" else {"mode": "constant", "constant_values": x.dtype.type(value)}
        sides.append(np.pad(x, widths, **how))
    return np.concatenate([sides[0].take(range(low), axis), sides[1]], axis)


def _pads(case: Case, per: Any, spans: list[int]) -> list[tuple[int, int]]:
    """Give the samples added on both sides of every filtered axis."""
    if "padding" in case.kwargs:
        return [entry if isinstance(entry, tuple) else (entry, entry) for entry in per("padding", 0)]
    mode = case.kwargs.get("mode", "same")
    if mode != "same":
        return [(0, 0) if mode == "valid" else (span - 1, span - 1) for span in spans]
    anchors = [k // 2 for k in case.kernel.shape] if "anchor" not in case.kwargs else per("anchor", 0)
    lows = [d * (a % k) for a, k, d in zip(anchors, case.kernel.shape, per("dilation", 1), strict=True)]
    pads = [(low, span - 1 - low) for low, span in zip(lows, spans, strict=True)]
    return [(high, low) for low, high in pads] if case.name == "convolve" else pads


def _by_numpy(case: Case) -> tuple[Any, float]:
    """Answer a case by numpy.pad, sliding windows and a tensor product; and give the scale of its rounding."""

    def per(name: str, default: Any) -> Any:
        value = case.kwargs.get(name, default)
        return value if isinstance(value, tuple) else (value,) * case.kernel.ndim

    kinds = case.x.dtype.kind + case.kernel.dtype.kind + ("f" if "." in str(case.sides) else "")
    wide: Any = np.clongdouble if "c" in kinds else np.longdouble if "f" in kinds else np.int64
    x, kernel = case.x.astype(wide), case.kernel.astype(wide)
    kernel = np.flip(kernel) if case.name == "convolve" else kernel.conj()
    axes = tuple(axis % x.ndim for axis in (per("axes", 0) if "axes" in case.kwargs else range(x.ndim)))
    spans = [d * (k - 1) + 1 for d, k in zip(per("dilation", 1), kernel.shape, strict=True)]
    pads = _pads(case, per, spans)
    default = "symmetric" if "padding" not in case.kwargs and case.kwargs.get("mode", "same") == "same" else "zero"
    for i in np.argsort(axes):
        low, high = (rule or default for rule in case.sides[i])
        before, after = pads[i]
        x = _padded(x, axes[i], before, after, (low, high))
    windows: Any = sliding_window_view(x, tuple(spans), axis=axes)
    strides = dict(zip(axes, per("stride", 1), strict=True))
    windows = windows[tuple(slice(None, None, strides.get(axis, 1)) for axis in range(x.ndim))]
    windows = windows[(..., *(slice(None, None, d) for d in per("dilation", 1)))]
    return np.tensordot(windows, kernel, kernel.ndim), float(np.abs(x).max() * np.abs(kernel).sum())


@given(problems())
def test_any_case_against_numpy_pad_and_sliding_windows(case: Case) -> None:
    assume(case.x.size)
    result, (expected, scale) = case.definition(), _by_numpy(case)
    assert result.shape == expected.shape
    assert_allclose(result, expected, rtol=0, atol=scale * 1e-15 if result.dtype.kind in "fc" else 0)


# Laws


@given(problems(max_rank=3), st.data())
def test_at_agrees_with_the_whole(case: Case, data: st.DataObject) -> None:
    whole = case.definition()
    assume(whole.size)
    points = [tuple(data.draw(st.integers(0, n - 1)) for n in whole.shape) for _ in range(3)]
    assert_array_equal(case.definition(points), [whole[point] for point in points])


@given(problems(names=["convolve"], dtypes=["i4"], kernel_dtypes=["i2"], max_rank=3))
def test_full_convolution_with_zeros_commutes(case: Case) -> None:
    assume(case.x.size and case.x.ndim == case.kernel.ndim)
    assert_array_equal(convolve(case.x, case.kernel, mode="full"), convolve(case.kernel, case.x, mode="full"))


def test_same_convolution_does_not_commute() -> None:
    # [1, 2]*[1, 1, 1] = 1, 3, 3, 2; the outputs kept are those of the first argument.
    assert_array_equal(convolve([1, 2], [1, 1, 1], boundary="zero"), [3, 3])
    assert_array_equal(convolve([1, 1, 1], [1, 2], boundary="zero"), [3, 3, 2])


@given(problems(names=["convolve"]))
def test_convolution_is_correlation_with_the_flipped_conjugate(case: Case) -> None:
    asked = case.asked()
    origins = asked.pop("origin", tuple(k // 2 for k in case.kernel.shape))
    mirrored = [k - 1 - o for k, o in zip(case.kernel.shape, origins, strict=True)]
    flipped = np.conj(np.flip(case.kernel))
    other = correlate(case.x, flipped, origin=mirrored, **asked)
    assert_allclose(case.definition(), other, rtol=0, atol=0 if other.dtype.kind in "iO" else _slack(case))


def _slack(case: Case) -> float:
    return float(2 * bound(case, np.longdouble).max(initial=0))


@given(problems())
def test_magnitude_bounds_the_result(case: Case) -> None:
    result = case.definition()
    assert (np.abs(result) <= case.magnitude() * (1 + 1e-15)).all()
