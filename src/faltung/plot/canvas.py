"""A drawing in units of one cell, y downwards, that finds its own size: every text is readable and inside."""

from __future__ import annotations

from importlib.util import find_spec
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from faltung.errors import FaltungError, GeometryError
from faltung.plot.style import CAPTION, FONT, GREY, INK, SMALLEST, WHITE, ink_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from faltung.plot.style import Array, Colour

    Point = tuple[float, float]

WIDTH = 10.0  # inches
LARGEST = 18.0  # points of a number in a cell
MARGIN = 0.15  # inches
WIDTHS = {"−": 0.84, "+": 0.84, ".": 0.32, ",": 0.32, "-": 0.36}  # of letters, in font sizes
DIGIT = 0.64  # of all others


class NotInstalledError(FaltungError, ImportError):
    """A picture was asked for, and matplotlib is not installed."""


def new_figure(width: float, height: float) -> Figure:
    """Make a white figure of its own, apart from pyplot, with a canvas that draws PNG.

    Raises NotInstalledError without matplotlib.
    """
    if find_spec("matplotlib") is None:
        msg = "pictures need matplotlib, which is not installed; run: pip install 'faltung[plot]'"
        raise NotInstalledError(msg)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


class Canvas:
    """What is drawn keeps its place in units of one cell; `finish` chooses how large a cell is.

    `cell_inches` is the largest a cell may be; the figure is at most 10 inches wide.
    """

    def __init__(self, cell_inches: float = 0.62) -> None:
        self._figure = new_figure(WIDTH, 5)
        self._axes: Any = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._inches = cell_inches
        self._low, self._high = np.array([np.inf, np.inf]), np.array([-np.inf, -np.inf])
        self._numbers: list[tuple[Text, float, float]] = []
        self._texts: list[Text] = []

    def cell(
        self,
        x: float,
        y: float,
        text: str = "",
        *,
        fill: Colour = WHITE,
        ink: Colour | None = None,
        edge: Colour = GREY,
        width: float = 1.0,
        height: float = 1.0,
        style: Literal["plain", "outside", "marked"] = "plain",
    ) -> None:
        """Draw a cell with its upper left corner at (x, y); "outside" is dashed and hatched, "marked" framed."""
        from matplotlib.patches import Rectangle

        outside, marked = style == "outside", style == "marked"
        patch = Rectangle(
            (x, y), width, height, facecolor=fill, edgecolor=INK if marked else edge, linewidth=3.0 if marked else 1.0,
            linestyle=(0, (3, 2)) if outside else "-", zorder=3 if marked else 1,
        )  # fmt: skip
        self._axes.add_patch(patch)
        self._reach([(x, y), (x + width, y + height)])
        if text:
            colour = ink or (GREY if outside else ink_on(fill))
            shown = self._text(x + width / 2, y + height / 2, text, SMALLEST, colour, "center", "center", False)
            shown.set_fontstyle("italic" if outside else "normal")
            self._numbers.append((shown, width, height))

    def polygon(
        self, points: Sequence[Point], *, fill: Colour | None = None, edge: Colour | None = GREY, width: float = 1.0,
        dashed: bool = False, alpha: float = 1.0, order: float = 1.0,
    ) -> None:  # fmt: skip
        """Draw a filled or empty polygon."""
        from matplotlib.patches import Polygon

        patch = Polygon(
            np.array(points), closed=True, facecolor="none" if fill is None else (*fill, alpha),
            edgecolor="none" if edge is None else edge, linewidth=width, linestyle=(0, (3, 2)) if dashed else "-",
            joinstyle="round", zorder=order,
        )  # fmt: skip
        self._axes.add_patch(patch)
        self._reach(points)

    def circle(self, x: float, y: float, radius: float, text: str, *, fill: Colour) -> None:
        """Draw a unit: a disk with a name in it."""
        from matplotlib.patches import Circle

        self._axes.add_patch(Circle((x, y), radius, facecolor=fill, edgecolor=INK, linewidth=1.2, zorder=3))
        self._reach([(x - radius, y - radius), (x + radius, y + radius)])
        shown = self._text(x, y, text, SMALLEST, ink_on(fill), "center", "center", False)
        self._numbers.append((shown, 1.5 * radius, 1.5 * radius))

    def line(
        self, points: Sequence[Point], *, colour: Colour = INK, width: float = 1.5, dashed: bool = False,
        order: float = 2.0,
    ) -> None:  # fmt: skip
        """Draw a line through points."""
        from matplotlib.lines import Line2D

        x, y = np.array(points, float).T
        line = Line2D(x, y, color=colour, linewidth=width, linestyle=(0, (3, 2)) if dashed else "-", zorder=order)
        self._axes.add_line(line)
        self._reach(points)

    def arrow(self, start: Point, end: Point, *, colour: Colour = INK) -> None:
        """Draw an arrow."""
        from matplotlib.patches import FancyArrowPatch

        self._axes.add_patch(
            FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=16, linewidth=1.6, color=colour, shrinkA=0,
                            shrinkB=0)
        )  # fmt: skip
        self._reach([start, end])

    def image(self, x: float, y: float, width: float, height: float, pixels: Array) -> None:
        """Draw pixels, (H, W, 3) from 0 to 255, into a box."""
        self._axes.imshow(pixels, extent=(x, x + width, y + height, y), interpolation="antialiased", zorder=1)
        self.polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], order=2)

    def write(
        self, x: float, y: float, text: str, *, size: float = CAPTION, colour: Colour = INK, across: str = "center",
        along: str = "center", bold: bool = False,
    ) -> None:  # fmt: skip
        """Write text at a point, `across` and `along` say with which of its sides; long lines are broken."""
        letters = int((WIDTH - 2 * MARGIN) * 72 / (DIGIT * size))
        lines = [line for part in text.split("\n") for line in wrap(part, letters)]
        self._texts.append(self._text(x, y, "\n".join(lines), size, colour, across, along, bold))

    def finish(self, *, numbers: Literal["needed", "if they fit"] = "needed") -> Figure:
        """Give the figure its size, from what was drawn and written.

        Numbers that do not fit into their cells at 12 points are left out, or, where they are needed, refused with
        GeometryError.
        """
        low, high = self._low, self._high
        for _ in range(4):
            unit = self._resize(low, high)
            low, high = self._with_texts(unit)
        unit = self._resize(low, high)
        sizes = [self._fitting(*number, unit) for number in self._numbers]
        smallest = min(sizes, default=LARGEST)
        # A hair's breadth over the edge of its cell can still be read.
        if smallest < 0.9 * SMALLEST and numbers == "needed":
            across = round(float((high - low)[0]))
            msg = f"{across} cells side by side leave no room for their numbers; draw a smaller array or kernel"
            raise GeometryError(msg)
        for text, _, _ in self._numbers:
            text.set_fontsize(max(SMALLEST, smallest))
            text.set_visible(smallest >= 0.9 * SMALLEST)
        return self._figure

    def _resize(self, low: Array, high: Array) -> float:
        """Fit the figure to a box, and return the inches of a unit."""
        width, height = high - low
        unit = min(self._inches, (WIDTH - 2 * MARGIN) / width)
        self._figure.set_size_inches(width * unit + 2 * MARGIN, height * unit + 2 * MARGIN)
        pad = MARGIN / unit
        self._axes.set_xlim(low[0] - pad, high[0] + pad)
        self._axes.set_ylim(high[1] + pad, low[1] - pad)
        self._axes.set_aspect("auto")
        return float(unit)

    def _with_texts(self, unit: float) -> tuple[Array, Array]:
        """Return the box of what is drawn and of all captions, with cells of `unit` inches."""
        drawing: Any = self._figure.canvas
        renderer = drawing.get_renderer()
        low, high = self._low.copy(), self._high.copy()
        for text in self._texts:
            box = text.get_window_extent(renderer)
            x, y = text.get_position()
            anchor = self._axes.transData.transform((x, y))
            # In inches from the point that the text hangs on, which do not depend on the size of a cell.
            left, right = ((edge - anchor[0]) / self._figure.dpi / unit for edge in (box.x0, box.x1))
            above, below = ((anchor[1] - edge) / self._figure.dpi / unit for edge in (box.y1, box.y0))
            low = np.minimum(low, (x + left, y + above))
            high = np.maximum(high, (x + right, y + below))
        return low, high

    def _fitting(self, text: Text, width: float, height: float, unit: float) -> float:
        lines = text.get_text().split("\n")
        longest = max(sum(WIDTHS.get(letter, DIGIT) for letter in line) for line in lines)
        across = 0.84 * width * unit * 72 / longest
        return min(LARGEST, across, 0.8 * height * unit * 72 / (1.2 * len(lines)))

    def _text(
        self, x: float, y: float, text: str, size: float, colour: Colour, across: str, along: str, bold: bool
    ) -> Text:
        shown: Text = self._axes.text(
            x, y, text, fontsize=size, color=colour, ha=across, va=along, family=FONT, zorder=4,
            fontweight="bold" if bold else "normal", parse_math=False,
        )  # fmt: skip
        return shown

    def _reach(self, points: Sequence[Point]) -> None:
        self._low = np.minimum(self._low, np.min(np.array(points, float), axis=0))
        self._high = np.maximum(self._high, np.max(np.array(points, float), axis=0))
