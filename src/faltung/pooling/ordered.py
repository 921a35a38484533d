"""Arrays in a machine type of the same order, and what stands for places that do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from faltung.errors import DtypeError
from faltung.problem import dtypes as rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.pooling.windows import Windows

Kind = Literal["max", "min"]

PLAIN = frozenset(map(np.dtype, ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4")))


def ordered(x: np.ndarray, windows: Windows, kind: str) -> tuple[np.ndarray, Kind, Callable[[np.ndarray], np.ndarray]]:
    """Give an array of a machine type in the same order, the extremum to take, and the way back from it."""
    dtype, wanted = x.dtype, cast("Kind", kind)
    if dtype in PLAIN and windows.sides is None:
        return x, wanted, _same
    if rules.kind_of(dtype) == "complex":
        msg = f"{kind} pooling of {dtype}: complex numbers have no order; pool the modulus, np.abs(x)"
        raise DtypeError(msg)
    native = dtype.newbyteorder("=")
    _check_constants(windows, native)
    if dtype.kind == "b":
        return x.view(np.uint8), wanted, lambda y: y.view(bool)
    if rules.kind_of(dtype) == "real" and dtype.itemsize == 2:
        return x.astype(np.float32), wanted, lambda y: y.astype(native)
    if native.kind in "iu":
        if windows.has_odd_rules:
            native = rules.resolve(native, np.dtype(np.int8), None).accumulate
            return _checked(x, windows, native), wanted, _same
        if native == np.uint64 and not _has_constants(windows):
            # No boundary constant is as high as the highest value, which stands for what does not count.
            return _flipped(x.astype(native, copy=False), np.int64), wanted, lambda y: _flipped(y, np.uint64)
    return x.astype(native, copy=False), wanted, _same


def _same(y: np.ndarray) -> np.ndarray:
    return y


def fill(kind: Kind, dtype: np.dtype) -> float:
    """Give the value that no extremum prefers to a sample."""
    if dtype.kind == "f":
        return -np.inf if kind == "max" else np.inf
    bounds = np.iinfo(dtype)
    return bounds.min if kind == "max" else bounds.max


def _flipped(x: np.ndarray, dtype: type) -> np.ndarray:
    """Turn unsigned integers into signed ones of the same order, or back."""
    lowest = np.array(-(2**63) if x.dtype.kind == "i" else 2**63, x.dtype)
    flipped: np.ndarray = np.bitwise_xor(x, lowest)
    return flipped.view(dtype)


def _has_constants(windows: Windows) -> bool:
    return windows.padded and any(rule.is_constant for sides in windows.sides or () for rule in sides)


def _check_constants(windows: Windows, dtype: np.dtype) -> None:
    """Refuse constants that an array of a type cannot hold."""
    low, high = (0, 1) if dtype.kind == "b" else (-np.inf, np.inf)
    if dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for value in (rule.value for sides in windows.sides or () for rule in sides):
        whole = dtype.kind not in "biu" or (value == value and low <= value <= high and value % 1 == 0)  # type: ignore[operator]
        if isinstance(value, complex) or not whole:
            msg = f"the boundary constant {value} is no {dtype}, of which the array is; give one that is, or convert it"
            raise DtypeError(msg)


def _checked(x: np.ndarray, windows: Windows, dtype: np.dtype) -> np.ndarray:
    """Convert integers that an odd rule extrapolates, unless it may leave the type."""
    growth = 1
    for axis in windows.axes:
        chosen = windows.maps(0)[axis]
        if chosen.sign is not None and chosen.first is not None and chosen.last is not None:
            growth *= int((abs(chosen.sign) + abs(chosen.first) + abs(chosen.last)).max(initial=1))
    largest = max(abs(int(x.max())), abs(int(x.min()))) if x.size else 0
    if largest * growth > np.iinfo(dtype).max:
        msg = f"an odd boundary rule extrapolates |x| <= {largest} to {largest * growth}, which {dtype} does not hold; "
        raise DtypeError(msg + "convert the array to float64")
    return x.astype(dtype)
