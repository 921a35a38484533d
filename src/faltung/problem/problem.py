"""The problem: everything that was asked, as integers, names and dtypes; hashable and free of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.problem.geometry import Axis

if TYPE_CHECKING:
    from faltung.problem.boundary import Sides
    from faltung.problem.dtypes import Dtypes


@dataclass(frozen=True, slots=True)
class Channels:
    """The channel axis of a layer: its place in the array, the groups it falls into, and the channels of the output."""

    axis: int
    groups: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One correlation of an array of `shape` along `axes` (the kernel is already flipped, if it is a convolution).

    `axes` ascend; `geometry` and `boundary` have one entry for each, in the same order; `filters` is None for one
    kernel, or the number of kernels of a bank, whose outputs are stacked along a new first axis. A layer has
    `channels`: each output channel sums over the input channels of its group, with a kernel of its own.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    geometry: tuple[Axis, ...]
    boundary: tuple[Sides, ...]
    dtypes: Dtypes
    filters: int | None = None
    channels: Channels | None = None

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Taps along each filtered axis."""
        return tuple(axis.taps for axis in self.geometry)

    @property
    def map_shape(self) -> tuple[int, ...]:
        """The shape of one feature map."""
        sizes = list(self.shape)
        for axis, geometry in zip(self.axes, self.geometry, strict=True):
            sizes[axis] = geometry.out
        if self.channels is not None:
            sizes[self.channels.axis] = self.channels.outputs
        return tuple(sizes)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the result: one feature map, or a stack of them."""
        return self.map_shape if self.filters is None else (self.filters, *self.map_shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates: taps times outputs."""
        count = self.filters or 1
        if self.channels is not None:
            count *= self.shape[self.channels.axis] // self.channels.groups
        for size in (*self.map_shape, *self.kernel_shape):
            count *= size
        return count

    def array_axes(self) -> tuple[Axis, ...]:
        """Describe every axis of the array; a carried axis has one tap."""
        filtered = dict(zip(self.axes, self.geometry, strict=True))
        return tuple(filtered.get(i) or Axis(n, 1, 1, 1, 0, n) for i, n in enumerate(self.shape))
