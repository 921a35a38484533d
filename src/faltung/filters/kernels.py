"""The kernels themselves, each with its formula and its source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from faltung.errors import FileError, GeometryError, ProblemError
from faltung.filters.filter import Filter

Array: TypeAlias = np.ndarray[Any, Any]

MAX_TAPS = 2**24  # 128 MiB of float64: above this a parameter is mistyped more often than meant


def gaussian(sigma: float | Sequence[float], ndim: int = 2, truncate: float = 4.0) -> Filter:
    """Return the sampled Gaussian, normalised to sum 1.

    ``sigma`` is the standard deviation in samples, one for all axes or one per axis; an axis with ``sigma`` 0
    is left as it is. The kernel has ``2·r + 1`` taps along each axis, ``r = floor(truncate·sigma + 1/2)``, as
    ``scipy.ndimage.gaussian_filter`` has. ``float64``.

    Formula: ``k[i] = g(i) / Σ g``, ``g(i) = exp(-Σ i_a² / (2·sigma_a²))``, ``|i_a| <= r_a``.
    Source: T. Lindeberg, "Scale-space for discrete signals", IEEE PAMI 12 (1990), the sampled kernel.

    Raises:
        GeometryError: the number of sigmas is not ``ndim``, or the kernel would be enormous.
        ProblemError: a negative or infinite ``sigma``, or ``truncate`` not above 0.

    >>> gaussian(1.0, ndim=1, truncate=1).kernel.round(4)
    array([0.2741, 0.4519, 0.2741])
    """
    ndim = _rank(ndim)
    sigmas = _per_axis("sigma", sigma, ndim)
    if any(not _finite(s) or s < 0 for s in sigmas):
        msg = f"gaussian: sigma is {sigma!r}; give standard deviations in samples, 0 or more"
        raise ProblemError(msg)
    if not _finite(truncate) or truncate <= 0:
        msg = f"gaussian: truncate is {truncate!r}; give a number of sigmas above 0, such as 4"
        raise ProblemError(msg)
    reach = [float(truncate) * float(s) for s in sigmas]
    # Clipped, since a product that overflows has no floor; far beyond what is sampled anyway.
    radii = [math.floor(min(r, MAX_TAPS) + 0.5) for r in reach]
    _bounded("gaussian", [2 * r + 1 for r in radii])
    kernel = _outer([_sampled_gaussian(float(s), r) for s, r in zip(sigmas, radii, strict=True)])
    formula = "k[i] = exp(-Σ i²/(2·sigma²)) / sum"
    return Filter("gaussian", kernel, formula, {"sigma": sigma, "ndim": ndim, "truncate": truncate})


def box(size: int | Sequence[int], ndim: int = 2) -> Filter:
    """Return the mean over a window of ``size`` samples, one for all axes or one per axis.

    All taps are equal and sum to 1; ``float64``. With an even size the window reaches one sample further to
    the left, since the anchor of a kernel of ``n`` taps is tap ``n // 2``.

    Formula: ``k[i] = 1 / Π size``.
    Source: R. C. Gonzalez and R. E. Woods, Digital Image Processing, "Box filter kernels".

    Raises:
        GeometryError: a size that is not a whole number of at least 1, or not ``ndim`` of them.

    >>> box(2).kernel
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    ndim = _rank(ndim)
    sizes = _per_axis("size", size, ndim)
    if any(not _whole(s) or s < 1 for s in sizes):
        msg = f"box: size is {size!r}; give whole numbers of samples, 1 or more"
        raise GeometryError(msg)
    _bounded("box", sizes)
    kernel = np.full([int(s) for s in sizes], 1 / math.prod(sizes))
    return Filter("box", kernel, "k[i] = 1 / Π size", {"size": size, "ndim": ndim})


def sobel(axis: int = -1, ndim: int = 2) -> Filter:
    """Return Sobel's derivative along ``axis``, smoothed along every other axis.

    Under correlation the result is positive where the values grow towards larger indices (to the right for
    the last axis); convolution flips the sign. Taps are not normalised: a ramp of slope 1 gives
    ``2·4**(ndim - 1)``. ``int64``, so integer arrays stay exact.

    Formula: ``k = [-1, 0, 1]`` along ``axis``, outer product with ``[1, 2, 1]`` along the others.
    Source: I. Sobel and G. Feldman (1968), in R. O. Duda and P. E. Hart, Pattern Classification and Scene
    Analysis (1973), page 271.

    Raises:
        GeometryError: ``axis`` is not an axis of an ``ndim``-dimensional kernel.

    >>> sobel().kernel
    array([[-1,  0,  1],
           [-2,  0,  2],
           [-1,  0,  1]])
    """
    ndim = _rank(ndim)
    if not _whole(axis) or not -ndim <= axis < ndim:
        msg = f"sobel: axis is {axis!r}; with {ndim} axes give {-ndim} to {ndim - 1}"
        raise GeometryError(msg)
    smooth, derivative = np.array([1, 2, 1]), np.array([-1, 0, 1])
    kernel = _outer([derivative if a == axis % ndim else smooth for a in range(ndim)])
    formula = "k = [-1, 0, 1] along axis ⊗ [1, 2, 1] along the others"
    return Filter("sobel", kernel, formula, {"axis": axis, "ndim": ndim})


