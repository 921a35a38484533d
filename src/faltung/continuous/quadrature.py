"""The convolution integral of two piecewise polynomials, by a rule that is exact for them.

Between consecutive edges of ``f`` and of ``t - edges of K``, the integrand ``f(x)·K(t - x)`` is one polynomial of
degree ``m + n``; Gauss-Legendre with ``(m + n)/2 + 1`` points integrates it exactly. What is left is rounding, and what
the pieces themselves were off by.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np

from faltung.continuous.pieces import EPSILON, Array, Pieces

CELLS_AT_ONCE = 2**16  # bounds the scratch memory, to some 20 MiB with the largest rule
SIZE_STEP = 4  # rules of 4, 8, 12, ... points: few enough to group the cells by them


@lru_cache(maxsize=64)
def gauss_legendre(size: int) -> tuple[Array, Array]:
    """Return nodes and weights right to the last bit.

    NumPy's and SciPy's weights are off by some 1e-13 of themselves towards the ends, which shows where an exponential
    begins. So Newton's method polishes the nodes in decimal arithmetic: ``w = 2/((1 - x²)·P'(x)²)``.
    """
    nodes, weights = [], []
    with localcontext() as context:
        context.prec = 40
        for start in np.polynomial.legendre.leggauss(size)[0]:
            x = Decimal(float(start))
            for _ in range(2):  # from 1e-16 to 1e-32 and beyond
                value, slope = _legendre(size, x)
                x -= value / slope
            _, slope = _legendre(size, x)
            nodes.append(float(x))
            weights.append(float(2 / ((1 - x * x) * slope * slope)))
    return np.array(nodes), np.array(weights)


def _legendre(degree: int, x: Decimal) -> tuple[Decimal, Decimal]:
    """Return the Legendre polynomial and its derivative."""
    before, value = Decimal(1), x
    for n in range(2, degree + 1):
        before, value = value, ((2 * n - 1) * x * value - (n - 1) * before) / n
    return value, degree * (before - x * value) / (1 - x * x)


def convolution(f: Pieces, K: Pieces, t: Array) -> Array:
    """Return ``∫ f(x) K(t - x) dx`` at each ``t``."""
    at_once = max(1, CELLS_AT_ONCE // (f.edges.size + K.edges.size))
    parts = [_some(f, K, t[i : i + at_once]) for i in range(0, t.size, at_once)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _some(f: Pieces, K: Pieces, t: Array) -> Array:
    low = np.maximum(f.edges[0], t - K.edges[-1])
    high = np.maximum(low, np.minimum(f.edges[-1], t - K.edges[0]))
    cuts = np.concatenate([np.broadcast_to(f.edges, (t.size, f.edges.size)), t[:, None] - K.edges], axis=1)
    cuts = np.sort(np.clip(cuts, low[:, None], high[:, None]), axis=1)
    row, cell = np.nonzero(np.diff(cuts, axis=1))
    start, end = cuts[row, cell], cuts[row, cell + 1]
    middle, half = (start + end) / 2, (end - start) / 2
    # The middle tells the piece: a node next to an edge may be rounded across it.
    first, second = f.index(middle), K.index(t[row] - middle)
    points = (f.degrees[first] + K.degrees[second]) // 2 + 1
    steps = -(-points // SIZE_STEP)
    integrals = np.zeros(row.size)
    for step in np.unique(steps):
        i = np.flatnonzero(steps == step)
        nodes, weights = gauss_legendre(int(step) * SIZE_STEP)
        x = middle[i, None] + half[i, None] * nodes
        integrand = f.at(x, first[i]) * K.at(t[row[i], None] - x, second[i])
        integrals[i] = half[i] * (integrand @ weights)
    return np.asarray(np.bincount(row, integrals, minlength=t.size), np.float64)


def rounding(f: Pieces, K: Pieces) -> float:
    """Return what the values of `convolution` are off by through floating-point arithmetic.

    Beside sums of products, coordinates are rounded: an edge, or ``t`` minus an edge, lies up to EPSILON·|x| elsewhere,
    and every jump of one factor along the other with it. (What that does to smooth parts averages out over the nodes.)
    """
    summed = 8 * EPSILON * min(f.largest * K.mass, f.mass * K.largest)
    far = float(max(np.abs(f.edges).max(initial=0), np.abs(K.edges).max(initial=0)))
    heights = [sum(abs(height) for _, height in one.jumps()) for one in (f, K)]
    return summed + EPSILON * far * (heights[0] * K.largest + heights[1] * f.largest)


def inherited(f: Pieces, K: Pieces) -> float:
    """Return what the errors of both factors amount to in the convolution (Young's inequality)."""
    return _passed_on(f, K) + _passed_on(K, f)


def _passed_on(f: Pieces, K: Pieces) -> float:
    # ‖δ * K‖∞ is at most ‖δ‖∞·‖K‖₁ and at most ‖δ‖₁·‖K‖∞. The second is by far the better on the slivers beside a
    # singular point, where δ is large and the interval is tiny; each kind of piece may choose.
    area = f.errors * f.widths * K.largest
    sliver = f.widths < 1e-6 * f.widths.sum()
    regular = min(float(area[~sliver].sum()), float(f.errors[~sliver].max(initial=0)) * K.mass)
    return regular + float(area[sliver].sum()) + f.tail * K.largest
