"""Where a template lies in an array: normalised cross-correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.convolution import Convolution
from faltung.errors import DtypeError
from faltung.plan.plan import as_array
from faltung.problem.dtypes import kind_of
from faltung.runtime import gather
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

# A window varies if its variance is more than this share of its mean square, which rounding alone cannot reach.
LEAST_VARIANCE = 1e-12
# Samples of the blocks in which arrays are worked on: a few of them fit the second-level cache.
BLOCK = 1 << 14
# Templates up to this size are kept prepared, so many of them: the same one is often searched in many pictures.
MOST_BYTES, TEMPLATES_KEPT = 1 << 18, 8


def match_template(
    x: ArrayLike,
    template: ArrayLike,
    *,
    mode: str = "valid",
    boundary: Any = None,
    axes: int | Sequence[int] | None = None,
    threads: int | None = None,
) -> np.ndarray:
    """Give the correlation coefficient of every window of an array with a template, from -1 to 1.

    Parameters
    ----------
    x : real array of any rank, integers too
    template : array with one axis per searched axis
    mode : "valid" (windows inside the array), "same" or "full"
        In "same" the window's sample k//2 lies on the output.
    boundary : what lies outside, as in `correlate`
    axes : the searched axes, in the template's order; the others are carried along. None: all of them.
    threads : how many threads; None takes all CPUs of this process.

    Returns
    -------
    array
        ``r[j] = Σ (x[j+l] - mean_j)(t[l] - mean_t) / (n · std_j · std_t)``, float32 for 8- and 16-bit integers and for
        floats up to float32, else float64; summed in float64. Windows without variation, and a template without,
        correlate with nothing: 0. A window with a NaN or an Inf gives NaN.
        Source: J. P. Lewis, "Fast normalized cross-correlation" (1995).

    Raises
    ------
    DtypeError, GeometryError, BoundaryError
        For complex numbers, and as `correlate` does.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.match_template([0, 0, 1, 3, 1, 0], [10, 30, 10]).round(2) + 0.0
    array([-0.5 , -0.19,  1.  , -0.19])
    """
    array, pattern = as_array(x), as_array(template)
    for given, name in ((array, "the input"), (pattern, "the template")):
        if kind_of(given.dtype, name) == "complex":
            msg = f"{name} is complex, and correlation coefficients are of real numbers; match its parts or its modulus"
            raise DtypeError(msg)
    values, filtered = _extended(array, pattern, mode, boundary, axes)
    found = _searched(pattern, filtered)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        squares = _centre(values)
        sums = [found.box(values, threads=threads), found.box(squares, threads=threads)]
        result = found.correlation(values, threads=threads)
        narrow = array.dtype.itemsize <= (4 if array.dtype.kind == "f" else 2)
        coefficients = np.empty(result.shape, np.float32 if narrow else np.float64)
        _coefficients(result, sums[0], sums[1], pattern.size, found.variation, coefficients)
    return coefficients


class Searched(NamedTuple):
    """A template prepared: the sum over its window, the correlation with it, and the root of its sum of squares."""

    box: Convolution
    correlation: Convolution
    variation: float


_kept: Kept[Any, Searched] = Kept(TEMPLATES_KEPT)


def _searched(pattern: np.ndarray, axes: tuple[int, ...]) -> Searched:
    """Prepare a template, or give it as it was prepared for the last arrays that it was searched in."""
    key = (pattern.tobytes(), pattern.shape, pattern.dtype, axes) if pattern.nbytes <= MOST_BYTES else None
    found = None if key is None else _kept.get(key)
    if found is None:
        weights, variation = _centred(pattern)
        box, correlation = (
            Convolution(kernel, flip=False, mode="valid", axes=axes) for kernel in (np.ones(pattern.shape), weights)
        )
        found = Searched(box, correlation, variation)
        if key is not None:
            _kept.keep(key, found)
    return found


def _centre(values: np.ndarray) -> np.ndarray:
    """Subtract the mean of the finite samples, and give the squares of what remains.

    A common offset changes no coefficient, and without it less is lost to rounding.
    """
    total = values.sum()
    if np.isfinite(total):
        mean = total / max(values.size, 1)
    else:
        finite = np.isfinite(values)
        mean = values.mean(where=finite) if finite.any() else 0.0
    squares = np.empty_like(values)
    flat, squared = values.reshape(-1), squares.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        block -= mean
        np.multiply(block, block, out=squared[start : start + BLOCK])
    return squares


def _coefficients(
    products: np.ndarray, sums: np.ndarray, squares: np.ndarray, taps: int, variation: float, out: np.ndarray
) -> None:
    """Divide the sums of products by the deviations of windows and template, block by block in cache."""
    least = max(LEAST_VARIANCE, taps * float(np.finfo(np.float64).eps))
    flat = [a.reshape(-1) for a in (products, sums, squares, out)]
    for start in range(0, out.size, BLOCK):
        product, total, square, target = (a[start : start + BLOCK] for a in flat)
        np.multiply(total, total, out=total)
        total /= -taps
        variance = np.add(square, total, out=total)
        square *= least
        steady = variance <= square
        if steady.any():  # what is rare is not worth a pass
            product[steady], variance[steady] = 0, 1
        np.sqrt(variance, out=variance)
        variance *= variation
        np.divide(product, variance, out=product)
        np.clip(product, -1, 1, out=product)
        target[...] = product


def _extended(
    array: np.ndarray, pattern: np.ndarray, mode: str, boundary: Any, axes: int | Sequence[int] | None
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Give all samples that any window sees, as float64 in C order, and the filtered axes."""
    c = Convolution(pattern, flip=False, mode=mode, boundary=boundary, axes=axes)
    filtered, axis_geometry = c.geometry(array.shape)
    values = array.astype(np.float64, order="C")
    if all(one.reads(0, one.out) == (0, one.size) for one in axis_geometry):
        return values, filtered
    maps = [gather.coordinates(0, n, n, None) for n in array.shape]
    for axis, one, sides in zip(filtered, axis_geometry, c.sides, strict=True):
        maps[axis] = gather.coordinates(*one.reads(0, one.out), one.size, sides)
    return np.ascontiguousarray(gather.extended(values, maps)), filtered


def _centred(pattern: np.ndarray) -> tuple[np.ndarray, float]:
    """Give the template without its mean, and the root of its sum of squares; zeros and 1 for one that is constant."""
    values = pattern.astype(np.float64)
    weights = values - values.mean()
    variation = float(np.sqrt((weights**2).sum()))
    if variation <= 16 * float(np.finfo(np.float64).eps) * float(np.sqrt((values**2).sum())):
        return np.zeros(pattern.shape), 1.0
    return weights, variation
