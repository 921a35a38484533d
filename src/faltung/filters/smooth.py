"""Means of various weights: gaussian, box, binomial, lanczos."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faltung.errors import GeometryError, ProblemError
from faltung.filters import checks
from faltung.filters.filter import Filter
from faltung.filters.hermite import derivative_taps

if TYPE_CHECKING:
    from collections.abc import Sequence

Array: TypeAlias = np.ndarray[Any, Any]
PerAxis: TypeAlias = "float | Sequence[float]"
Sizes: TypeAlias = "int | Sequence[int]"

NORMALISATIONS = ("moments", "sampled")


def gaussian(
    sigma: PerAxis,
    ndim: int = 2,
    truncate: float = 4.0,
    *,
    order: Sizes = 0,
    spacing: PerAxis = 1.0,
    size: Sizes | None = None,
    normalise: str = "moments",
) -> Filter:
    """Return the sampled Gaussian, or a derivative of it.

    Order 0 sums to 1. Order n, with the default normalisation, gives exactly the n-th derivative of every polynomial
    up to degree n: slope 1 of a ramp, 2 of x², 0 of a constant. For that the Hermite polynomial of the formula is
    replaced by the one that is orthogonal on the samples themselves, which it tends to as sigma grows.
    Oriented for correlation. The kernel has ``2·r + 1`` taps along each axis, ``r = floor(truncate·sigma + 1/2)``
    with sigma in samples, as ``scipy.ndimage.gaussian_filter`` has. ``float64``.

    Args:
        sigma: standard deviation in units of the spacing (samples, by default), one for all axes or one per axis;
            an axis with sigma 0 is left as it is.
        ndim: number of axes.
        truncate: reach of the kernel in sigmas.
        order: order of the derivative, one for all axes or one per axis; order=(0, 2) is the second along the last.
        spacing: distance of neighbouring samples, one for all axes or one per axis.
        size: number of taps, one for all axes or one per axis, in place of truncate; of an even number, the middle
            lies half a sample before the anchor.
        normalise: moments, or sampled: the formula's derivative of the Gaussian as it is, as SciPy has it.

    Formula: ``k[i] = Π He_n(x/sigma)·g(x) / sigma^n, x = i·spacing, g(x) = exp(-x²/(2·sigma²)) / sum``

    Source: T. Lindeberg, "Scale-space for discrete signals", IEEE PAMI 12 (1990), the sampled kernel; the polynomials
    by the recurrence of W. Gautschi, "Orthogonal polynomials", Oxford (2004), section 1.3.

    Raises:
        GeometryError: the number of sigmas is not ``ndim``, the kernel would be enormous, or it has too few taps for
            the order.
        ProblemError: a negative or infinite ``sigma``, or ``truncate`` not above 0.

    >>> gaussian(1.0, ndim=1, truncate=1).kernel.round(4)
    array([0.2741, 0.4519, 0.2741])
    >>> slope = gaussian(1.5, ndim=1, order=1).kernel
    >>> round(float(slope @ np.arange(13)), 12)
    1.0
    """
    ndim = checks.rank(ndim)
    expected = "standard deviations in samples, 0 or more"
    sigmas = in_samples("gaussian", "sigma", sigma, spacing, ndim, expected, zero=True)
    orders = _orders(order, ndim)
    checks.choice("gaussian: normalise", normalise, NORMALISATIONS)
    offsets = checks.windows("gaussian", reach("gaussian", sigmas, truncate), size)
    steps = checks.spacings("gaussian", spacing, ndim)
    factors = [
        derivative_taps(x, s, n, exact=normalise == "moments") / h**n
        for x, s, n, h in zip(offsets, sigmas, orders, steps, strict=True)
    ]
    formula = "k[i] = Π He_n(x/sigma)·g(x)/sigma^n, g(x) = exp(-x²/(2·sigma²)) / sum"
    return Filter(
        "gaussian",
        checks.outer(factors),
        formula if any(orders) else "k[i] = exp(-Σ i²/(2·sigma²)) / sum",
        {"sigma": sigma, "ndim": ndim, "truncate": truncate}
        | checks.optional(
            order=(order, 0), spacing=(spacing, 1.0), size=(size, None), normalise=(normalise, "moments")
        ),
    )


def box(size: PerAxis, ndim: int = 2, *, spacing: PerAxis | None = None) -> Filter:
    """Return the mean over a window.

    All taps are equal and sum to 1; ``float64``. With an even size the window reaches one sample further to
    the left, since the anchor of a kernel of ``n`` taps is tap ``n // 2``. With a spacing the window is centred, its
    width is any length, and a sample at its end counts by the part of it that is inside.

    Args:
        size: number of samples, one for all axes or one per axis; with a spacing, the width of the window.
        ndim: number of axes.
        spacing: distance of neighbouring samples, one for all axes or one per axis; None: sizes count samples.

    Formula: ``k[i] = 1 / Π size``

    Source: R. C. Gonzalez and R. E. Woods, Digital Image Processing, "Box filter kernels".

    Raises:
        GeometryError: a size that is not a whole number of at least 1, or not ``ndim`` of them.
        ProblemError: with a spacing, a width or a spacing not above 0.

    >>> box(2).kernel
    array([[0.25, 0.25],
           [0.25, 0.25]])
    >>> box(1.0, ndim=1, spacing=0.4).kernel
    array([0.3, 0.4, 0.3])
    """
    ndim = checks.rank(ndim)
    given = {"size": size, "ndim": ndim} | checks.optional(spacing=(spacing, None))
    if spacing is None:
        sizes = checks.whole_sizes("box", size, ndim)
        return Filter("box", np.full(sizes, 1 / math.prod(sizes)), "k[i] = 1 / Π size", given)
    widths = in_samples("box", "size", size, spacing, ndim, "the width of the window, above 0")
    offsets = checks.windows("box", [math.ceil(w / 2 - 0.5) if w < checks.MAX_TAPS else w for w in widths], None)
    factors = [np.clip(w / 2 + 0.5 - abs(x), 0, min(1, w)) / w for x, w in zip(offsets, widths, strict=True)]
    formula = "k[i] = Π |[i - 1/2, i + 1/2] ∩ [-w/2, w/2]| / w, w = size/spacing"
    return Filter("box", checks.outer(factors), formula, given)


def binomial(size: Sizes = 3, ndim: int = 2) -> Filter:
    """Return the mean with binomial weights, the nearest a few taps come to a Gaussian.

    Sums to 1 exactly; its variance along an axis is ``(size - 1)/4``. ``float64``. ``binomial(n)`` is ``n - 1`` times
    ``[1/2, 1/2]``; of an even size, the middle lies half a sample before the anchor.

    Args:
        size: number of taps, 1 to 1024, one for all axes or one per axis.
        ndim: number of axes.

    Formula: ``k[i] = Π C(size - 1, i) / 2^(size - 1), i from 0``

    Source: B. Jähne, Digital Image Processing, Springer, "Binomial filters".

    Raises:
        GeometryError: a size that is not a whole number of 1 to 1024, or not ``ndim`` of them.

    >>> binomial(5, ndim=1).kernel * 16
    array([1., 4., 6., 4., 1.])
    """
    ndim = checks.rank(ndim)
    sizes = checks.whole_sizes("binomial", size, ndim)
    if max(sizes) > 1024:
        msg = f"binomial: size is {size!r}; give at most 1024, or use gaussian with sigma = sqrt(size - 1)/2"
        raise GeometryError(msg)
    # Python divides whole numbers of any size with one rounding.
    factors = [np.array([math.comb(n - 1, i) / 2 ** (n - 1) for i in range(n)]) for n in sizes]
    formula = "k[i] = Π C(size - 1, i) / 2^(size - 1)"
    return Filter("binomial", checks.outer(factors), formula, {"size": size, "ndim": ndim})


def lanczos(factor: PerAxis, lobes: int = 3, ndim: int = 2, *, size: Sizes | None = None) -> Filter:
    """Return Lanczos' windowed sinc, the low-pass to keep every factor-th sample after.

    Sums to 1; taps may be negative, so that edges overshoot by some percent. It halves a wave at the frequency
    ``1/(2·factor)``, passes those well below and stops those well above. ``float64``.

    Args:
        factor: by how much the data will be reduced, at least 1, one for all axes or one per axis.
        lobes: how many lobes of the sinc are kept at each side, 1 or more.
        ndim: number of axes.
        size: number of taps, one for all axes or one per axis; None: all within the lobes. Of an even number, the
            middle lies half a sample before the anchor, as reducing by an even factor wants it.

    Formula: ``k[i] = Π sinc(i/factor)·sinc(i/(lobes·factor)) / sum, |i| < lobes·factor, sinc(x) = sin(πx)/(πx)``

    Source: C. E. Duchon, "Lanczos filtering in one and two dimensions", Journal of Applied Meteorology 18 (1979).

    Raises:
        GeometryError: the number of factors is not ``ndim``, or the kernel would be enormous.
        ProblemError: a factor below 1, or ``lobes`` no whole number of at least 1.

    >>> lanczos(2, lobes=2, ndim=1).kernel.round(3)
    array([-0.032,  0.   ,  0.284,  0.495,  0.284,  0.   , -0.032])
    """
    ndim = checks.rank(ndim)
    factors = checks.positive("lanczos: factor", factor, ndim, expected="a factor of at least 1, such as 2")
    if min(factors) < 1:
        msg = f"lanczos: factor is {factor!r}; give a factor of at least 1, such as 2"
        raise ProblemError(msg)
    if not checks.whole(lobes) or lobes < 1:
        msg = f"lanczos: lobes is {lobes!r}; give a whole number of at least 1, such as 3"
        raise ProblemError(msg)
    offsets = checks.windows("lanczos", [math.ceil(lobes * f) - 1 for f in factors], size)
    taps = [_lanczos(x / f, lobes) for x, f in zip(offsets, factors, strict=True)]
    formula = "k[i] = Π sinc(i/factor)·sinc(i/(lobes·factor)) / sum"
    given = {"factor": factor, "lobes": lobes, "ndim": ndim} | checks.optional(size=(size, None))
    return Filter("lanczos", checks.outer(taps), formula, given)


def in_samples(
    name: str, what: str, value: Any, spacing: Any, ndim: int, expected: str, *, zero: bool = False
) -> list[float]:
    """Return lengths given in physical units, one per axis, in samples."""
    lengths = checks.positive(f"{name}: {what}", value, ndim, zero=zero, expected=expected)
    return [v / h for v, h in zip(lengths, checks.spacings(name, spacing, ndim), strict=True)]


def gaussian_mean(name: str, sigma: Any, truncate: float, spacing: Any, ndim: int, *, zero: bool = False) -> Array:
    """Return the taps of a Gaussian with sum 1, for the filter ``name`` that is made from it."""
    expected = "standard deviations, 0 or more" if zero else "standard deviations, above 0"
    sigmas = in_samples(name, "sigma", sigma, spacing, ndim, expected, zero=zero)
    offsets = checks.windows(name, reach(name, sigmas, truncate), None)
    return checks.outer([derivative_taps(x, s, 0, exact=True) for x, s in zip(offsets, sigmas, strict=True)])


def reach(name: str, sigmas: Sequence[float], truncate: float) -> list[float]:
    """Return how far a kernel reaches along each axis, in samples."""
    if not checks.finite(truncate) or truncate <= 0:
        msg = f"{name}: truncate is {truncate!r}; give a number of sigmas above 0, such as 4"
        raise ProblemError(msg)
    return [float(truncate) * s for s in sigmas]


def _orders(order: Any, ndim: int) -> list[int]:
    orders = checks.per_axis("order", order, ndim)
    if any(not checks.whole(n) or not 0 <= n <= 10 for n in orders):
        msg = f"gaussian: order is {order!r}; give the order of a derivative, 0 to 10, one or one per axis"
        raise ProblemError(msg)
    return [int(n) for n in orders]


def _lanczos(x: Array, lobes: int) -> Array:
    taps = np.where(abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)
    normalised: Array = taps / taps.sum()
    return normalised
