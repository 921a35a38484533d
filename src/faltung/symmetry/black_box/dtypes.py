"""What a filter makes of each dtype: the dtype of its result, how it rounds, and what it does on overflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import FaltungError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import DTypeLike

    from faltung.symmetry.black_box.probing import BlackBox
    from faltung.symmetry.elements import Array

TRIED = ("uint8", "int16", "int32", "float16", "float32", "float64")
LARGEST = 2**20  # of random int32 input, whose sums float64 holds exactly
COARSE = {"float16": 1e-2, "float32": 1e-4, "complex64": 1e-4}  # relative to the largest output
ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "halves to even": np.rint,
    "halves up": lambda e: np.floor(e + 0.5),
    "halves away from 0": lambda e: np.copysign(np.floor(np.abs(e) + 0.5), e),
    "towards 0": np.trunc,
    "down": np.floor,
    "up": np.ceil,
}


def dtype_rules(box: BlackBox, expect: Callable[[Array], Array], dtypes: Sequence[DTypeLike]) -> dict[str, str]:
    """Try each dtype on random numbers of its whole range; `expect` gives the exact result, NaN where it is unknown."""
    asked = [np.dtype(dtype) for dtype in dtypes]
    return {str(dtype): _rule(box, expect, dtype) for dtype in asked}


def _rule(box: BlackBox, expect: Callable[[Array], Array], dtype: np.dtype) -> str:
    x = _random(box, dtype)
    try:
        y = box.call(x, "random numbers")
    except FaltungError as error:
        cause = error.__cause__
        return "refused" if cause is None else f"refused ({type(cause).__name__})"
    expected = expect(x)
    known = np.isfinite(expected)
    if y.shape != expected.shape or not known.any():
        return f"{y.dtype}, of another shape: {y.shape}"
    got, exact = y[known], expected[known]
    if got.dtype.kind in "iu":
        return f"{got.dtype}{_rounding(got, exact, box.tolerance)}"
    loose = max(box.tolerance, *(COARSE.get(name, 0.0) for name in (str(dtype), str(got.dtype))))
    off = _relative(got, exact)
    if off <= loose:
        return str(got.dtype)
    factor = float(np.vdot(exact, got).real / max(float(np.vdot(exact, exact).real), np.finfo(float).tiny))
    if _relative(got, factor * exact) <= loose:
        return f"{got.dtype}, times {_written(factor)}"
    return f"{got.dtype}, off by {off:.1g} of the largest output"


def _relative(got: Array, expected: Array) -> float:
    return float(np.abs(got - expected).max()) / max(float(np.abs(expected).max()), np.finfo(float).tiny)


def _written(factor: float) -> str:
    inverse = 1 / factor if factor else 0.0
    return f"1/{round(inverse)}" if inverse > 1 and abs(inverse - round(inverse)) < 1e-6 * inverse else f"{factor:.6g}"


def _random(box: BlackBox, dtype: np.dtype) -> Array:
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low, high = max(int(info.min), -LARGEST), min(int(info.max), LARGEST)
        return box.rng.integers(low, high, box.shape, endpoint=True).astype(dtype)
    x = box.rng.standard_normal(box.shape)
    return (x + 1j * box.rng.standard_normal(box.shape) if dtype.kind == "c" else x).astype(dtype)


def _rounding(got: Array, exact: Array, tolerance: float) -> str:
    """Name the first rule of rounding and overflow that explains every sample; parts that no sample shows are left out.

    The weights are known up to rounding, so what is nearly an integer or a half is taken for one.
    """
    info = np.iinfo(got.dtype)
    near = np.rint(2 * exact) / 2
    exact = np.where(np.abs(exact - near) <= 1e-2 * tolerance * np.abs(exact).max(), near, exact)
    whole = bool((exact == np.rint(exact)).all())
    for rounding, rounded in ROUNDINGS.items():
        values = rounded(exact)
        inside = (values >= info.min) & (values <= info.max)
        span = float(info.max) - float(info.min) + 1
        wrapped = (values - info.min) % span + info.min
        for overflow, held in (("saturated", values.clip(info.min, info.max)), ("wrapped", wrapped)):
            if np.array_equal(held, got.astype(float)):
                parts = [f"rounded {rounding}"] * (not whole) + [overflow] * (not inside.all())
                return "".join(f", {part}" for part in parts)
    off = float(np.abs(got - exact.clip(info.min, info.max)).max())
    return f", up to {off:.3g} off the exact sum"
