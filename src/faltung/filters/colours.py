"""A kernel as a picture: red above 0, blue below, white at 0."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

# From -1 to 1, in steps of a quarter: even steps of lightness, told apart by colour-blind eyes.
BLUE_TO_RED = np.array(
    [
        (33, 102, 172),
        (67, 147, 195),
        (146, 197, 222),
        (209, 229, 240),
        (255, 255, 255),
        (253, 219, 199),
        (244, 165, 130),
        (214, 96, 77),
        (178, 24, 43),
    ],
    np.float64,
)


def plane(kernel: Array, anchor: tuple[int, ...]) -> Array:
    """Return the two axes of a kernel that a picture shows: the last two, at the anchor of the others.

    >>> plane(np.arange(3), (1,))
    array([[0, 1, 2]])
    """
    shown: Array = kernel[anchor[:-2]] if kernel.ndim > 2 else kernel
    return np.atleast_2d(shown)


def relative(taps: Array) -> Array:
    """Return taps over the largest finite magnitude, from -1 to 1; of complex taps the real part. NaN stays.

    >>> relative(np.array([1, -4, np.inf]))
    array([ 0.25, -1.  ,  1.  ])
    """
    values = np.real(np.asarray(taps)).astype(np.float64)
    shares: Array = (values / (abs(values[np.isfinite(values)]).max(initial=0) or 1.0)).clip(-1, 1)
    return shares


def colours(taps: Array) -> Array:
    """Return the colour of each tap, ``uint8``, red, green and blue along a new last axis.

    The largest magnitude has full colour; of complex taps the real part is shown, and NaN is grey.

    >>> colours(np.array([-2.0, 0.0, 1.0])).tolist()
    [[33, 102, 172], [255, 255, 255], [244, 165, 130]]
    """
    shares = relative(taps)
    places = np.linspace(-1, 1, len(BLUE_TO_RED))
    channels = [np.where(np.isnan(shares), 128.0, np.interp(shares, places, channel)) for channel in BLUE_TO_RED.T]
    colour: Array = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return colour


def enlarged(taps: Array, size: int = 256) -> Array:
    """Return the picture of two axes of taps, each tap a square; the longer side has about ``size`` pixels."""
    pixels = max(1, round(size / max(taps.shape)))
    picture: Array = colours(taps).repeat(pixels, axis=0).repeat(pixels, axis=1)
    return picture
