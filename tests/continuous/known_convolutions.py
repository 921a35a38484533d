"""Pairs of functions, given as plain callables, and their convolutions, worked out by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special, stats

from faltung.continuous import Function

if TYPE_CHECKING:
    from collections.abc import Callable

INF = math.inf
GOLD = 0.6180339887498949


class Known(NamedTuple):
    f: Callable[[], Function]
    K: Callable[[], Function]
    exact: Callable[[np.ndarray], np.ndarray]
    span: tuple[float, float]
    jumps: bool = True

    def points(self) -> np.ndarray:
        a, b = self.span
        return np.concatenate([np.linspace(a, b, 501), a + (b - a) * np.modf(np.arange(500) * GOLD)[0]])


def one(a: float, b: float, height: float = 1.0) -> Function:
    return Function(lambda x: np.full(x.shape, height), support=(a, b))


def decay(rate: float) -> Function:
    return Function(lambda x: np.exp(-rate * x), support=(0, INF))


def normal(sigma: float, mean: float = 0.0) -> Function:
    return Function(lambda x: stats.norm.pdf(x, mean, sigma), support=(-INF, INF))


def sliding(primitive: Callable[[np.ndarray], np.ndarray], a: float, b: float, width: float) -> Callable:
    """∫ f over the part of (t - width/2, t + width/2) inside (a, b)."""
    return lambda t: primitive(np.clip(t + width / 2, a, b)) - primitive(np.clip(t - width / 2, a, b))


def triangle(t: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(t))


def quadratic_spline(t: np.ndarray) -> np.ndarray:
    t = np.abs(t)
    return np.where(t < 0.5, 0.75 - t**2, np.where(t < 1.5, (1.5 - t) ** 2 / 2, 0))


def cubic_spline(t: np.ndarray) -> np.ndarray:
    t = np.abs(t)
    return np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.where(t < 2, (2 - t) ** 3 / 6, 0))


def charge(rate: float, width: float) -> Callable[[np.ndarray], np.ndarray]:
    def exact(t: np.ndarray) -> np.ndarray:
        u = np.maximum(t + width / 2, 0)
        rise, fall = -np.expm1(-rate * u) / rate, np.exp(-rate * (u - width)) * -np.expm1(-rate * width) / rate
        return np.where(u < width, rise, fall)

    return exact


def two_roots(t: np.ndarray) -> np.ndarray:
    """∫ √x √(t - x): half a disc of diameter t, and beyond t = 1 what is left between two chords."""
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.where(t <= 1, np.pi / 2, np.arcsin(np.clip((2 - t) / t, 0, 1)))
    return t**2 / 4 * (angle + np.sin(angle) * np.cos(angle))


def powers(t: np.ndarray) -> np.ndarray:
    """∫ x²(t - x)³ over max(0, t - 2) < x < min(1, t), the cube expanded."""

    def primitive(x: np.ndarray) -> np.ndarray:
        return t**3 * x**3 / 3 - 3 * t**2 * x**4 / 4 + 3 * t * x**5 / 5 - x**6 / 6

    return primitive(np.clip(t, 0, 1)) - primitive(np.clip(t - 2, 0, 1))


KNOWN = {
    "box * box": Known(lambda: one(-0.5, 0.5), lambda: one(-0.5, 0.5), triangle, (-1.5, 1.5)),
    "triangle * box": Known(
        lambda: Function(triangle, support=(-1, 1)), lambda: one(-0.5, 0.5), quadratic_spline, (-2, 2)
    ),
    "triangle * triangle": Known(
        lambda: Function(triangle, support=(-1, 1)), lambda: Function(triangle, support=(-1, 1)), cubic_spline, (-2, 2)
    ),
    "Gaussian * Gaussian": Known(
        lambda: normal(0.3), lambda: normal(0.4, 1), lambda t: stats.norm.pdf(t, 1, 0.5), (-4, 6), jumps=False
    ),
    "Gaussian * box": Known(
        lambda: normal(0.2),
        lambda: one(-1, 1),
        lambda t: (special.erf((t + 1) / np.sqrt(0.08)) - special.erf((t - 1) / np.sqrt(0.08))) / 2,
        (-3, 3),
    ),
    "exponential * box": Known(lambda: decay(2), lambda: one(-0.5, 0.5), charge(2, 1), (-1, 20)),
    "exponential * exponential": Known(
        lambda: decay(2), lambda: decay(3), lambda t: np.where(t < 0, 0, np.exp(-2 * t) - np.exp(-3 * t)), (-1, 10)
    ),
    "exponential, equal rates": Known(
        lambda: decay(2), lambda: decay(2), lambda t: np.where(t < 0, 0, t * np.exp(-2 * t)), (-1, 10)
    ),
    "opposite exponentials": Known(
        lambda: decay(2),
        lambda: decay(3).reflect(),
        lambda t: np.exp(-np.where(t > 0, 2 * t, -3 * t)) / 5,
        (-9, 9),
    ),
    "Laplace * Laplace": Known(
        lambda: Function(lambda x: np.exp(-np.abs(x)), support=(-INF, INF)),
        lambda: Function(lambda x: np.exp(-np.abs(x)), support=(-INF, INF)),
        lambda t: (1 + np.abs(t)) * np.exp(-np.abs(t)),
        (-20, 20),
        jumps=False,
    ),
    "Gaussian * exponential": Known(
        lambda: normal(0.5), lambda: decay(2), lambda t: stats.exponnorm.pdf(t, 1, 0, 0.5) / 2, (-3, 8)
    ),
    "step * box": Known(
        lambda: Function(lambda x: np.sign(x - 0.3), support=(-1, 1)),
        lambda: one(-0.35, 0.35),
        sliding(lambda x: np.abs(x - 0.3), -1, 1, 0.7),
        (-2, 2),
    ),
    "kink * box": Known(
        lambda: Function(lambda x: np.abs(x - GOLD), support=(-1, 2)),
        lambda: one(-0.5, 0.5),
        sliding(lambda x: (x - GOLD) * np.abs(x - GOLD) / 2, -1, 2, 1),
        (-2, 3),
    ),
    "half waves * box": Known(
        lambda: Function(lambda x: np.abs(np.sin(7 * x)), support=(-1, 2)),
        lambda: one(-0.2, 0.2),
        sliding(
            lambda x: (2 * np.floor(7 * x / np.pi) + 1 - np.cos(7 * x - np.pi * np.floor(7 * x / np.pi))) / 7,
            -1,
            2,
            0.4,
        ),
        (-2, 3),
    ),
    "fast wave * box": Known(
        lambda: Function(lambda x: np.cos(200 * x), support=(0, 10)),
        lambda: one(-0.5, 0.5),
        sliding(lambda x: np.sin(200 * x) / 200, 0, 10, 1),
        (-1, 11),
    ),
    "Runge * box": Known(
        lambda: Function(lambda x: 1 / (1 + 25 * x**2), support=(-1, 1)),
        lambda: one(-0.5, 0.5),
        sliding(lambda x: np.arctan(5 * x) / 5, -1, 1, 1),
        (-2, 2),
    ),
    "square * cube": Known(
        lambda: Function(lambda x: x**2, support=(0, 1)),
        lambda: Function(lambda x: x**3, support=(0, 2)),
        powers,
        (-0.5, 3.5),
    ),
    "root * root": Known(
        lambda: Function(np.sqrt, support=(0, 1)),
        lambda: Function(np.sqrt, support=(0, 1)),
        two_roots,
        (0, 2),
    ),
}
