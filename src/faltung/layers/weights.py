"""The gradient of a layer by its weights, prepared once for each layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faltung.algorithms.weight_gradient import WeightGradient
from faltung.layers.description import ZERO
from faltung.problem.geometry import Axis
from faltung.runtime.kept import Kept
from faltung.runtime.threads import default_threads

if TYPE_CHECKING:
    import numpy as np

    from faltung.problem.problem import Problem

GRADIENTS_KEPT = 64
_kept: Kept[Problem, WeightGradient] = Kept(GRADIENTS_KEPT)


def weight_gradient(forward: Problem, x: np.ndarray, grad: np.ndarray, threads: int | None) -> np.ndarray:
    """Give Σ grad · x over pixels and images, (C_out, C_in/groups, *window)."""
    if not forward.axes:
        # A layer without axes has one pixel.
        return weight_gradient(_one_pixel(forward), x[..., None], grad[..., None], threads)[..., 0]
    found = _kept.get(forward)
    if found is None:
        found = WeightGradient(forward)
        _kept.keep(forward, found)
    result = found.run(x, grad, threads or default_threads())
    return result if x.dtype.itemsize != 2 or x.dtype.kind != "f" else result.astype(x.dtype)


def _one_pixel(forward: Problem) -> Problem:
    shape, axis = (*forward.shape, 1), Axis(1, 1, 1, 1, 0, 1)
    return replace(forward, shape=shape, axes=(len(shape) - 1,), geometry=(axis,), boundary=(ZERO,))
