"""Colours and numbers that all pictures share: told apart by colour-blind eyes, readable in print and on a slide."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from faltung.errors import DtypeError

Array: TypeAlias = np.ndarray[Any, Any]
Colour: TypeAlias = tuple[float, float, float]

INK: Colour = (0.13, 0.13, 0.13)
GREY: Colour = (0.45, 0.45, 0.45)
PALE: Colour = (0.93, 0.93, 0.93)
WHITE: Colour = (1.0, 1.0, 1.0)

# Source of the palette: Okabe and Ito, "Color Universal Design" (2008), without its black.
BLUE: Colour = (0.0, 0.447, 0.698)
ORANGE: Colour = (0.902, 0.624, 0.0)
GREEN: Colour = (0.0, 0.62, 0.451)
VERMILION: Colour = (0.835, 0.369, 0.0)
PURPLE: Colour = (0.8, 0.475, 0.655)
SKY: Colour = (0.337, 0.706, 0.914)
YELLOW: Colour = (0.941, 0.894, 0.259)
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)

FONT = "DejaVu Sans"
SMALLEST, CAPTION = 12.0, 14.0  # points, in a picture 10 inches wide


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """Mix a colour with a share of another one.

    >>> mixed((0.0, 0.5, 1.0), (1.0, 1.0, 1.0), 0.5)
    (0.5, 0.75, 1.0)
    """
    red, green, blue = (a + (b - a) * share for a, b in zip(colour, other, strict=True))
    return red, green, blue


def tint(colour: Colour, share: float = 0.7) -> Colour:
    """Mix a colour with white."""
    return mixed(colour, WHITE, share)


def ink_on(colour: Colour) -> Colour:
    """Choose dark or white letters, whichever stands out more on a colour.

    Luminance and contrast are those of WCAG 2.1.

    >>> ink_on((1.0, 1.0, 0.5)) == INK, ink_on((0.0, 0.2, 0.5)) == WHITE
    (True, True)
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if (luminance + 0.05) ** 2 > 0.05 * 1.05 * 1.35 else WHITE


def weight_colours(count: int) -> list[Colour]:
    """Give each of the weights of a kernel a colour of its own.

    The palette, then its tints, then its shades: 21 that can be told apart. More are taken from viridis, where only
    distant ones can.

    >>> weight_colours(3) == [BLUE, ORANGE, GREEN], len(set(weight_colours(100)))
    (True, 100)
    """
    if count <= 3 * len(PALETTE):
        tints, shades = [mixed(c, WHITE, 0.55) for c in PALETTE], [mixed(c, (0.0, 0.0, 0.0), 0.5) for c in PALETTE]
        return [*PALETTE, *tints, *shades][:count]
    return viridis(count)


def viridis(count: int) -> list[Colour]:
    """Give colours that run from dark violet to yellow, in even steps for colour-blind eyes too.

    Source: nine stops of matplotlib's viridis (van der Walt and Smith, 2015), interpolated.
    """
    stops = np.array(
        [
            (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
            (170, 220, 50), (253, 231, 37),
        ]
    )  # fmt: skip
    places = np.linspace(0, len(stops) - 1, max(count, 1))
    channels = [np.interp(places, np.arange(len(stops)), channel) / 255 for channel in stops.T]
    return [(float(r), float(g), float(b)) for r, g, b in zip(*channels, strict=True)][:count]


def number(value: Any, digits: int = 3) -> str:
    """Write a number with a true minus sign, whole ones in full and others to some significant digits.

    >>> number(-12), number(0.0625), number(-1 / 3), number(2.0)
    ('−12', '0.0625', '−0.333', '2')
    """
    text = str(int(value)) if float(value).is_integer() and abs(value) < 1e6 else f"{float(value):.{digits}g}"
    return ("0" if text == "-0" else text).replace("-", "−")


def index_text(index: tuple[int, ...]) -> str:
    """Write an index as in the formulas.

    >>> index_text((1, -2))
    '[1, −2]'
    """
    return f"[{', '.join(number(i) for i in index)}]"


def weight_name(place: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Name a weight by its index in the kernel, as a subscript.

    >>> weight_name((1, 2), (3, 3)), weight_name((10,), (12,)), weight_name((1, 10), (3, 12))
    ('k₁₂', 'k₁₀', 'k₁,₁₀')
    """
    comma = "," if len(shape) > 1 and max(shape) > 10 else ""
    return "k" + comma.join(str(i) for i in place).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def real(values: Any, what: str) -> Array:
    """Take real numbers; DtypeError for others, which have no colour."""
    array = np.asarray(values)
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuf":
        msg = f"{what} has the dtype {array.dtype}, and pictures show real numbers; draw its real part or abs() of it"
        raise DtypeError(msg)
    return array
