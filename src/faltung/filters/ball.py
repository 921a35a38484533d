"""The mean over a disk, a ball or an ellipsoid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faltung.filters import checks
from faltung.filters.filter import Filter
from faltung.filters.smooth import in_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

Array: TypeAlias = np.ndarray[Any, Any]

NODES = {3: 64, 4: 8}  # of the quadrature over an axis of a sample, by rank; 3 beyond
CHUNK = 2**20  # quadrature points at a time


def disk(
    radius: float | Sequence[float],
    ndim: int = 2,
    antialias: bool = True,
    *,
    spacing: float | Sequence[float] = 1.0,
) -> Filter:
    """Return the mean over a disk; in three dimensions a ball, with one radius per axis an ellipsoid.

    Sums to 1. A sample at the rim counts by the part of its cell (as wide as the spacing) that is inside, exactly
    in two dimensions and to about 1e-4 of a cell in three. Without antialiasing a sample counts if its middle is
    inside or on the rim, and all taps are equal. ``float64``.

    Args:
        radius: radius in units of the spacing (samples, by default), above 0, one for all axes or one per axis.
        ndim: number of axes.
        antialias: true weighs samples at the rim; false takes or leaves them.
        spacing: distance of neighbouring samples, one for all axes or one per axis.

    Formula: ``k[i] = |cell(i) ∩ D| / |D|, D: Σ (x/radius)² <= 1; without antialiasing k[i] = [i in D] / count``

    Source: the share of each cell is the integral itself; the disk as the picture of a point out of focus:
    B. K. P. Horn, Robot Vision, MIT Press (1986).

    Raises:
        GeometryError: the number of radii is not ``ndim``, or the kernel would be enormous.
        ProblemError: a radius or spacing not above 0, or ``antialias`` neither true nor false.

    >>> disk(1.5, antialias=False).kernel.round(3)[0]
    array([0.111, 0.111, 0.111])
    >>> (disk(1).kernel * math.pi).round(3)
    array([[0.079, 0.457, 0.079],
           [0.457, 1.   , 0.457],
           [0.079, 0.457, 0.079]])
    """
    ndim = checks.rank(ndim)
    radii = in_samples("disk", "radius", radius, spacing, ndim, "radii, above 0")
    smooth = checks.flag("disk: antialias", antialias)
    reach = [math.ceil(r - 0.5) if smooth else math.floor(r) for r in np.minimum(radii, 1e9)]
    offsets = checks.windows("disk", reach, None)
    if smooth:
        share = _coverage(radii, offsets)
    else:
        grids = np.meshgrid(*offsets, indexing="ij", sparse=True)
        inside = sum((x / r) ** 2 for x, r in zip(grids, radii, strict=True)) <= 1
        share = np.asarray(inside, np.float64)
    given = {"radius": radius, "ndim": ndim, "antialias": antialias} | checks.optional(spacing=(spacing, 1.0))
    formula = "k[i] = |cell(i) ∩ D| / |D|" if smooth else "k[i] = [i in D] / count"
    return Filter("disk", share / share.sum(), f"{formula}, D: Σ (x/radius)² <= 1", given)


def _coverage(radii: Sequence[float], offsets: Sequence[Array]) -> Array:
    """Return the part of each unit cell that lies in the ellipsoid."""
    grids = np.meshgrid(*[abs(x) for x in offsets], indexing="ij", sparse=True)
    nearest = sum((np.maximum(x - 0.5, 0) / r) ** 2 for x, r in zip(grids, radii, strict=True))
    farthest = sum(((x + 0.5) / r) ** 2 for x, r in zip(grids, radii, strict=True))
    share: Array = np.asarray(farthest <= 1, np.float64)
    rim = (nearest < 1) & (farthest > 1)
    # Mirrored cells are measured in the same place, so that the kernel is symmetric to the last bit.
    cells = np.stack([np.broadcast_to(x, rim.shape)[rim] for x in grids], axis=1)
    # Two axes are exact and the others a quadrature, so that the mean over their order favours none.
    count = len(radii)
    share[rim] = sum(_measured(np.roll(cells, a, axis=1), np.roll(radii, a)) for a in range(count)) / count
    return share


def _measured(cells: Array, radii: Array) -> Array:
    """Integrate the areas within the last two axes over the other axes of each cell."""
    if len(radii) == 1:
        inside: Array = radii[0] - (cells[:, 0] - 0.5)
        return inside
    others = len(radii) - 2
    nodes, weights = np.polynomial.legendre.leggauss(NODES.get(len(radii), 3))
    shifts = (
        np.stack(np.meshgrid(*[nodes / 2] * others, indexing="ij"), axis=-1).reshape(-1, others) if others else None
    )
    shares = checks.outer([weights / 2] * others).ravel() if others else np.ones(1)
    parts = []
    for block in np.array_split(cells, max(1, len(cells) * len(shares) // CHUNK)):
        heights = block[:, None, :others] + shifts if shifts is not None else np.zeros((len(block), 1, 0))
        section = np.sqrt(np.maximum(1 - ((heights / radii[:others]) ** 2).sum(axis=2), 0))
        parts.append(_area(block[:, None, others:], radii[others:] * section[..., None]) @ shares)
    return np.concatenate(parts)


def _area(cells: Array, radii: Array) -> Array:
    """Return the area that unit squares around ``cells`` share with ellipses, exactly."""
    scale = np.maximum(radii, 1e-9)  # a section of no size: all its points are outside
    low, high = (cells - 0.5) / scale, (cells + 0.5) / scale
    (x0, y0), (x1, y1) = np.moveaxis(low, -1, 0), np.moveaxis(high, -1, 0)
    corners = _below(x1, y1) - _below(x0, y1) - _below(x1, y0) + _below(x0, y0)
    area: Array = corners * scale.prod(axis=-1)
    return area


def _below(x: Array, y: Array) -> Array:
    """Return the area of the part of the unit circle with X <= x and Y <= y."""
    a, b = (c * np.sqrt(1 - c**2) + np.arcsin(c) for c in (np.clip(x, -1, 1), np.clip(y, -1, 1)))
    left, under = a + np.pi / 2, b + np.pi / 2
    beyond = np.where(x >= 0, np.where(y >= 0, left + under - np.pi, under), np.where(y >= 0, left, 0.0))
    area: Array = np.where(x**2 + y**2 < 1, x * y + (a + b) / 2 + np.pi / 4, beyond)
    return area
