"""The note's claim, bit by bit: an output depends on its patch alone, never on where it lies or how it was computed."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import faltung as ft
from faltung.compiler import kernels

pytestmark = pytest.mark.skipif(not kernels.available(), reason="the claim is one of the compiled kernels")

Array = np.ndarray[Any, Any]
# Plans for different shapes may take different algorithms; the claim is that of the sum of taps.
correlate = partial(ft.correlate, algorithm="direct")

# (input, kernel, output): floats, widened bytes, saturated bytes, exact integers.
TYPES = [("f4", "f4", None), ("f8", "f8", None), ("u1", "f4", None), ("u1", "f4", "u1"), ("i4", "i2", None)]
THREADS = (1, 2, 3)


def samples(rng: np.random.Generator, shape: Any, dtype: str) -> Array:
    """Random data over six decades, of both signs where there are any."""
    if dtype[0] == "f":
        return (rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 3, shape)).astype(dtype)
    limits = np.iinfo(dtype)
    size = 10.0 ** rng.uniform(0, 6, shape) * (1 if limits.min == 0 else rng.choice([-1, 1], shape))
    return (size % (limits.max // 64) if dtype == "i4" else size % limits.max).astype(dtype)


def weights(rng: np.random.Generator, shape: Any, types: tuple[str, str, str | None]) -> Array:
    if types[1][0] == "i":
        return rng.integers(-3, 4, shape).astype(types[1])
    if types[2] == "u1":
        # Few sums saturate; the rest must be rounded alike.
        kernel = rng.uniform(-0.3, 1, shape)
        return (kernel / kernel.sum()).astype(types[1])
    return samples(rng, shape, types[1]) / 100


def assert_same_bits(got: Array, want: Array, what: Any = "") -> None:
    assert got.dtype == want.dtype, what
    assert got.shape == want.shape, what
    raw = [np.ascontiguousarray(a).view(f"u{a.itemsize}") for a in (got, want)]
    np.testing.assert_array_equal(*raw, err_msg=str(what))
    assert np.count_nonzero(want) >= 0.2 * want.size, what


SHIFTED = [
    ((37,), (5,)), ((64,), (4,)), ((131,), (40,)), ((1500,), (101,)), ((17, 37), (3, 3)), ((6, 33), (4, 5)), ((5, 7), (3, 3)),
    ((4, 200), (2, 6)), ((3, 5, 35), (2, 3, 3)), ((4, 4, 18), (3, 1, 5)),
]  # fmt: skip


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize(("shape", "kernel_shape"), SHIFTED, ids=str)
def test_shifting_commutes_with_filtering_under_wrap(
    shape: tuple[int, ...], kernel_shape: tuple[int, ...], types: tuple[str, str, str | None]
) -> None:
    rng = np.random.default_rng(sum(shape))
    x, kernel = samples(rng, shape, types[0]), weights(rng, kernel_shape, types)
    plain = correlate(x, kernel, boundary="wrap", dtype=types[2])
    every = np.ndindex(*(min(n, 250) for n in shape))
    for shift in every:
        moved = np.roll(x, shift, range(len(shape)))
        got = correlate(moved, kernel, boundary="wrap", dtype=types[2])
        assert_same_bits(got, np.roll(plain, shift, range(len(shape))), shift)


# Large enough to be cut into tiles that are read in place, gathered borders, pieces for threads, streamed rows.
LARGE = [
    ((400, 517), (5, 4)),
    ((2000, 70), (3, 3)),
    ((200_003,), (31,)),
    ((40, 60, 70), (3, 3, 2)),
    ((300, 1024), (9, 7)),
]


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize(("shape", "kernel_shape"), LARGE, ids=str)
def test_large_arrays_shift_and_any_number_of_threads_agrees(
    shape: tuple[int, ...], kernel_shape: tuple[int, ...], types: tuple[str, str, str | None]
) -> None:
    rng = np.random.default_rng(sum(shape))
    x, kernel = samples(rng, shape, types[0]), weights(rng, kernel_shape, types)
    plain = correlate(x, kernel, boundary="wrap", dtype=types[2], threads=1)
    for count in THREADS:
        for _ in range(2):
            shift = tuple(int(s) for s in rng.integers(-400, 400, len(shape)))
            moved = np.roll(x, shift, range(len(shape)))
            got = correlate(moved, kernel, boundary="wrap", dtype=types[2], threads=count)
            assert_same_bits(got, np.roll(plain, shift, range(len(shape))), (shift, count))


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize("boundary", ["zero", "reflect", "edge"])
def test_equal_patches_give_equal_bits_at_the_border_and_inside(
    boundary: str, types: tuple[str, str, str | None]
) -> None:
    """Extend by hand what the rule extends: every output of the small array is then one of the interior."""
    rng = np.random.default_rng(5)
    mode = {"zero": "constant"}.get(boundary, boundary)
    for shape, taps in (((33, 50), (5, 4)), ((9, 13), (7, 7)), ((310, 333), (3, 3)), ((3, 2), (5, 3))):
        x, kernel = samples(rng, shape, types[0]), weights(rng, taps, types)
        got = correlate(x, kernel, boundary=boundary, dtype=types[2])
        around = np.pad(x, [(k // 2, k - 1 - k // 2) for k in taps], mode=mode)  # type: ignore[call-overload]
        assert_same_bits(got, correlate(around, kernel, mode="valid", dtype=types[2]), shape)
        canvas = samples(rng, (700, 800), types[0])
        for top, left in ((0, 0), (11, 37), (700 - around.shape[0], 800 - around.shape[1])):
            place = np.s_[top : top + around.shape[0], left : left + around.shape[1]]
            saved = canvas[place].copy()
            canvas[place] = around
            everywhere = correlate(canvas, kernel, mode="valid", dtype=types[2], threads=2)
            assert_same_bits(everywhere[top : top + shape[0], left : left + shape[1]], got, (shape, top, left))
            canvas[place] = saved


@pytest.mark.parametrize("types", TYPES, ids=str)
def test_a_crop_has_the_bits_of_the_whole(types: tuple[str, str, str | None]) -> None:
    rng = np.random.default_rng(6)
    x, kernel = samples(rng, (1000, 1000), types[0]), weights(rng, (5, 5), types)
    for options in ({}, {"dilation": 2}, {"stride": 2}):
        whole = correlate(x, kernel, mode="valid", dtype=types[2], threads=2, **options)
        stride, reach = options.get("stride", 1), 4 * options.get("dilation", 1)
        for top, left in ((0, 0), (1, 3), (500, 333), (960 // stride - 64, 930 // stride - 64)):
            part = x[top * stride : (top + 63) * stride + reach + 1, left * stride : (left + 63) * stride + reach + 1]
            got = correlate(part, kernel, mode="valid", dtype=types[2], **options)
            assert_same_bits(got, whole[top : top + 64, left : left + 64], (options, top, left))


def test_a_wide_array_stored_past_the_caches_has_the_bits_of_its_lines() -> None:
    rng = np.random.default_rng(7)
    for shape in ((1300, 2048), (1300, 2049), (2100, 1024, 3)):
        x, kernel = samples(rng, shape, "f4"), weights(rng, (3, 3), TYPES[0])
        whole = correlate(x, kernel, axes=(0, 1), threads=2)
        assert whole.nbytes > 8 << 20
        for row in (1, 2, 640, shape[0] - 2):
            got = correlate(x[row - 1 : row + 2], kernel, axes=(0, 1))[1:2]
            assert_same_bits(got, whole[row : row + 1], (shape, row))


@pytest.mark.parametrize("types", TYPES, ids=str)
def test_a_folded_line_has_the_bits_of_its_parts(types: tuple[str, str, str | None]) -> None:
    rng = np.random.default_rng(8)
    for taps in (1, 2, 9, 16, 17, 33, 64, 101):
        x, kernel = samples(rng, 30_011, types[0]), weights(rng, taps, types)
        whole = correlate(x, kernel, mode="valid", dtype=types[2])
        for start, length in ((0, 1), (5, 17), (777, 100), (3001, 4567), (len(whole) - 33, 33)):
            part = correlate(x[start : start + length + taps - 1], kernel, mode="valid", dtype=types[2])
            raw = [a.view(f"u{a.itemsize}") for a in (part, whole[start : start + length])]
            np.testing.assert_array_equal(*raw, err_msg=f"{taps} taps from {start}")
        # As the only line of an image, and as one of many.
        assert_same_bits(correlate(x[None], kernel[None], mode="valid", dtype=types[2])[0], whole, taps)
        lines = np.stack([np.roll(x, 5), x, x[::-1]])
        assert_same_bits(correlate(lines, kernel, axes=1, mode="valid", dtype=types[2])[1], whole, taps)


def layouts(x: Array) -> dict[str, Array]:
    """The same values, elsewhere in memory."""
    raw = np.empty(x.nbytes + 1, np.uint8)
    misaligned: Array = np.ndarray(x.shape, x.dtype, raw.data, offset=1)
    misaligned[...] = x
    spaced = np.empty([2 * n for n in x.shape], x.dtype)[tuple(slice(None, None, 2) for _ in x.shape)]
    spaced[...] = x
    window = np.empty([n + 9 for n in x.shape], x.dtype)[tuple(slice(3, -6) for _ in x.shape)]
    window[...] = x
    every = tuple(slice(None, None, -1) for _ in x.shape)
    return {
        "F": np.asfortranarray(x), "reversed": np.ascontiguousarray(x[every])[every], "misaligned": misaligned,
        "spaced": spaced, "window": window, "rows reversed": np.ascontiguousarray(x[::-1])[::-1],
        "big-endian": x.astype(x.dtype.newbyteorder(">")),
    }  # fmt: skip


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "kernel_shape", "options"),
    [
        ((40, 53), (3, 4), {}), ((300, 401), (5, 5), {}), ((9001,), (41,), {}), ((90, 120), (3, 3), {"stride": 2}),
        ((11, 30, 40), (3, 3, 3), {}), ((120, 150, 3), (3, 3), {"axes": (0, 1)}), ((300, 401), (3, 3), {"dilation": (2, 3)}),
    ],
    ids=str,
)  # fmt: skip
def test_the_layout_changes_no_bit(
    shape: tuple[int, ...], kernel_shape: tuple[int, ...], options: dict[str, Any], types: tuple[str, str, str | None]
) -> None:
    rng = np.random.default_rng(9)
    x, kernel = samples(rng, shape, types[0]), weights(rng, kernel_shape, types)
    convolution = ft.Convolution(kernel, flip=False, boundary="reflect", **options)
    want = convolution(x, dtype=types[2], threads=1)
    for name, other in layouts(x).items():
        np.testing.assert_array_equal(other, x)
        for count in (1, 2):
            assert_same_bits(convolution(other, dtype=types[2], threads=count), want, (name, count))
    for name, out in layouts(want).items():
        if name != "big-endian":
            out[...] = 0
            assert convolution(x, out=out) is out
            assert_same_bits(out, want, name)


@pytest.mark.parametrize("types", TYPES, ids=str)
def test_the_place_of_the_output_changes_no_bit(types: tuple[str, str, str | None]) -> None:
    """An output may start anywhere on a cache line, whatever its rows' alignment."""
    rng = np.random.default_rng(10)
    for width in (8, 16, 17, 32, 48, 64, 160, 1027):
        rows = 200_000 // width
        x, kernel = samples(rng, (rows + 2, width + 2), types[0]), weights(rng, (3, 3), types)
        for mode in ("valid", "same"):
            convolution = ft.Convolution(kernel, flip=False, mode=mode)
            want = convolution(x, dtype=types[2], threads=1)
            raw = np.empty(want.nbytes + 128, np.uint8)
            for phase in range(0, 64, want.itemsize * max(1, 4 // want.itemsize)):
                start = -raw.ctypes.data % 64 + phase
                out = raw[start : start + want.nbytes].view(want.dtype).reshape(want.shape)
                convolution(x, out=out, threads=1)
                assert_same_bits(out, want, (width, mode, phase))


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(20, 31), (300, 500), (9000,), (8, 30, 40)], ids=str)
def test_a_bank_has_the_bits_of_its_kernels(shape: tuple[int, ...], types: tuple[str, str, str | None]) -> None:
    rng = np.random.default_rng(11)
    x, bank = samples(rng, shape, types[0]), [weights(rng, (3,) * len(shape), types) for _ in range(5)]
    want = np.stack([correlate(x, kernel, dtype=types[2]) for kernel in bank])
    for count in THREADS:
        assert_same_bits(correlate(x, bank, dtype=types[2], threads=count), want, count)


