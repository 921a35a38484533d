"""What a filter does to waves: magnitude and phase of its frequency response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import GeometryError
from faltung.plot.canvas import WIDTH, new_figure
from faltung.plot.style import BLUE, CAPTION, FONT, PALE, SMALLEST, VERMILION, real

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from faltung.plot.style import Array

PANEL = 2.6  # inches of a curve


def response(
    frequencies: Any, magnitude: Any, phase: Any = None, *, unit: str = "cycles per sample", title: str = ""
) -> Figure:
    """Draw magnitude and, if given, phase of a frequency response over its frequencies.

    `frequencies` holds one ascending, evenly spaced array per axis (an array alone is one axis), `magnitude` and
    `phase` (in radians) have their sizes. One axis gives curves, two give pictures: cividis for the magnitude, a
    cyclic map for the phase. `unit` is that of the frequencies.
    Raises GeometryError for other ranks or sizes that do not match, DtypeError for complex values.

    >>> from faltung import Convolution
    >>> s = Convolution([0.25, 0.5, 0.25]).spectrum(64)
    >>> [axes.get_ylabel() for axes in response(s.frequencies, s.magnitude, s.phase).axes]
    ['magnitude', 'phase in radians']
    """
    several = isinstance(frequencies, (tuple, list)) and all(np.ndim(f) == 1 for f in frequencies)
    grid = [real(f, "the frequencies") for f in (frequencies if several else [frequencies])]
    sizes = tuple(f.size for f in grid)
    values = [("magnitude", real(magnitude, "the magnitude"))]
    values += [] if phase is None else [("phase in radians", real(phase, "the phase"))]
    for name, array in values:
        if array.shape != sizes or not 1 <= len(sizes) <= 2 or min(sizes) < 2:
            msg = f"{len(sizes)} axes of {sizes} frequencies and a {name} of {array.shape} do not fit; "
            raise GeometryError(msg + "give 1 or 2 axes of at least 2 frequencies, and as many values")
    if len(grid) == 1:
        figure = new_figure(WIDTH, PANEL * len(values) + (1.0 if title else 0.7))
        _curves(figure, grid, values, unit)
    else:
        figure = new_figure(WIDTH / 2 * len(values), 4.6)
        _images(figure, grid, values, unit)
    if title:
        figure.suptitle(title, fontsize=CAPTION, fontfamily=FONT)
    return figure


def _curves(figure: Figure, grid: Sequence[Array], values: Sequence[tuple[str, Array]], unit: str) -> None:
    whole = float(figure.get_size_inches()[1])
    for i, ((name, array), colour) in enumerate(zip(values, (BLUE, VERMILION), strict=False)):
        bottom = (0.65 + PANEL * (len(values) - 1 - i)) / whole
        axes: Any = figure.add_axes((0.1, bottom, 0.87, (PANEL - 0.35) / whole))
        axes.plot(grid[0], array, color=colour, linewidth=2.4)
        axes.set_xlim(grid[0][0], grid[0][-1])
        axes.grid(color=PALE, linewidth=1)
        axes.set_axisbelow(True)
        axes.set_ylabel(name, fontsize=CAPTION, family=FONT)
        if name.startswith("phase"):
            axes.set_ylim(-np.pi * 1.05, np.pi * 1.05)
            axes.set_yticks([-np.pi, 0, np.pi], ["−π", "0", "π"])
        else:
            axes.set_ylim(bottom=0)
        _tidy(axes)
    axes.set_xlabel(f"frequency in {unit}", fontsize=CAPTION, family=FONT)


def _images(figure: Figure, grid: Sequence[Array], values: Sequence[tuple[str, Array]], unit: str) -> None:
    count = len(values)
    down, across = grid
    steps = [(f[-1] - f[0]) / (len(f) - 1) / 2 for f in grid]
    extent = (across[0] - steps[1], across[-1] + steps[1], down[-1] + steps[0], down[0] - steps[0])
    for i, (name, array) in enumerate(values):
        left = (i + 0.17) / count
        axes: Any = figure.add_axes((left, 0.17, 0.6 / count, 0.66))
        phase = name.startswith("phase")
        limits = {"vmin": -np.pi, "vmax": np.pi} if phase else {"vmin": 0}
        shown = axes.imshow(array, extent=extent, aspect="auto", cmap="twilight" if phase else "cividis",
                            interpolation="nearest", **limits)  # fmt: skip
        axes.set_title(name, fontsize=CAPTION, family=FONT)
        axes.set_xlabel(unit, fontsize=CAPTION, family=FONT)
        if i == 0:
            axes.set_ylabel(unit, fontsize=CAPTION, family=FONT)
        scale: Any = figure.add_axes((left + 0.63 / count, 0.17, 0.03 / count, 0.66))
        bar = figure.colorbar(shown, cax=scale)
        if phase:
            bar.set_ticks([-np.pi, 0, np.pi], labels=["−π", "0", "π"])
        _tidy(axes)
        _tidy(scale)


def _tidy(axes: Any) -> None:
    axes.tick_params(labelsize=SMALLEST, labelfontfamily=FONT)
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)
