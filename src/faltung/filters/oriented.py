"""Filters with a direction: gabor and motion."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faltung.errors import GeometryError, ProblemError
from faltung.filters import checks
from faltung.filters.filter import Filter
from faltung.filters.smooth import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

Array: TypeAlias = np.ndarray[Any, Any]
PerAxis: TypeAlias = "float | Sequence[float]"

OCTAVE = 3 / math.pi * math.sqrt(math.log(2) / 2)  # sigma over wavelength for a bandwidth of one octave


def gabor(
    wavelength: float,
    sigma: float | None = None,
    angle: float = 0.0,
    phase: float = 0.0,
    aspect: float = 1.0,
    ndim: int = 2,
    truncate: float = 3.0,
    *,
    direction: Sequence[float] | None = None,
    balanced: bool = False,
    spacing: PerAxis = 1.0,
) -> Filter:
    """Return a Gabor filter: a plane wave under a Gaussian.

    The Gaussian's taps sum to 1, so that a wave of amplitude 1 along the filter's own answers with about 1/2. The
    filter's sum is about ``cos(phase)·exp(-2·(π·sigma/wavelength)²)``, or 0 if balanced. Phase 0 is even, -90 is odd:
    the two are the real and the imaginary part of the complex Gabor filter. ``float64``.

    Args:
        wavelength: length of the wave in units of the spacing (samples, by default).
        sigma: standard deviation of the Gaussian along the wave, in the same units; None: 0.562 wavelengths, for
            which the bandwidth is one octave.
        angle: direction of the wave in degrees, from the last axis (0) towards the one before it (90).
        phase: phase of the wave in the middle, in degrees.
        aspect: sigma along the wave over that across it; below 1 the filter is longer across.
        ndim: number of axes.
        truncate: reach of the kernel in sigmas.
        direction: vector along the wave in place of the angle, one component per axis.
        balanced: true subtracts from the wave its mean under the Gaussian, so that the taps sum to 0.
        spacing: distance of neighbouring samples, one for all axes or one per axis.

    Formula: ``k[i] = g(i)·cos(2π·u/wavelength + phase), g(i) = exp(-(u² + aspect²·v²)/(2·sigma²)) / sum, u along the
    wave and v across it, of i·spacing``

    Source: J. G. Daugman, "Uncertainty relation for resolution in space, spatial frequency, and orientation optimized
    by two-dimensional visual cortical filters", Journal of the Optical Society of America A 2 (1985).

    Raises:
        GeometryError: a direction of another rank than ``ndim``, or an enormous kernel.
        ProblemError: a wavelength, sigma, aspect, spacing or ``truncate`` not above 0; an angle and a direction.

    >>> f = gabor(wavelength=6, sigma=3, angle=90, ndim=2)
    >>> f.shape, round(float(f.kernel[9, 9] / f.kernel[12, 9]), 3)
    ((19, 19), -1.649)
    """
    ndim = checks.rank(ndim)
    wave = checks.above_zero("gabor: wavelength", wavelength, "the length of the wave, above 0")
    width = OCTAVE * wave if sigma is None else sigma
    along = checks.above_zero("gabor: sigma", width, "a standard deviation, above 0")
    ratio = checks.above_zero("gabor: aspect", aspect, "a ratio above 0, such as 1")
    shift = math.radians(checks.number("gabor: phase", phase, "degrees, such as 90"))
    unit = _unit("gabor", angle, direction, ndim)
    steps = np.array(checks.spacings("gabor", spacing, ndim))
    # The bounding box of an ellipsoid with one semi-axis along `unit`.
    extents = np.sqrt((along * unit) ** 2 + (along / ratio) ** 2 * (1 - unit**2).clip(0)) / steps
    offsets = checks.windows("gabor", reach("gabor", extents.tolist(), truncate), None)
    x = [grid * h for grid, h in zip(np.meshgrid(*offsets, indexing="ij", sparse=True), steps, strict=True)]
    u = sum(grid * c for grid, c in zip(x, unit, strict=True))
    across = sum(grid**2 for grid in x) - u**2
    envelope = np.exp(-(u**2 + ratio**2 * across) / (2 * along**2))
    envelope /= envelope.sum()
    carrier = np.cos(2 * np.pi * u / wave + shift)
    if checks.flag("gabor: balanced", balanced):
        carrier = carrier - (envelope * carrier).sum()
    formula = "k[i] = g(i)·cos(2π·u/wavelength + phase), g(i) = exp(-(u² + aspect²·v²)/(2·sigma²)) / sum"
    given: dict[str, object] = {
        "wavelength": wavelength,
        "sigma": width,
        "angle": angle,
        "phase": phase,
        "aspect": aspect,
        "ndim": ndim,
    }
    given |= checks.optional(
        truncate=(truncate, 3.0), direction=(direction, None), balanced=(balanced, False), spacing=(spacing, 1.0)
    )
    return Filter("gabor", envelope * carrier, formula, given)


def motion(
    length: float,
    angle: float = 0.0,
    ndim: int = 2,
    *,
    direction: Sequence[float] | None = None,
    spacing: PerAxis = 1.0,
) -> Filter:
    """Return the blur of a straight motion at constant speed: the mean along a line through the middle.

    Sums to 1, with its centre of mass in the middle. The line runs at any angle: each of its points belongs to one
    sample along the axis it mostly follows, and is shared between neighbours across it, in proportion. Along an axis,
    a whole odd length gives equal taps. ``float64``.

    Args:
        length: length of the line in units of the spacing (samples, by default), above 0.
        angle: direction of the line in degrees, from the last axis (0) towards the one before it (90).
        ndim: number of axes.
        direction: vector along the line in place of the angle, one component per axis.
        spacing: distance of neighbouring samples, one for all axes or one per axis.

    Formula: ``k[i] = ∫ B(t·v_m - i_m)·Π Λ(t·v_a - i_a) dt, t from -1/2 to 1/2, v = length·direction/spacing, m its
    largest component, B(x) = 1 for |x| < 1/2, Λ(x) = max(0, 1 - |x|)``

    Source: the integral is ours; lines shared between two neighbours: X. Wu, "An efficient antialiasing technique",
    SIGGRAPH (1991).

    Raises:
        GeometryError: a direction of another rank than ``ndim``, or an enormous kernel.
        ProblemError: a length or spacing not above 0; an angle and a direction.

    >>> motion(3, ndim=1).kernel.round(3)
    array([0.333, 0.333, 0.333])
    >>> motion(math.sqrt(8), angle=45).kernel.round(4)
    array([[0.1875, 0.0625, 0.    ],
           [0.0625, 0.375 , 0.0625],
           [0.    , 0.0625, 0.1875]])
    """
    ndim = checks.rank(ndim)
    whole = checks.above_zero("motion: length", length, "the length of the line, above 0")
    unit = _unit("motion", angle, direction, ndim)
    line = whole * unit / np.array(checks.spacings("motion", spacing, ndim))
    main = int(np.argmax(abs(line)))
    # Along its main axis the line reaches into the sample it ends in; across, into both neighbours.
    reaches = [math.ceil(min(h - 0.5 if a == main else h, 1e9)) for a, h in enumerate(abs(line) / 2)]
    checks.bounded("motion", [2 * r + 1 for r in reaches])
    kernel = _line(line, main, [max(r, 0) for r in reaches])
    formula = "k[i] = ∫ B(t·v - i)·Π Λ(t·v - i) dt, t from -1/2 to 1/2, v = length·direction/spacing"
    given: dict[str, object] = {"length": length, "angle": angle, "ndim": ndim}
    given |= checks.optional(direction=(direction, None), spacing=(spacing, 1.0))
    return Filter("motion", kernel, formula, given)


def _line(line: Array, main: int, reaches: list[int]) -> Array:
    """Integrate the shares of the samples along ``t·line``, piece by piece, where they are polynomials in t."""
    breaks = [np.array([-0.5, 0.5])]
    for axis, (v, r) in enumerate(zip(line, reaches, strict=True)):
        if v:
            breaks.append((np.arange(-r - 1, r + 2) + (0.5 if axis == main else 0.0)) / v)
    t = np.unique(np.clip(np.concatenate(breaks), -0.5, 0.5))
    # Degree ndim - 1 at most, which so many nodes integrate exactly.
    nodes, weights = np.polynomial.legendre.leggauss(len(line) // 2 + 1)
    half, middle = np.diff(t)[:, None] / 2, (t[1:] + t[:-1])[:, None] / 2
    points = (middle + half * nodes).ravel()[:, None] * line
    shares = (half * weights).ravel()
    below = np.floor(points).astype(np.int64)
    fraction = points - below
    below[:, main], fraction[:, main] = np.rint(points[:, main]), 0.0
    kernel = np.zeros([2 * r + 1 for r in reaches])
    for corner in product(*[(0,) if a == main or not v else (0, 1) for a, v in enumerate(line)]):
        part = shares * np.prod(np.where(corner, fraction, 1 - fraction), axis=1)
        np.add.at(kernel, tuple((below + corner + reaches).T), part)
    # The line is its own mirror image; its taps are too, to the last bit.
    mirrored: Array = (kernel + np.flip(kernel)) / 2
    return mirrored


def _unit(name: str, angle: float, direction: Sequence[float] | None, ndim: int) -> Array:
    """Return the unit vector of a direction, in the order of the axes."""
    degrees = checks.number(f"{name}: angle", angle, "degrees, such as 45")
    if direction is not None:
        if degrees:
            msg = f"{name}: angle={angle!r} and direction={direction!r} are given; give one of them"
            raise ProblemError(msg)
        given = np.array(checks.per_axis("direction", direction, ndim))
        if not all(map(checks.finite, given.tolist())) or not given.any():
            msg = f"{name}: direction is {direction!r}; give a vector other than 0, one component per axis"
            raise ProblemError(msg)
        vector: Array = given / np.abs(given).max()  # lest a square overflow
        return vector / float(np.linalg.norm(vector))
    if ndim == 1 and degrees % 180:
        msg = f"{name}: angle is {angle!r}, but the kernel has 1 axis; leave the angle out"
        raise GeometryError(msg)
    vector = np.zeros(ndim)
    vector[-1] = math.cos(math.radians(degrees))
    if ndim > 1:
        vector[-2] = math.sin(math.radians(degrees))
    # A right angle leaves a rest of the other component.
    vector[abs(vector) < 1e-15] = 0
    return vector
