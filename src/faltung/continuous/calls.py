"""What gives a function's values: a caller's own function, and others moved and added."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.continuous.pieces import Array


@dataclass(frozen=True)
class Given:
    """A caller's function, which is called with arrays, or ``slow``, point by point."""

    f: Callable[..., Any]
    slow: bool

    def __call__(self, x: Array) -> Array:
        """Return the values at points of the support."""
        values = [self.f(float(point)) for point in x] if self.slow else self.f(x)
        return np.array(np.broadcast_to(np.asarray(values, float), x.shape))


@dataclass(frozen=True)
class Inside:
    """A function that is called on its support only, and is zero elsewhere."""

    f: Callable[[Array], Array]
    support: tuple[float, float]

    def __call__(self, x: Array) -> Array:
        """Return the values."""
        inside = (x >= self.support[0]) & (x <= self.support[1])
        out = np.where(np.isnan(x), np.nan, 0.0)
        if inside.any():
            out[inside] = self.f(x[inside])
        return out


@dataclass(frozen=True)
class Moved:
    """``factor·f(sign·(x - shift))``."""

    f: Callable[[Array], Array]
    factor: float
    sign: int
    shift: float

    def __call__(self, x: Array) -> Array:
        """Return the values."""
        return self.factor * self.f(self.sign * (x - self.shift))


@dataclass(frozen=True)
class Sum:
    """The sum of two functions."""

    first: Callable[[Array], Array]
    second: Callable[[Array], Array]

    def __call__(self, x: Array) -> Array:
        """Return the values."""
        return self.first(x) + self.second(x)


def vectorised(f: Any, support: tuple[float, float]) -> Given:
    """Return a caller's function as one of arrays, after a trial at three points."""
    if not callable(f):
        msg = f"f is {f!r}; give a function of x, such as numpy.cos or lambda x: x**2"
        raise ProblemError(msg)
    x = _three_points(*support)
    slow = False
    with np.errstate(all="ignore"):
        try:
            values = np.asarray(f(x))
            # One number for all may be a constant, or a function that looked at only part of its argument.
            slow = values.shape != x.shape and not _is_constant(f, x, values)
        except (TypeError, ValueError):
            slow = True
        if slow:
            values = np.asarray([f(float(point)) for point in x])
    if values.shape not in ((), x.shape) or values.dtype.kind not in "fiub":
        msg = (
            f"f gives {values.dtype} of shape {values.shape} for 3 points; give a function with one real number for "
            "each (and of a complex function the real and the imaginary part separately)"
        )
        raise ProblemError(msg)
    return Given(f, slow)


def _three_points(a: float, b: float) -> Array:
    low = a if math.isfinite(a) else min(b, 1.0) - 1
    high = b if math.isfinite(b) else low + 1
    return low + (high - low) * np.array([0.21, 0.43, 0.76])


def _is_constant(f: Callable[..., Any], x: Array, values: Any) -> bool:
    return values.shape == () and all(np.array_equal(f(float(point)), values, equal_nan=True) for point in x)
