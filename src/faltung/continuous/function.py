"""A real function of one variable, zero outside its support, and what may be done with it."""

from __future__ import annotations

import math
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.continuous import calls
from faltung.continuous import support as supports
from faltung.continuous.adaptive import TOLERANCE, represent
from faltung.continuous.pieces import EPSILON, Array, Pieces, merged
from faltung.errors import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from faltung.continuous.families import Family

    Impulses = tuple[tuple[float, float], ...]


class Function:
    """A real function of one variable, piecewise smooth, zero outside its support.

    Parameters
    ----------
    f : callable, from an array of x to an array of values
        One that takes only numbers is called point by point, which is slow; ``repr`` says so. It is never called
        outside the support.
    support : (a, b) with a < b; either may be infinite
        On an infinite support the function must decay: its `domain` ends where ``|x·f(x)|`` is below 1e-17 of the
        largest value and stays there.
    breaks : points inside the support where the function or a derivative jumps
        They are always honoured. Others are found, jumps to the last bit and kinks as sharply as values tell; but a
        feature narrower than a thousandth of the support can be missed, so name it here.
    tolerance : how well polynomials meet the function between the breaks, relative to its largest value

    It has the attributes ``support``, ``domain``, ``breaks``, ``impulses`` (pairs of place and weight, which only
    `derivative` and `impulse` make), ``pieces`` (the polynomials) and ``error`` (how far values may be off, estimated).
    Called with an array of any shape it gives float64 of that shape. Functions are added and multiplied by numbers;
    `shift`, `reflect`, `derivative` and `integral` are what they say; `faltung.continuous.convolve` takes two of them
    and gives another.

    Raises
    ------
    ProblemError
        A support that is reversed or empty, breaks outside of it, values that are not finite or not real, poles.
    PlanError
        A function that decays too slowly, or is too rough to be met to the tolerance by 4096 polynomials.

    Examples
    --------
    >>> import numpy as np
    >>> f = Function(lambda x: np.abs(x - 0.3), support=(-1, 1))
    >>> f.breaks, float(f(0.5)), float(f(2.0)), round(float(f.integral()), 12)
    ((0.3,), 0.2, 0.0, 1.09)
    >>> f
    Function(support=(-1, 1), breaks=(0.3,))
    """

    def __init__(
        self,
        f: Callable[..., Any],
        support: Sequence[float],
        breaks: Sequence[float] = (),
        *,
        tolerance: float = TOLERANCE,
    ) -> None:
        ends = supports.checked_support(support)
        points = supports.checked_breaks(breaks, ends)
        if not 1e-15 <= tolerance < 1:
            msg = f"tolerance is {tolerance!r}; give a share of the largest value, from 1e-15 to below 1"
            raise ProblemError(msg)
        values = calls.vectorised(f, ends)
        low, high, tail = supports.domain_of(values, ends, points)
        inside = points[(points > low) & (points < high)]
        pieces, edges = represent(values, merged([low, *inside, high]), tolerance=tolerance)
        self._values: Callable[[Array], Array] = calls.Inside(values, ends)
        self._pieces: Pieces | None = replace(pieces, tail=tail)
        self._error: float | None = 0.0
        self._edges, self.corners = edges, _uncut(edges, ends)
        self.support = ends
        self.terms: tuple[Family, ...] = ()
        self.impulses: Impulses = ()
        self.formula = "one point at a time" if values.slow else ""

    @classmethod
    def _made(
        cls,
        values: Callable[[Array], Array],
        support: tuple[float, float],
        edges: Array,
        *,
        corners: Array | None = None,
        pieces: Pieces | None = None,
        terms: tuple[Family, ...] = (),
        impulses: Impulses = (),
        error: float | None = None,
        formula: str = "",
    ) -> Function:
        """Make a function that is known to be sound.

        ``edges`` are the ends of the domain and the corners, which are the breaks and the finite ends of the support.
        Without ``error``, the values are a formula's, to rounding.
        """
        new = object.__new__(cls)
        new._values, new._edges, new._pieces, new._error = values, edges, pieces, error
        new.support, new.terms, new.impulses, new.formula = support, terms, impulses, formula
        new.corners = _uncut(edges, support) if corners is None else corners
        return new

    @property
    def pieces(self) -> Pieces:
        """The function as Chebyshev series on consecutive intervals of its `domain`."""
        if self._pieces is None:
            # A formula has jumps where it says, and nowhere else.
            fitted = represent(self._values, self._edges, find_breaks=False)[0]
            self._pieces = replace(fitted, tail=2 * supports.CUT * fitted.largest)
        return self._pieces

    @property
    def domain(self) -> tuple[float, float]:
        """The finite interval on which the function is represented: its support, or what of it matters."""
        return float(self._edges[0]), float(self._edges[-1])

    @property
    def breaks(self) -> tuple[float, ...]:
        """The points inside the support where the function or one of its derivatives may jump."""
        return tuple(float(x) for x in self.corners if self.support[0] < x < self.support[1])

    @property
    def error(self) -> float:
        """An estimate of how far a value may be off: 0 for a function that was given."""
        return 4 * EPSILON * self.pieces.largest if self._error is None else self._error

    def __call__(self, x: ArrayLike) -> Array:
        """Return the values; of a formula or a result, at a jump, the mean of both sides.

        Impulses have no values: only `integral` and `convolve` see them.
        """
        points = np.asarray(x, float)
        return np.asarray(self._values(points.ravel())).reshape(points.shape)

    def integral(self, a: ArrayLike = -math.inf, b: ArrayLike = math.inf) -> Array:
        """Return ``∫ f(x) dx`` from ``a`` to ``b`` (arrays are broadcast), impulses at both included.

        It is exact for the polynomials that stand for the function: to ``error·(b - a)`` and rounding.

        >>> from faltung.continuous import box
        >>> float(box(width=2).integral(0, 5))
        1.0
        """
        low, high = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
        total = self.pieces.integral_to(high.ravel()) - self.pieces.integral_to(low.ravel())
        for at, weight in self.impulses:
            upwards, downwards = (low <= at) & (at <= high), (high <= at) & (at < low)
            total += weight * (upwards.astype(float) - downwards).ravel()
        return np.asarray(total.reshape(low.shape))

    def derivative(self) -> Function:
        """Return the derivative: of each piece, and with an impulse of its height for each jump.

        So ``(f * K)' = f' * K`` holds for functions with jumps too. The ends of the support count: a box has two jumps.

        Raises:
            ProblemError: the function has impulses, whose derivative is no function and no sum of impulses.

        >>> from faltung.continuous import box
        >>> box().derivative()
        Function(support=(-0.5, 0.5), impulses=((-0.5, 1.0), (0.5, -1.0)), error 0)
        """
        if self.impulses:
            msg = (
                f"the function has impulses at {', '.join(f'{at:g}' for at, _ in self.impulses)}, and no derivative "
                "there; differentiate the other factor, or their convolution, instead"
            )
            raise ProblemError(msg)
        slopes = self.pieces.derivative()
        return Function._made(
            slopes,
            self.support,
            self._edges,
            corners=self.corners,
            pieces=slopes,
            impulses=tuple(self.pieces.jumps()),
            error=float(slopes.errors.max(initial=0)),
        )

    def shift(self, distance: float) -> Function:
        """Return ``f(x - distance)``: the function moved to the right.

        >>> from faltung.continuous import box
        >>> box().shift(2).support
        (1.5, 2.5)
        """
        return self._moved(1.0, 1, float(distance))

    def reflect(self) -> Function:
        """Return ``f(-x)``."""
        return self._moved(1.0, -1, 0.0)

    def __mul__(self, factor: float) -> Function:
        if not isinstance(factor, (int, float, np.number)) or isinstance(factor, bool):
            return NotImplemented
        if not math.isfinite(factor):
            msg = f"the factor is {factor!r}; give a finite number"
            raise ProblemError(msg)
        return self._moved(float(factor), 1, 0.0)

    __rmul__ = __mul__

    def __neg__(self) -> Function:
        return self._moved(-1.0, 1, 0.0)

    def __sub__(self, other: Function) -> Function:
        return self + (-other) if isinstance(other, Function) else NotImplemented

    def __add__(self, other: Function) -> Function:
        if not isinstance(other, Function):
            return NotImplemented
        # An impulse alone is zero everywhere and has neither pieces nor edges that count.
        regular = [f for f in (self, other) if not f.is_impulse]
        parts = regular or [self, other]
        corners = merged(np.concatenate([f.corners for f in parts]))
        # Impulses at one point become one.
        weights: dict[float, float] = {}
        for at, weight in (*self.impulses, *other.impulses):
            weights[at] = weights.get(at, 0.0) + weight
        return Function._made(
            calls.Sum(self._values, other._values),
            (min(self.support[0], other.support[0]), max(self.support[1], other.support[1])),
            merged([*corners, *(end for f in parts for end in f.domain)]),
            corners=corners,
            pieces=self.pieces.added(other.pieces),
            terms=self.terms + other.terms if all(f.terms for f in regular) else (),
            impulses=tuple(sorted((at, weight) for at, weight in weights.items() if weight)),
            error=self.error + other.error,
        )

    @property
    def is_impulse(self) -> bool:
        """Whether the function is nothing but impulses."""
        return self._pieces is not None and not self._pieces.coefficients

    def _moved(self, factor: float, sign: int, shift: float) -> Function:
        """Return ``factor·f(sign·(x - shift))``."""
        if not math.isfinite(shift):
            msg = f"the distance is {shift!r}; give a finite number"
            raise ProblemError(msg)
        ends = sorted(sign * end + shift for end in self.support)
        return Function._made(
            calls.Moved(self._values, factor, sign, shift),
            (ends[0], ends[1]),
            np.sort(sign * self._edges + shift),
            corners=np.sort(sign * self.corners + shift),
            pieces=None if self._pieces is None else self._pieces.moved(factor, sign, shift),
            terms=tuple(term.moved(factor, sign, shift) for term in self.terms),
            impulses=tuple(sorted((sign * at + shift, factor * weight) for at, weight in self.impulses)),
            error=None if self._error is None else abs(factor) * self._error,
        )

    def __repr__(self) -> str:
        a, b = self.support
        parts = [f"support=({a:g}, {b:g})"]
        if self.breaks:
            parts.append(f"breaks={self.breaks if len(self.breaks) < 9 else f'{len(self.breaks)} points'}")
        if self.impulses:
            parts.append(f"impulses={self.impulses}")
        if self.formula or self.terms:
            parts.append(self.formula or " + ".join(term.formula for term in self.terms))
        if self._error or self.impulses:
            parts.append(f"error {self.error:.1g}")
        return f"Function({', '.join(parts)})"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"


def _uncut(edges: Array, support: tuple[float, float]) -> Array:
    """Return the edges without those ends that are there only because the support is infinite."""
    return edges[math.isinf(support[0]) : edges.size - math.isinf(support[1])]
