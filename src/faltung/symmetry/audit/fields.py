"""What an array is under a group: on which axes it moves, how far, and what its channels do."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from faltung.errors import GeometryError, ProblemError
from faltung.symmetry.actions import act, stays_inside
from faltung.symmetry.elements import Element, Given, Group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faltung.symmetry.elements import Array

Matrix: TypeAlias = tuple[tuple[float, ...], ...]
Values: TypeAlias = Literal["same", "stay"]
Move: TypeAlias = Element | Given


@dataclass(frozen=True)
class Field:
    """The action of a group on an array.

    ``axes`` are those that move (none: the array stays), ``strides`` how many samples of the input one of its samples
    spans, ``channels`` the axes that the permutation of an element's matrix in ``permutations`` reorders, as one
    axis, after the move. ``values`` says whether gain and offset act on it.
    """

    axes: tuple[int, ...] = ()
    strides: tuple[float, ...] = ()
    channels: tuple[int, ...] = ()
    permutations: Mapping[Matrix, Array] = field(default_factory=dict)
    values: Values = "same"

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if not self.axes:
            return "permuted values" if self.permutations else "invariant"
        base = "channels permuted" if self.permutations else "field"
        strides = sorted(set(self.strides))
        return base if strides == [1] else f"{base} on a grid of stride {', '.join(f'{s:g}' for s in strides)}"

    def sizes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the lengths of the axes that move."""
        return tuple(shape[a] for a in self.axes)

    def on_grid(self, element: Element) -> Element:
        """Return the element in samples of this grid; its shift may be a fraction of a sample."""
        shift = tuple(t if s == 1 else t / s for t, s in zip(element.shift, self.strides, strict=True))
        return replace(element, shift=shift)

    def move(self, element: Element, array: Array, group: Group) -> Array:
        """Return the array as the element, in samples of this grid, moves it."""
        moves = element if self.values == "same" else replace(element, gain=1.0, offset=0.0)
        if not self.axes:
            moves = Element(moves.name, (), (), moves.gain, moves.offset)
        moved = act(moves, array, self.axes, group)
        order = self.permutations.get(element.matrix)
        if order is None:
            return moved
        front = np.moveaxis(moved, self.channels, range(len(self.channels)))
        merged = front.reshape(-1, *front.shape[len(self.channels) :])[order]
        permuted: Array = np.moveaxis(merged.reshape(front.shape), range(len(self.channels)), self.channels)
        return permuted

    def inside(self, element: Element, shape: Sequence[int], group: Group) -> Array:
        """Return which samples of the moved grid show samples of the grid."""
        return stays_inside(element, self.sizes(shape), group.beyond)


def input_field(shape: Sequence[int], group: Group, axes: Sequence[int] | None, kind: str = "field") -> Field:
    """Return how a group acts on an input: on the named axes, else on the last ones.

    ``kind`` is "field", each channel by itself, or "regular", where the axis before the moving ones holds fields of
    len(group) channels each.

    Raises GeometryError where it cannot.
    """
    if axes is not None and group.ndim and len(axes) != group.ndim:
        msg = f"axes={tuple(axes)} are {len(axes)}, and {group.name} act on {group.ndim}"
        raise GeometryError(msg)
    rank, size = len(shape), " x ".join(map(str, shape)) or "()"
    if group.ndim > rank:
        msg = f"{group.name} act on {group.ndim} axes, and the input of shape {size} has {rank}"
        raise GeometryError(msg + "; give a larger input, or the group another ndim")
    chosen = tuple(range(rank - group.ndim, rank)) if axes is None else tuple(a % rank for a in axes)[: group.ndim]
    if any(shape[a] < 2 for a in chosen):
        msg = f"an input of shape {size} is too small for {group.name}: each axis that moves needs at least 2 samples"
        raise GeometryError(msg)
    here = Field(chosen, (1,) * group.ndim)
    return regular(here, shape, group) if kind == "regular" else here


def regular(here: Field, shape: Sequence[int], group: Group) -> Field:
    """Return the field whose channels are the regular representation: (g y)[h] = g(y[g⁻¹ h]).

    The axis before the moving ones holds fields of len(group) channels each, in the order of the group's elements.
    Raises GeometryError where the sizes do not fit.
    """
    table, count = group.table(), len(group)
    axis = min(here.axes, default=len(shape)) - 1
    if axis < 0 or shape[axis] % count:
        msg = f"a regular representation of {group.name} has {count} channels a field before the axes that move, and "
        raise GeometryError(msg + f"the shape {tuple(shape)} has none that {count} divides")
    permutations = {}
    for i, element in enumerate(group.elements):
        # Channel g·h of the result comes from channel h.
        order = np.argsort(table[i])
        fields = np.arange(shape[axis]).reshape(-1, count)
        if isinstance(element, Element):
            permutations[element.matrix] = fields[:, order].ravel()
    return replace(here, channels=(axis,), permutations=permutations)


def output_field(shape: Sequence[int], shape_in: Sequence[int], here: Field) -> Field:
    """Guess from shapes how a group acts on an output: the same axes, or none if they are gone or of size 1.

    The strides are guessed from ratios of sizes, to be measured. An output with one axis more or less is taken to have
    gained or lost an axis of channels before those that move.
    """
    sizes_in, extra = here.sizes(shape_in), len(shape) - len(shape_in)
    trailing = all(a >= len(shape_in) - len(here.axes) for a in here.axes)
    if not here.axes or (extra and not trailing) or not -1 <= extra <= 1:
        return Field(values=here.values)
    axes = tuple(a + extra for a in here.axes)
    if min(axes) < 0 or all(shape[a] == 1 for a in axes):
        return Field(values=here.values)
    ratios = [i / shape[a] for i, a in zip(sizes_in, axes, strict=True)]
    # A table of features (N, C) is no grid: with an axis less, only the input's own sizes are one.
    if extra == -1 and any(r != 1 for r in ratios):
        return Field(values=here.values)
    return Field(axes, tuple(_near(r) for r in ratios), values=here.values)


def channel_axes(here: Field, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the axes that may hold channels: those before the moving ones, without a batch axis."""
    first = min(here.axes, default=len(shape))
    return tuple(range(first)) if first <= 1 else tuple(range(1, first))


def stride_candidates(ratio: float) -> list[float]:
    """Return the strides that a ratio of sizes allows: padding and kernels leave it near, not at, the stride.

    >>> stride_candidates(31 / 14), stride_candidates(0.5), stride_candidates(1.0)
    ([2.0, 3.0, 1.0], [0.5, 1.0], [1.0])
    """
    if abs(ratio - 1) < 1e-9:
        return [1.0]
    if ratio < 1:
        return sorted({1.0 / round(1 / ratio), 1.0}, key=lambda s: abs(s - ratio))
    near = {float(math.floor(ratio)), float(math.ceil(ratio)), 1.0} - {0.0}
    return sorted(near, key=lambda s: abs(s - ratio))


def _near(ratio: float) -> float:
    return stride_candidates(ratio)[0]


def explicit(output: str, guess: Field, shape: Sequence[int], group: Group) -> Field:
    """Return the field that a caller names: "field", "regular" or "invariant"; ProblemError for others."""
    if output == "invariant":
        return Field(values="stay")
    if output == "field":
        if not guess.axes and group.ndim:
            msg = f'output="field" needs the axes of the input in the output, and its shape is {tuple(shape)}'
            raise GeometryError(msg)
        return guess
    if output == "regular":
        return regular(guess, shape, group)
    msg = f'output={output!r} is unknown; give "auto", "field", "regular", "invariant", or a callable (element, array)'
    raise ProblemError(msg)
