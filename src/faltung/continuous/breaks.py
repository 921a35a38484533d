"""Where a function or its slope jumps, read from pieces that were fitted by halving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.continuous.pieces import Array, Indices, Pieces

RUN = 1e-6  # of the whole: where intervals get shorter than this, halving ran towards a point
# The outermost of 17 Chebyshev points is this share of the interval away from its end: a jump beyond goes unseen.
UNSEEN = 0.0022
HALVINGS = 80


def breaks_of(f: Callable[[Array], Array], pieces: Pieces) -> list[float]:
    """Return the points where value or slope jumps, each to the last bit that the function's values allow.

    Either halving ran towards such a point, or it is an edge that halving hit, at least nearly: then the polynomials on
    both sides differ. Between the two, the function follows the left one up to the break and the right one after it,
    which a bisection finds.
    """
    left, right = _beside_runs(pieces), _beside_edges(pieces)
    first, last = (np.concatenate(pair).astype(np.intp) for pair in zip(left, right, strict=True))
    low = pieces.edges[first + 1] - UNSEEN * pieces.widths[first]
    high = pieces.edges[last] + UNSEEN * pieces.widths[last]
    for _ in range(HALVINGS if first.size else 0):
        middle = (low + high) / 2
        value = f(middle)
        before = np.abs(value - pieces.at(middle, first)) <= np.abs(value - pieces.at(middle, last))
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    # One float further on either side, for the function rounds too: 10·x reaches 9 a little before x = 0.9.
    low, high = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    return [_shortest(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _beside_runs(pieces: Pieces) -> tuple[Indices, Indices]:
    """Return for each run of narrow pieces those before and after its narrowest that are clean, since wider."""
    widths = pieces.widths
    narrow = np.concatenate([[0], widths < RUN * widths.sum(), [0]])
    before, after = [], []
    for start, end in np.flatnonzero(np.diff(narrow)).reshape(-1, 2):
        wide = widths > 6 * widths[start:end].min()
        at = start + int(np.argmin(widths[start:end]))
        left, right = np.flatnonzero(wide[:at]), at + np.flatnonzero(wide[at:])
        # A run that ends at an end of the domain has its singular point there.
        if left.size and right.size:
            before.append(left[-1])
            after.append(right[0])
    return np.array(before, dtype=np.intp), np.array(after, dtype=np.intp)


def _beside_edges(pieces: Pieces) -> tuple[Indices, Indices]:
    """Return the pieces before and after each edge where value or slope differs and no piece is narrow."""
    wide = pieces.widths >= RUN * pieces.widths.sum()
    jumps = [at for at, _ in (*pieces.jumps(), *pieces.derivative().jumps())]
    after = np.flatnonzero(np.isin(pieces.edges[1:-1], jumps) & wide[1:] & wide[:-1]) + 1
    return after - 1, after


def _shortest(low: float, high: float) -> float:
    """Return the number with the fewest decimals between two: the break as a person would have written it."""
    middle = (low + high) / 2
    return next((r for r in (round(middle, digits) for digits in range(18)) if low <= r <= high), middle)
