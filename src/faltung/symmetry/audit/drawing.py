"""The picture of an audit: errors of elements and of layers on a logarithmic scale, and where the worst one sits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.plot.canvas import WIDTH, new_figure
from faltung.plot.style import BLUE, CAPTION, FONT, GREY, ORANGE, PALE, SMALLEST, VERMILION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from faltung.plot.style import Array, Colour
    from faltung.symmetry.audit.report import Report

ROW = 0.32  # inches of a bar
BARS = 24  # elements or layers that are drawn, the largest errors
LETTERS = 26  # of a name
SMALLEST_ERROR = 1e-17
COLOURS: dict[str, Colour] = {"exact": GREY, "lattice": VERMILION, "boundary": BLUE, "floor": GREY, "rest": ORANGE}

Bar = tuple[str, float, str]


def report(found: Report) -> Figure:
    """Draw a report: bars coloured by cause, and the worst element's map of errors (largest over its other axes)."""
    panels = [("elements", [(e.name, e.relative, e.cause) for e in found.per_element])]
    layers = [(f"{e.index} {e.name}: {e.kind}", e.max_error, e.worst.cause)
              for e in found.per_layer if e.max_error is not None and e.worst]  # fmt: skip
    panels += [("layers", layers)] * bool(layers)
    panels = [(title, _largest(bars)) for title, bars in panels]
    heights = [ROW * len(bars) + 0.55 for _, bars in panels]
    picture = error_plane(found)
    below = 3.6 if picture is not None else 0.0
    total = sum(heights) + below + 0.9
    figure = new_figure(WIDTH, total)
    figure.suptitle(
        _short(f"{found.name} under {found.group}: error {found.max_error:.2g}", 60),
        fontsize=CAPTION, fontfamily=FONT, y=1 - 0.2 / total, va="top",
    )  # fmt: skip
    top = total - 0.65
    for (title, bars), height in zip(panels, heights, strict=True):
        axes = figure.add_axes((0.34, (top - height + 0.5) / total, 0.62, (height - 0.55) / total))
        _bars(axes, title, bars, found.tolerance)
        top -= height
    if picture is not None:
        _map(figure, picture, found.worst.name, total)
    return figure


def error_plane(found: Report) -> Array | None:
    """Return the largest error over all axes that do not move, of one or two that do; None where there is no grid."""
    axes = found.axes[-2:]
    if not axes:
        return None
    others = tuple(a for a in range(found.error_map.ndim) if a not in axes)
    plane: Array = found.error_map.max(axis=others)
    return np.atleast_2d(plane)


def _largest(bars: Sequence[Bar]) -> list[Bar]:
    """Keep what can be drawn: of many bars only those that are wrong, and of these the longest."""
    if len(bars) > BARS:
        bars = [bar for bar in bars if bar[2] != "exact"] or bars
    chosen = sorted(range(len(bars)), key=lambda i: -bars[i][1])[:BARS]
    return [bars[i] for i in sorted(chosen)]


def _bars(axes: Any, title: str, bars: Sequence[Bar], tolerance: float) -> None:
    places = np.arange(len(bars))
    sizes = [max(size, SMALLEST_ERROR) for _, size, _ in bars]
    low = min(*sizes, tolerance, 1e-3) / 3
    axes.barh(places, sizes, left=0, height=0.7, color=[COLOURS[cause] for *_, cause in bars], log=True)
    axes.set_xlim(low, max(*sizes, 1.0) * 2)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.axvline(tolerance, color=GREY, linestyle=(0, (3, 2)))
    axes.set_yticks(places, [_short(name, LETTERS) for name, *_ in bars])
    axes.set_ylabel(title, fontsize=CAPTION, family=FONT)
    axes.grid(axis="x", color=PALE)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALLEST, labelfontfamily=FONT)
    for size, place, (*_, cause) in zip(sizes, places, bars, strict=True):
        inside = size > 1e-2
        axes.annotate(
            cause, (size, place), xytext=(-4 if inside else 4, 0), textcoords="offset points", va="center",
            ha="right" if inside else "left", fontsize=SMALLEST, family=FONT,
            color="white" if inside and cause != "rest" else "black",
        )  # fmt: skip
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)


def _map(figure: Figure, plane: Array, name: str, total: float) -> None:
    from matplotlib.ticker import MaxNLocator

    axes: Any = figure.add_axes((0.34, 0.5 / total, 0.4, 2.6 / total))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    shown = axes.imshow(plane, cmap="cividis", vmin=0, aspect="equal" if len(plane) > 1 else "auto")
    axes.set_title(_short(f"where, {name}", 40), fontsize=CAPTION, family=FONT)
    axes.tick_params(labelsize=SMALLEST, labelfontfamily=FONT)
    if len(plane) == 1:
        axes.set_yticks([])
    scale: Any = figure.add_axes((0.77, 0.5 / total, 0.02, 2.6 / total))
    figure.colorbar(shown, cax=scale)
    scale.tick_params(labelsize=SMALLEST, labelfontfamily=FONT)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
