"""The sliding operation, at one output: window times kernel, products and their sum written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import GeometryError
from faltung.plot.canvas import Canvas
from faltung.plot.cells import cell_width
from faltung.plot.extension import extend
from faltung.plot.style import BLUE, CAPTION, GREEN, INK, ORANGE, WHITE, index_text, number, real, tint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from faltung.convolution import Convolution
    from faltung.plot.extension import Extension
    from faltung.plot.style import Array

MOST = 12  # samples along an axis
LINE = 76  # characters of a line of products


def sliding(x: Any, c: Convolution, at: int | Sequence[int] | None = None) -> Figure:
    """Draw input, kernel and feature map, and write out the products of one output and their sum.

    `x` has 1 or 2 axes of at most 12 samples. It is shown with the border that the boundary rule adds (dashed), the
    kernel as it meets the samples (turned round where `c` convolves). `at` is the index of the output, its middle by
    default. Numbers are shown to 3 significant digits, and computed in full.
    Raises GeometryError for banks, layers, larger arrays and an `at` outside the output; DtypeError for complex values.
    Source: Goodfellow, Bengio, Courville, "Deep Learning" (2016), figure 9.1.

    >>> from faltung import Convolution
    >>> figure = sliding([1, 2, 4], Convolution([3, 1], flip=False, mode="valid"), at=1)
    >>> [text.get_text() for text in figure.axes[0].texts if "=" in text.get_text()]
    ['y[1] = 2·3 + 4·1 = 10', 'y[j] = Σ x[j + l] k[l]']
    """
    array = real(x, "the input")
    parts, y = extend(array, c, MOST), real(c(array), "the result")
    place = _place(at, y.shape)
    canvas = Canvas()
    width = cell_width(parts.samples, parts.taps, y)
    draw = _draw_row if array.ndim == 1 else _draw_planes
    middle, below = draw(canvas, parts, y, place, width)
    turned = " (turned round, because it convolves)" if c.flip and parts.taps.size > 1 else ""
    for line in sum_of_products(parts, place, float(y[place]) if y.dtype.kind == "f" else int(y[place])):
        canvas.write(middle, below, line, along="top")
        below += 0.62
    canvas.write(middle, below + 0.15, c.formula.replace("-", "−") + turned, along="top", size=CAPTION)
    return canvas.finish()


def sum_of_products(parts: Extension, place: tuple[int, ...], value: float) -> list[str]:
    """Write y[...] = x·k + ... = value, in lines."""
    window = parts.samples[parts.window(place)]
    terms = [_product(a, b) for a, b in zip(window.ravel(), parts.taps.ravel(), strict=True)]
    lines = [f"y{index_text(place)} = {terms[0]}"]
    for piece in [*(f"+ {term}" for term in terms[1:]), f"= {number(value, 5)}"]:
        if len(lines[-1]) + len(piece) < LINE:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def _product(sample: Any, tap: Any) -> str:
    return "·".join(f"({text})" if text.startswith("−") else text for text in (number(sample), number(tap)))


def _place(at: int | Sequence[int] | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    if not all(shape):
        raise GeometryError("the output is empty, and has no position to look at; give a larger array or more padding")
    given = [n // 2 for n in shape] if at is None else [int(i) for i in np.atleast_1d(np.asarray(at))]
    if len(given) != len(shape) or not all(-n <= i < n for i, n in zip(given, shape, strict=True)):
        msg = f"at={at!r} is no position of the output {shape}; give one index per axis"
        raise GeometryError(msg)
    return tuple(i % n for i, n in zip(given, shape, strict=True))


def _draw_planes(
    canvas: Canvas, parts: Extension, y: Array, place: tuple[int, ...], width: float
) -> tuple[float, float]:
    """Draw two axes: the three arrays beside each other. Return the middle and the lower end."""
    height = max(a.shape[0] for a in (parts.samples, parts.taps, y))
    gap, left = 1.3, 0.0
    tops, lefts = [], []
    for array in (parts.samples, parts.taps, y):
        tops.append((height - array.shape[0]) / 2)
        lefts.append(left)
        left += array.shape[1] * width + gap
    _draw_samples(canvas, parts, (tops[0], lefts[0]), place, width)
    for (j, i), tap in np.ndenumerate(parts.taps):
        canvas.cell(lefts[1] + i * width, tops[1] + j, number(tap), fill=tint(ORANGE, 0.5), width=width)
    for index, value in np.ndenumerate(y):
        at = lefts[2] + index[1] * width, tops[2] + index[0]
        _draw_output(canvas, at, value, width, marked=index == place)
    for sign, x in (("⊙", lefts[1] - gap / 2), ("=", lefts[2] - gap / 2)):
        canvas.write(x, height / 2, sign, size=26)
    border = f", beyond it {parts.rule}" if parts.samples.shape != parts.shape else ""
    names = (f"input{border}", "kernel", "feature map")
    for name, top, start, array in zip(names, tops, lefts, (parts.samples, parts.taps, y), strict=True):
        size = " × ".join(map(str, parts.shape if name.startswith("input") else array.shape))
        canvas.write(start + array.shape[1] * width / 2, top - 0.2, f"{name}\n{size}", along="bottom")
    return (left - gap) / 2, height + 0.45


def _draw_samples(
    canvas: Canvas, parts: Extension, corner: tuple[float, float], place: tuple[int, ...], width: float
) -> None:
    """Draw the input with its border: dashed outside, darker where a tap lies, and a frame around the window."""
    window = parts.window(place)
    tapped = np.zeros(parts.samples.shape, bool)
    tapped[window] = True
    for index, sample in np.ndenumerate(parts.samples):
        inside = parts.inside(index)
        plain = tint(BLUE, 0.75) if inside else WHITE
        fill = tint(ORANGE, 0.5 if inside else 0.75) if tapped[index] else plain
        x, y = corner[1] + index[-1] * width, corner[0] + (index[0] if len(index) > 1 else 0)
        canvas.cell(x, y, number(sample), fill=fill, width=width, style="plain" if inside else "outside")
    (rows, columns) = window if len(window) > 1 else (slice(0, 1), window[0])
    x0, x1 = (corner[1] + i * width for i in (columns.start, columns.stop))
    y0, y1 = corner[0] + rows.start, corner[0] + rows.stop
    canvas.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], edge=INK, width=3, order=3)


def _draw_output(canvas: Canvas, at: tuple[float, float], value: Any, width: float, *, marked: bool) -> None:
    fill = tint(GREEN, 0.25 if marked else 0.7)
    canvas.cell(*at, number(value), fill=fill, width=width, style="marked" if marked else "plain")


def _draw_row(canvas: Canvas, parts: Extension, y: Array, place: tuple[int, ...], width: float) -> tuple[float, float]:
    """Draw one axis: input, kernel and output below each other, where they meet. Return the middle and the end."""
    axis, low = parts.axes[0], parts.low[0]
    _draw_samples(canvas, parts, (0.0, 0.0), place, width)
    start = parts.window(place)[0].start
    for t, tap in enumerate(parts.taps):
        x = (start + t * axis.dilation) * width
        canvas.cell(x, 1.5, number(tap), fill=tint(ORANGE, 0.5), width=width)
        canvas.line([(x + width / 2, 1.05), (x + width / 2, 1.45)], width=1.2)
    # Under the middle of its window, or under the tap left of it.
    shift = low - axis.low + (axis.span - 1) // 2
    for o, value in enumerate(y):
        at = (axis.stride * o + shift) * width, 3.0
        _draw_output(canvas, at, value, width, marked=o == place[0])
    canvas.arrow(((start + axis.span / 2) * width, 2.55), ((axis.stride * place[0] + shift + 0.5) * width, 2.95))
    end = -0.35
    for name, top in (("input", 0.5), ("kernel", 2.0), ("feature map", 3.5)):
        canvas.write(end, top, name, across="right")
    return len(parts.samples) * width / 2, 4.4
