"""Functions that repeat, and the convolution over one period."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from faltung.continuous.adaptive import represent
from faltung.continuous.function import Function
from faltung.continuous.pieces import LEAST_JUMP, Array, merged
from faltung.errors import PlanError, ProblemError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MAX_OVERLAP = 10_000  # periods that a support may span


class Periodic:
    """A function with a period, as convolution over one period gives it.

    ``cell`` is one period, a `Function` with support (0, period); ``error`` estimates how far a value may be off.
    Called with an array of any shape it gives float64 of that shape, at a jump the mean of both sides.

    >>> import numpy as np
    >>> from faltung.continuous import Function, convolve, gaussian
    >>> wave = Function(np.cos, support=(0, 2 * np.pi))
    >>> s = convolve(wave, gaussian(sigma=0.5), period=2 * np.pi)
    >>> bool(np.allclose(s([0, 1, 100]), np.exp(-0.125) * np.cos([0, 1, 100])))
    True
    """

    def __init__(self, cell: Function) -> None:
        self.cell = cell

    @property
    def period(self) -> float:
        """The period."""
        return self.cell.support[1]

    @property
    def breaks(self) -> tuple[float, ...]:
        """The points from 0 to below the period where the function or a derivative may jump; 0 is always one."""
        return 0.0, *self.cell.breaks

    @property
    def error(self) -> float:
        """An estimate of how far a value may be off."""
        return self.cell.error

    def __call__(self, t: ArrayLike) -> Array:
        """Return the values."""
        points = np.asarray(t, float)
        with np.errstate(invalid="ignore"):
            inside = np.mod(points, self.period)
        right = self.cell.pieces.one_sided(np.where(inside == self.period, 0.0, inside), "right")
        left = self.cell.pieces.one_sided(np.where(inside == 0, self.period, inside), "left")
        return np.asarray((left + right) / 2)

    def integral(self, a: ArrayLike = 0.0, b: ArrayLike | None = None) -> Array:
        """Return ``∫ f(t) dt`` from ``a`` to ``b`` (arrays are broadcast; None: one period on), impulses included.

        >>> from faltung.continuous import box, convolve
        >>> float(convolve(box(), box(), period=2).integral(0, 10).round(12))
        5.0
        """
        low = np.asarray(a, float)
        high = low + self.period if b is None else np.asarray(b, float)
        total = self._up_to(high) - self._up_to(low)
        for at, weight in self.cell.impulses:
            # How many of at, at ± period, ... lie from low to just below high.
            total += weight * (np.ceil((high - at) / self.period) - np.ceil((low - at) / self.period))
        return np.asarray(total)

    def _up_to(self, t: Array) -> Array:
        turns = np.floor(t / self.period)
        primitive = self.cell.pieces.integral_to
        part = primitive((t - turns * self.period).ravel()).reshape(t.shape)
        return np.asarray(turns * primitive(np.array([self.period])) + part).reshape(t.shape)

    def derivative(self) -> Periodic:
        """Return the derivative, with an impulse for each jump; the seam is a jump only if the values differ there.

        Raises:
            ProblemError: the function has impulses.
        """
        slopes = self.cell.derivative()
        seam = sum(weight for at, weight in slopes.impulses if at in (0.0, self.period))
        least = LEAST_JUMP * self.cell.pieces.largest + 8 * self.error
        inner = tuple((at, weight) for at, weight in slopes.impulses if 0 < at < self.period)
        slopes.impulses = ((0.0, seam), *inner) if abs(seam) > least else inner
        return Periodic(slopes)

    def shift(self, distance: float) -> Periodic:
        """Return ``f(t - distance)``."""
        return folded(self.cell.shift(distance), self.period)

    def reflect(self) -> Periodic:
        """Return ``f(-t)``."""
        return folded(self.cell.reflect(), self.period)

    def __repr__(self) -> str:
        impulses = f", impulses={self.cell.impulses}" if self.cell.impulses else ""
        return f"Periodic(period={self.period:g}, breaks={self.breaks}{impulses}, error {self.error:.1g})"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"


def period_of(f: Function | Periodic, K: Function | Periodic, period: float | None) -> float:
    """Return the one period that was given or that the factors have."""
    own = {g.period for g in (f, K) if isinstance(g, Periodic)}
    periods = own if period is None else own | {float(period)}
    length = max(periods)
    if len(periods) > 1 or not 0 < length < math.inf:
        msg = f"the periods are {sorted(periods)}; give one finite length above 0, the same for both functions"
        raise ProblemError(msg)
    return length


def folded(f: Function, period: float) -> Periodic:
    """Return ``Σ f(t + k·period)`` over all whole k."""
    low, high = f.domain
    turns = np.arange(math.floor(low / period), math.ceil(high / period) + 1)
    if turns.size > MAX_OVERLAP:
        msg = f"the support is {turns.size} periods long, at most {MAX_OVERLAP} are summed; give a longer period"
        raise PlanError(msg)
    at = {0.0: 0.0}
    for x, weight in f.impulses:
        place = float(np.mod(x, period))
        at[place] = at.get(place, 0.0) + weight
    impulses = tuple(sorted((x, weight) for x, weight in at.items() if weight))
    source = f.pieces

    def values(t: Array) -> Array:
        total = np.zeros(t.shape)
        for turn in turns:
            total += source(t + turn * period)
        return total

    edges = merged([0.0, *np.mod(f.corners, period), period], 1e-14)
    edges[-1] = period
    error = f.error * max(1, turns.size - 1)
    pieces, _ = represent(values, edges, floor=error, find_breaks=False)
    pieces = pieces.doubted(error)
    support = (0.0, period)
    worst = float(pieces.errors.max())
    return Periodic(Function._made(pieces, support, edges, pieces=pieces, impulses=impulses, error=worst))
