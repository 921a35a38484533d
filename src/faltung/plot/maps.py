"""From an image to its feature map: input, kernel, result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import GeometryError
from faltung.filters.colours import colours
from faltung.plot.canvas import Canvas
from faltung.plot.cells import cell_width, draw_plane
from faltung.plot.style import SMALLEST, number, real

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from faltung.convolution import Convolution
    from faltung.plot.style import Array

SIDE = 6.4  # of an image, in cells
KERNEL = 3.6  # of a kernel that is drawn as pixels
CELLS = 5  # taps along an axis of a kernel that is drawn as cells
FULL = 99.5  # percentile of the magnitudes that has full colour
MAPS = 6


def feature_map(x: Any, c: Convolution) -> Figure:
    """Draw an image, the kernel, and the feature map that it makes.

    A filter takes an image of 2 axes, a bank of up to 6 filters gives a row each. A layer takes (channels, height,
    width); three channels are shown as red, green and blue, other numbers as their mean, and each of up to 6 output
    channels is a row with one kernel for each input channel. A map without negative values is grey, from black at its
    least to white at its greatest value; one with negative values is red above 0, blue below, white at 0, with
    full colour from the 99.5th percentile of its magnitudes on.
    Raises GeometryError for other ranks, empty arrays and more maps; DtypeError for complex values.

    >>> from faltung import Convolution
    >>> figure = feature_map(np.eye(8), Convolution(np.ones((2, 2)), flip=False, mode="valid"))
    >>> [text.get_text() for text in figure.axes[0].texts][-1]
    '7 × 7, 0 to 2'
    """
    array, y = real(x, "the input"), real(c(x), "the result")
    expected = 3 if c.channels else 2
    if array.ndim != expected or not y.size or len(c.kernels) > MAPS or len(c.window) != 2:
        what = "a layer shows (channels, height, width)" if c.channels else "a filter shows an image of two axes"
        msg = f"{what} and up to {MAPS} maps, but the input is {array.shape} and the output {y.shape}; "
        raise GeometryError(msg + "pick one image, or fewer kernels")
    maps = y if y.ndim == 3 else y[None]
    canvas = Canvas(cell_inches=0.5)
    step = SIDE + 1.9
    middle = (len(maps) - 1) * step / 2
    _draw_image(canvas, 0, middle, as_picture(array), "input", " × ".join(map(str, array.shape)))
    widths = [_kernel_size(kernel)[0] for kernel in c.kernels]
    reach = SIDE + 1.6 + max(widths)
    for i, (kernel, width) in enumerate(zip(c.kernels, widths, strict=True)):
        _draw_kernel(canvas, SIDE + 1.6 + (max(widths) - width) / 2, i * step + SIDE / 2, kernel)
    for i, one in enumerate(maps):
        name = "feature map" if len(maps) == 1 else f"feature map {i}"
        _draw_image(canvas, reach + 1.6, i * step, _as_map(one), name, _facts(one))
        y0, y1 = middle + SIDE / 2, i * step + SIDE / 2
        canvas.arrow((SIDE + 0.3, y0 + (y1 - y0) * 0.15), (SIDE + 1.35, y1 - (y1 - y0) * 0.15))
        canvas.arrow((reach + 0.35, y1), (reach + 1.3, y1))
    return canvas.finish(numbers="if they fit")


def _draw_image(canvas: Canvas, left: float, top: float, pixels: Array, name: str, facts: str) -> None:
    """Fit an image into a square, with its name above and facts below."""
    height, width = (n / max(pixels.shape[:2]) * SIDE for n in pixels.shape[:2])
    x, y = left + (SIDE - width) / 2, top + (SIDE - height) / 2
    canvas.image(x, y, width, height, pixels)
    canvas.write(left + SIDE / 2, y - 0.15, name, along="bottom")
    canvas.write(left + SIDE / 2, y + height + 0.15, facts, along="top", size=SMALLEST)


def _kernel_size(kernel: Array) -> tuple[float, float, float]:
    """Return the width of all slices of a kernel, and width and height of a tap."""
    rows, columns = kernel.shape[-2:]
    if max(rows, columns) > CELLS:
        tap = KERNEL / max(rows, columns)
        width, height = tap, tap
    else:
        width, height = cell_width(kernel), 1.0
    slices = len(kernel) if kernel.ndim == 3 else 1
    return slices * (columns * width + 0.5) - 0.5, width, height


def _draw_kernel(canvas: Canvas, left: float, middle: float, kernel: Array) -> None:
    """Draw a kernel, or its slice for each channel side by side: as cells, or as pixels if it is large."""
    slices = real(kernel, "the kernel").reshape(-1, *kernel.shape[-2:])
    shades = colours(kernel).reshape(*slices.shape, 3)
    rows, columns = slices.shape[1:]
    _, width, height = _kernel_size(kernel)
    for plane, pixels in zip(slices, shades, strict=True):
        top = middle - rows * height / 2
        if height < 1:
            canvas.image(left, top, columns * width, rows * height, pixels)
        else:
            draw_plane(canvas, left, top, plane, pixels, width)
        left += columns * width + 0.5


def as_picture(array: Array) -> Array:
    """Show an input: three channels as colours, others as the grey of their mean."""
    if array.ndim == 3 and len(array) == 3:
        return _levels(array).transpose(1, 2, 0)
    return np.stack([_levels(array.mean(axis=0) if array.ndim == 3 else array)] * 3, axis=-1)


def _as_map(values: Array) -> Array:
    """Show an output: grey, or, where some are negative, in red and blue."""
    finite = values[np.isfinite(values)]
    if finite.min(initial=0) >= 0:
        return np.stack([_levels(values)] * 3, axis=-1)
    # One bright pixel must not make all others pale.
    full = np.percentile(np.abs(finite), FULL)
    return colours(values.clip(-full, full) if full else values)


def _levels(values: Array) -> Array:
    """Spread values over 0 to 255; bytes stay what they are, and what is not finite is black."""
    if values.dtype == np.uint8:
        return values
    shown = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = shown.min(), shown.max()
    levels: Array = np.rint(255 * (shown - low) / ((high - low) or 1)).astype(np.uint8)
    return levels


def _facts(values: Array) -> str:
    return f"{' × '.join(map(str, values.shape))}, {number(values.min())} to {number(values.max())}"
