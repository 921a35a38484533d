"""Folding an extended array back onto the array: the adjoint of `gather.extended`, and nothing else.

What extension copies is summed: every sample of the array receives all the values that were read from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import GeometryError
from faltung.runtime.gather import contiguous_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.problem.boundary import AxisMap


def scatter(
    extended: np.ndarray, maps: Sequence[AxisMap | None], shape: Sequence[int], *, overwrite: bool = False
) -> np.ndarray:
    """Sum the values of an extended array onto the samples they were read from, axis by axis.

    `maps` has one entry per axis, None where the axis was not extended; `shape` is that of the array. The result has
    the dtype of `extended`, in which it is summed: the longest run of plain samples first, then the others by their
    coordinate, so equal inputs give equal bits. Constants read nothing and receive nothing. With `overwrite` the sums
    may be kept in `extended`, which saves a copy.
    Raises GeometryError where the shapes do not fit. Source: <E x, y> = <x, Eᵀ y> for E of numpy.pad.

    >>> from faltung.problem.boundary import axis_map, parse
    >>> scatter(np.array([1, 10, 100, 1000]), [axis_map(-1, 3, 2, parse("symmetric", 1)[0])], (2,))
    array([  11, 1100])
    """
    found = tuple(len(m.index) if m is not None else n for m, n in zip(maps, shape, strict=True))
    if extended.shape != found:
        msg = f"the extended array has the shape {extended.shape}, but its maps are those of {found} for {tuple(shape)}"
        raise GeometryError(msg + "; pass the maps that it was extended by")
    result = extended if overwrite else extended.copy()
    for axis, (chosen, size) in enumerate(zip(maps, shape, strict=True)):
        if chosen is not None:
            result = _fold(result, axis, chosen, size)
    return np.asarray(result, order="C")


def _fold(values: np.ndarray, axis: int, chosen: AxisMap, size: int) -> np.ndarray:
    source = np.moveaxis(values, axis, 0)
    ones, zeros = np.ones_like(chosen.index), np.zeros_like(chosen.index)
    sign, first, last = (
        default if part is None else part
        for part, default in ((chosen.sign, ones), (chosen.first, zeros), (chosen.last, zeros))
    )
    plain = (chosen.index >= 0) & (sign == 1) & (first == 0) & (last == 0)
    begin, run = contiguous_run(np.where(plain, chosen.index, -1))
    if run == size:
        # The array lies whole within its extension: the rest is added to it where it is.
        target = source[begin : begin + run]
    else:
        target = np.zeros((size, *source.shape[1:]), values.dtype)
        at = chosen.index[begin] if run else 0
        target[at : at + run] = source[begin : begin + run]
    for i in (*range(begin), *range(begin + run, len(plain))):
        # A factor of 0 is no term: an Inf beyond a constant edge must not become NaN.
        for at, factor in ((chosen.index[i], sign[i]), (0, first[i]), (size - 1, last[i])):
            if at >= 0 and factor:
                target[at] += source[i] if factor == 1 else factor.astype(values.dtype) * source[i]
    return np.moveaxis(target, 0, axis)
