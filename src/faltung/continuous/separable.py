"""Functions of several variables that are products of functions of one, and sums of such products."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from faltung.continuous.function import Function
from faltung.errors import GeometryError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from faltung.continuous.pieces import Array


class Separable:
    """``f(x, y, ...) = f_x(x)·f_y(y)·...``, and sums of such products.

    Parameters
    ----------
    factors : one `Function` for each axis

    Called with one array for each axis, which are broadcast: ``s(x[:, None], y)`` is the function on a grid, and costs
    no more evaluations than the axes are long. ``+``, ``-`` and factors make sums; `faltung.continuous.convolve`
    convolves each product with each product, axis by axis.

    Raises
    ------
    GeometryError
        No factors, or functions of different rank put together.

    Examples
    --------
    >>> import numpy as np
    >>> from faltung.continuous import box, convolve, gaussian
    >>> s = convolve(Separable([box(), box()]), Separable([box(), box()]))
    >>> x = np.array([-0.5, 0, 0.5])
    >>> s(x[:, None], x)
    array([[0.25, 0.5 , 0.25],
           [0.5 , 1.  , 0.5 ],
           [0.25, 0.5 , 0.25]])
    >>> s
    Separable(2 axes, support=((-1, 1), (-1, 1)), 1 product, error 2e-15)
    """

    def __init__(self, factors: Sequence[Function]) -> None:
        row = tuple(factors)
        if not row or any(not isinstance(f, Function) for f in row):
            msg = f"the factors are {[type(f).__name__ for f in row]}; give one Function for each axis, at least one"
            raise GeometryError(msg)
        self.products: tuple[tuple[Function, ...], ...] = (row,)

    @classmethod
    def _sum(cls, products: Sequence[tuple[Function, ...]]) -> Separable:
        new = object.__new__(cls)
        new.products = tuple(products)
        return new

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.products[0])

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        """The box outside which the function is 0, one pair for each axis."""
        axes = zip(*self.products, strict=True)
        return tuple((min(f.support[0] for f in axis), max(f.support[1] for f in axis)) for axis in axes)

    @property
    def error(self) -> float:
        """An estimate of how far a value may be off: ``Π (|f| + error) - Π |f|``, summed over the products."""
        total = 0.0
        for product in self.products:
            sizes = [f.pieces.largest for f in product]
            errors = [f.error for f in product]
            # Expanded by hand, since the difference of two products would be rounding.
            total += sum(e * math.prod(s + d for s, d in _others(sizes, errors, i)) for i, e in enumerate(errors))
        return total

    def __call__(self, *x: ArrayLike) -> Array:
        """Return the values at points, given as one array for each axis."""
        if len(x) != self.ndim:
            msg = f"the function has {self.ndim} variables and got {len(x)}; give one array for each axis"
            raise GeometryError(msg)
        total = np.zeros(np.broadcast_shapes(*(np.shape(points) for points in x)))
        for product in self.products:
            value = np.ones(())
            for f, points in zip(product, x, strict=True):
                value = value * f(points)
            total += value
        return total

    def integral(self) -> float:
        """Return the integral over all variables: the sum of the products of the factors' integrals.

        >>> from faltung.continuous import box, gaussian
        >>> round(Separable([box(width=3), gaussian()]).integral(), 12)
        3.0
        """
        return sum(math.prod(float(f.integral()) for f in product) for product in self.products)

    def derivative(self, axis: int) -> Separable:
        """Return the partial derivative along an axis, impulses at jumps included.

        >>> import numpy as np
        >>> from faltung.continuous import gaussian
        >>> s = Separable([gaussian(), gaussian()]).derivative(axis=0)
        >>> abs(s(0, 0)) < 1e-12, abs(s(1, 0) + np.exp(-0.5) / (2 * np.pi)) < 1e-12
        (np.True_, np.True_)
        """
        if not isinstance(axis, (int, np.integer)) or not -self.ndim <= axis < self.ndim:
            msg = f"axis is {axis!r}; with {self.ndim} axes give {-self.ndim} to {self.ndim - 1}"
            raise GeometryError(msg)
        return self._each(lambda f, i: f.derivative() if i == axis % self.ndim else f)

    def shift(self, distances: Sequence[float]) -> Separable:
        """Return the function moved by one distance along each axis."""
        if len(distances) != self.ndim:
            msg = f"there are {len(distances)} distances for {self.ndim} axes; give one for each"
            raise GeometryError(msg)
        return self._each(lambda f, i: f.shift(distances[i]))

    def reflect(self) -> Separable:
        """Return ``f(-x, -y, ...)``."""
        return self._each(lambda f, _: f.reflect())

    def _each(self, change: Callable[[Function, int], Function]) -> Separable:
        return self._sum([tuple(change(f, i) for i, f in enumerate(product)) for product in self.products])

    def _combined(self, other: Separable, combine: Callable[[Function, Function], Function]) -> Separable:
        """Combine each product with each product of another, axis by axis."""
        self._same_rank(other)
        pairs = [(a, b) for a in self.products for b in other.products]
        return self._sum([tuple(combine(f, K) for f, K in zip(a, b, strict=True)) for a, b in pairs])

    def _same_rank(self, other: Separable) -> None:
        if self.ndim != other.ndim:
            msg = f"the functions have {self.ndim} and {other.ndim} axes; give both one factor for each axis"
            raise GeometryError(msg)

    def __add__(self, other: Separable) -> Separable:
        if not isinstance(other, Separable):
            return NotImplemented
        self._same_rank(other)
        return self._sum([*self.products, *other.products])

    def __mul__(self, factor: float) -> Separable:
        if not isinstance(factor, (int, float, np.number)):
            return NotImplemented
        if not math.isfinite(factor):
            msg = f"the factor is {factor!r}; give a finite number"
            raise ProblemError(msg)
        return self._each(lambda f, i: float(factor) * f if i == 0 else f)

    __rmul__ = __mul__

    def __neg__(self) -> Separable:
        return self * -1.0

    def __sub__(self, other: Separable) -> Separable:
        return self + (-other) if isinstance(other, Separable) else NotImplemented

    def __repr__(self) -> str:
        box = ", ".join(f"({a:g}, {b:g})" for a, b in self.support)
        count = f"{len(self.products)} product{'s' if len(self.products) > 1 else ''}"
        return f"Separable({self.ndim} axes, support=({box}), {count}, error {self.error:.1g})"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"


def _others(sizes: list[float], errors: list[float], i: int) -> list[tuple[float, float]]:
    # Telescoped: factors before i with their error, those after it without.
    return [(s, errors[j] if j < i else 0.0) for j, s in enumerate(sizes) if j != i]
