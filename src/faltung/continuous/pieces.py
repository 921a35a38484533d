"""A function as polynomials, one for each interval: values, derivative and integral are exact for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.polynomial import chebyshev

if TYPE_CHECKING:
    from collections.abc import Sequence

Array: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Indices: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.intp]]

EPSILON = float(np.finfo(np.float64).eps)
# Steps below this share of the largest value are rounding, not jumps.
LEAST_JUMP = 1e-12


@lru_cache(maxsize=64)
def chebyshev_nodes(size: int) -> tuple[Array, Array]:
    """Return the Chebyshev points of the first kind on (-1, 1), and the values of the first polynomials there.

    The ends are no nodes: at a jump, each side is only ever asked for its own values.
    """
    # The whole numbers are reduced to one turn before they become an angle, for values right to the last bit.
    turns = np.outer(np.arange(size)[::-1] * 2 + 1, np.arange(size)) % (4 * size)
    values = np.cos(turns * (np.pi / (2 * size)))
    return values[:, 1].copy() if size > 1 else np.zeros(1), values


def interpolated(values: Array) -> Array:
    """Return the coefficients of the series through values at Chebyshev nodes, one row each."""
    size = values.shape[1]
    sums = 2 * (values @ chebyshev_nodes(size)[1])
    sums[:, 0] /= 2
    return np.asarray(sums / size)


def merged(points: Sequence[float] | Array, share: float = 4 * EPSILON) -> Array:
    """Return points in order, with those that only rounding tells apart (``share`` of the extent) made one."""
    ordered = np.unique(np.asarray(points, float))
    if ordered.size < 2:
        return ordered
    least = share * max(abs(ordered[0]), abs(ordered[-1]), ordered[-1] - ordered[0])
    keep = np.concatenate([[True], np.diff(ordered) > least])
    return np.asarray(ordered[keep])


@dataclass(frozen=True, eq=False)
class Pieces:
    """Chebyshev series on consecutive intervals, zero outside.

    ``edges`` are the ends of the intervals, one more than there are pieces; ``coefficients`` has one series for each,
    in the variable that runs from -1 to 1 along it; ``errors`` is what each value on a piece may be off by;
    ``tail`` is the integral of what was cut off outside the edges. There may be no piece at all: the function 0.
    """

    edges: Array
    coefficients: tuple[Array, ...]
    errors: Array
    tail: float = 0.0

    @cached_property
    def degrees(self) -> Indices:
        """The degree of each series."""
        return np.array([c.size - 1 for c in self.coefficients], dtype=np.intp)

    @property
    def degree(self) -> int:
        """The largest degree."""
        return int(self.degrees.max(initial=0))

    @cached_property
    def widths(self) -> Array:
        """The length of each interval."""
        return np.diff(self.edges)

    @cached_property
    def samples(self) -> Array:
        """Values at 33 points of each piece, ends included, one row a piece."""
        u = np.linspace(-1, 1, 33)
        return np.array([chebyshev.chebval(u, c) for c in self.coefficients]).reshape(-1, u.size)

    @property
    def largest(self) -> float:
        """The largest modulus."""
        return float(np.abs(self.samples).max(initial=0))

    @property
    def mass(self) -> float:
        """The integral of the modulus."""
        return float(np.abs(self.samples).mean(axis=1) @ self.widths) if self.coefficients else 0.0

    def at(self, x: Array, index: Indices) -> Array:
        """Return the values at ``x[i, ...]`` of the polynomial of piece ``index[i]``."""
        out = np.zeros(x.shape)
        order = np.argsort(index, kind="stable")
        bounds = np.searchsorted(index[order], np.arange(len(self.coefficients) + 1))
        for piece in np.flatnonzero(np.diff(bounds)):
            rows = order[bounds[piece] : bounds[piece + 1]]
            low, high = self.edges[piece], self.edges[piece + 1]
            u = ((x[rows] - low) + (x[rows] - high)) / (high - low)
            out[rows] = chebyshev.chebval(u, self.coefficients[piece])
        return out

    def index(self, x: Array) -> Indices:
        """Return which piece holds each point; points outside get the nearest."""
        return np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.coefficients) - 1)

    def one_sided(self, x: Array, side: str) -> Array:
        """Return the limits from the ``left`` or the ``right``."""
        if not self.coefficients:
            return np.zeros(x.shape)
        piece = np.searchsorted(self.edges, x, side="right" if side == "right" else "left") - 1
        inside = (piece >= 0) & (piece < len(self.coefficients))
        out = np.where(np.isnan(x), np.nan, 0.0)
        out[inside] = self.at(x[inside], piece[inside])
        return out

    def __call__(self, x: Array) -> Array:
        """Return the values, at a jump the mean of both sides."""
        return (self.one_sided(x, "left") + self.one_sided(x, "right")) / 2

    def jumps(self) -> list[tuple[float, float]]:
        """Return position and height of each jump, those to and from 0 at the ends included."""
        if not self.coefficients:
            return []
        right = np.array([*(chebyshev.chebval(-1.0, c) for c in self.coefficients), 0.0])
        left = np.array([0.0, *(chebyshev.chebval(1.0, c) for c in self.coefficients)])
        doubt = np.concatenate([[0.0], self.errors]) + np.concatenate([self.errors, [0.0]])
        genuine = np.abs(right - left) > LEAST_JUMP * self.largest + 4 * doubt
        return [(float(self.edges[i]), float((right - left)[i])) for i in np.flatnonzero(genuine)]

    def derivative(self) -> Pieces:
        """Return the derivative of each piece; an error grows by Markov's inequality, ``2·degree²/width``."""
        slopes = 2 / self.widths
        coefficients = tuple(chebyshev.chebder(c, scl=s) for c, s in zip(self.coefficients, slopes, strict=True))
        growth = self.degrees**2 * slopes
        return Pieces(self.edges, coefficients, self.errors * growth)

    @cached_property
    def _primitive(self) -> Pieces:
        series, start = [], 0.0
        for c, half in zip(self.coefficients, self.widths / 2, strict=True):
            series.append(chebyshev.chebint(c, k=start, lbnd=-1, scl=half))
            start = float(chebyshev.chebval(1.0, series[-1]))
        return Pieces(self.edges, tuple(series), np.cumsum(self.errors * self.widths))

    def integral_to(self, x: Array) -> Array:
        """Return the integrals from the left up to each point."""
        if not self.coefficients:
            return np.zeros(x.shape)
        inside = np.clip(x, self.edges[0], self.edges[-1])
        return self._primitive.at(inside, self.index(inside))

    def moved(self, factor: float, sign: int, shift: float) -> Pieces:
        """Return the pieces of ``factor·f(sign·(x - shift))``."""
        if sign > 0:
            series = tuple(factor * c for c in self.coefficients)
            edges, errors = self.edges + shift, self.errors
        else:
            series = tuple(factor * c * (-1.0) ** np.arange(c.size) for c in reversed(self.coefficients))
            edges, errors = shift - self.edges[::-1], self.errors[::-1]
        return Pieces(edges, series, abs(factor) * errors, abs(factor) * self.tail)

    def doubted(self, error: float, tail: float = 0.0) -> Pieces:
        """Return the same pieces, each value and the tail off by so much more."""
        return replace(self, errors=self.errors + error, tail=self.tail + tail)

    def added(self, other: Pieces) -> Pieces:
        """Return the pieces of the sum, on the intervals between the edges of both."""
        if not self.coefficients or not other.coefficients:
            return self if self.coefficients else other
        edges = merged(np.concatenate([self.edges, other.edges]))
        middles = (edges[1:] + edges[:-1]) / 2
        nodes, _ = chebyshev_nodes(max(self.degree, other.degree) + 1)
        x = middles[:, None] + np.diff(edges)[:, None] / 2 * nodes
        values, errors = np.zeros(x.shape), np.zeros(middles.shape)
        for part in (self, other):
            covered = (part.edges[0] < middles) & (middles < part.edges[-1])
            index = part.index(middles[covered])
            values[covered] += part.at(x[covered], index)
            errors[covered] += part.errors[index]
        return Pieces(edges, tuple(interpolated(values)), errors, self.tail + other.tail)
