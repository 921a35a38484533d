"""Where in an output an error sits: how far from an edge, now or before the move."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.symmetry.actions import move

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.symmetry.audit.fields import Field
    from faltung.symmetry.audit.measure import Trial
    from faltung.symmetry.elements import Array, Element

RING = 8  # the border is the outer eighth of the grid


def compared(trial: Trial, candidate: Element | None) -> Array:
    """Return which output samples are compared: those that show samples of the grid."""
    if candidate is None:
        return np.ones((), bool)
    return broadcast(trial.result.inside(candidate, trial.output.shape, trial.group), trial.result, trial.output.ndim)


def depth_of(trial: Trial, candidate: Element) -> Array:
    """Return how far each output sample is from an edge, now or before the move; -1 where nothing is compared."""
    field, shape, group = trial.result, trial.output.shape, trial.group
    here = grid_depth(field.sizes(shape)).astype(float)
    plain = replace(candidate, gain=1.0, offset=0.0)
    there = move(plain, here, range(here.ndim), group.beyond, "spline") if plain.moves else here
    depth = np.where(field.inside(candidate, shape, group), np.minimum(here, np.round(there)), -1)
    return broadcast(depth, field, len(shape))


def grid_depth(sizes: Sequence[int]) -> Array:
    """Return, for each sample of a grid, how many samples lie between it and the nearest edge.

    >>> grid_depth((5,))
    array([0, 1, 2, 1, 0])
    """
    axes = [np.minimum(np.arange(n), np.arange(n)[::-1]) for n in sizes]
    depth: Array = np.min(np.stack(np.meshgrid(*axes, indexing="ij")), axis=0)
    return depth


def middle(depth: Array) -> float:
    """Return the depth from which samples are in the middle: half of the largest."""
    return float(np.ceil(depth.max() / 2))


def border_share(off: Array, depth: Array) -> float:
    """Return the share of the squared error in the outer eighth of the grid."""
    total = float(np.sum(off**2))
    ring = max(1.0, np.ceil((depth.max() + 1) * 2 / RING))
    return float(np.sum(off**2 * (depth < ring))) / total if total else 0.0


def reach_of(off: Array, depth: Array, limit: float) -> int:
    """Return how many samples in from an edge the error is above a limit."""
    wrong = np.broadcast_to(depth, off.shape)[off > limit]
    return int(wrong.max()) + 1 if wrong.size else 0


def broadcast(grid: Array, field: Field, ndim: int) -> Array:
    """Give a grid's array axes of length 1 where the field has others."""
    order = np.argsort(field.axes)
    shape = [1] * ndim
    for a, n in zip(field.axes, grid.shape, strict=True):
        shape[a] = n
    return grid.transpose(order).reshape(shape)


def difference(a: Array, b: Array) -> Array:
    """Return |a - b| in double precision."""
    off: Array = np.abs(a.astype(wide(a)) - b.astype(wide(b)))
    return off


def wide(array: Array) -> Any:
    """Return the dtype in which differences are taken."""
    return np.complex128 if array.dtype.kind == "c" else np.float64


def largest(array: Array) -> float:
    """Return the largest magnitude, 0 for an empty array."""
    return float(np.max(np.abs(array.astype(wide(array))))) if array.size else 0.0
