"""Who is joined to whom with which weight: what pictures of units and of matrices have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faltung.plot.style import GREY, number, weight_colours, weight_name

if TYPE_CHECKING:
    from faltung.convolution import Convolution
    from faltung.plot.canvas import Canvas

LEGEND = 40  # weights that are listed


def joined(c: Convolution, shape: int | tuple[int, ...]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return, for each output and input that are joined, the weights between them and their factors.

    >>> from faltung import Convolution
    >>> joined(Convolution([5, 6], flip=False, boundary="edge"), 2)[0, 0]
    [(0, 1), (1, 1)]
    """
    edges: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, column, parameter, factor in zip(*(a.tolist() for a in c.sharing(shape)), strict=True):
        edges.setdefault((row, column), []).append((parameter, factor))
    return edges


def names(c: Convolution) -> list[str]:
    """Name every weight by its index in the kernel."""
    return [weight_name(place, c.kernel.shape) for place in np.ndindex(c.kernel.shape)]


def draw_legend(canvas: Canvas, c: Convolution, left: float, top: float, width: float) -> float:
    """List the weights with their colours and values, in lines of a width; return where they end."""
    colours, values = weight_colours(c.kernel.size), c.kernel.ravel()
    if len(colours) > LEGEND:
        canvas.write(left, top + 0.5, f"{len(colours)} weights, a colour each", across="left")
        return top + 1
    texts = [f"{name} = {number(value)}" for name, value in zip(names(c), values, strict=True)]
    column = max(3.2, 0.33 * max(map(len, texts)) + 1.4)
    across = max(1, int(width / column))
    for i, (text, colour) in enumerate(zip(texts, colours, strict=True)):
        row, place = divmod(i, across)
        canvas.cell(left + place * column, top + row * 0.95, fill=colour, edge=GREY, width=0.6, height=0.6)
        canvas.write(left + place * column + 0.8, top + row * 0.95 + 0.3, text, across="left")
    return top + 0.95 * (-(-len(texts) // across))
