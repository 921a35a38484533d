"""Derivatives and sums of derivatives: sobel, scharr, laplacian, log, dog; and what sharpens: sharpen, unsharp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faltung.errors import ProblemError
from faltung.filters import checks
from faltung.filters.filter import Filter
from faltung.filters.hermite import derivative_taps
from faltung.filters.smooth import NORMALISATIONS, gaussian_mean, in_samples, reach

if TYPE_CHECKING:
    from collections.abc import Sequence

Array: TypeAlias = np.ndarray[Any, Any]
PerAxis: TypeAlias = "float | Sequence[float]"


def sobel(axis: int = -1, ndim: int = 2, *, spacing: float | None = None) -> Filter:
    """Return Sobel's derivative along an axis, smoothed along every other axis.

    Under correlation the result is positive where the values grow towards larger indices (to the right for
    the last axis); convolution flips the sign. Taps are not normalised: a ramp of slope 1 gives
    ``2·4^(ndim - 1)``; ``int64``, so integer arrays stay exact. With a spacing it gives 1, and taps are ``float64``.

    Args:
        axis: the axis along which is differentiated.
        ndim: number of axes.
        spacing: distance of neighbouring samples along the axis; the result is then the slope itself.

    Formula: ``k = [-1, 0, 1] along axis ⊗ [1, 2, 1] along the others``

    Source: I. Sobel and G. Feldman (1968), in R. O. Duda and P. E. Hart, Pattern Classification and Scene
    Analysis (1973), page 271.

    Raises:
        GeometryError: ``axis`` is not an axis of an ``ndim``-dimensional kernel.
        ProblemError: a spacing not above 0.

    >>> sobel().kernel
    array([[-1,  0,  1],
           [-2,  0,  2],
           [-1,  0,  1]])
    >>> sobel(axis=0, ndim=1, spacing=0.5).kernel
    array([-1.,  0.,  1.])
    """
    return _gradient("sobel", [1, 2, 1], axis, ndim, spacing)


def scharr(axis: int = -1, ndim: int = 2, *, spacing: float | None = None) -> Filter:
    """Return Scharr's derivative along an axis, smoothed along every other axis so that directions come out true.

    Oriented as `sobel`. Taps are not normalised: a ramp of slope 1 gives ``2·16^(ndim - 1)``; ``int64``. With a
    spacing it gives 1, and taps are ``float64``.

    Args:
        axis: the axis along which is differentiated.
        ndim: number of axes.
        spacing: distance of neighbouring samples along the axis; the result is then the slope itself.

    Formula: ``k = [-1, 0, 1] along axis ⊗ [3, 10, 3] along the others``

    Source: H. Scharr, Optimale Operatoren in der Digitalen Bildverarbeitung, Heidelberg (2000).

    Raises:
        GeometryError: ``axis`` is not an axis of an ``ndim``-dimensional kernel.
        ProblemError: a spacing not above 0.

    >>> scharr().kernel
    array([[ -3,   0,   3],
           [-10,   0,  10],
           [ -3,   0,   3]])
    """
    return _gradient("scharr", [3, 10, 3], axis, ndim, spacing)


def laplacian(ndim: int = 2, *, spacing: PerAxis | None = None) -> Filter:
    """Return the Laplacian of nearest neighbours, the sum of the second differences along all axes.

    3 taps along each axis; they sum to 0, and ``Σ x_a²`` becomes ``2·ndim`` everywhere. ``int64``; ``float64`` with a
    spacing, by whose square the difference along each axis is divided.

    Args:
        ndim: number of axes.
        spacing: distance of neighbouring samples, one for all axes or one per axis.

    Formula: ``k[0] = -2·ndim, k[±e_a] = 1 for every axis a, 0 elsewhere``

    Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 25.3.30.

    Raises:
        ProblemError: a spacing not above 0.

    >>> laplacian().kernel
    array([[ 0,  1,  0],
           [ 1, -4,  1],
           [ 0,  1,  0]])
    """
    ndim = checks.rank(ndim)
    weights: list[Any] = [1] * ndim
    formula = "k[0] = -2·ndim, k[±e] = 1 along every axis"
    if spacing is not None:
        weights = [h**-2 for h in checks.spacings("laplacian", spacing, ndim)]
        formula = "k[0] = -2·Σ 1/spacing², k[±e] = 1/spacing² along every axis"
    given = {"ndim": ndim} | checks.optional(spacing=(spacing, None))
    return Filter("laplacian", _second_differences(weights), formula, given)


def log(
    sigma: PerAxis,
    ndim: int = 2,
    truncate: float = 4.0,
    *,
    spacing: PerAxis = 1.0,
    normalise: str = "moments",
) -> Filter:
    """Return the Laplacian of the Gaussian, negative in the middle.

    It sums to 0, a plane becomes 0, and ``Σ x_a²`` becomes ``2·ndim`` exactly, by the normalisation of `gaussian`.
    Blobs of radius ``sigma·sqrt(ndim)`` answer most, bright ones below 0. ``float64``.

    Args:
        sigma: standard deviation in units of the spacing, above 0, one for all axes or one per axis.
        ndim: number of axes.
        truncate: reach of the kernel in sigmas.
        spacing: distance of neighbouring samples, one for all axes or one per axis.
        normalise: moments, or sampled: the formula as it is, as SciPy has it, which sums to 0 but nearly.

    Formula: ``k[i] = Σ_a (x_a²/sigma_a⁴ - 1/sigma_a²)·g(x), x = i·spacing, g(x) = exp(-Σ x²/(2·sigma²)) / sum``

    Source: D. Marr and E. Hildreth, "Theory of edge detection", Proceedings of the Royal Society B 207 (1980).

    Raises:
        GeometryError: the number of sigmas is not ``ndim``, or the kernel is enormous or has fewer than 3 taps.
        ProblemError: a ``sigma`` or ``truncate`` not above 0.

    >>> log(0.7, ndim=1, truncate=2).kernel.round(3)
    array([ 1., -2.,  1.])
    """
    ndim = checks.rank(ndim)
    sigmas = in_samples("log", "sigma", sigma, spacing, ndim, "standard deviations, above 0")
    exact = checks.choice("log: normalise", normalise, NORMALISATIONS) == "moments"
    steps = checks.spacings("log", spacing, ndim)
    offsets = checks.windows("log", reach("log", sigmas, truncate), None)
    flat = [derivative_taps(x, s, 0, exact=exact) for x, s in zip(offsets, sigmas, strict=True)]
    curved = [derivative_taps(x, s, 2, exact=exact) / h**2 for x, s, h in zip(offsets, sigmas, steps, strict=True)]
    terms = [checks.outer([*flat[:a], curved[a], *flat[a + 1 :]]) for a in range(ndim)]
    formula = "k[i] = Σ (x²/sigma⁴ - 1/sigma²)·g(x), g(x) = exp(-Σ x²/(2·sigma²)) / sum"
    given: dict[str, object] = {"sigma": sigma, "ndim": ndim, "truncate": truncate}
    given |= checks.optional(spacing=(spacing, 1.0), normalise=(normalise, "moments"))
    return Filter("log", sum(terms[1:], terms[0]), formula, given)


def dog(sigma: PerAxis, ratio: float = 1.6, ndim: int = 2, truncate: float = 4.0, *, spacing: PerAxis = 1.0) -> Filter:
    """Return the difference of two Gaussians, the narrow one minus the wide one; positive in the middle.

    It passes the structures between the two widths. Sums to 0. ``float64``.

    Args:
        sigma: standard deviation of the narrow one in units of the spacing, one for all axes or one per axis.
        ratio: standard deviation of the wide one over that of the narrow one, above 1; 1.6 is nearest to a
            Laplacian of the Gaussian.
        ndim: number of axes.
        truncate: reach of each Gaussian in its sigmas.
        spacing: distance of neighbouring samples, one for all axes or one per axis.

    Formula: ``k[i] = g(i, sigma) - g(i, ratio·sigma), g the Gaussian with sum 1``

    Source: D. Marr and E. Hildreth, "Theory of edge detection", Proceedings of the Royal Society B 207 (1980).

    Raises:
        GeometryError: the number of sigmas is not ``ndim``, or the kernel would be enormous.
        ProblemError: a ``sigma`` or ``truncate`` not above 0, or a ``ratio`` not above 1.

    >>> dog(1.0, ndim=1, truncate=1).kernel.round(3)
    array([-0.129,  0.043,  0.171,  0.043, -0.129])
    """
    ndim = checks.rank(ndim)
    if not checks.finite(ratio) or ratio <= 1:
        msg = f"dog: ratio is {ratio!r}; give a number above 1, such as 1.6"
        raise ProblemError(msg)
    narrow = gaussian_mean("dog", sigma, truncate, spacing, ndim)
    widths = [ratio * s for s in checks.per_axis("sigma", sigma, ndim)]
    kernel = -gaussian_mean("dog", widths, truncate, spacing, ndim)
    kernel[tuple(slice((n - m) // 2, (n + m) // 2) for n, m in zip(kernel.shape, narrow.shape, strict=True))] += narrow
    given: dict[str, object] = {"sigma": sigma, "ratio": ratio, "ndim": ndim, "truncate": truncate}
    given |= checks.optional(spacing=(spacing, 1.0))
    return Filter("dog", kernel, "k[i] = g(i, sigma) - g(i, ratio·sigma)", given)


def sharpen(amount: float = 1.0, ndim: int = 2) -> Filter:
    """Return the identity minus ``amount`` times the Laplacian.

    The taps sum to 1, so flat regions keep their value; edges overshoot, and an integer picture written with
    ``dtype="input"`` saturates there. ``float64``.

    Args:
        amount: how much of the Laplacian is taken away.
        ndim: number of axes.

    Formula: ``k = δ - amount·laplacian``

    Source: R. C. Gonzalez and R. E. Woods, Digital Image Processing, "Using the second derivative for image
    sharpening: the Laplacian".

    Raises:
        ProblemError: ``amount`` is not a finite number.

    >>> sharpen(1).kernel
    array([[ 0., -1.,  0.],
           [-1.,  5., -1.],
           [ 0., -1.,  0.]])
    """
    ndim = checks.rank(ndim)
    strength = checks.number("sharpen: amount", amount)
    kernel = 0.0 - strength * _second_differences([1] * ndim)
    kernel[(1,) * ndim] += 1
    return Filter("sharpen", kernel, "k = δ - amount·laplacian", {"amount": amount, "ndim": ndim})


def unsharp(
    sigma: PerAxis,
    amount: float = 1.0,
    ndim: int = 2,
    truncate: float = 4.0,
    *,
    spacing: PerAxis = 1.0,
) -> Filter:
    """Return the unsharp mask: the identity plus ``amount`` times what a Gaussian takes away.

    The taps sum to 1, so flat regions keep their value; edges overshoot by up to half of ``amount``, and an integer
    picture written with ``dtype="input"`` saturates there. ``float64``.

    Args:
        sigma: standard deviation of the Gaussian in units of the spacing, one for all axes or one per axis.
        amount: how much of the detail is added; -1 gives the Gaussian itself.
        ndim: number of axes.
        truncate: reach of the kernel in sigmas.
        spacing: distance of neighbouring samples, one for all axes or one per axis.

    Formula: ``k = (1 + amount)·δ - amount·g, g the Gaussian with sum 1``

    Source: R. C. Gonzalez and R. E. Woods, Digital Image Processing, "Unsharp masking and highboost filtering".

    Raises:
        GeometryError: the number of sigmas is not ``ndim``, or the kernel would be enormous.
        ProblemError: a negative ``sigma``, a ``truncate`` not above 0, or an ``amount`` that is not finite.

    >>> unsharp(1.0, ndim=1, truncate=1).kernel.round(3)
    array([-0.274,  1.548, -0.274])
    """
    ndim = checks.rank(ndim)
    strength = checks.number("unsharp: amount", amount)
    kernel = -strength * gaussian_mean("unsharp", sigma, truncate, spacing, ndim, zero=True)
    kernel[tuple(n // 2 for n in kernel.shape)] += 1 + strength
    given: dict[str, object] = {"sigma": sigma, "amount": amount, "ndim": ndim, "truncate": truncate}
    given |= checks.optional(spacing=(spacing, 1.0))
    return Filter("unsharp", kernel, "k = (1 + amount)·δ - amount·g, g = gaussian", given)


def _gradient(name: str, smooth: list[int], axis: int, ndim: int, spacing: float | None) -> Filter:
    ndim = checks.rank(ndim)
    along = checks.axis_index(name, axis, ndim)
    kernel = checks.outer([np.array([-1, 0, 1] if a == along else smooth) for a in range(ndim)])
    formula = f"k = [-1, 0, 1] along axis ⊗ {smooth} along the others"
    if spacing is not None:
        step = checks.above_zero(f"{name}: spacing", spacing, "the distance of samples, above 0, such as 1")
        kernel = kernel / (2 * sum(smooth) ** (ndim - 1) * step)
        formula += f", over 2·{sum(smooth)}^(ndim - 1)·spacing"
    given = {"axis": axis, "ndim": ndim} | checks.optional(spacing=(spacing, None))
    return Filter(name, kernel, formula, given)


def _second_differences(weights: list[Any]) -> Array:
    ndim = len(weights)
    kernel = np.zeros((3,) * ndim, np.result_type(*map(type, weights)))
    for axis, weight in enumerate(weights):
        centre: list[int | slice] = [1] * ndim
        centre[axis] = slice(None)
        kernel[tuple(centre)] += np.array([1, -2, 1]) * weight
    return kernel
