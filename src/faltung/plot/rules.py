"""Every boundary rule, on one small signal or picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.convolution import Convolution
from faltung.errors import GeometryError
from faltung.plot.canvas import Canvas
from faltung.plot.maps import as_picture
from faltung.plot.style import INK, PALE, number, real, tint, weight_colours
from faltung.problem.boundary import RULES, axis_map, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from faltung.plot.style import Array

CONSTANT = "constant:7"
ALL = tuple(CONSTANT if rule == "constant" else rule for rule in RULES)
MOST = 8  # samples of a signal
PICTURE = 5.0  # side of a picture, in cells
LETTERS = "abcdefgh"


def boundary(rules: Sequence[Any] | None = None, x: Any = None, *, overhang: int | None = None) -> Figure:
    """Draw what each boundary rule writes beyond the edges.

    `rules` are names as everywhere, None for all (the constant is 7, or the mean of a picture). Without `x`, four
    samples a, b, c, d are extended by 3 on each side; `x` may be a signal of up to 8 numbers, or a picture (height,
    width) or (height, width, 3). A sample beyond the edge is dashed and has a paler shade of the colour of the one it
    repeats. `overhang` is how far it goes, for a picture a quarter of its longer side by default.
    Raises BoundaryError for unknown rules, GeometryError for other arrays.

    >>> figure = boundary(["reflect", "antireflect"])
    >>> [text.get_text() for text in figure.axes[0].texts][:5]
    ['reflect', 'd', 'c', 'b', 'a']
    """
    wanted = None if rules is None else list(rules)
    array = None if x is None else real(x, "the input")
    if array is not None and array.ndim in (2, 3) and array.size:
        return _pictures(wanted, array, overhang)
    if array is not None and (array.ndim != 1 or not 1 <= len(array) <= MOST):
        msg = f"an array of shape {array.shape} cannot be extended in a picture; give 1 to {MOST} numbers, or an image"
        raise GeometryError(msg)
    return _signals(list(ALL) if wanted is None else wanted, array, 3 if overhang is None else overhang)


def _signals(rules: list[Any], x: Array | None, overhang: int) -> Figure:
    n = 4 if x is None else len(x)
    rows = []
    for rule in rules:
        if x is None:
            texts = _letters(rule, n, overhang)
        else:
            one = Convolution(np.ones(1, np.int64), padding=[(overhang, overhang)], boundary=rule)
            texts = [number(value) for value in one(x).tolist()]
        rows.append((str(rule), texts, axis_map(-overhang, n + overhang, n, parse(rule, 1)[0]).index))
    canvas, colours = Canvas(), weight_colours(n)
    longest = max((len(text) for _, texts, _ in rows for text in texts), default=1)
    width = max(1.0, 0.34 * longest)
    for top, (name, texts, sources) in enumerate(rows):
        canvas.write(-0.4, 1.4 * top + 0.5, name, across="right")
        for i, (text, source) in enumerate(zip(texts, sources.tolist(), strict=True)):
            inside = overhang <= i < overhang + n
            fill = PALE if source < 0 else tint(colours[source], 0.3 if inside else 0.72)
            canvas.cell(
                i * width, 1.4 * top, text, fill=fill, ink=INK, width=width, style="plain" if inside else "outside"
            )
        left, right = overhang * width, (overhang + n) * width
        edge = [(left, 1.4 * top), (right, 1.4 * top), (right, 1.4 * top + 1), (left, 1.4 * top + 1)]
        canvas.polygon(edge, edge=INK, width=3, order=3)
    return canvas.finish()


def _letters(rule: Any, n: int, overhang: int) -> list[str]:
    """Write what each coordinate holds in terms of the samples a, b, ...

    >>> _letters("antireflect", 3, 1)
    ['2a−b', 'a', 'b', 'c', '2c−b']
    """
    found = axis_map(-overhang, n + overhang, n, parse(rule, 1)[0])
    if found.fill is not None and (found.index < 0).any():
        fills = [number(value) for value in found.fill.tolist()]
    else:
        fills = [""] * len(found.index)
    texts = []
    for i, source in enumerate(found.index.tolist()):
        if source < 0:
            texts.append(fills[i])
            continue
        factors = dict.fromkeys(range(n), 0)
        factors[source] += 1 if found.sign is None else int(found.sign[i])
        if found.first is not None and found.last is not None:
            factors[0] += int(found.first[i])
            factors[n - 1] += int(found.last[i])
        texts.append(_sum(factors))
    return texts


def _sum(factors: dict[int, int]) -> str:
    """Write a sum of multiples, positive ones first."""
    parts = sorted(((f, LETTERS[i]) for i, f in factors.items() if f), key=lambda part: (part[0] < 0, part[1]))
    text = "".join(f"{'+' if f > 0 else '−'}{abs(f) if abs(f) > 1 else ''}{letter}" for f, letter in parts)
    return text.removeprefix("+")


def _pictures(rules: list[Any] | None, x: Array, overhang: int | None) -> Figure:
    mean = round(float(x.mean())) if x.dtype.kind in "iu" else f"{x.mean():.3g}"
    rules = [f"constant:{mean}" if rule == CONSTANT else rule for rule in ALL] if rules is None else rules
    if x.ndim == 3 and x.shape[2] != 3:
        msg = f"a picture of shape {x.shape} cannot be drawn; give (height, width), or (height, width, 3) for colours"
        raise GeometryError(msg)
    height, width = x.shape[:2]
    pad = max(height, width) // 4 if overhang is None else overhang
    canvas = Canvas(cell_inches=0.55)
    scale = PICTURE / (max(height, width) + 2 * pad)
    for i, rule in enumerate(rules):
        left, top = (
            i % 4 * (PICTURE + 0.5),
            i // 4 * (PICTURE * (height + 2 * pad) / (max(height, width) + 2 * pad) + 1),
        )
        one = Convolution(np.ones((1, 1), np.int64), padding=pad, boundary=rule, axes=(0, 1))
        shown = np.asarray(one(x)).clip(0, 255) if x.dtype == np.uint8 else np.asarray(one(x))
        pixels = shown.astype(np.uint8) if x.dtype == np.uint8 else shown
        pixels = pixels if pixels.ndim == 3 else as_picture(pixels)
        across, down = (width + 2 * pad) * scale, (height + 2 * pad) * scale
        canvas.image(left, top, across, down, pixels)
        x0, y0, x1, y1 = (v * scale for v in (pad, pad, pad + width, pad + height))
        corners = [(left + x0, top + y0), (left + x1, top + y0), (left + x1, top + y1), (left + x0, top + y1)]
        canvas.polygon(corners, edge=(1.0, 1.0, 1.0), width=4, order=3)
        canvas.polygon(corners, edge=INK, width=1.6, order=3.5)
        canvas.write(left + across / 2, top - 0.12, str(rule), along="bottom")
    return canvas.finish()
