"""The multi-dimensional layer: channels as sheets behind each other, one output map for each volume of the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.errors import GeometryError
from faltung.plot.canvas import Canvas
from faltung.plot.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, YELLOW, Colour, mixed, tint
from faltung.problem import geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

RGB = (VERMILION, GREEN, BLUE)
OTHERS = (SKY, ORANGE, PURPLE, YELLOW, GREEN, VERMILION)
SHOWN = 6  # channels; of more, the first three and the last
STEP = (0.42, -0.42)  # from a sheet to the one behind it
SIDE = 5.0  # of a sheet


@dataclass(frozen=True)
class _Layer:
    inputs: int
    outputs: int
    kernel: tuple[int, int]
    groups: int
    bias: bool

    @property
    def depth(self) -> int:
        return self.inputs // self.groups

    @property
    def weights(self) -> int:
        return self.kernel[0] * self.kernel[1] * self.depth


def layer(
    in_channels: int, out_channels: int, kernel: int | Sequence[int] = 3, *, groups: int = 1, bias: bool = True
) -> Figure:
    """Draw a layer: every volume of the kernel meets all channels of its group and makes one feature map.

    `kernel` is the window, one number or (rows, columns); with `groups`, a volume has in_channels/groups slices, in the
    colours of the channels they read. Of more than 6 channels the first three and the last are drawn. Below stands the
    number of parameters, (rows·columns·C/groups + 1)·C_out with a bias.
    Raises GeometryError where groups do not divide the channels, or a number is below 1.

    >>> figure = layer(3, 4)
    >>> [text.get_text() for text in figure.axes[0].texts][-1]
    '(3·3·3 + 1)·4 = 112 parameters, wherever the window lies'
    """
    window = geometry.per_axis(kernel, 2, "kernel", least=1)
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
        if geometry.integer(value, name) < 1:
            msg = f"{name}={value}: a layer needs at least 1"
            raise GeometryError(msg)
    if in_channels % groups or out_channels % groups:
        msg = f"groups={groups} must divide the {in_channels} input and {out_channels} output channels"
        raise GeometryError(msg)
    found = _Layer(in_channels, out_channels, (window[0], window[1]), groups, bias)
    canvas = Canvas(cell_inches=0.5)
    inputs, outputs = _shown(in_channels), _shown(out_channels)
    tall = _volume_height(found) * len(outputs)
    kernels_left = SIDE + STEP[0] * len(inputs) + 2.2
    maps_left = kernels_left + _volume_width(found) + (3.8 if bias else 2.2)
    top = (tall - SIDE - STEP[1] * (len(inputs) - 1)) / 2
    # The outputs in the corners of the maps are as high as the volumes, so that no lines cross.
    maps_top = (tall - STEP[1] * (len(outputs) - 1)) / 2 - 0.41
    _draw_input(canvas, found, inputs, top)
    for i, output in enumerate(outputs):
        behind = len(outputs) - 1 - i
        _draw_volume(canvas, found, output, (kernels_left, i * _volume_height(found)), _window(found, top),
                     (maps_left + behind * STEP[0], maps_top + behind * STEP[1] + 0.21))  # fmt: skip
    _draw_maps(canvas, outputs, (maps_left, maps_top))
    _write_names(canvas, found, (kernels_left, maps_left, top, maps_top, max(tall, SIDE)))
    return canvas.finish()


def _shown(count: int) -> list[int | None]:
    """Give the channels that are drawn; None stands for those left out."""
    return list(range(count)) if count <= SHOWN else [0, 1, 2, None, count - 1]


def _channel_colour(channel: int, inputs: int) -> Colour:
    return RGB[channel] if inputs == 3 else OTHERS[channel % len(OTHERS)]


def _map_colour(output: int) -> Colour:
    return mixed((0.58, 0.58, 0.58), (0.86, 0.86, 0.86), (output % 4) / 3)


def _sheet(canvas: Canvas, left: float, top: float, side: tuple[float, float], fill: Colour) -> None:
    width, height = side
    corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    canvas.polygon(corners, fill=fill, edge=(1.0, 1.0, 1.0), width=1.6)


def _draw_input(canvas: Canvas, found: _Layer, inputs: list[int | None], top: float) -> None:
    for i, channel in reversed(list(enumerate(inputs))):
        left, y = i * STEP[0], top + i * STEP[1]
        if channel is None:
            continue
        colour = _channel_colour(channel, found.inputs)
        _sheet(canvas, left, y, (SIDE, SIDE), tint(colour, 0.45))
        tall, wide = _extent(found)
        x0, y0 = left + 0.3, y + 0.12
        corners = [(x0, y0), (x0 + wide, y0), (x0 + wide, y0 + tall), (x0, y0 + tall)]
        canvas.polygon(corners, fill=colour, edge=INK, width=1.5)


def _extent(found: _Layer) -> tuple[float, float]:
    """Return height and width of the window on a sheet."""
    rows, columns = (min(n, 8) * SIDE / 10 for n in found.kernel)
    return rows, columns


def _window(found: _Layer, top: float) -> tuple[float, float]:
    """Return the point that lines leave the window of the first channel from."""
    tall, wide = _extent(found)
    return 0.3 + wide, top + 0.12 + tall / 2


def _volume_height(found: _Layer) -> float:
    return _tap(found) * found.kernel[0] + 0.3 * (len(_shown(found.depth)) - 1) + 0.75


def _volume_width(found: _Layer) -> float:
    return _tap(found) * found.kernel[1] + 0.3 * (len(_shown(found.depth)) - 1)


def _tap(found: _Layer) -> float:
    return min(0.42, 1.7 / max(found.kernel))


def _draw_volume(
    canvas: Canvas, found: _Layer, output: int | None, corner: tuple[float, float], window: tuple[float, float],
    target: tuple[float, float],
) -> None:  # fmt: skip
    """Draw the volume of one output channel, the lines that lead to it and away, and its bias."""
    left, top = corner
    tap, slices = _tap(found), _shown(found.depth)
    middle = top + _volume_height(found) / 2 - 0.2
    if output is None:
        canvas.write(left + _volume_width(found) / 2, middle, "⋮", size=22)
        return
    first = output // (found.outputs // found.groups) * found.depth
    for i, part in reversed(list(enumerate(slices))):
        if part is None:
            continue
        colour = _channel_colour(first + part, found.inputs)
        x, y = left + 0.3 * i, top + 0.3 * (len(slices) - 1 - i)
        for row in range(found.kernel[0]):
            for column in range(found.kernel[1]):
                _sheet(canvas, x + column * tap, y + row * tap, (tap, tap), tint(colour, 0.25))
    right = left + _volume_width(found)
    canvas.line([window, (left - 0.2, middle)], colour=GREY, width=1.1)
    if found.bias:
        canvas.write(
            right + 0.3, middle, "+ b" + str(output).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")), across="left"
        )
    canvas.line(
        [(right + (1.75 if found.bias else 0.3), middle), (target[0] - 0.15, target[1])], colour=GREY, width=1.1
    )


def _draw_maps(canvas: Canvas, outputs: list[int | None], corner: tuple[float, float]) -> None:
    """Draw the first map last in the row, so that the lines to the maps do not cross, and one output on each."""
    for i, output in enumerate(outputs):
        behind = len(outputs) - 1 - i
        if output is not None:
            left, top = corner[0] + behind * STEP[0], corner[1] + behind * STEP[1]
            _sheet(canvas, left, top, (SIDE * 0.9, SIDE * 0.9), _map_colour(output))
            _sheet(canvas, left, top + 0.06, (0.3, 0.3), INK)


def _write_names(canvas: Canvas, found: _Layer, places: tuple[float, float, float, float, float]) -> None:
    kernels, maps, top, maps_top, tall = places
    rows, columns = found.kernel
    below = max(top + SIDE, maps_top + SIDE * 0.9, tall - 0.4) + 0.3
    canvas.write(SIDE / 2, below, f"{found.inputs} channels", along="top")
    volumes = f"{found.outputs} volumes\nof {found.depth} × {rows} × {columns}"
    canvas.write(kernels + _volume_width(found) / 2, below, volumes, along="top")
    canvas.write(maps + SIDE * 0.45, below, f"{found.outputs} feature maps", along="top")
    one = f"({rows}·{columns}·{found.depth} + 1)" if found.bias else f"{rows}·{columns}·{found.depth}"
    total = (found.weights + found.bias) * found.outputs
    middle = (maps + SIDE) / 2
    bias, channels = "b[o] + " if found.bias else "", "c" if found.groups == 1 else "the c of o's group"
    canvas.write(middle, below + 1.7, f"C[o, j, k] = {bias}Σ I[c, j + l, k + m]·K[o, c, l, m] over {channels}, l and m",
                 along="top")  # fmt: skip
    canvas.write(middle, below + 2.4, f"{one}·{found.outputs} = {total} parameters, wherever the window lies",
                 along="top")  # fmt: skip
