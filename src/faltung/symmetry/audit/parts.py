"""An error divided: what sits near edges, what the lattice causes, what interpolation alone does, and the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from faltung.symmetry.actions import move
from faltung.symmetry.audit.places import broadcast, depth_of, difference, grid_depth, largest, middle, reach_of
from faltung.symmetry.elements import DIGITS, Given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faltung.symmetry.audit.fields import Field
    from faltung.symmetry.audit.measure import ElementError, Trial
    from faltung.symmetry.elements import Array, Element

INNER = 0.1  # the share of the largest error from which the middle of the grid counts as equally wrong


def divided(
    trial: Trial, element: Element, candidate: Element, off: Array, depth: Array, scale: float, found: ElementError
) -> ElementError:
    """Divide the error into boundary, lattice, interpolation floor and rest, which sum to it.

    An error that falls to a tenth or less in the middle of the grid is of the boundary, apart from what is left there;
    otherwise it is of one piece. That piece is of the lattice as far as the best small shift of the input removes it.
    """
    inside = largest(off * (depth >= middle(depth))) / scale
    best = inside
    if element.permutes_axes and inside > trial.tolerance:
        best = min(inside, _on_the_lattice(trial, element, scale))
    left = best / inside if inside else 0.0
    inner = found.relative if inside > INNER * found.relative else inside
    floor = 0.0 if element.on_lattice else min(interpolation_floor(trial, element, candidate), inner * left)
    lattice = inner * (1 - left)
    parts = replace(found, boundary=found.relative - inner, lattice=lattice, floor=floor, rest=inner * left - floor)
    # Interpolation leaves a little everywhere, which is no sign of how far the boundary reaches.
    return parts if element.on_lattice else replace(parts, reach=reach_of(off, depth, inside * scale))


def _on_the_lattice(trial: Trial, element: Element, scale: float) -> float:
    """Return the error away from edges after the small shift of the input that makes it least."""
    moved, best = trial.moved_inputs(element), np.inf
    for nudge, target in _nudges(trial, element):
        depth = depth_of(trial, target)
        if depth.max() < 1:
            break
        shifted = [_nudged(x, f, nudge) for x, f in zip(moved, trial.fields, strict=True)]
        expected = trial.result.move(target, trial.output, trial.group)
        left = difference(trial.value_of(shifted, element.name), expected)
        best = min(best, largest(left * (depth >= max(middle(depth), 1))) / scale)
        if best <= trial.tolerance:
            break
    return best


def _nudges(trial: Trial, element: Element) -> Iterator[tuple[tuple[int, ...], Element]]:
    """Yield shifts of the moved input that may take it onto the output's lattice, with the output's element.

    If the output's grid is centred δ off the input's, f(g x) shows g f(x) after a shift by (I - A)δ; and a shift by
    t is completed to a multiple of the stride s. δ runs over half samples up to half a stride, equal on all axes.
    """
    strides = np.array(trial.result.strides)
    a, t = np.array(element.matrix, float), np.array(element.shift, float)
    reach = int(max(1, np.ceil(strides.max())))
    halves = [0.0] if not element.turns else sorted(np.arange(-reach, reach + 1) / 2, key=abs)
    seen = {tuple([0] * len(t))}
    for rounded in (np.floor, np.ceil):
        whole = rounded(np.round(t / strides, DIGITS))
        for half in halves:
            delta = np.full(len(t), half)
            nudge = tuple(np.round(delta - a @ delta + strides * whole - t, DIGITS).tolist())
            if nudge not in seen and all(float(v).is_integer() for v in nudge):
                seen.add(nudge)
                shift = tuple(float(v) for v in whole)
                yield tuple(int(v) for v in nudge), replace(element, shift=shift)


def _nudged(x: Array, field: Field, nudge: tuple[int, ...]) -> Array:
    return np.roll(x, nudge, field.axes) if field.axes else x


def interpolation_floor(trial: Trial, element: Element, candidate: Element) -> float:
    """Return the error of the identity: there and back again, on the inputs and on the output, the larger.

    In the middle of the grid, and relative to the largest value.
    """
    arrays = [(x, f, element) for x, f in zip(trial.inputs, trial.fields, strict=True) if f.axes]
    errors = [0.0]
    for array, field, moves in [*arrays, (trial.output, trial.result, candidate)]:
        values = array if array.dtype.kind in "fc" else array.astype(float)
        there = move(moves, values, field.axes, trial.group.beyond, trial.group.sampling)
        back = move(moves.inverse(), there, field.axes, trial.group.beyond, trial.group.sampling)
        depth = broadcast(grid_depth(field.sizes(array.shape)), field, array.ndim)
        inside = broadcast(field.inside(moves, array.shape, trial.group), field, array.ndim)
        errors.append(largest((back - values) * (inside & (depth >= middle(depth)))) / (largest(values) or 1.0))
    return max(errors)


def round_trip(trial: Trial, element: Element | Given, scale: float) -> float:
    """Return the change of an output without a grid for inputs moved there and back again, 0 for exact moves."""
    if isinstance(element, Given) or not element.moves or element.on_lattice:
        return 0.0
    group = trial.group
    back = [
        move(element.inverse(), x, f.axes, group.beyond, group.sampling) if f.axes else x
        for x, f in zip(trial.moved_inputs(replace(element, gain=1.0, offset=0.0)), trial.fields, strict=True)
    ]
    return largest(difference(trial.value_of(back, f"{element.name} and back"), trial.output)) / scale
