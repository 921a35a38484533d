"""Groups by name: shifts, rotations, reflections, permutations of axes, scalings, values, products, given maps."""

from __future__ import annotations

from functools import reduce
from itertools import permutations as orders
from itertools import product as combinations
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import GeometryError, ProblemError
from faltung.symmetry.elements import Beyond, Element, Given, Group, Sampling, linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from faltung.symmetry.elements import Array

__all__ = [
    "Element",
    "Group",
    "dihedral",
    "gain",
    "offset",
    "pairs",
    "permutations",
    "product",
    "reflections",
    "rotations",
    "rotations90",
    "scalings",
    "shifts",
]


def shifts(by: Any = 1, *, ndim: int = 2, beyond: Beyond = "wrap", sampling: Sampling | None = None) -> Group:
    """Translations by some distances along each axis, or by given vectors.

    ``by`` is a distance in samples, several, or vectors of ``ndim`` distances. Whole distances move samples exactly;
    others are found between samples: ``sampling="fourier"`` (the default where it wraps; exact below the Nyquist
    frequency) or cubic splines. ``beyond="wrap"`` goes around the edges, ``"crop"`` compares only what stays inside.

    Raises:
        GeometryError: no distances, vectors of another length, or Fourier sampling without wrap.

    >>> [g.name for g in shifts((1, 2), ndim=1).elements]
    ['shift 1', 'shift 2']
    >>> [g.name for g in shifts().elements], shifts([(3, -1)]).elements[0].shift
    (['shift (1, 0)', 'shift (0, 1)'], (3, -1))
    """
    given = [by] if isinstance(by, Real) else list(by)
    vectors: list[tuple[Any, ...]] = []
    for d in given:
        alone = [tuple(d if a == b else 0 for a in range(ndim)) for b in range(ndim)]
        vectors += alone if isinstance(d, Real) else [tuple(d)]
    if not vectors or any(len(v) != ndim for v in vectors):
        msg = f"shifts by {by!r} on {ndim} axes: give distances (1, or 1, 2, 4) or vectors of {ndim} distances"
        raise GeometryError(msg)
    if sampling == "fourier" and beyond == "crop":
        raise GeometryError('sampling="fourier" goes around the edges; use beyond="wrap", or sampling="spline"')
    one = tuple(tuple(row) for row in np.eye(ndim, dtype=int).tolist())
    elements = [Element(_shift_name(v), one, v) for v in vectors]
    name = "shifts" if beyond == "wrap" else "cropped shifts"
    return Group(name, ndim, tuple(elements), beyond, sampling or ("fourier" if beyond == "wrap" else "spline"))


def rotations90() -> Group:
    """Rotations by 0, 90, 180 and 270 degrees about the centre of two axes of equal size, exact; p4 without shifts.

    A positive angle turns the first axis into the second, as numpy.rot90 does.

    >>> [g.name for g in rotations90().elements]
    ['identity', 'rotation 90°', 'rotation 180°', 'rotation 270°']
    """
    return Group("rotations90", 2, tuple(_turns()))


def dihedral() -> Group:
    """The eight symmetries of the square: rotations by 90 degrees, and each after a flip of the second axis.

    >>> len(dihedral()), dihedral().is_closed
    (8, True)
    """
    flip = linear("flip axis 1", [[1, 0], [0, -1]])
    return Group("dihedral", 2, (*_turns(), *[turn @ flip for turn in _turns()]))


def reflections(axis: int | None = None, *, ndim: int = 2) -> Group:
    """Flips of one axis, or of every axis and their products.

    Raises GeometryError for an axis that is not there.

    >>> [g.name for g in reflections(0).elements], len(reflections(ndim=3))
    (['identity', 'flip axis 0'], 8)
    """
    if axis is not None and not -ndim <= axis < ndim:
        msg = f"reflections({axis}) has no such axis among {ndim}; give one from 0 to {ndim - 1}, or none for all"
        raise GeometryError(msg)
    chosen = range(ndim) if axis is None else [axis % ndim]
    elements = []
    for signs in combinations(*[(1, -1) if a in chosen else (1,) for a in range(ndim)]):
        flipped = [str(a) for a, sign in enumerate(signs) if sign < 0]
        name = f"flip ax{'e' if len(flipped) > 1 else 'i'}s {', '.join(flipped)}" if flipped else "identity"
        elements.append(linear(name, np.diag(signs)))
    return Group("reflections", ndim, tuple(elements))


def rotations(angles: Iterable[float] = (15, 30, 45)) -> Group:
    """Rotations by any angles in degrees, through cubic splines; multiples of 90 move samples exactly.

    What turns out of the grid is left out of the comparison. The error of interpolation itself is measured on the
    identity, as the report's ``floor``.

    >>> [g.name for g in rotations([45, 90]).elements]
    ['rotation 45°', 'rotation 90°']
    """
    elements = []
    for angle in angles:
        c, s = (round(f(np.deg2rad(angle)), 15) for f in (np.cos, np.sin))
        elements.append(linear(f"rotation {angle:g}°", [[c, -s], [s, c]]))
    return Group("rotations", 2, tuple(elements), "crop")


def permutations(ndim: int = 2) -> Group:
    """All orders of some axes of equal size; for two axes, the identity and the transpose.

    >>> [g.name for g in permutations(2).elements], len(permutations(3))
    (['identity', 'axes (1, 0)'], 6)
    """
    unit = np.eye(ndim, dtype=int)
    elements = [linear("identity" if list(o) == sorted(o) else f"axes {o}", unit[list(o)]) for o in orders(range(ndim))]
    return Group("permutations", ndim, tuple(elements))


