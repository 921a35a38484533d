"""Derivatives of the sampled Gaussian along one axis."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from faltung.errors import GeometryError

Array: TypeAlias = np.ndarray[Any, Any]


def derivative_taps(offsets: Array, sigma: float, order: int, *, exact: bool) -> Array:
    """Return the taps of the ``order``-th derivative, for correlation; offsets and ``sigma`` are in samples.

    The tap is ``p(x/sigma)·g(x)/sigma^order``, g the Gaussian with sum 1. ``p`` is Hermite's polynomial or, if
    ``exact``, a multiple of the monic polynomial orthogonal under the weights g to all of lower degree, so that the
    moments ``Σ x^m k`` are 0 below ``order`` and ``order!`` at it.

    Raises:
        GeometryError: there are too few taps with a weight for a derivative of this order.
    """
    # sigma may be so small that its square underflows, and dividing by 0 gives NaN; a ratio at worst overflows to
    # infinity, whose tap is 0.
    with np.errstate(over="ignore"):
        u = offsets / sigma if sigma > 0 else np.where(offsets == 0, 0.0, np.inf)
        weights = np.exp(-0.5 * u**2)
    total = weights.sum()
    if np.count_nonzero(weights) <= order or not total:
        msg = (
            f"gaussian: order {order} needs more than {order} taps with a weight along its axis; with a sigma of "
            f"{sigma:g} samples and {len(offsets)} taps there are {np.count_nonzero(weights)}: raise sigma or truncate"
        )
        raise GeometryError(msg)
    weights = weights / total
    u = np.where(weights > 0, u, 0.0)
    polynomial, norm = _orthogonal(u, weights, order) if exact else (_hermite(u, order), math.factorial(order))
    taps: Array = polynomial * weights * (math.factorial(order) / norm)
    return taps / sigma**order if order else taps


def _hermite(u: Array, order: int) -> Array:
    before, now = np.zeros_like(u), np.ones_like(u)
    for n in range(order):
        before, now = now, u * now - n * before
    return now


def _orthogonal(u: Array, weights: Array, order: int) -> tuple[Array, float]:
    """Return the monic polynomial orthogonal to all of lower degree, and its squared norm.

    Hermite's recurrence with the norms of the samples in place of factorials. The terms that would make up for a
    lopsided weight are left out, since these weights are symmetric.
    """
    before, now = np.zeros_like(u), np.ones_like(u)
    last, norm = 1.0, float(weights.sum())
    for n in range(order):
        before, now = now, u * now - (norm / last if n else 0.0) * before
        last, norm = norm, float(weights @ now**2)
    return now, norm
