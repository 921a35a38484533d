"""Draw the pictures of docs/note.md: run `python docs/make_pictures.py`, with --check to compare only.

Needs matplotlib and scikit-image, whose photographs are drawn. The same versions of both give the same files, byte by
byte.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import skimage.data

import faltung as ft
from faltung import plot
from faltung.symmetry import equivariant_basis
from faltung.symmetry.representations import translations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

FOLDER = Path(__file__).parent / "pictures"
DOTS = 80  # per inch, of photographs

NUMBERS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3], [5, 8, 9, 7, 9], [3, 2, 3, 8, 4], [6, 2, 6, 4, 3]])
EDGES = ft.Convolution(ft.filters.sobel(), flip=False)
POOLED = np.array([[1, 3, 2, 1], [4, 2, 0, 1], [5, 1, 8, 6], [0, 2, 7, 9]])
DOWN = ft.Convolution(np.ones((3, 3)), stride=2)
SHARED = ft.Convolution([1, 2, 4], flip=False, boundary="zero")


def photograph() -> np.ndarray:
    """Give a grey photograph of 256 x 256 pixels."""
    return skimage.data.camera()[::2, ::2]


def portrait() -> np.ndarray:
    """Give a colour photograph of 256 x 256 pixels."""
    return skimage.data.astronaut()[:256, 96:352]


def colour_layer() -> ft.Convolution:
    """Make a layer of three channels and maps: vertical edges, red against green and blue, brightness."""
    sobel, flat = ft.filters.sobel().kernel, np.ones((3, 3), np.int64)
    return ft.Convolution(
        np.array([[sobel, sobel, sobel], [2 * flat, -flat, -flat], [flat, flat, flat]]),
        flip=False, channels=True, boundary="symmetric",
    )  # fmt: skip


def symmetry_basis() -> Figure:
    """Draw which weights a layer on a ring shares if it is to commute with shifts."""
    return equivariant_basis(translations(5)).show()


def response() -> Figure:
    """Draw what a Gaussian of one sample does to waves."""
    s = ft.Convolution(ft.filters.gaussian(1.0, ndim=1)).spectrum()
    return plot.response(s.frequencies, s.magnitude)


PICTURES: dict[str, Callable[[], Figure | Sequence[Figure]]] = {
    "filter.svg": lambda: plot.kernel(ft.filters.sobel()),
    "sliding.svg": lambda: plot.sliding(NUMBERS, EDGES.like(EDGES.kernel, boundary="reflect"), at=(0, 3)),
    "sliding_strided.svg": lambda: plot.sliding(
        NUMBERS, ft.Convolution(ft.filters.sobel(), flip=False, stride=2, padding=1), at=(0, 1)
    ),
    "image.png": lambda: plot.feature_map(photograph(), EDGES),
    "layer.svg": lambda: plot.layer(3, 4),
    "layer_image.png": lambda: plot.feature_map(portrait().transpose(2, 0, 1), colour_layer()),
    "units.svg": lambda: plot.units(SHARED, 5),
    "units_folded.svg": lambda: plot.units(SHARED.like(SHARED.kernel, boundary="symmetric"), 5),
    "matrix.svg": lambda: plot.matrix(SHARED, 5),
    "matrix_folded.svg": lambda: plot.matrix(SHARED.like(SHARED.kernel, boundary="symmetric"), 5),
    "matrix_image.svg": lambda: plot.matrix(ft.Convolution(np.arange(1, 10).reshape(3, 3), boundary="zero"), (5, 5)),
    "arithmetic_strided.svg": lambda: plot.arithmetic(5, 3, stride=2, padding=1),
    "arithmetic_strided.gif": lambda: plot.arithmetic_frames(5, 3, stride=2, padding=1),
    "arithmetic_dilated.gif": lambda: plot.arithmetic_frames(7, 3, dilation=2),
    "arithmetic_transposed.gif": lambda: plot.arithmetic_frames(3, 3, stride=2, padding=1, transposed=True),
    "boundary.svg": plot.boundary,
    "boundary_image.png": lambda: plot.boundary(None, photograph()),
    "response.svg": response,
    "symmetry_basis.svg": symmetry_basis,
    "pooling.svg": lambda: plot.pooling(POOLED, ft.Pooling((2, 2))),
    "receptive_field.png": lambda: plot.receptive_field(photograph(), [DOWN] * 5, at=(3, 4)),
}


def main() -> int:
    """Write the pictures, or with --check tell which differ."""
    check = "--check" in sys.argv
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if check else FOLDER
        for name, draw in PICTURES.items():
            plot.save(draw(), folder / name, force=True, dpi=DOTS)
            if check and not (
                (FOLDER / name).exists() and (FOLDER / name).read_bytes() == (folder / name).read_bytes()
            ):
                wrong.append(name)
    if wrong:
        print(f"these pictures differ from what is drawn now: {', '.join(wrong)}; run this script without --check")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
