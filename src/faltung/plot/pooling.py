"""Pooling as a picture: every window in a colour of its own, and the output that it becomes."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import GeometryError
from faltung.plot.canvas import Canvas
from faltung.plot.cells import cell_width
from faltung.plot.style import INK, PALE, number, real, tint, weight_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from faltung.plot.style import Array, Colour
    from faltung.pooling import Pooling
    from faltung.pooling.windows import Windows

MOST, MOST_WINDOWS = 12, 21  # samples along an axis; colours that can be told apart
GAP = 1.6  # between input and output, in cells


def pooling(x: Any, p: Pooling) -> Figure:
    """Draw an array whose samples have the colours of the windows they belong to, and the pooled array beside it.

    `x` has 1 or 2 axes of at most 12 samples, all of them pooled, in up to 21 windows. A sample of several windows
    shows each of them as a stripe, one of none is grey; padding is dashed, and empty where it is no sample. The
    samples that max, min and median choose are framed. Numbers are shown to 3 significant digits.
    Raises GeometryError for other shapes and more windows, DtypeError for complex values.

    >>> from faltung.pooling import Pooling
    >>> figure = pooling([[1, 3, 2, 1], [4, 2, 0, 1]], Pooling((2, 2)))
    >>> [text.get_text() for text in figure.axes[0].texts][-3:]
    ['4', '2', 'y[j] = max_l x[2·j + l]']
    """
    array = real(x, "the input")
    windows, y = p.windows(array.shape), real(p(array), "the result")
    outputs = list(np.ndindex(y.shape))
    if not 1 <= array.ndim <= 2 or len(windows.axes) != array.ndim or max(array.shape) > MOST:
        msg = f"the array {array.shape}, pooled along {len(windows.axes)} of its axes, does not fit a picture; "
        raise GeometryError(msg + f"give 1 or 2 axes, all pooled, of up to {MOST} samples, such as x[:8, :8]")
    if not 1 <= len(outputs) <= MOST_WINDOWS:
        msg = f"{len(outputs)} windows cannot be told apart by colour; draw 1 to {MOST_WINDOWS} of them"
        raise GeometryError(msg)
    samples = windows.everything(array, 0)
    colours = dict(zip(outputs, (tint(c, 0.45) for c in weight_colours(len(outputs))), strict=True))
    canvas, width = Canvas(), cell_width(samples, y)
    chosen = _chosen(array, p, windows)
    for place in np.ndindex(samples.shape):
        _draw_sample(canvas, samples, place, width, windows, colours, chosen)
    rows, columns = ((1, *samples.shape)[-2:], (1, *y.shape)[-2:])
    # Beside a plane, or below a line.
    left, top = (rows[1] * width + GAP, (rows[0] - columns[0]) / 2) if array.ndim == 2 else (0.0, 1 + GAP / 2)
    for place in outputs:
        row, column = (0, *place)[-2:]
        canvas.cell(left + column * width, top + row, number(y[place]), fill=colours[place], edge=INK, width=width)
    below = max(rows[0], top + columns[0])
    right = max(rows[1] * width, left + columns[1] * width)
    canvas.write(right / 2, below + 0.3, p.formula, along="top")
    return canvas.finish()


def _chosen(array: Array, p: Pooling, windows: Windows) -> set[tuple[int, ...]]:
    """Give the places, among all that is read, of the samples that windows choose."""
    if p.kind not in ("max", "min", "median") or windows.has_odd_rules:
        return set()
    indices = p.chosen(array, windows, 1)[1]
    places = np.stack(np.unravel_index(indices[indices >= 0], array.shape), -1)
    return {
        tuple(int(i) + axis.low for i, axis in zip(at, windows.along, strict=True))
        for at in places.reshape(-1, array.ndim)
    }


def _draw_sample(
    canvas: Canvas, samples: Array, place: tuple[int, ...], width: float, windows: Windows,
    colours: dict[tuple[int, ...], Colour], chosen: set[tuple[int, ...]],
) -> None:  # fmt: skip
    inside = all(0 <= i - a.low < a.size for i, a in zip(place, windows.along, strict=True))
    counts = inside or not any(mark[i] for i, mark in zip(place, windows.ignored(), strict=True))
    row, column = (0, *place)[-2:]
    mine = [colours[o] for o in _windows_of(place, windows)] if counts else []
    style: Any = "plain" if inside else "outside"
    text = number(samples[place]) if counts else ""
    canvas.cell(column * width, row, text, fill=mine[0] if mine else PALE, ink=INK, width=width, style=style)
    for i, colour in enumerate(mine[1:], 1):
        share = width / len(mine)
        canvas.polygon(_box(column * width + i * share, row, share), fill=colour, edge=None, order=1.5)
    if inside and place in chosen:
        canvas.polygon(_box(column * width, row, width), edge=INK, width=3.0, order=3)


def _box(x: float, y: float, width: float) -> list[tuple[float, float]]:
    return [(x, y), (x + width, y), (x + width, y + 1), (x, y + 1)]


def _windows_of(place: tuple[int, ...], windows: Windows) -> list[tuple[int, ...]]:
    """List the outputs that read a sample."""
    along = [
        [o for o in range(a.out) for t in range(a.taps) if a.stride * o + a.dilation * t == i]
        for i, a in zip(place, windows.along, strict=True)
    ]
    return list(product(*along))
