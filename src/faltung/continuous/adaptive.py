"""From a function that can only be called to polynomials: sample, fit, halve where that is not enough.

An interval is accepted when the interpolant through 17, 33 or 65 Chebyshev points has coefficients that fade out and
meets the samples of the size before. Otherwise it is halved. Halving runs away towards a jump or a kink, and so finds
it; a second fit then begins with that point as an edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import chebyshev

from faltung.continuous.breaks import breaks_of
from faltung.continuous.pieces import EPSILON, Array, Indices, Pieces, chebyshev_nodes, interpolated, merged
from faltung.errors import PlanError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (9, 17, 33, 65)
TOLERANCE = 1e-14  # of the largest value
MAX_PIECES = 4096
NARROW = 1e-15  # of the whole: halving ends here
ROUNDS = 5  # of fitting and looking for breaks
SAME = 1e-12  # of the whole: a break found closer than this to a known one is the same
CHECKS = 1021  # points of the last look for a feature that fell between all samples


@dataclass
class _Fit:
    """What is known while intervals are being halved."""

    f: Callable[[Array], Array]
    span: float
    tolerance: float
    floor: float
    scale: float = 0.0
    found: list[tuple[float, float, Array, float]] = field(default_factory=list)

    def run(self, low: Array, high: Array) -> None:
        """Fit intervals, and the halves of those that are too hard, until none is left."""
        while low.size:
            if low.size + len(self.found) > MAX_PIECES:
                msg = (
                    f"the function is not resolved to {self.tolerance:g} of its largest value by {MAX_PIECES} "
                    f"polynomials; it is rough near x = {low[0]:.6g}: give a larger tolerance, breaks, or less support"
                )
                raise PlanError(msg)
            hard = self._level(low, high)
            middle = (low[hard] + high[hard]) / 2
            low, high = np.concatenate([low[hard], middle]), np.concatenate([middle, high[hard]])

    def _level(self, low: Array, high: Array) -> Indices:
        """Fit each interval with up to 65 points; return the indices of those to halve."""
        left = np.arange(low.size)
        values = self._sample(low, high, SIZES[0])
        for size in SIZES[1:]:
            before, values = values, self._sample(low[left], high[left], size)
            coefficients = interpolated(values)
            missed = np.abs(_on_nodes(coefficients, before.shape[1]) - before).max(axis=1)
            errors = np.maximum(missed, np.abs(coefficients[:, -3:]).sum(axis=1))
            allowed = self._allowed(low[left], high[left], values)
            good = errors <= allowed
            if size == SIZES[-1]:
                largest = np.maximum(np.abs(low[left]), np.abs(high[left]))
                good |= high[left] - low[left] <= np.maximum(NARROW * self.span, 8 * np.spacing(largest))
            for i in np.flatnonzero(good):
                series, lost = _chopped(coefficients[i], max(allowed[i], errors[i]) / 2)
                # Between its samples it may be off by more than at them; and each term rounds.
                error = 2 * errors[i] + lost + 2 * EPSILON * np.abs(series).sum()
                self.found.append((low[left[i]], high[left[i]], series, error))
            left, values = left[~good], values[~good]
        return left

    def _sample(self, low: Array, high: Array, size: int) -> Array:
        x = ((low + high)[:, None] + (high - low)[:, None] * chebyshev_nodes(size)[0]) / 2
        with np.errstate(all="ignore"):  # what is not finite is refused below, with its place
            values = self.f(x.ravel()).reshape(x.shape)
        if not np.isfinite(values).all():
            i = np.unravel_index(np.argmin(np.isfinite(values)), values.shape)
            msg = f"the function gives {values[i]} at x = {x[i]:.17g}; it must be finite on its whole support"
            raise ProblemError(msg)
        self.scale = max(self.scale, float(np.abs(values).max(initial=0)))
        return values

    def _allowed(self, low: Array, high: Array, values: Array) -> Array:
        # A float x is off by up to eps·|x|, and the values with it: by that times the slope, some 4 times its mean.
        variation = np.abs(np.diff(values, axis=1)).sum(axis=1) / (high - low)
        wobble = 4 * EPSILON * np.maximum(np.abs(low), np.abs(high)) * variation
        return np.asarray(np.maximum(wobble, max(self.tolerance * self.scale, self.floor)))

    def pieces(self) -> Pieces:
        """Return what was found, from left to right."""
        self.found.sort(key=lambda piece: piece[0])
        lows, highs, series, errors = zip(*self.found, strict=True)
        return Pieces(np.array([*lows, highs[-1]]), series, np.array(errors))


def represent(
    f: Callable[[Array], Array],
    edges: Array,
    *,
    tolerance: float = TOLERANCE,
    floor: float = 0.0,
    find_breaks: bool = True,
) -> tuple[Pieces, Array]:
    """Return the pieces of a function and its edges: those given, and with ``find_breaks`` those found.

    ``tolerance`` is relative to the largest value, ``floor`` is what the values are off by anyway.
    """
    current = edges
    for last in (*[False] * (ROUNDS - 1), True):
        fit = _Fit(f, float(edges[-1] - edges[0]), tolerance, floor)
        fit.run(current[:-1], current[1:])
        if not find_breaks:
            break
        _look_again(fit)
        _refuse_poles(fit.pieces(), fit.span)
        # With clean pieces on both sides a break is found more sharply than by the halving that led to it.
        found = [at for at in breaks_of(f, fit.pieces()) if np.abs(edges - at).min() > SAME * fit.span]
        better = merged([*edges, *found])
        if last or (better.size == current.size and np.allclose(better, current, rtol=0, atol=SAME * fit.span / 100)):
            break
        current = better
    return fit.pieces(), current


def _on_nodes(coefficients: Array, size: int) -> Array:
    values: Array = coefficients @ chebyshev.chebvander(chebyshev_nodes(size)[0], coefficients.shape[1] - 1).T
    return values


def _chopped(series: Array, allowed: float) -> tuple[Array, float]:
    """Return a series without the last coefficients that do not matter, and what they amount to."""
    tails = np.cumsum(np.abs(series[::-1]))[::-1]
    size = max(1, int(np.count_nonzero(tails > allowed)))
    return series[:size].copy(), float(tails[size]) if size < series.size else 0.0


def _look_again(fit: _Fit) -> None:
    """Compare pieces and function at many more points, and fit anew where a narrow feature was missed."""
    pieces = fit.pieces()
    share = np.modf(np.arange(1, CHECKS + 1) * 0.6180339887498949)[0]
    x = pieces.edges[0] + fit.span * share
    piece = pieces.index(x)
    off = np.abs(fit.f(x) - pieces.at(x, piece))
    # Well above the tolerance, for here f and pieces are compared in the gaps between the samples, at breaks too.
    wrong = np.unique(piece[off > np.maximum(1e3 * fit.tolerance * fit.scale, 10 * pieces.errors[piece])])
    wrong = wrong[pieces.widths[wrong] > 1e-9 * fit.span]
    if not wrong.size:
        return
    fit.found = [found for i, found in enumerate(fit.found) if i not in set(wrong.tolist())]
    low, high = pieces.edges[wrong], pieces.edges[wrong + 1]
    parts = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 65)
    fit.run(parts[:, :-1].ravel(), parts[:, 1:].ravel())


def _refuse_poles(pieces: Pieces, span: float) -> None:
    heights = np.abs(pieces.samples).max(axis=1)
    narrow = pieces.widths < 1e-10 * span
    if narrow.any() and not narrow.all() and heights[narrow].max() > 100 * heights[~narrow].max():
        x = pieces.edges[np.flatnonzero(narrow)[np.argmax(heights[narrow])]]
        msg = f"the function grows without bound near x = {x:.6g}; it must be bounded: end the support before that"
        raise ProblemError(msg)
