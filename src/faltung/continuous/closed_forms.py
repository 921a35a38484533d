"""Convolutions that have a formula, by the families of both factors.

Gaussian * Gaussian        a Gaussian: means add, variances add
spline * spline            a spline (equal spacing): degrees add, plus 1; box * box is the triangle
exponential * exponential  two exponentials (opposite sides), or a difference of two, stable for equal rates
Gaussian * box             a difference of normal distribution functions
exponential * box          rise and decay: the charging capacitor
Gaussian * exponential     the exponentially modified Gaussian of chromatography
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from faltung.continuous.families import (
    EXPONENTIAL_REACH,
    GAUSSIAN_REACH,
    Exponential,
    Family,
    Gaussian,
    Spline,
    formula_function,
    function_of,
)

if TYPE_CHECKING:
    from faltung.continuous.function import Function
    from faltung.continuous.pieces import Array


def closed_form(f: Family, K: Family) -> Function | None:
    """Return the convolution of two terms, or None where no formula is known."""
    match f, K:
        case (Gaussian(), Gaussian()):
            return function_of(Gaussian(f.area * K.area, f.mean + K.mean, math.hypot(f.sigma, K.sigma)))
        case (Spline(), Spline()) if f.spacing == K.spacing and f.degree + K.degree < 50:
            return function_of(Spline(f.area * K.area, f.centre + K.centre, f.spacing, f.degree + K.degree + 1))
        case (Exponential(), Exponential()) if f.side == K.side:
            return _exponentials(f, K)
        case (Exponential(), Exponential()):
            height, start = f.height * K.height / (f.rate + K.rate), f.start + K.start
            sides = [function_of(Exponential(height, start, e.rate, e.side)) for e in (f, K)]
            return sides[0] + sides[1]
        case (Gaussian(), Spline(degree=0)):
            return _blurred_box(f, K)
        case (Exponential(), Spline(degree=0)):
            return _charge(f, K)
        case (Gaussian(), Exponential()):
            return _blurred_exponential(f, K)
        case (Spline(degree=0), Gaussian() | Exponential()) | (Exponential(), Gaussian()):
            return closed_form(K, f)
    return None


@dataclass(frozen=True)
class TwoDecays:
    """``height·(exp(-slow·u) - exp(-fast·u))/(fast - slow)`` for u > 0, its limit ``u·exp(-slow·u)`` included."""

    height: float
    slow: float
    fast: float

    def __call__(self, u: Array) -> Array:
        """Return the values."""
        u = np.maximum(u, 0)
        return np.asarray(self.height * np.exp(-self.slow * u) * u * special.exprel(-(self.fast - self.slow) * u))


@dataclass(frozen=True)
class Charge:
    """``height · ∫ exp(-rate·(u - x)) dx`` over 0 < x < min(u, width)."""

    height: float
    rate: float
    width: float

    def __call__(self, u: Array) -> Array:
        """Return the values."""
        inside = np.clip(u, 0, self.width)
        after = np.exp(-self.rate * np.maximum(u - self.width, 0))
        return np.asarray(-self.height / self.rate * special.expm1(-self.rate * inside) * after)


@dataclass(frozen=True)
class BlurredBox:
    """``height·(Φ((u + width/2)/σ) - Φ((u - width/2)/σ))``, Φ the normal distribution function."""

    height: float
    width: float
    sigma: float

    def __call__(self, u: Array) -> Array:
        """Return the values."""
        # On the side where both terms are small, none of their digits cancel.
        u = -np.abs(u)
        upper, lower = ((u + s * self.width / 2) / self.sigma for s in (1, -1))
        return np.asarray(self.height * (special.ndtr(upper) - special.ndtr(lower)))


@dataclass(frozen=True)
class BlurredExponential:
    """``height/2 · exp(r²σ²/2 - r·u) · erfc((rσ² - u)/(σ√2))``, without overflow."""

    height: float
    rate: float
    sigma: float

    def __call__(self, u: Array) -> Array:
        """Return the values."""
        z = (self.rate * self.sigma**2 - u) / (self.sigma * math.sqrt(2))
        before = np.exp(-((u / self.sigma) ** 2) / 2) * special.erfcx(np.maximum(z, 0))
        exponent = self.rate * (self.rate * self.sigma**2 / 2 - u)
        after = np.exp(np.where(z < 0, exponent, -np.inf)) * special.erfc(z)
        return np.asarray(self.height / 2 * np.where(z < 0, after, before))


def _exponentials(f: Exponential, K: Exponential) -> Function:
    slow, fast = sorted((f.rate, K.rate))
    # u·exp(-slow·u) outlasts the exponential alone by the logarithm of u.
    edges = np.array([0.0, (EXPONENTIAL_REACH + 8) / slow])
    one_sided = formula_function(TwoDecays(f.height * K.height, slow, fast), (0.0, math.inf), edges, "")
    return _placed(one_sided, f.side, f.start + K.start, "difference of exponentials")


def _charge(f: Exponential, K: Spline) -> Function:
    width = K.spacing
    edges = np.array([0.0, width, width + EXPONENTIAL_REACH / f.rate])
    one_sided = formula_function(Charge(f.height * K.area / width, f.rate, width), (0.0, math.inf), edges, "")
    return _placed(one_sided, f.side, f.start + K.centre - f.side * width / 2, "exponential * box")


def _blurred_box(f: Gaussian, K: Spline) -> Function:
    width = K.spacing
    reach = GAUSSIAN_REACH * f.sigma + width / 2
    values = BlurredBox(f.area * K.area / width, width, f.sigma)
    centred = formula_function(values, (-math.inf, math.inf), np.array([-reach, reach]), "")
    return _placed(centred, 1, f.mean + K.centre, "Gaussian * box")


def _blurred_exponential(f: Gaussian, K: Exponential) -> Function:
    edges = np.array([-GAUSSIAN_REACH * f.sigma, GAUSSIAN_REACH * f.sigma + EXPONENTIAL_REACH / K.rate])
    values = BlurredExponential(f.area * K.height, K.rate, f.sigma)
    one_sided = formula_function(values, (-math.inf, math.inf), edges, "")
    return _placed(one_sided, K.side, f.mean + K.start, "Gaussian * exponential")


def _placed(f: Function, side: int, start: float, formula: str) -> Function:
    """Return a function of ``u = side·(t - start)`` as one of t."""
    placed = f._moved(1.0, side, start)
    placed.formula = formula
    return placed