@pytest.mark.parametrize("types", TYPES, ids=str)
def test_two_runs_and_a_second_plan_agree(types: tuple[str, str, str | None]) -> None:
    rng = np.random.default_rng(12)
    x, kernel = samples(rng, (350, 410), types[0]), weights(rng, (7, 6), types)
    first = ft.Convolution(kernel, boundary="reflect")
    want = first(x, dtype=types[2])
    for convolution in (first, ft.Convolution(kernel, boundary="reflect")):
        for count in THREADS:
            assert_same_bits(convolution(x, dtype=types[2], threads=count), want, count)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_stride_is_the_dense_result_and_dilation_the_spread_kernel(dtype: str) -> None:
    rng = np.random.default_rng(13)
    x, kernel = samples(rng, (65, 90), dtype), weights(rng, (3, 4), (dtype, dtype, None))
    dense = correlate(x, kernel, boundary="edge")
    for stride in ((1, 2), (2, 1), (3, 3), (5, 4)):
        got = correlate(x, kernel, boundary="edge", stride=stride)
        assert_same_bits(got, dense[:: stride[0], :: stride[1]], stride)
    spread = np.zeros((5, 10), dtype)
    spread[::2, ::3] = kernel
    got = correlate(x, kernel, mode="valid", dilation=(2, 3))
    # Products with the added zeros add nothing to a sum of finite numbers.
    assert_same_bits(got, correlate(x, spread, mode="valid"))
