"""The receptive field on the input: what one output of a chain depends on, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.analysis.receptive_field import receptive_field as field_of
from faltung.errors import GeometryError
from faltung.plot.canvas import Canvas
from faltung.plot.maps import as_picture
from faltung.plot.style import PALETTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure

    from faltung.convolution import Convolution

SIDE = 9.0  # of the picture, in cells


def receptive_field(picture: Any, steps: Iterable[Convolution], at: Sequence[int]) -> Figure:
    """Draw a picture, and on it what the output `at` of a chain of convolutions depends on.

    `picture` is (rows, columns) or (channels, rows, columns). For every number of last steps there is a frame in a
    colour: what the output reads of the input of the last step, of the last two, and so on, in samples of the picture;
    the outermost frame is the receptive field. What lies beyond the picture is what the boundary rules extend.
    Raises GeometryError for steps that do not filter two axes, and for an output that does not exist.

    >>> from faltung import Convolution
    >>> down = Convolution(np.ones((3, 3)), stride=2)
    >>> figure = receptive_field(np.ones((32, 32)), [down, down], at=(4, 4))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['rows 13 to 19, columns 13 to 19: 7 × 7 samples']
    """
    layers, array = list(steps), np.asarray(picture)
    fields = [field_of(layers[: i + 1]) for i in range(len(layers))]
    if not layers or len(fields[-1]) != 2 or array.ndim not in (2, 3):
        axes = len(fields[-1]) if layers else 0
        msg = f"the steps filter {axes} axes of a picture with {array.ndim}; "
        raise GeometryError(
            msg + "give at least one step of two axes, and (rows, columns) or (channels, rows, columns)"
        )
    shape = array.shape
    for layer in layers:
        shape = layer.output_shape(shape)
    if len(at) != 2 or not all(0 <= place < n for place, n in zip(at, shape[-2:], strict=True)):
        msg = f"there is no output {tuple(at)}: the chain makes {shape[-2:]} of {array.shape[-2:]}"
        raise GeometryError(msg)
    return _draw(array, _boxes(layers, tuple(at)))


def _boxes(layers: Sequence[Convolution], at: tuple[int, ...]) -> list[list[tuple[float, float]]]:
    """Give the samples (start, stop) of the picture behind the frame of each step, the whole field first.

    A sample of a later map stands for the middle of all that it depends on.
    """
    found = []
    for done in range(len(layers)):
        box = field_of(layers[done:]).box(at)
        if done == 0:
            found.append([(float(start), float(stop)) for start, stop in box])
            continue
        before = field_of(layers[:done])
        middles = zip(before.start, before.size, before.stride, strict=True)
        found.append(
            [
                (first + (size - stride) / 2 + stride * start, first + (size - stride) / 2 + stride * stop)
                for (first, size, stride), (start, stop) in zip(middles, box, strict=True)
            ]
        )
    return found


def _draw(array: np.ndarray, boxes: list[list[tuple[float, float]]]) -> Figure:
    canvas, pixels = Canvas(), as_picture(array)
    scale = SIDE / max(pixels.shape[:2])
    height, width = (n * scale for n in pixels.shape[:2])
    canvas.image(0, 0, width, height, pixels)
    for i, ((top, bottom), (left, right)) in enumerate(boxes):
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        places = [(x * scale, y * scale) for x, y in corners]
        canvas.polygon(places, edge=PALETTE[(i + 1) % len(PALETTE)], width=3.0, order=3)
    (top, bottom), (left, right) = boxes[0]
    size = f"{bottom - top:.0f} × {right - left:.0f}"
    text = f"rows {top:.0f} to {bottom - 1:.0f}, columns {left:.0f} to {right - 1:.0f}: {size} samples"
    canvas.write(width / 2, max(height, bottom * scale) + 0.2, text, along="top")
    return canvas.finish(numbers="if they fit")
