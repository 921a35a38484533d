"""faltung: convolution, described once, for any array.

>>> import faltung as ft
>>> ft.correlate([1.0, 2.0, 4.0], [0.0, 1.0, 1.0])
array([3., 6., 8.])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faltung import continuous, definition, errors, filters, nn, plot, symmetry
    from faltung.convolution import Convolution
    from faltung.errors import FaltungError
    from faltung.functional import convolve, correlate
    from faltung.matching import match_template
    from faltung.pooling import Pooling, pool

__version__ = "0.1.0"

__all__ = [
    "Convolution",
    "FaltungError",
    "Pooling",
    "continuous",
    "convolve",
    "correlate",
    "definition",
    "errors",
    "filters",
    "match_template",
    "nn",
    "plot",
    "pool",
    "symmetry",
]

_WHERE = {
    "Convolution": "faltung.convolution",
    "Pooling": "faltung.pooling",
    "convolve": "faltung.functional",
    "correlate": "faltung.functional",
    "FaltungError": "faltung.errors",
    "match_template": "faltung.matching",
    "pool": "faltung.pooling",
}


def __getattr__(name: str) -> Any:
    """Load public names when they are first used: `import faltung` and `faltung --help` stay light."""
    if name not in __all__:
        msg = f"module 'faltung' has no attribute {name!r}"
        raise AttributeError(msg)
    where = _WHERE.get(name)
    value = getattr(import_module(where), name) if where else import_module(f"faltung.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
