"""Functions by name whose convolutions have formulas: Gaussian, box, B-spline, exponential, impulse."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import interpolate

from faltung.continuous.function import Function
from faltung.continuous.pieces import Array, Pieces
from faltung.errors import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

GAUSSIAN_REACH = 9.0  # deviations: exp(-9²/2) is 3e-18
EXPONENTIAL_REACH = 42.0  # decay lengths: exp(-42) is 6e-19


@dataclass(frozen=True)
class Gaussian:
    """``area · exp(-(x - mean)²/(2σ²)) / (σ·√(2π))``."""

    area: float
    mean: float
    sigma: float

    def __call__(self, x: Array) -> Array:
        """Return the values."""
        z = (x - self.mean) / self.sigma
        return np.asarray(self.area / (self.sigma * math.sqrt(2 * math.pi)) * np.exp(-z * z / 2))

    def moved(self, factor: float, sign: int, shift: float) -> Gaussian:
        """Return the term of ``factor·f(sign·(x - shift))``; so do the other families."""
        return replace(self, area=factor * self.area, mean=sign * self.mean + shift)

    @property
    def edges(self) -> Array:
        """The ends of the domain and the breaks."""
        reach = GAUSSIAN_REACH * self.sigma
        return np.array([self.mean - reach, self.mean + reach])

    @property
    def support(self) -> tuple[float, float]:
        """Where the function is not 0."""
        return -math.inf, math.inf

    @property
    def formula(self) -> str:
        """The function in symbols."""
        return f"{self.area:g}·N(x; mean {self.mean:g}, sigma {self.sigma:g})"


@dataclass(frozen=True)
class Spline:
    """``area/spacing · β((x - centre)/spacing)``, β the cardinal B-spline of that degree, which has integral 1."""

    area: float
    centre: float
    spacing: float
    degree: int

    def __call__(self, x: Array) -> Array:
        """Return the values."""
        height = self.area / self.spacing
        if self.degree == 0:
            distance = np.abs(x - self.centre) - self.spacing / 2
            return np.asarray(height * np.heaviside(-distance, 0.5))
        knots = np.arange(self.degree + 2) - (self.degree + 1) / 2
        basis = interpolate.BSpline.basis_element(knots, extrapolate=False)
        u = (x - self.centre) / self.spacing
        return np.asarray(height * np.where(np.isnan(u), np.nan, np.nan_to_num(basis(u))))

    def moved(self, factor: float, sign: int, shift: float) -> Spline:
        """Return the term of ``factor·f(sign·(x - shift))``."""
        return replace(self, area=factor * self.area, centre=sign * self.centre + shift)

    @property
    def edges(self) -> Array:
        """The ends of the domain and the breaks: the knots."""
        return np.asarray(self.centre + self.spacing * (np.arange(self.degree + 2) - (self.degree + 1) / 2))

    @property
    def support(self) -> tuple[float, float]:
        """Where the function is not 0."""
        return float(self.edges[0]), float(self.edges[-1])

    @property
    def formula(self) -> str:
        """The function in symbols."""
        if self.degree == 0:
            return f"{self.area / self.spacing:g}·[|{_from(self.centre)}| < {self.spacing / 2:g}]"
        return f"{self.area:g}·B-spline(x; degree {self.degree}, spacing {self.spacing:g}, centre {self.centre:g})"


@dataclass(frozen=True)
class Exponential:
    """``height · exp(-rate·s·(x - start))`` where ``s·(x - start) > 0``; ``side`` s is 1 or -1. Half of it at 0."""

    height: float
    start: float
    rate: float
    side: int

    def __call__(self, x: Array) -> Array:
        """Return the values."""
        u = self.side * (x - self.start)
        return np.asarray(self.height * np.heaviside(u, 0.5) * np.exp(-self.rate * np.maximum(u, 0)))

    def moved(self, factor: float, sign: int, shift: float) -> Exponential:
        """Return the term of ``factor·f(sign·(x - shift))``."""
        return Exponential(factor * self.height, sign * self.start + shift, self.rate, sign * self.side)

    @property
    def edges(self) -> Array:
        """The ends of the domain."""
        return np.sort([self.start, self.start + self.side * EXPONENTIAL_REACH / self.rate])

    @property
    def support(self) -> tuple[float, float]:
        """Where the function is not 0."""
        return (self.start, math.inf) if self.side > 0 else (-math.inf, self.start)

    @property
    def formula(self) -> str:
        """The function in symbols."""
        sign = "-" if self.side > 0 else ""
        side = ">" if self.side > 0 else "<"
        place = f"({_from(self.start)})" if self.start else "x"
        return f"{self.height:g}·exp({sign}{self.rate:g}·{place})·[x {side} {self.start:g}]"


Family: TypeAlias = Gaussian | Spline | Exponential


def function_of(term: Family) -> Function:
    """Return a family's member as a function."""
    return Function._made(term, term.support, term.edges, terms=(term,))


