"""Pictures of convolutions, drawn by matplotlib (``pip install 'faltung[plot]'``): each function returns a Figure.

A figure is at most 10 inches wide, with letters of at least 12 points, and belongs to no window: `save` writes it as
SVG, PNG or GIF, a notebook shows it as it is. Colours are told apart by colour-blind eyes, and nothing global changes.
"""

from faltung.plot.canvas import NotInstalledError
from faltung.plot.cells import kernel
from faltung.plot.edges import units
from faltung.plot.entries import matrix
from faltung.plot.field import receptive_field
from faltung.plot.maps import feature_map
from faltung.plot.pooling import pooling
from faltung.plot.response import response
from faltung.plot.rules import boundary
from faltung.plot.saving import save
from faltung.plot.sheets import layer
from faltung.plot.steps import arithmetic, arithmetic_frames
from faltung.plot.window import sliding

__all__ = [
    "NotInstalledError",
    "arithmetic",
    "arithmetic_frames",
    "boundary",
    "feature_map",
    "kernel",
    "layer",
    "matrix",
    "pooling",
    "receptive_field",
    "response",
    "save",
    "sliding",
    "units",
]
