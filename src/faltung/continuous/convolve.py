"""``s(t) = ∫ f(x) K(t - x) dx``: by formula where one is known, else piece by piece."""

from __future__ import annotations

from functools import reduce
from itertools import product
from operator import add
from typing import TYPE_CHECKING, overload

import numpy as np

from faltung.continuous import quadrature
from faltung.continuous.adaptive import represent
from faltung.continuous.closed_forms import closed_form
from faltung.continuous.families import impulse
from faltung.continuous.function import Function
from faltung.continuous.periodic import Periodic, folded, period_of
from faltung.continuous.pieces import Array, merged
from faltung.continuous.separable import Separable
from faltung.errors import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

SAME_BREAK = 1e-14  # sums of breaks closer than this share of the extent are one break


@overload
def convolve(f: Function, K: Function, *, period: None = None) -> Function: ...
@overload
def convolve(f: Periodic, K: Function | Periodic, *, period: float | None = None) -> Periodic: ...
@overload
def convolve(f: Function, K: Periodic, *, period: float | None = None) -> Periodic: ...
@overload
def convolve(f: Function, K: Function, *, period: float) -> Periodic: ...
@overload
def convolve(f: Separable, K: Separable, *, period: None = None) -> Separable: ...
def convolve(
    f: Function | Periodic | Separable, K: Function | Periodic | Separable, *, period: float | None = None
) -> Function | Periodic | Separable:
    """Return ``s(t) = ∫ f(x) K(t - x) dx`` as a function that knows its error.

    Parameters
    ----------
    f, K : Function, Periodic or Separable
        Separable functions are convolved factor by factor. Impulses shift; a sum is convolved term by term.
    period : a length T, or None
        With a period both are repeated with it, and ``s(t) = ∫ f(x) K(t - x) dx`` over one period, a `Periodic`. A
        support longer than the period overlaps with its own repetitions, which add up. None: the line, or the period
        of the factor that has one.

    Returns
    -------
    Function, Periodic or Separable
        Gaussians, boxes, B-splines of equal spacing and exponentials by their formula (`closed_forms`). Otherwise both
        factors are Chebyshev series between their breaks, for which Gauss-Legendre quadrature is exact, and the
        result is one between the sums of the breaks; so what is left is rounding, and the error of the series,
        passed on by Young's inequality ``‖δ * K‖∞ <= ‖δ‖₁·‖K‖∞``: ``error``.

    Raises
    ------
    ProblemError
        For anything else than two functions of one kind, and for a period that is no length or not their own.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung.continuous import Function, box, convolve
    >>> s = convolve(Function(np.cos, support=(0, np.pi)), box(width=np.pi))
    >>> s.breaks == (np.pi / 2,), s.error < 1e-13
    (True, True)
    >>> bool(np.allclose(s([0, np.pi / 2]), [1, 0], atol=1e-14))
    True
    """
    if isinstance(f, Separable) and isinstance(K, Separable) and period is None:
        return f._combined(K, convolve)
    if not isinstance(f, (Function, Periodic)) or not isinstance(K, (Function, Periodic)):
        msg = (
            f"convolve got {type(f).__name__} and {type(K).__name__}{'' if period is None else ' with a period'}; give "
            "two Functions, as in Function(f, support=(a, b)), two Separables of equal rank, or Functions and a period"
        )
        raise ProblemError(msg)
    if period is not None or isinstance(f, Periodic) or isinstance(K, Periodic):
        length = period_of(f, K, period)
        cells = [g.cell if isinstance(g, Periodic) else g for g in (f, K)]
        return folded(_on_the_line(*cells), length)
    return _on_the_line(f, K)


@overload
def correlate(f: Function, K: Function, *, period: None = None) -> Function: ...
@overload
def correlate(f: Periodic, K: Function | Periodic, *, period: float | None = None) -> Periodic: ...
@overload
def correlate(f: Function, K: Periodic, *, period: float | None = None) -> Periodic: ...
@overload
def correlate(f: Function, K: Function, *, period: float) -> Periodic: ...
@overload
def correlate(f: Separable, K: Separable, *, period: None = None) -> Separable: ...
def correlate(
    f: Function | Periodic | Separable, K: Function | Periodic | Separable, *, period: float | None = None
) -> Function | Periodic | Separable:
    """Return ``c(t) = ∫ f(t + x) K(x) dx``: the convolution with ``K(-x)``; all else as in `convolve`.

    >>> from faltung.continuous import box, correlate
    >>> correlate(box(centre=5), box(centre=2)).support
    (2.0, 4.0)
    """
    flipped = K.reflect() if isinstance(K, (Function, Periodic, Separable)) else K
    call: Callable[..., Function | Periodic | Separable] = convolve
    return call(f, flipped, period=period)


def _on_the_line(f: Function, K: Function) -> Function:
    parts = []
    if not f.is_impulse and not K.is_impulse:
        parts.append(_by_formula(f, K) or _by_pieces(f, K))
    parts += [weight * _regular(K).shift(at) for at, weight in f.impulses if not K.is_impulse]
    parts += [weight * _regular(f).shift(at) for at, weight in K.impulses if not f.is_impulse]
    parts += [impulse(a + b, v * w) for (a, v), (b, w) in product(f.impulses, K.impulses)]
    # Impulses that cancelled leave nothing to convolve with.
    return reduce(add, parts or [0.0 * f])


def _regular(f: Function) -> Function:
    """Return a function without its impulses."""
    if not f.impulses:
        return f
    return Function._made(
        f._values, f.support, f._edges, corners=f.corners, pieces=f._pieces, terms=f.terms, error=f._error
    )


def _by_formula(f: Function, K: Function) -> Function | None:
    known = [closed_form(a, b) for a, b in product(f.terms, K.terms)]
    formulas = [s for s in known if s is not None]
    return reduce(add, formulas) if formulas and len(formulas) == len(known) else None


def _by_pieces(f: Function, K: Function) -> Function:
    first, second = f.pieces, K.pieces
    corners = merged(np.add.outer(f.corners, K.corners).ravel(), SAME_BREAK)
    edges = merged([*corners, *np.add(f.domain, K.domain)], SAME_BREAK)
    noise = quadrature.rounding(first, second)
    inherited = quadrature.inherited(first, second)

    def values(t: Array) -> Array:
        return quadrature.convolution(first, second, t)

    pieces, _ = represent(values, edges, floor=noise + inherited / 4, find_breaks=False)
    pieces = pieces.doubted(noise + inherited, first.tail * second.mass + first.mass * second.tail)
    support = (f.support[0] + K.support[0], f.support[1] + K.support[1])
    worst = float(pieces.errors.max())
    return Function._made(pieces, support, edges, corners=corners, pieces=pieces, error=worst)
