"""Symmetry, measured and derived: groups that act on arrays, and what a function makes of their action.

A function f is *equivariant* under a group when ``f(g x) = g f(x)`` for every element g, and *invariant* when
``f(g x) = f(x)``. `equivariance` measures both for any callable, torch module or ONNX file, finds the layer that breaks
them and names a cure. `identify` finds out which filter a black box is, and `equivariant_basis` derives every
equivariant linear map between two representations.

>>> from faltung import correlate, symmetry
>>> import numpy as np
>>> x = np.random.default_rng(0).standard_normal((16, 16))
>>> smooth = lambda x: correlate(x, np.ones((3, 3)) / 9, boundary="wrap")
>>> symmetry.equivariance(smooth, x, symmetry.shifts()).max_error < 1e-14
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faltung.symmetry.audit.equivariance import equivariance
    from faltung.symmetry.audit.report import Report
    from faltung.symmetry.black_box.identified import Identification
    from faltung.symmetry.black_box.identify import identify
    from faltung.symmetry.groups import (
        Element,
        Group,
        dihedral,
        gain,
        offset,
        pairs,
        permutations,
        product,
        reflections,
        rotations,
        rotations90,
        scalings,
        shifts,
    )
    from faltung.symmetry.maps.basis import EquivariantBasis, equivariant_basis
    from faltung.symmetry.representations import Representation

__all__ = [
    "Element",
    "EquivariantBasis",
    "Group",
    "Identification",
    "Report",
    "Representation",
    "dihedral",
    "equivariance",
    "equivariant_basis",
    "gain",
    "identify",
    "offset",
    "pairs",
    "permutations",
    "product",
    "reflections",
    "rotations",
    "rotations90",
    "scalings",
    "shifts",
]

_ELSEWHERE = {
    "EquivariantBasis": "maps.basis",
    "Identification": "black_box.identified",
    "Report": "audit.report",
    "Representation": "representations",
    "equivariance": "audit.equivariance",
    "equivariant_basis": "maps.basis",
    "identify": "black_box.identify",
}


def __getattr__(name: str) -> Any:
    """Load names when they are first used."""
    if name not in __all__:
        msg = f"module 'faltung.symmetry' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"faltung.symmetry.{_ELSEWHERE.get(name, 'groups')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
