"""From functions to arrays, and how the digital convolution becomes the continuous one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from faltung.continuous.periodic import Periodic
from faltung.continuous.separable import Separable
from faltung.errors import GeometryError, PlanError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from faltung.continuous.function import Function
    from faltung.continuous.pieces import Array

MAX_SAMPLES = 2**24


def sample(
    f: Function | Periodic | Separable, grid: ArrayLike | Sequence[ArrayLike], cell: float | None = None
) -> Array:
    """Return a function's values on a grid, or its means over cells around the grid's points.

    Parameters
    ----------
    f : Function, Periodic or Separable
    grid : the points; for a Separable one list of points for each axis
    cell : the length of the cells, or None for the values at the points
        The mean over a cell is exact for the polynomials that stand for the function; it is what a pixel measures.

    Returns
    -------
    float64 array of the grid's shape; for a Separable, one axis for each list

    Raises
    ------
    ProblemError
        Impulses, which have no values; a cell that is no length.
    GeometryError
        Another number of lists than the function has axes.

    Examples
    --------
    >>> from faltung.continuous import box
    >>> sample(box(width=2), [0, 0.9, 1.1])
    array([1., 1., 0.])
    >>> sample(box(width=2), [0, 0.9, 1.1], cell=1).round(12)
    array([1. , 0.6, 0.4])
    """
    if cell is not None and not 0 < cell < math.inf:
        msg = f"cell is {cell!r}; give a length above 0, such as the spacing of the grid, or None for values at points"
        raise ProblemError(msg)
    if isinstance(f, Separable):
        return _on_axes(f, grid, cell)
    impulses = (f.cell if isinstance(f, Periodic) else f).impulses
    if impulses:
        msg = (
            f"the function has impulses at {', '.join(f'{at:g}' for at, _ in impulses)}, which have no value; convolve "
            "it with something smooth first"
        )
        raise ProblemError(msg)
    points = np.asarray(grid, float)
    return f(points) if cell is None else np.asarray(f.integral(points - cell / 2, points + cell / 2) / cell)


def _on_axes(f: Separable, grid: ArrayLike | Sequence[ArrayLike], cell: float | None) -> Array:
    axes = [np.asarray(points, float) for points in grid]  # type: ignore[union-attr]
    if len(axes) != f.ndim or any(points.ndim != 1 for points in axes):
        msg = f"the grid has {len(axes)} entries for {f.ndim} axes; give one list of points for each axis"
        raise GeometryError(msg)
    total = np.zeros([points.size for points in axes])
    for product in f.products:
        value = np.ones(())
        for factor, points in zip(product, axes, strict=True):
            value = np.multiply.outer(value, sample(factor, points, cell))
        total += value
    return total


def digital(f: Function, K: Function, spacing: float, *, cells: bool = False) -> tuple[Array, Array]:
    """Return grid and values of ``h · Σ f(i·h) K(t - i·h)``, h the spacing: the digital convolution of samples.

    Parameters
    ----------
    f, K : Function
    spacing : the distance h of the samples, which lie at whole multiples of it
    cells : whether to take means over cells of length h instead of values at points

    Returns
    -------
    grid, values
        Both 1-D, over the sum of both domains. As h shrinks the values approach ``convolve(f, K)`` on the grid: as h
        where a function jumps, as h² where both are continuous; faster than any power where both are smooth
        everywhere, as Gaussians are (the trapezoidal rule; L. N. Trefethen and J. A. C. Weideman, 2014). With
        ``cells``, as h² where one of them jumps; where both do, as h² too but for the kinks of the result, at which
        it is h. Without, as h² where all jumps lie on the grid, since `box` and its kind are there the mean of both
        sides.

    Raises
    ------
    ProblemError, PlanError
        A spacing that is no length, or that gives more than 2**24 samples; impulses.

    Examples
    --------
    >>> from faltung.continuous import convolve, gaussian
    >>> s = convolve(gaussian(), gaussian())
    >>> for h in (2, 1, 0.5):
    ...     t, y = digital(gaussian(), gaussian(), spacing=h)
    ...     print(f"{h}: {max(abs(y - s(t)).max(), 1e-15):.0e}")
    2: 5e-02
    1: 3e-05
    0.5: 1e-15
    """
    from faltung.functional import convolve

    if not 0 < spacing < math.inf:
        msg = f"spacing is {spacing!r}; give the distance of the samples, above 0, such as 0.1"
        raise ProblemError(msg)
    places = [_places(g, spacing) for g in (f, K)]
    samples = [sample(g, i * spacing, spacing if cells else None) for g, i in zip((f, K), places, strict=True)]
    values = spacing * convolve(*samples, mode="full")
    grid = (places[0][0] + places[1][0] + np.arange(values.size)) * spacing
    return grid, values


def _places(f: Function, spacing: float) -> Array:
    first, last = math.floor(f.domain[0] / spacing), math.ceil(f.domain[1] / spacing)
    if last - first >= MAX_SAMPLES:
        msg = (
            f"spacing {spacing:g} makes {last - first + 1} samples, at most {MAX_SAMPLES} are taken; give a larger one"
        )
        raise PlanError(msg)
    return np.arange(first, last + 1, dtype=float)
