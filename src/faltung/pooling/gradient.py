"""The gradient of a pooling with respect to its input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import DtypeError, GeometryError
from faltung.plan.plan import as_array
from faltung.pooling import medians, places, sums
from faltung.problem.dtypes import kind_of
from faltung.runtime.scatter import scatter
from faltung.runtime.threads import default_threads

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from faltung.pooling.description import Pooling
    from faltung.pooling.windows import Windows


def pool_gradient(grad_output: ArrayLike, x: ArrayLike, pooling: Pooling) -> np.ndarray:
    """Give the gradient of a loss with respect to the input of a pooling, from that with respect to its output.

    `x` is the input and `grad_output` has the output's shape; the result has the input's shape and is f32 for
    gradients of f32 and f16, else f64 (complex for complex gradients of sums and means). Mean and sum: the exact
    adjoint, <pool(x), g> = <x, gradient>, border samples receiving the sum of all that was read from them. Max, min and
    median: all goes to the sample chosen, of equal ones the first in the window, of several NaN the last (by a median
    the first). Lp: sign(x) |x|^(p-1) y^(1-p), and 0 where y = 0; p = inf: to the first sample of largest modulus. What
    a boundary's constant would receive is lost.
    Raises GeometryError where shapes do not fit, and DtypeError for complex input where that has no order.

    >>> import numpy as np
    >>> from faltung.pooling import Pooling
    >>> pool_gradient([1.0, 10.0], [1.0, 5.0, 5.0, 2.0], Pooling(2))
    array([ 0.,  1., 10.,  0.])
    >>> pool_gradient([1.0, 10.0, 100.0], [1.0, 5.0], Pooling(2, kind="sum", stride=1, padding=1, boundary="edge"))
    array([ 12., 210.])
    """
    array, grad = as_array(x), as_array(grad_output)
    windows = pooling.windows(array.shape)
    if grad.shape != windows.output_shape:
        msg = f"the gradient has the shape {grad.shape}, but pooling an array of shape {array.shape} gives "
        msg += f"{windows.output_shape}; pass the gradient of that result"
        raise GeometryError(msg)
    grad = grad.astype(_summed_in(grad.dtype))
    _check(grad, pooling)
    if 0 in (*grad.shape, *array.shape):
        return np.zeros(array.shape, grad.dtype)
    if pooling.kind in ("sum", "mean"):
        return _linear(grad, windows, pooling)
    if pooling.kind == "lp":
        return _largest(grad, array, windows) if np.isinf(pooling.p) else _norm(grad, array, windows, pooling)
    return _chosen(grad, array, windows, pooling)


def _linear(grad: np.ndarray, windows: Windows, pooling: Pooling) -> np.ndarray:
    summed = sums.Sums(pooling)
    if pooling.kind == "mean":
        grad = grad / summed.samples(windows)
    if windows.sides is not None and windows.overhangs:
        return scatter(summed.adjoint(grad, windows.extended()), windows.maps(0), windows.shape)
    return summed.adjoint(grad, windows)


def _norm(grad: np.ndarray, x: np.ndarray, windows: Windows, pooling: Pooling) -> np.ndarray:
    """Differentiate (Σ|x|^p)^(1/p), in f64, at every sample that is read."""
    p, read = pooling.p, sums.everything(_real(x), windows)
    summed = sums.Sums(pooling)
    norms = summed.norms(np.abs(read), windows, None)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        weights = np.where(norms == 0, 0.0, grad * norms ** (1 - p))
        slopes = np.where(read == 0, 0.0, np.sign(read) * np.abs(read) ** (p - 1))
        spread = summed.adjoint(weights, windows.extended()) * slopes
    return scatter(spread, windows.maps(0), windows.shape).astype(grad.dtype)


def _chosen(grad: np.ndarray, x: np.ndarray, windows: Windows, pooling: Pooling) -> np.ndarray:
    """Add the gradient of each window to the sample that it chose."""
    if not windows.has_odd_rules:
        indices = pooling.chosen(x, windows, default_threads())[1]
        return _spread(grad, indices, windows, windows.shape).astype(grad.dtype)
    find = medians.places(x, windows, default_threads()) if pooling.kind == "median" else None
    at = (find or places.extrema(x, windows, pooling.kind, default_threads()))[1]
    spread = _spread(grad, at, windows, windows.extended().shape)
    return scatter(spread, windows.maps(0), windows.shape).astype(grad.dtype)


def _largest(grad: np.ndarray, x: np.ndarray, windows: Windows) -> np.ndarray:
    """Differentiate max|x|, where padding without a rule is 0 and so never larger than a sample."""
    read, extended = sums.everything(_real(x), windows), windows.extended()
    at = places.extrema(np.abs(read), extended, "max", default_threads())[1]
    signs = np.take_along_axis(_lines(np.sign(read), windows), _lines(at, windows), 1)
    spread = _spread(grad * _arrays(signs, windows, at.shape), at, windows, extended.shape)
    return scatter(spread, windows.maps(0), windows.shape).astype(grad.dtype)


def _spread(grad: np.ndarray, at: np.ndarray, windows: Windows, shape: tuple[int, ...]) -> np.ndarray:
    """Sum in f64 what goes to each sample of an array of a shape; index -1 is none."""
    lines, indices = _lines(grad, windows), _lines(at, windows)
    each = math.prod(shape[axis] for axis in windows.axes)
    # What goes nowhere goes to one more sample at the start of each line.
    indices = indices + (1 + (each + 1) * np.arange(len(indices))[:, None])
    spread = np.bincount(indices.ravel(), lines.ravel(), (each + 1) * len(lines)).reshape(len(lines), each + 1)
    return _arrays(spread[:, 1:], windows, shape)


def _lines(array: np.ndarray, windows: Windows) -> np.ndarray:
    """Give the pooled axes as the second of two axes."""
    rank = len(windows.axes)
    moved = np.moveaxis(array, windows.axes, range(-rank, 0))
    return moved.reshape(math.prod(moved.shape[: moved.ndim - rank]), -1)


def _arrays(lines: np.ndarray, windows: Windows, shape: tuple[int, ...]) -> np.ndarray:
    """Undo `_lines` for an array of a shape."""
    carried = [n for axis, n in enumerate(shape) if axis not in windows.axes]
    moved = lines.reshape(*carried, *(shape[axis] for axis in windows.axes))
    return np.moveaxis(moved, range(len(carried), len(shape)), windows.axes)


def _real(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        msg = f"the gradient of Lp pooling of {x.dtype}: norms of complex numbers have none here; pool np.abs(x)"
        raise DtypeError(msg)
    return x.astype(np.float64)


def _check(grad: np.ndarray, pooling: Pooling) -> None:
    if grad.dtype.kind == "c" and pooling.kind not in ("sum", "mean"):
        msg = f"a gradient of {grad.dtype} for {pooling.kind} pooling, which is real; pass a real one"
        raise DtypeError(msg)


def _summed_in(dtype: np.dtype) -> np.dtype:
    if kind_of(dtype, "the gradient") == "integer":
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype.newbyteorder("=")
