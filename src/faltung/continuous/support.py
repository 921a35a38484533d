"""Where a function lives: what was given is read and checked, and an infinite support gets a finite domain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import PlanError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.continuous.pieces import Array

# Of the largest value: beyond the domain |x·f(x)| stays below this, so what is cut off weighs no more.
CUT = 1e-17
_DISTANCES = 2.0 ** (np.arange(-160, 320) / 8)  # from 1e-6 to 1e12


def checked_support(support: Sequence[float]) -> tuple[float, float]:
    """Return the two ends of a support, the smaller first."""
    try:
        a, b = (float(end) for end in support)
    except (TypeError, ValueError):
        msg = f"support is {support!r}; give two numbers (a, b) with a < b, such as (0, 1) or (0, float('inf'))"
        raise ProblemError(msg) from None
    if not a < b or a == math.inf or b == -math.inf:
        hint = f"did you mean ({b:g}, {a:g})?" if b < a else "it must have a length, and no end may be NaN"
        msg = f"support is ({a:g}, {b:g}); give (a, b) with a < b: {hint}"
        raise ProblemError(msg)
    return a, b


def checked_breaks(breaks: Sequence[float], support: tuple[float, float]) -> Array:
    """Return the break points in order; all must lie in the support."""
    points = np.sort(np.asarray(breaks, float).ravel())
    wrong = points[~((points >= support[0]) & (points <= support[1]) & np.isfinite(points))]
    if wrong.size:
        msg = f"the break {wrong[0]:g} lies outside the support ({support[0]:g}, {support[1]:g}); leave it out"
        raise ProblemError(msg)
    return points


def domain_of(f: Callable[[Array], Array], support: tuple[float, float], breaks: Array) -> tuple[float, float, float]:
    """Return the ends of a finite domain that holds all but nothing of a function, and a bound of what it leaves out.

    Outwards from 0, the finite end and the breaks, the domain ends where ``|x·f(x)|`` falls below 1e-17 of the largest
    value seen and stays there as far as 1e12.
    """
    a, b = support
    if math.isfinite(a) and math.isfinite(b):
        return a, b, 0.0
    anchors = [*breaks, *(end for end in support if math.isfinite(end))] or [0.0]
    low, high = min(anchors), max(anchors)
    near = np.linspace(low, high, 257)[1:-1] if high > low else np.zeros(0)
    right = high + _DISTANCES if b == math.inf else np.zeros(0)
    left = low - _DISTANCES if a == -math.inf else np.zeros(0)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        largest = max(float(np.abs(f(x)).max(initial=0)) for x in (near, left, right))
        ends = [_end(f, x, origin, largest) for x, origin in ((left, low), (right, high))]
    return (ends[0] if left.size else a), (ends[1] if right.size else b), 2 * CUT * largest


def _end(f: Callable[[Array], Array], x: Array, origin: float, largest: float) -> float:
    if not x.size:
        return origin
    if not math.isfinite(largest):
        msg = "the function grows without bound, or is not finite, on its infinite support; give a finite one"
        raise ProblemError(msg)
    if largest == 0:
        msg = "the function is 0 wherever it was sampled; give the finite support in which it is not"
        raise ProblemError(msg)
    alive = np.flatnonzero(~(np.abs(f(x) * np.maximum(1, np.abs(x - origin))) <= CUT * largest))
    last = int(alive[-1]) + 1 if alive.size else 0
    if last >= x.size - 8:
        msg = (
            f"the function decays too slowly: at x = {x[-1]:.3g} it is still {f(x[-1:])[0]:.3g}. Give a finite "
            "support, or one period of a periodic function as support and period= to convolve"
        )
        raise PlanError(msg)
    return float(x[last])
