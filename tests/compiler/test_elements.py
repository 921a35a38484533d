"""Every conversion a kernel makes, at the ends of the types' ranges and at halves, against exact numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import faltung as ft
from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.elements import Element
from faltung.compiler.tap_nest import FIELDS, TapNest

pytestmark = pytest.mark.skipif(not kernels.available(), reason="nothing is compiled here")

INTEGERS = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
SMALL = INTEGERS[:4]
# What accumulators are loaded from; 64-bit unsigned integers are converted before they are summed as integers.
LOADS = {"f4": (*SMALL, "f4"), "f8": (*INTEGERS, "f4", "f8"), "i4": SMALL, "i8": (*INTEGERS[:6], "i8")}
STORES = {
    "f4": (*INTEGERS, "f4", "f8"),
    "f8": (*INTEGERS, "f4", "f8"),
    "i4": (*INTEGERS, "f4"),
    "i8": (*INTEGERS, "f8"),
}


def run(load: str, accumulate: str, store: str, values: list[Any]) -> np.ndarray[Any, Any]:
    """Send values through a kernel of one tap that weighs 1; the register is filled up with the last value."""
    source_type, sum_type, out_type = (Element.of(np.dtype(t)) for t in (load, accumulate, store))
    nest = TapNest(source_type, sum_type, out_type, rows=1, vectors=1, tap_rows=1, tap_columns=1)
    lanes = nest.lanes(isas.host())
    padded = values + values[-1:] * (-len(values) % lanes)
    source = np.array(padded, load)
    out = np.zeros(len(padded), store)
    weight = np.ones(1, accumulate)
    positions, taps = np.zeros(3, np.int64), np.zeros(1, np.int64)
    given = {
        "positions": 1, "position_table": positions.ctypes.data, "taps": 1, "tap_table": taps.ctypes.data,
        "height": 1, "width": len(padded), "tap_rows": 1, "tap_columns": 1, "last_columns": 1,
    }  # fmt: skip
    block = np.array([given.get(name, 0) for name in FIELDS], np.int64)
    kernels.get(nest)(block.ctypes.data, source.ctypes.data, out.ctypes.data, weight.ctypes.data)
    return out[: len(values)]


def whole(dtype: str) -> list[int]:
    """Integers at the ends of a type, around zero, and around the powers of two of every other type."""
    limits = np.iinfo(dtype)
    near = [s * 2**e + d for e in (7, 8, 15, 16, 24, 31, 32, 53, 62, 63) for d in (-1, 0, 1) for s in (-1, 1)]
    inside = {
        v for v in [*near, *range(-3, 4), limits.min, limits.max, limits.max - 1] if limits.min <= v <= limits.max
    }
    return sorted(inside)


def real(dtype: str) -> list[float]:
    """Halves (ties to even), neighbours of integer limits, huge and special values."""
    kind = np.dtype(dtype).type
    ends = [s * 2.0**e for e in (7, 8, 15, 16, 31, 32, 63, 64) for s in (-1, 1)]
    around = [kind(e) + kind(d) for e in ends for d in (-1.5, -1, -0.5, 0, 0.5, 1)]
    around += [np.nextafter(kind(e), kind(d)) for e in ends for d in (-np.inf, np.inf)]
    halves = [k / 2 for k in range(-9, 10)] + [254.5, 255.5, 127.5, -128.5, 0.49999997, -0.49999997]
    special = [math.inf, -math.inf, math.nan, -0.0, 3e38, -3e38, 1e-40]
    return [float(kind(v)) for v in [*around, *halves, *special]]


def as_float(value: int | float, dtype: str) -> float:
    """Round once to a float type; an integer first meets the nearest float by exact comparison."""
    if isinstance(value, float):
        with np.errstate(over="ignore"):
            return float(np.dtype(dtype).type(value))
    kind = np.dtype(dtype).type
    guess = kind(float(value))
    around = [guess, np.nextafter(guess, kind(-np.inf)), np.nextafter(guess, kind(np.inf))]
    errors = [abs(Fraction(float(v)) - value) for v in around]
    best = [v for v, e in zip(around, errors, strict=True) if e == min(errors)]
    return float(best[0] if len(best) == 1 else next(v for v in best if int(v.view(f"u{v.itemsize}")) % 2 == 0))


def as_integer(value: int | float, dtype: str) -> int:
    limits = np.iinfo(dtype)
    if isinstance(value, float):
        if math.isnan(value):
            return 0
        value = round(value) if math.isfinite(value) else int(math.copysign(2**70, value))
    return max(int(limits.min), min(int(limits.max), value))


def test_elements_describe_dtypes() -> None:
    assert [Element.of(np.dtype(t)).name for t in ("f4", "f8", "u1", "i8", "?")] == ["f32", "f64", "u8", "i64", "u8"]
    assert [Element.of(np.dtype(t)).llvm for t in ("f4", "f8", "u1", "i8")] == ["float", "double", "i8", "i64"]
    assert Element("u", 16).vector(8) == "<8 x i16>"
    assert [Element("u", 16).bytes, Element("f", 64).bytes] == [2, 8]
    assert [Element("u", 16).mangled, Element("f", 64).mangled] == ["i16", "f64"]


@pytest.mark.parametrize(("accumulate", "load"), [(a, load) for a, loads in LOADS.items() for load in loads])
def test_loaded_values_are_widened_exactly_or_rounded_once(accumulate: str, load: str) -> None:
    values: list[Any] = real(load) if load[0] == "f" else whole(load)
    got = run(load, accumulate, accumulate, values)
    if accumulate[0] == "f":
        want = np.array([as_float(v, accumulate) for v in values], accumulate)
        # The sum starts from +0, so that -0 becomes +0.
        np.testing.assert_array_equal(got, want)
    else:
        assert got.tolist() == values


@pytest.mark.parametrize(("accumulate", "store"), [(a, store) for a, stores in STORES.items() for store in stores])
def test_sums_are_rounded_half_to_even_and_saturate(accumulate: str, store: str) -> None:
    values: list[Any] = real(accumulate) if accumulate[0] == "f" else whole(accumulate)
    got = run(accumulate, accumulate, store, values)
    if store[0] == "f":
        np.testing.assert_array_equal(got, np.array([as_float(v, store) for v in values], store))
    else:
        assert got.tolist() == [as_integer(v, store) for v in values]


def test_the_weight_is_read_by_the_kernel() -> None:
    """The helper above would also pass for a kernel that ignores its weight."""
    np.testing.assert_array_equal(ft.correlate(np.arange(40, dtype="u1"), np.array([3], "i1")), 3 * np.arange(40))
