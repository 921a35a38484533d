"""Equivariant maps as pictures: one colour for each shared weight, or the maps side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faltung.errors import GeometryError
from faltung.plot.canvas import Canvas
from faltung.plot.cells import kernel
from faltung.plot.style import INK, SMALLEST, WHITE, index_text, weight_colours
from faltung.symmetry.maps.views import MOST_DRAWN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from faltung.symmetry.maps.views import EquivariantBasis

MOST = 64  # rows, and columns
LETTERED = 14


def sharing(basis: EquivariantBasis) -> Figure:
    """Draw which entries share a weight, as `faltung.plot.matrix` draws a convolution."""
    rows, columns = basis.shape
    labels = basis.sharing
    if labels is None or rows > MOST or columns > MOST:
        msg = f"maps of {rows} x {columns} entries cannot be drawn; choose representations of at most {MOST} numbers"
        raise GeometryError(msg)
    canvas, colours = Canvas(cell_inches=0.6), weight_colours(basis.dimension)
    canvas.polygon([(0, 0), (columns, 0), (columns, rows), (0, rows)], edge=INK, width=1.5, order=3)
    lettered = max(rows, columns) <= LETTERED
    for row in range(rows):
        for column in range(columns):
            label = int(labels[row, column])
            text = f"w{index_text((label,))}" if lettered else ""
            canvas.cell(column, row, text, fill=colours[label], edge=WHITE)
    scale = max(1.0, max(rows, columns) / 16)
    canvas.write(columns / 2, -0.2 * scale, f"{columns} inputs", along="bottom")
    shared = f"{rows} outputs; {basis.dimension} weights for {rows * columns} entries"
    canvas.write(columns / 2, rows + 0.2 * scale, shared, along="top", size=SMALLEST)
    return canvas.finish(numbers="if they fit")


def maps(basis: EquivariantBasis) -> Figure:
    """Draw every map as a matrix: red above 0, blue below."""
    rows, columns = basis.shape
    if not 1 <= basis.dimension <= MOST_DRAWN or max(rows, columns) > MOST:
        msg = f"{basis.dimension} maps of {rows} x {columns} entries cannot be drawn; "
        msg += f"at most {MOST_DRAWN} maps of at most {MOST} rows and columns can"
        raise GeometryError(msg)
    return kernel(basis.matrices, anchor=False)
