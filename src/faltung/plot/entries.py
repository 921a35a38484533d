"""The matrix of a convolution, one colour for each shared weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faltung import arguments
from faltung.errors import GeometryError
from faltung.plot.canvas import Canvas
from faltung.plot.sharing import draw_legend, joined, names
from faltung.plot.style import GREY, INK, SMALLEST, WHITE, weight_colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from faltung.convolution import Convolution

MOST = 64  # rows, and columns
LETTERED = 14


def matrix(c: Convolution, shape: int | Sequence[int]) -> Figure:
    """Draw the matrix of a convolution of arrays of a shape: a row for each output, a column for each sample.

    A weight has the colour that `units` gives it, so that constant diagonals are seen (Toeplitz; circulant on a torus;
    in blocks, for more axes). An entry that sums several weights, at a folded border, shows each of them as a stripe;
    empty entries are 0. Any rank, bank or layer whose matrix has at most 64 rows and columns.
    Raises GeometryError for larger ones and empty ones, BoundaryError for a constant border other than 0.

    >>> from faltung import Convolution
    >>> figure = matrix(Convolution([1, 2], flip=False, boundary="zero"), 3)
    >>> [text.get_text() for text in figure.axes[0].texts][:5]
    ['k₁', 'k₀', 'k₁', 'k₀', 'k₁']
    """
    sizes = arguments.shape(shape)
    edges, outs = joined(c, sizes), c.output_shape(sizes)
    rows, columns = _product(outs), _product(sizes)
    if not (1 <= rows <= MOST and 1 <= columns <= MOST):
        msg = f"a matrix of {rows} x {columns} entries cannot be drawn; choose a shape that gives 1 to {MOST} of each"
        raise GeometryError(msg)
    canvas = Canvas(cell_inches=0.6)
    # Of a large matrix a cell is small, and what is written about it must not be.
    scale = max(1.0, max(rows, columns) / 16)
    colours, labels = weight_colours(c.kernel.size), names(c)
    canvas.polygon([(0, 0), (columns, 0), (columns, rows), (0, rows)], edge=INK, width=1.5, order=3)
    for (row, column), parts in edges.items():
        for i, (parameter, factor) in enumerate(parts):
            width = 1 / len(parts)
            plain = max(rows, columns) <= LETTERED and len(parts) == 1 and factor == 1
            canvas.cell(column + i * width, row, labels[parameter] if plain else "", fill=colours[parameter],
                        edge=WHITE, width=width)  # fmt: skip
    _draw_blocks(canvas, (rows, columns), (outs[-1], sizes[-1]))
    canvas.write(columns / 2, -0.2 * scale, f"{columns} samples of the input{_size(sizes)}", along="bottom")
    canvas.write(columns / 2, rows + 0.2 * scale,
                 f"{rows} outputs{_size(outs)}; {len(edges)} of {rows * columns} entries are not empty",
                 along="top", size=SMALLEST)  # fmt: skip
    draw_legend(canvas, c, columns + 1.2 * scale, 0, 1)
    return canvas.finish(numbers="if they fit")


def _draw_blocks(canvas: Canvas, size: tuple[int, int], block: tuple[int, int]) -> None:
    """Draw lines between the blocks that the rows of an image make."""
    rows, columns = size
    for row in range(block[0], rows, max(block[0], 1)):
        canvas.line([(0, row), (columns, row)], colour=GREY, width=0.8, order=3)
    for column in range(block[1], columns, max(block[1], 1)):
        canvas.line([(column, 0), (column, rows)], colour=GREY, width=0.8, order=3)


def _product(sizes: Sequence[int]) -> int:
    total = 1
    for n in sizes:
        total *= n
    return total


def _size(sizes: Sequence[int]) -> str:
    return f", {' × '.join(map(str, sizes))}" if len(sizes) > 1 else ""