def laplacian(ndim: int = 2) -> Filter:
    """Return the Laplacian of nearest neighbours, the sum of the second differences along all axes.

    ``int64``, 3 taps along each axis; the taps sum to 0, and ``Σ x_a²`` becomes ``2·ndim`` everywhere.

    Formula: ``k[0] = -2·ndim``, ``k[±e_a] = 1`` for every axis ``a``, 0 elsewhere.
    Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 25.3.30.

    >>> laplacian().kernel
    array([[ 0,  1,  0],
           [ 1, -4,  1],
           [ 0,  1,  0]])
    """
    ndim = _rank(ndim)
    formula = "k[0] = -2·ndim, k[±e] = 1 along every axis"
    return Filter("laplacian", _laplacian(ndim), formula, {"ndim": ndim})


def sharpen(amount: float = 1.0, ndim: int = 2) -> Filter:
    """Return the identity minus ``amount`` times the Laplacian.

    The taps sum to 1, so flat regions keep their value; edges overshoot, and an integer picture written with
    ``dtype="input"`` saturates there. ``float64``.

    Formula: ``k = δ - amount·laplacian``.
    Source: R. C. Gonzalez and R. E. Woods, Digital Image Processing, "Using the second derivative for image
    sharpening: the Laplacian".

    Raises:
        ProblemError: ``amount`` is not a finite number.

    >>> sharpen(1).kernel
    array([[ 0., -1.,  0.],
           [-1.,  5., -1.],
           [ 0., -1.,  0.]])
    """
    ndim = _rank(ndim)
    if not _finite(amount):
        msg = f"sharpen: amount is {amount!r}; give a number, such as 1"
        raise ProblemError(msg)
    kernel = 0.0 - float(amount) * _laplacian(ndim)
    kernel[(1,) * ndim] += 1
    return Filter("sharpen", kernel, "k = δ - amount·laplacian", {"amount": amount, "ndim": ndim})


def custom(file: str | Path, ndim: int | None = None) -> Filter:
    """Return the kernel stored in an NPY file, in its own shape and dtype.

    Raises:
        FileError: the file cannot be read, is truncated, or holds Python objects or records.
        GeometryError: ``ndim`` is given and the array has another rank.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "edge.npy"
    >>> np.save(path, [-1, 1])
    >>> custom(path).kernel
    array([-1,  1])
    """
    from faltung.files import read

    picture = read(file)
    if picture.format != "npy":
        msg = f"{file}: a kernel is read from an NPY file, and this is {picture.format.upper()}"
        raise FileError(msg)
    if ndim is not None and picture.ndim != ndim:
        message = f"{file}: the kernel has {picture.ndim} axes, but {ndim} axes are filtered"
        msg = f"{message}; name {picture.ndim} axes, or give a kernel with {ndim}"
        raise GeometryError(msg)
    return Filter("custom", np.asarray(picture.array), f"taps of {Path(file).name}", {"file": str(file)})


def _sampled_gaussian(sigma: float, radius: int) -> Array:
    offsets = np.arange(-radius, radius + 1, dtype=np.float64)
    # sigma may be so small that its square underflows, and dividing by 0 gives NaN; a ratio at worst overflows to
    # infinity, whose tap is 0.
    with np.errstate(over="ignore"):
        taps = np.exp(-0.5 * (offsets / sigma) ** 2) if radius else np.ones(1)
    normalised: Array = taps / taps.sum()
    return normalised


def _laplacian(ndim: int) -> Array:
    kernel = np.zeros((3,) * ndim, np.int64)
    for axis in range(ndim):
        centre: list[int | slice] = [1] * ndim
        centre[axis] = slice(None)
        kernel[tuple(centre)] += [1, -2, 1]
    return kernel


def _outer(factors: Sequence[Array]) -> Array:
    kernel: Array = reduce(np.multiply.outer, factors)
    return kernel


def _finite(value: object) -> bool:
    try:
        return _is(value, Real) and math.isfinite(cast("float", value))
    except OverflowError:  # a whole number beyond the range of float
        return False


def _whole(value: object) -> bool:
    return _is(value, Integral)


def _is(value: object, kind: type) -> bool:
    # bool is a number to Python, but True is no number of samples.
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool))


def _rank(ndim: int) -> int:
    if not _whole(ndim) or not 1 <= ndim <= 15:
        msg = f"ndim is {ndim!r}; a filter has 1 to 15 axes"
        raise GeometryError(msg)
    return int(ndim)


def _per_axis(name: str, value: Any, ndim: int) -> list[Any]:
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str):
        values = list(value)
        if len(values) != ndim:
            msg = f"{name} has {len(values)} values {tuple(values)} for {ndim} axes; give one, or {ndim}"
            raise GeometryError(msg)
        return values
    return [value] * ndim


def _bounded(name: str, sizes: Sequence[int]) -> None:
    if math.prod(sizes) > MAX_TAPS:
        size = " x ".join(map(str, sizes))
        msg = f"{name}: the kernel would have {size} taps; at most {MAX_TAPS} are sampled"
        raise GeometryError(msg)
