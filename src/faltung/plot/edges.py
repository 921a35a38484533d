"""Units and edges, one colour for each shared weight: dense beside locally connected beside convolutional."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING, NamedTuple

from faltung.errors import GeometryError
from faltung.plot.canvas import Canvas
from faltung.plot.sharing import draw_legend, joined
from faltung.plot.style import BLUE, GREEN, SMALLEST, tint, viridis, weight_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from faltung.convolution import Convolution
    from faltung.plot.style import Colour

RADIUS = 0.4
HEIGHT = 3.0  # from the inputs to the outputs
MOST = 16
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class _Edge(NamedTuple):
    output: int
    input: int
    colour: Colour
    shift: float  # to the side, where several edges join the same two units
    dashed: bool


def units(c: Convolution, n: int) -> Figure:
    """Draw n inputs and the outputs of a filter, joined in three ways: densely, locally, and by one shared kernel.

    `c` has one axis. An edge is a weight. In the convolution those that share it have one colour, the one `matrix`
    gives it; in the others each has its own. Where a border is folded back, several edges join the same units; dashed
    is an edge of an odd rule, whose weight counts negatively or several times. Taps beyond a zero edge have no edge.
    Raises GeometryError for filters of other ranks, banks, layers, and more than 16 units in a row.
    Source: Goodfellow, Bengio, Courville, "Deep Learning" (2016), figures 9.2 and 9.5.

    >>> from faltung import Convolution
    >>> figure = units(Convolution([1, 2, 4], flip=False, boundary="zero"), 5)
    >>> [text.get_text() for text in figure.axes[0].texts if "weights" in text.get_text()]
    ['25 weights, each used once', '13 weights, each used once', '3 weights, each used up to 5 times']
    """
    if c.channels or c.filters is not None or len(c.window) != 1:
        msg = f"units are drawn for one filter with one axis, and this is {c!r}; give the taps of one axis"
        raise GeometryError(msg)
    outputs = c.output_shape(n)[0]
    if not (1 <= n <= MOST and 1 <= outputs <= MOST):
        msg = f"{n} inputs and {outputs} outputs: draw 1 to {MOST} of each; a smaller n shows the same"
        raise GeometryError(msg)
    edges = joined(c, n)
    canvas = Canvas(cell_inches=0.6)
    beside = 3 * max(n, outputs) <= 24
    panels = [
        ("dense", *_local({(o, i): [(i, 1)] for o in range(outputs) for i in range(n)})),
        ("locally connected", *_local(edges)),
        ("convolutional", *_shared(edges, c.kernel.size)),
    ]
    width = max(n, outputs)
    for at, (name, drawn, facts) in enumerate(panels):
        left, top = (at * (width + 1.4), 0.0) if beside else (0.0, at * (HEIGHT + 3.2))
        _draw(canvas, (left, top), (n, outputs), drawn)
        canvas.write(left + width / 2, top - 0.6, name, along="bottom", bold=True)
        canvas.write(left + width / 2, top + HEIGHT + 0.6, facts, along="top", size=SMALLEST)
    below = HEIGHT + 1.7 if beside else 2 * (HEIGHT + 3.2) + HEIGHT + 1.7
    across = 3 * width + 2.8 if beside else width
    draw_legend(canvas, c, 0, below, across)
    return canvas.finish()


def _local(edges: dict[tuple[int, int], list[tuple[int, int]]]) -> tuple[list[_Edge], str]:
    """Give every tap of every output a weight and a colour of its own."""
    weights = sorted({(output, tap) for (output, _), parts in edges.items() for tap, _ in parts})
    shades = viridis(len(weights))
    # Neighbours are far apart in the colours, so that they are not taken for the same.
    step = next((s for s in (7, 5, 3, 2) if len(weights) % s), 1)
    colours = {weight: shades[i * step % len(weights)] for i, weight in enumerate(weights)}
    drawn = [edge for pair, parts in edges.items() for edge in _parallel(pair, parts, colours)]
    return drawn, f"{len(weights)} weights, each used once"


def _shared(edges: dict[tuple[int, int], list[tuple[int, int]]], count: int) -> tuple[list[_Edge], str]:
    """Give the edges that share a weight its colour."""
    shades = weight_colours(count)
    used = {(output, tap) for (output, _), parts in edges.items() for tap, _ in parts}
    colours = {(output, tap): shades[tap] for output, tap in used}
    uses = [sum(tap == one for _, one in used) for tap in range(count)]
    most = "once" if max(uses) == 1 else f"{'' if min(uses) == max(uses) else 'up to '}{max(uses)} times"
    drawn = [edge for pair, parts in edges.items() for edge in _parallel(pair, parts, colours)]
    return drawn, f"{count} weight{'s' * (count > 1)}, {'each ' * (count > 1)}used {most}"


def _parallel(
    pair: tuple[int, int], parts: list[tuple[int, int]], colours: dict[tuple[int, int], Colour]
) -> list[_Edge]:
    """Lay the edges between two units beside each other."""
    middle = (len(parts) - 1) / 2
    return [_Edge(*pair, colours[pair[0], tap], i - middle, factor != 1) for i, (tap, factor) in enumerate(parts)]


def _draw(canvas: Canvas, corner: tuple[float, float], counts: tuple[int, int], edges: list[_Edge]) -> None:
    """Draw the outputs above, the inputs below, and the edges between them."""
    left, top = corner
    widest = max(counts)
    places = [[left + (i + 0.5) * widest / count for i in range(count)] for count in counts]
    for edge in edges:
        x0, x1 = places[0][edge.input], places[1][edge.output]
        length = hypot(x1 - x0, HEIGHT)
        aside = 0.16 * edge.shift
        dx, dy = aside * HEIGHT / length, aside * (x1 - x0) / length
        canvas.line([(x0 + dx, top + HEIGHT + dy), (x1 + dx, top + dy)], colour=edge.colour, width=2.6,
                    dashed=edge.dashed)  # fmt: skip
    for name, colour, y, row in (("x", BLUE, top + HEIGHT, places[0]), ("y", GREEN, top, places[1])):
        for i, x in enumerate(row):
            canvas.circle(x, y, RADIUS, f"{name}{i}".translate(SUBSCRIPTS), fill=tint(colour))
