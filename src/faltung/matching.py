"""Where a template lies in an array: normalised cross-correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.convolution import Convolution
from faltung.errors import DtypeError
from faltung.functional import correlate
from faltung.plan.plan import as_array
from faltung.problem.dtypes import kind_of
from faltung.runtime import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

# A window varies if its variance is more than this share of its mean square, which rounding alone cannot reach.
LEAST_VARIANCE = 1e-12


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
    # A common offset changes no coefficient, and without it less is lost to rounding.
    finite = np.isfinite(values)
    values -= values.mean(where=finite) if finite.any() else 0
    weights, variation = _centred(pattern)

    def windows(of: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return correlate(of, kernel, mode="valid", axes=filtered, threads=threads)

    ones = np.ones(pattern.shape)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        squares = windows(values * values, ones)
        variance = squares - windows(values, ones) ** 2 / pattern.size
        steady = variance <= max(LEAST_VARIANCE, pattern.size * float(np.finfo(np.float64).eps)) * squares
        result = windows(values, weights)
        result /= np.sqrt(np.where(steady, 1, variance)) * variation
    result[steady] = 0
    np.clip(result, -1, 1, out=result)
    narrow = array.dtype.itemsize <= (4 if array.dtype.kind == "f" else 2)
    return result.astype(np.float32) if narrow else result


def _extended(
    array: np.ndarray, pattern: np.ndarray, mode: str, boundary: Any, axes: int | Sequence[int] | None
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Give all samples that any window sees, as float64, and the filtered axes."""
    c = Convolution(pattern, flip=False, mode=mode, boundary=boundary, axes=axes)
    filtered, axis_geometry = c.geometry(array.shape)
    maps = [gather.coordinates(0, n, n, None) for n in array.shape]
    for axis, one, sides in zip(filtered, axis_geometry, c.sides, strict=True):
        maps[axis] = gather.coordinates(*one.reads(0, one.out), one.size, sides)
    extended = gather.extended(array.astype(np.float64), maps)
    return np.array(extended), filtered


def _centred(pattern: np.ndarray) -> tuple[np.ndarray, float]:
    """Give the template without its mean, and the root of its sum of squares; zeros and 1 for one that is constant."""
    values = pattern.astype(np.float64)
    weights = values - values.mean()
    variation = float(np.sqrt((weights**2).sum()))
    if variation <= 16 * float(np.finfo(np.float64).eps) * float(np.sqrt((values**2).sum())):
        return np.zeros(pattern.shape), 1.0
    return weights, variation
