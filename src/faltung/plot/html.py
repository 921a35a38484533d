"""What a notebook shows of a convolution, a plan and a kernel: small tables, without any other library."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.filters.colours import colours
from faltung.plot.cells import shade
from faltung.plot.style import ink_on, number

if TYPE_CHECKING:
    from faltung.convolution import Convolution
    from faltung.plan.plan import Plan
    from faltung.plot.style import Array, Colour

ROWS, COLUMNS, PLANES = 16, 16, 6  # of a kernel that is shown tap by tap
CELL = "min-width:2.6em;text-align:center;padding:.25em;border:1px solid #888;"
LINE = "text-align:left;vertical-align:top;"


def convolution(c: Convolution) -> str:
    """Write a convolution: its description, and its kernel in coloured cells.

    >>> from faltung import Convolution
    >>> text = convolution(Convolution([1, -2]))
    >>> text.startswith("<code>&lt;Convolution 2 int64: y[j] = Σ x[j - l] k[l]&gt;</code>"), text.count("<td")
    (True, 2)
    """
    return f"<code>{escape(repr(c))}</code>{kernel(c.kernel)}"


def kernel(taps: Any) -> str:
    """Write a kernel of any rank as coloured cells: red above 0, blue below; of more than two axes, plane by plane.

    Complex taps have the colour of their real part. Large kernels are described instead: more than 16 rows or columns,
    or 6 planes.

    >>> kernel([[0, 1]]).count("background:#ffffff"), kernel(np.ones(500))
    (1, '<p>500 taps, float64</p>')
    """
    array = np.asarray(taps)
    planes = array.reshape(-1, *np.atleast_2d(array).shape[-2:]) if array.size else array.reshape(0, 1, 1)
    if not array.size or planes.shape[1] > ROWS or planes.shape[2] > COLUMNS or len(planes) > PLANES:
        size = " x ".join(map(str, array.shape)) or "1"
        return f"<p>{size} taps, {array.dtype}</p>"
    pixels = colours(array).reshape(*planes.shape, 3)
    tables = [_plane(plane, shades) for plane, shades in zip(planes, pixels, strict=True)]
    return f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(tables)}</div>'


def plan(found: Plan) -> str:
    """Write what a plan explains as a table of two columns.

    >>> from faltung import Convolution
    >>> "<th" in plan(Convolution([1.0, 2.0, 1.0]).plan(100))
    True
    """
    rows = []
    for line in found.explain().splitlines():
        # Topics are padded to one width with at least two spaces.
        topic, _, text = line.partition("  ")
        rows.append(f'<tr><th style="{LINE}">{escape(topic)}</th><td style="{LINE}">{escape(text.strip())}</td></tr>')
    return f"<table>{''.join(rows)}</table>"


def _plane(taps: Array, shades: Array) -> str:
    rows = []
    for values, pixels in zip(taps, shades, strict=True):
        cells = "".join(_cell(value, shade(pixel)) for value, pixel in zip(values, pixels, strict=True))
        rows.append(f"<tr>{cells}</tr>")
    return f'<table style="border-collapse:collapse">{"".join(rows)}</table>'


def _cell(tap: Any, fill: Colour) -> str:
    text = f"{tap:.3g}" if np.iscomplexobj(tap) or not np.isfinite(tap) else number(tap)
    return f'<td style="{CELL}background:{_hex(fill)};color:{_hex(ink_on(fill))}">{escape(text)}</td>'


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(255 * c):02x}" for c in colour)