def scalings(factors: Iterable[float] = (0.5, 0.8, 1.25, 2), *, ndim: int = 2) -> Group:
    """Scalings about the centre, through cubic splines: a factor above 1 enlarges.

    On a grid they are a semigroup, since what is made smaller has lost samples: their error is measured beside the
    interpolation floor, and never called exact.

    Raises GeometryError for factors that are not positive.

    >>> scalings([2]).semigroup
    True
    """
    chosen = list(factors)
    if not chosen or min(chosen) <= 0:
        msg = f"scalings({chosen}): give positive factors, such as 0.5 and 2"
        raise GeometryError(msg)
    elements = [linear(f"scale {f:g}", f * np.eye(ndim)) for f in chosen]
    return Group("scalings", ndim, tuple(elements), "crop", semigroup=True)


def offset(by: float = 1.0) -> Group:
    """Add a number to every value; the output is to gain it too, or to stay.

    >>> offset(3).elements[0].name
    'offset 3'
    """
    return Group("offset", 0, (Element(f"offset {by:g}", (), (), offset=by),))


def gain(by: float = 2.0) -> Group:
    """Multiply every value by a number; the output is to be multiplied too, or to stay. Raises ProblemError for 0.

    >>> gain().elements[0].gain
    2.0
    """
    if not by:
        raise ProblemError("gain(0) cannot be undone, so it is not an element of a group; give another factor")
    return Group("gain", 0, (Element(f"gain {by:g}", (), (), gain=float(by)),))


def product(*groups: Group) -> Group:
    """All products of one element of each group, the last one applied first.

    Raises ProblemError for groups of different numbers of axes, or of given pairs.

    >>> square = product(reflections(1), rotations90())
    >>> {g.key for g in square.elements} == {g.key for g in dihedral().elements}
    True
    """
    ndim = max((g.ndim for g in groups), default=0)
    if not groups or any(g.ndim not in (0, ndim) for g in groups):
        msg = f"product of groups on {[g.ndim for g in groups]} axes: all must act on the same axes"
        raise ProblemError(msg)
    factors = [[_on(e, ndim) for e in g.elements] for g in groups]
    elements = [reduce(Element.__matmul__, chosen) for chosen in combinations(*factors)]
    distinct = list({e.key: e for e in elements}.values())
    crop = any(g.beyond == "crop" for g in groups)
    fourier = not crop and all(g.sampling == "fourier" for g in groups if g.ndim)
    return Group(
        " × ".join(g.name for g in groups),
        ndim,
        tuple(distinct),
        "crop" if crop else "wrap",
        "fourier" if fourier else "spline",
        any(g.semigroup for g in groups),
    )


def pairs(*given: tuple[Any, Any]) -> Group:
    """Any pairs (g_in, g_out) of matrices or callables: is f(g_in x) = g_out f(x)?

    A matrix multiplies the array written as one vector, and the result has the array's shape; a callable takes and
    returns an array.

    Raises ProblemError for anything else.

    >>> reverse = np.eye(3)[::-1]
    >>> pairs((reverse, reverse)).elements[0].act_in(np.array([1.0, 2.0, 4.0]))
    array([4., 2., 1.])
    """
    if not given or any(not isinstance(pair, tuple) or len(pair) != 2 for pair in given):
        raise ProblemError("pairs takes (g_in, g_out) tuples of matrices or callables, at least one")
    elements = [Given(f"pair {i}" if len(given) > 1 else "pair", _map(a), _map(b)) for i, (a, b) in enumerate(given)]
    return Group("pairs", 0, tuple(elements), "wrap")


def _turns() -> list[Element]:
    matrices = [("identity", (1, 0)), ("rotation 90°", (0, 1)), ("rotation 180°", (-1, 0)), ("rotation 270°", (0, -1))]
    return [linear(name, [[c, -s], [s, c]]) for name, (c, s) in matrices]


def _shift_name(vector: tuple[float, ...]) -> str:
    numbers = [f"{v:g}" for v in vector]
    return f"shift {numbers[0]}" if len(numbers) == 1 else f"shift ({', '.join(numbers)})"


def _on(element: Element | Given, ndim: int) -> Element:
    """Return a value action as one on `ndim` axes that moves nothing."""
    if isinstance(element, Given):
        raise ProblemError("product composes affine maps; write the product of given pairs as pairs of its own")
    if element.ndim == ndim:
        return element
    unit = linear(element.name, np.eye(ndim, dtype=int))
    return Element(unit.name, unit.matrix, unit.shift, element.gain, element.offset)


def _map(given: Any) -> Callable[[Array], Array]:
    if callable(given):
        action: Callable[[Array], Array] = given
        return action
    matrix = np.asarray(given)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        msg = f"a map of shape {matrix.shape} is neither a square matrix nor callable; give one of them"
        raise ProblemError(msg)

    def multiply(x: Array) -> Array:
        if matrix.shape[1] != x.size:
            msg = f"a {matrix.shape[0]} x {matrix.shape[1]} matrix does not act on an array of {x.size} values"
            raise GeometryError(msg)
        product_: Array = (matrix @ x.ravel()).reshape(x.shape)
        return product_

    return multiply
