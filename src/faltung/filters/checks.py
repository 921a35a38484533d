"""What a caller gave for a filter's parameters, read and checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from numbers import Integral, Real
from typing import Any, TypeAlias, cast

import numpy as np

from faltung.errors import GeometryError, ProblemError

Array: TypeAlias = np.ndarray[Any, Any]

MAX_TAPS = 2**24  # 128 MiB of float64: above this a parameter is mistyped more often than meant


def rank(ndim: object) -> int:
    """Return a number of axes, 1 to 15."""
    if not whole(ndim) or not 1 <= cast("int", ndim) <= 15:
        msg = f"ndim is {ndim!r}; a filter has 1 to 15 axes"
        raise GeometryError(msg)
    return int(cast("int", ndim))


def per_axis(name: str, value: Any, ndim: int) -> list[Any]:
    """Return one value for each axis, from one for all or one for each."""
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str):
        values = list(value)
        if len(values) != ndim:
            msg = f"{name} has {len(values)} values {tuple(values)} for {ndim} axes; give one, or {ndim}"
            raise GeometryError(msg)
        return values
    return [value] * ndim


def positive(text: str, value: Any, ndim: int, *, zero: bool = False, expected: str) -> list[float]:
    """Return one finite number above 0 (or from 0 on) for each axis; ``text`` is such as ``"box: size"``."""
    values = per_axis(text, value, ndim)
    if any(not finite(v) or v < 0 or (v == 0 and not zero) for v in values):
        msg = f"{text} is {value!r}; give {expected}"
        raise ProblemError(msg)
    return [float(v) for v in values]


def above_zero(text: str, value: object, expected: str) -> float:
    """Return a finite number above 0."""
    if not finite(value) or cast("float", value) <= 0:
        msg = f"{text} is {value!r}; give {expected}"
        raise ProblemError(msg)
    return float(cast("float", value))


def spacings(name: str, value: Any, ndim: int) -> list[float]:
    """Return the distance of neighbouring samples along each axis."""
    return positive(f"{name}: spacing", value, ndim, expected="the distance of samples, above 0, such as 1")


def number(text: str, value: object, expected: str = "a number, such as 1") -> float:
    """Return a finite number."""
    if not finite(value):
        msg = f"{text} is {value!r}; give {expected}"
        raise ProblemError(msg)
    return float(cast("float", value))


def choice(text: str, value: object, allowed: Sequence[str]) -> str:
    """Return one of the words allowed."""
    if value not in allowed:
        msg = f"{text} is {value!r}; give one of {', '.join(allowed)}"
        raise ProblemError(msg)
    return cast("str", value)


def flag(text: str, value: object) -> bool:
    """Return a truth value; numbers and words are none."""
    if not isinstance(value, (bool, np.bool)):
        msg = f"{text} is {value!r}; give true or false"
        raise ProblemError(msg)
    return bool(value)


def axis_index(name: str, axis: object, ndim: int) -> int:
    """Return an axis counted from 0."""
    if not whole(axis) or not -ndim <= cast("int", axis) < ndim:
        msg = f"{name}: axis is {axis!r}; with {ndim} axes give {-ndim} to {ndim - 1}"
        raise GeometryError(msg)
    return int(cast("int", axis)) % ndim


def whole_sizes(name: str, size: Any, ndim: int) -> list[int]:
    """Return the number of taps along each axis."""
    sizes = per_axis("size", size, ndim)
    if any(not whole(s) or s < 1 for s in sizes):
        msg = f"{name}: size is {size!r}; give whole numbers of samples, 1 or more"
        raise GeometryError(msg)
    bounded(name, sizes)
    return [int(s) for s in sizes]


def windows(name: str, radii: Sequence[float], size: Any) -> list[Array]:
    """Return the offsets of the taps from the middle, along each axis, for radii in samples or sizes in taps.

    A radius of r samples gives ``2·floor(r + 1/2) + 1`` taps. An even size has its middle between two taps.
    """
    if size is None:
        # Clipped, since a product that overflows has no floor; far beyond what is sampled anyway.
        sizes = [2 * math.floor(min(r, MAX_TAPS) + 0.5) + 1 for r in radii]
        bounded(name, sizes)
    else:
        sizes = whole_sizes(name, size, len(radii))
    return [np.arange(n) - (n - 1) / 2 for n in sizes]


def bounded(name: str, sizes: Sequence[int]) -> None:
    """Refuse a kernel that is too large to be meant."""
    if math.prod(int(s) for s in sizes) > MAX_TAPS:
        size = " x ".join(map(str, sizes))
        msg = f"{name}: the kernel would have {size} taps; at most {MAX_TAPS} are sampled"
        raise GeometryError(msg)


def optional(**given: tuple[Any, Any]) -> dict[str, object]:
    """Return the parameters that differ from their default; each is given as (value, default)."""
    return {name: value for name, (value, default) in given.items() if not np.array_equal(value, default)}


def outer(factors: Sequence[Array]) -> Array:
    """Return the outer product of the kernels of single axes."""
    kernel: Array = reduce(np.multiply.outer, factors)
    return kernel


def finite(value: object) -> bool:
    """Tell whether a value is a real number within the range of float."""
    try:
        return _is(value, Real) and math.isfinite(cast("float", value))
    except OverflowError:  # a whole number beyond the range of float
        return False


def whole(value: object) -> bool:
    """Tell whether a value is a whole number."""
    return _is(value, Integral)


def _is(value: object, kind: type) -> bool:
    # bool is a number to Python, but True is no number of samples.
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool))