def formula_function(
    values: Callable[[Array], Array], support: tuple[float, float], edges: Array, formula: str
) -> Function:
    """Return a function that is given by a formula, but belongs to no family."""
    return Function._made(values, support, edges, formula=formula)


def gaussian(sigma: float = 1.0, mean: float = 0.0, area: float = 1.0) -> Function:
    """Return the normal density ``area · exp(-(x - mean)²/(2σ²)) / (σ·√(2π))`` on the whole line.

    >>> from faltung.continuous import convolve
    >>> convolve(gaussian(sigma=3), gaussian(sigma=4, mean=1))
    Function(support=(-inf, inf), 1·N(x; mean 1, sigma 5))
    """
    return function_of(Gaussian(_number("gaussian: area", area), _number("gaussian: mean", mean), _length(sigma)))


def box(width: float = 1.0, centre: float = 0.0, height: float = 1.0) -> Function:
    """Return the function that is ``height`` within ``width/2`` of the centre; half of it at both ends.

    >>> from faltung.continuous import convolve
    >>> triangle = convolve(box(), box())
    >>> triangle([-1, -0.5, 0, 0.25, 2])
    array([0.  , 0.5 , 1.  , 0.75, 0.  ])
    """
    length = _length(width, "box: width")
    return function_of(Spline(_number("box: height", height) * length, _number("box: centre", centre), length, 0))


def bspline(degree: int, spacing: float = 1.0, centre: float = 0.0, area: float = 1.0) -> Function:
    """Return the B-spline of a degree: the convolution of ``degree + 1`` boxes of width ``spacing``, with this area.

    Source: I. J. Schoenberg, "Contributions to the problem of approximation of equidistant data" (1946).

    >>> bspline(3)([-1, 0, 1]) * 6
    array([1., 4., 1.])
    """
    if not isinstance(degree, (int, np.integer)) or isinstance(degree, bool) or not 0 <= degree <= 50:
        msg = f"bspline: degree is {degree!r}; give a whole number from 0 (a box) to 50, such as 3"
        raise ProblemError(msg)
    numbers = _number("bspline: area", area), _number("bspline: centre", centre)
    return function_of(Spline(*numbers, _length(spacing, "bspline: spacing"), int(degree)))


def exponential(rate: float = 1.0, start: float = 0.0, height: float = 1.0) -> Function:
    """Return ``height · exp(-rate·(x - start))`` from ``start`` on, 0 before, half the height at the start.

    Reflected and added it is the two-sided exponential. Its integral is ``height/rate``.

    >>> decay = exponential(rate=2)
    >>> two_sided = decay + decay.reflect()
    >>> round(float(two_sided.integral()), 12), two_sided([-0.5, 0, 0.5]).round(4)
    (1.0, array([0.3679, 1.    , 0.3679]))
    """
    numbers = _number("exponential: height", height), _number("exponential: start", start)
    return function_of(Exponential(*numbers, _length(rate, "exponential: rate"), 1))


def impulse(at: float = 0.0, weight: float = 1.0) -> Function:
    """Return Dirac's δ: no function, but what convolution shifts with, and its identity at 0.

    >>> from faltung.continuous import convolve
    >>> float(convolve(box(), impulse(at=2, weight=5))(2.1))
    5.0
    """
    x = _number("impulse: at", at)
    nothing = Pieces(np.array([x]), (), np.zeros(0))
    impulses = ((x, _number("impulse: weight", weight)),)
    return Function._made(nothing, (x, x), nothing.edges, pieces=nothing, impulses=impulses, error=0.0)


def _from(point: float) -> str:
    return "x" if point == 0 else f"x {'-' if point > 0 else '+'} {abs(point):g}"


def _number(name: str, value: float) -> float:
    if not isinstance(value, (int, float, np.number)) or isinstance(value, bool) or not math.isfinite(value):
        msg = f"{name} is {value!r}; give a finite number"
        raise ProblemError(msg)
    return float(value)


def _length(value: float, name: str = "gaussian: sigma") -> float:
    number = _number(name, value)
    if number <= 0:
        msg = f"{name} is {value!r}; give a number above 0"
        raise ProblemError(msg)
    return number
