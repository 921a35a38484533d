"""What a `Convolution` sums up on arrays of one shape, every axis spelled out: the text that all analysis reads."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung import arguments
from faltung.errors import BoundaryError, DtypeError, GeometryError
from faltung.problem.boundary import axis_map
from faltung.problem.dtypes import kind_of
from faltung.problem.geometry import Axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.convolution import Convolution
    from faltung.problem.boundary import AxisMap, Sides


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """A correlation with every axis in its place.

        y[b, o, j] = Σ_c Σ_t weights[o, c, t] · x̃[b, c of o's group, stride·j + dilation·t - low]

    The input is (batch, inputs, *sizes), the output (batch, outputs, *outs); j and t have one entry for each of `axes`.
    An axis that is only carried along has one tap, and `sides` None. A filter has one input channel, and as many output
    channels as it has kernels; its batch is 1. `weights` is (outputs, inputs/groups, *taps), already flipped or
    conjugated, in int64, float64 or complex128. `shape` and `output_shape` are those of the arrays.
    """

    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    batch: int
    groups: int
    axes: tuple[Axis, ...]
    sides: tuple[Sides | None, ...]
    weights: np.ndarray

    @property
    def inputs(self) -> int:
        """The channels of the input."""
        return int(self.weights.shape[1]) * self.groups

    @property
    def outputs(self) -> int:
        """The channels of the output."""
        return int(self.weights.shape[0])

    @property
    def sizes(self) -> tuple[int, ...]:
        """The samples along each axis of a channel of the input."""
        return tuple(axis.size for axis in self.axes)

    @property
    def outs(self) -> tuple[int, ...]:
        """The samples along each axis of a channel of the output."""
        return tuple(axis.out for axis in self.axes)

    @property
    def rows(self) -> int:
        """The samples of the whole output."""
        return self.batch * self.outputs * prod(self.outs)

    @property
    def columns(self) -> int:
        """The samples of the whole input."""
        return self.batch * self.inputs * prod(self.sizes)

    @property
    def carried(self) -> int:
        """How often the same filtering is done: the batch and the axes that are carried along."""
        return self.batch * prod(axis.size for axis, sides in zip(self.axes, self.sides, strict=True) if sides is None)

    def maps(self) -> list[AxisMap | None]:
        """Say where the samples that are read come from, on each axis; None where it is carried along."""
        return [None if s is None else axis_map(*a.reads(0, a.out), a.size, s) for a, s in self._pairs()]

    def _pairs(self) -> list[tuple[Axis, Sides | None]]:
        return list(zip(self.axes, self.sides, strict=True))


class Entries(NamedTuple):
    """Who reads what along one axis: output `rows` takes sample `columns` with weight `taps`, times `factors`."""

    rows: np.ndarray
    columns: np.ndarray
    taps: np.ndarray
    factors: np.ndarray


def taps_of(c: Convolution, shape: int | Sequence[int], *, linear: bool = True) -> Taps:
    """Spell out what a convolution does on arrays of a shape.

    Raises GeometryError where the shape does not fit, DtypeError for integer weights beyond int64, and, if it has to be
    `linear`, BoundaryError where a constant other than 0 is read (the operation is then affine).

    >>> from faltung import Convolution
    >>> taps = taps_of(Convolution([[1, 2, 3]], axes=(2, 0)), (5, 4, 6))
    >>> taps.weights.tolist(), taps.outs, taps.carried
    ([[[[[3]], [[2]], [[1]]]]], (5, 4, 6), 4)
    """
    shape = arguments.shape(shape)
    filtered, geometry = c.geometry(shape)
    described = dict(zip(filtered, zip(geometry, c.sides, strict=True), strict=True))
    first = filtered[0] if c.channels and filtered else len(shape) if c.channels else 0
    axes: list[Axis] = []
    sides: list[Sides | None] = []
    for i, n in enumerate(shape[first:], first):
        axis, pair = described.get(i, (Axis(n, 1, 1, 1, 0, n), None))
        axes.append(axis)
        sides.append(pair)
    taps = Taps(
        shape,
        c.output_shape(shape),
        prod(shape[: first - 1]) if c.channels else 1,
        c.groups,
        tuple(axes),
        tuple(sides),
        weights_of(c, filtered, [axis.taps for axis in axes]),
    )
    if linear:
        _check_linear(taps)
    return taps


def entries_of(axis: Axis, sides: Sides | None, outputs: np.ndarray) -> Entries:
    """List, for the outputs given, every tap that meets a sample; an odd rule meets up to three with one tap.

    Entries are sorted by output, then sample, then tap. Folded borders meet the same sample with several taps.
    """
    at = axis.stride * outputs[:, None] + axis.dilation * np.arange(axis.taps) - axis.low
    rows, taps = np.broadcast_to(outputs[:, None], at.shape), np.broadcast_to(np.arange(axis.taps), at.shape)
    if sides is None or at.size == 0:
        return Entries(rows.ravel(), at.ravel(), taps.ravel(), np.ones(at.size, np.int64))
    start = int(at.min())
    found = axis_map(start, int(at.max()) + 1, axis.size, sides)
    at = at - start
    plain = np.ones(len(found.index), np.int64) if found.sign is None else found.sign
    terms = [(found.index, np.where(found.index < 0, 0, plain))]
    if found.first is not None and found.last is not None:
        ends = np.zeros_like(found.index), np.full_like(found.index, axis.size - 1)
        terms += [(ends[0], found.first), (ends[1], found.last)]
    parts = [(rows, column[at], taps, factor[at]) for column, factor in terms]
    listed = [np.concatenate([part[i].ravel() for part in parts]) for i in range(4)]
    order = np.lexsort((listed[2], listed[1], listed[0]))
    return Entries(*(values[order[listed[3][order] != 0]] for values in listed))


def weights_of(c: Convolution, filtered: tuple[int, ...], taps: list[int]) -> np.ndarray:
    """Give (outputs, inputs/groups, *taps), the kernels' axes in the order of the array's."""
    stacked = np.stack(c.kernels)
    kind = kind_of(stacked.dtype)
    if stacked.dtype == np.uint64 and stacked.max(initial=0) > np.iinfo(np.int64).max:
        msg = f"the weight {stacked.max()} does not fit int64, in which integer operators are written down; "
        raise DtypeError(msg + "give the kernel as float64")
    dtype = {"integer": np.dtype(np.int64), "real": np.dtype(np.float64), "complex": np.dtype(np.complex128)}[kind]
    wide: np.ndarray = stacked.astype(dtype)
    window = wide if c.channels else wide[:, None]
    along = tuple(range(2, window.ndim))
    if c.flip:
        window = np.flip(window, along)
    elif kind == "complex" and not c.channels:
        window = window.conj()
    order = sorted(range(len(filtered)), key=filtered.__getitem__)
    window = window.transpose(0, 1, *(2 + i for i in order))
    return np.ascontiguousarray(window).reshape(*window.shape[:2], *taps)


def _check_linear(taps: Taps) -> None:
    for axis, chosen in enumerate(taps.maps()):
        if chosen is not None and chosen.fill is not None and taps.rows and (chosen.fill != 0).any():
            value = chosen.fill[chosen.fill != 0][0]
            at = len(taps.shape) - len(taps.axes) + axis
            msg = f"axis {at} is extended by the constant {value}, so the operation is affine, A x + b with b not 0; "
            raise BoundaryError(msg + "use boundary='zero', and add the response to the constant yourself")


def check_output(taps: Taps, y: np.ndarray) -> None:
    """Refuse an array that is no output of the operation."""
    if y.shape != taps.output_shape:
        msg = f"y has the shape {y.shape}, but the output for an input of {taps.shape} has {taps.output_shape}; "
        raise GeometryError(msg + "pass the shape of the input that y belongs to")
