"""A filter as numbers in coloured cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import GeometryError
from faltung.filters.colours import colours
from faltung.plot.canvas import Canvas
from faltung.plot.style import CAPTION, index_text, number, real

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from faltung.plot.style import Array, Colour

NUMBERED = 150  # taps whose cells are made wide enough for their numbers
WRITTEN = 400  # taps that are drawn as cells; more are drawn as pixels
GAP = 1.0  # between slices


def kernel(filter_or_array: Any, *, anchor: bool = True) -> Figure:
    """Draw a filter in coloured cells: red above 0, blue below, white at 0, with numbers where they fit.

    A filter or an array with 1, 2 or 3 axes of real numbers; of 3 axes each index of the first is a slice. The largest
    magnitude has full colour. `anchor` frames the tap on the output sample: a filter's own, else the middle ``k // 2``.
    Raises GeometryError for other ranks and empty kernels, DtypeError for complex taps, NotInstalledError without
    matplotlib.

    >>> figure = kernel([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    >>> sorted({text.get_text() for text in figure.axes[0].texts})
    ['0', '1', '3 × 3', '−4']
    """
    taps = real(filter_or_array, "the kernel")
    if not 1 <= taps.ndim <= 3 or not taps.size:
        msg = f"a kernel of shape {taps.shape} cannot be drawn; give one with 1, 2 or 3 axes and at least one tap"
        raise GeometryError(msg)
    middle = tuple(getattr(filter_or_array, "anchor", [n // 2 for n in taps.shape]))
    canvas = Canvas(cell_inches=0.9)
    width = cell_width(taps) if taps.size <= NUMBERED else 1.0
    slices = taps if taps.ndim == 3 else taps.reshape(1, *np.atleast_2d(taps).shape)
    planes = colours(taps).reshape(*slices.shape, 3)
    columns = min(len(slices), max(1, int(20 // (slices.shape[2] * width + GAP))))
    for i, (plane, shades) in enumerate(zip(slices, planes, strict=True)):
        row, column = divmod(i, columns)
        left, top = column * (slices.shape[2] * width + GAP), row * (slices.shape[1] + GAP + 0.4)
        at = (middle[-2:] if taps.ndim > 1 else (0, *middle)) if taps.ndim < 3 or middle[0] == i else None
        draw_plane(canvas, left, top, plane, shades, width, at if anchor else None, written=taps.size <= WRITTEN)
        if taps.ndim == 3:
            canvas.write(left + slices.shape[2] * width / 2, top - 0.15, f"k{index_text((i,))}", along="bottom")
    _caption(canvas, filter_or_array, taps, columns * (slices.shape[2] * width + GAP) - GAP, -(-len(slices) // columns))
    return canvas.finish(numbers="if they fit")


def draw_plane(
    canvas: Canvas, left: float, top: float, taps: Array, shades: Array, width: float = 1.0,
    anchor: tuple[int, ...] | None = None, *, written: bool = True,
) -> None:  # fmt: skip
    """Draw two axes of taps as cells, or as pixels where they are too many to be read."""
    if not written:
        canvas.image(left, top, taps.shape[1] * width, taps.shape[0], shades)
        return
    for (j, i), tap in np.ndenumerate(taps):
        fill = shade(shades[j, i])
        canvas.cell(left + i * width, top + j, number(tap), fill=fill, width=width)
    if anchor is not None and taps.size > 1:
        row, column = anchor[-2:]
        canvas.cell(left + column * width, top + row, fill=shade(shades[row, column]), width=width, style="marked")


def cell_width(*arrays: Array) -> float:
    """Return how wide a cell must be for the longest of its numbers, in cell heights."""
    # A kernel of thousands of taps shows no numbers, so the first ones will do.
    longest = max(len(number(value)) for array in arrays for value in array.ravel()[:WRITTEN].tolist())
    return max(1.0, 0.3 * longest)


def shade(pixel: Array) -> Colour:
    """Turn a pixel of 0 to 255 into a colour."""
    red, green, blue = (float(c) / 255 for c in pixel)
    return red, green, blue


def _caption(canvas: Canvas, given: Any, taps: Array, across: float, rows: int) -> None:
    below = rows * ((taps.shape[-2] if taps.ndim > 1 else 1) + GAP + 0.4) - GAP - 0.4 + 0.25
    size = " × ".join(map(str, taps.shape)) if taps.ndim > 1 else f"{taps.size} taps"
    label = getattr(given, "label", "")
    canvas.write(across / 2, below, f"{label}, {size}" if label else size, along="top", size=CAPTION)
