"""Boxes of pixels as the nest with pixels as lanes takes them: what is read in place or copied, and all tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms.steps import c_strides
from faltung.algorithms.weight_gradient_parts import Reading, Sizes, copied, in_place, maps_of
from faltung.compiler.gradient_rows import FIELDS
from faltung.runtime import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.weight_gradient_taps import Taps
    from faltung.problem.problem import Problem
    from faltung.runtime.regions import Box

# Strides that the nest steps by itself; larger ones are sorted out when samples are copied.
STEPS = 2


class Piece(NamedTuple):
    """A box of pixels for some groups: how one image is read, and the address of the parameters for each nest.

    `source` and `gradient` are byte offsets in an image of the input (if nothing is copied) and of the gradient.
    """

    gather: gather.Gather | None
    scratch: int
    source: int
    gradient: int
    calls: list[int]
    keep: tuple[object, ...]


class Pieces:
    """Prepares boxes for a layer; `width` is the length of the gradient's rows, at least a register of `lanes`."""

    def __init__(self, problem: Problem, taps: Sequence[Taps], lanes: int, width: int) -> None:
        self.problem, self.sizes, self.taps = problem, Sizes.of(problem), taps
        self.lanes, self.item = lanes, problem.dtypes.accumulate.itemsize
        axes = problem.geometry
        self.gradient_shape = (*(axis.out for axis in axes[:-1]), width)
        self.gradient_steps = c_strides(self.gradient_shape, self.item)

    def piece(self, box: Box, groups: range, strides: tuple[int, ...]) -> Piece:
        """Prepare a box of the channels of some groups, for inputs with these strides (channels, then axes)."""
        axes, steps = self.problem.geometry, self.gradient_steps
        read, lane_taps = self._read(box, groups, strides)
        pairs, positions = self._pairs(groups, read.steps[0]), self._positions(box, read.steps)
        edge, mask = self._edge(box)
        two = len(axes) > 1
        values = {
            "pairs": len(pairs), "positions": len(positions), "position_table": positions.ctypes.data,
            "height": box[-2][1] - box[-2][0] if two else 1,
            "in_row": axes[-2].stride * read.steps[-2] if two else 0, "gradient_row": steps[-2] if two else 0,
            **edge, "mask": mask.ctypes.data,
        }  # fmt: skip
        along = [
            np.arange(axis.taps) * (axis.dilation * step)
            for axis, step in zip(axes[:-1], read.steps[1:-1], strict=True)
        ]
        calls, keep = [], [positions, mask]
        for tiles in self.taps:
            offsets = np.ascontiguousarray(tiles.offsets([*along, lane_taps]))
            table = pairs * np.array([1, 1, tiles.number.size * self.lanes * self.item])
            values |= {"pair_table": table.ctypes.data, "tiles": len(offsets), "tap_table": offsets.ctypes.data}
            block = np.array([values[name] for name in FIELDS], np.int64)
            calls.append(block.ctypes.data)
            keep += [offsets, table, block]
        start = sum(part[0] * step for part, step in zip(box, steps, strict=True))
        return Piece(read.copy, read.scratch, read.source, start, calls, tuple(keep))

    def _read(self, box: Box, groups: range, strides: tuple[int, ...]) -> tuple[Reading, np.ndarray]:
        """Say how the channels of some groups are read, and the byte offset of each tap of the last axis."""
        lane, low, high = self.problem.geometry[-1], groups.start * self.sizes.inputs, groups.stop * self.sizes.inputs
        order, lane_taps = self._phases(box[-1][1] - box[-1][0])
        if lane.stride == 1 and self.gradient_shape[-1] == lane.out:
            found = in_place(self.problem, box, low, strides)
            if found is not None:
                return found, lane_taps
        maps = maps_of(self.problem, box)
        if lane.stride > STEPS:
            maps[-1] = gather.pick(maps[-1], order)
        found = copied(self.problem, maps, low, high, strides)
        # The last row may be read beyond its end, where rows are shorter than a register, or by a step of 2.
        return found._replace(scratch=found.scratch + STEPS * self.lanes * self.item), lane_taps

    def _phases(self, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Order the samples of a row so that each tap reads neighbours: (order, byte offset of each tap).

        A run for each phase of the stride that taps meet; up to a stride of 2 the row as it is, for the nest's step.
        """
        lane = self.problem.geometry[-1]
        if lane.stride <= STEPS:
            return np.arange(lane.stride * (width - 1) + lane.span), np.arange(lane.taps) * (lane.dilation * self.item)
        shift, phase = np.divmod(np.arange(lane.taps) * lane.dilation, lane.stride)
        order, begins = np.zeros(0, np.int64), np.zeros(lane.stride, np.int64)
        for one in np.unique(phase):
            begins[one] = len(order)
            order = np.append(order, one + lane.stride * np.arange(width + shift[phase == one].max()))
        return order, (begins[phase] + shift) * self.item

    def _positions(self, box: Box, steps: tuple[int, ...]) -> np.ndarray:
        """List (input offset, gradient offset) of the outputs of all axes before the rows."""
        source, gradient = np.zeros(1, np.int64), np.zeros(1, np.int64)
        axes = self.problem.geometry[:-2]
        for axis, (start, stop), step, gradient_step in zip(axes, box, steps[1:], self.gradient_steps, strict=False):
            source = (source[:, None] + np.arange(stop - start) * (axis.stride * step)).ravel()
            gradient = (gradient[:, None] + np.arange(stop - start) * gradient_step).ravel()
        return np.stack([source, gradient], axis=1)

    def _pairs(self, groups: range, channel: int) -> np.ndarray:
        """List (input offset, gradient offset, number) of each pair of channels, in the order of the weights."""
        sizes, plane = self.sizes, math.prod(self.gradient_shape) * self.item
        group, output, entry = np.indices((len(groups), sizes.outputs, sizes.inputs)).reshape(3, -1)
        number = groups.start * sizes.outputs * sizes.inputs + np.arange(len(group))
        source = (group * sizes.inputs + entry) * channel
        gradient = ((group + groups.start) * sizes.outputs + output) * plane
        return np.stack([source, gradient, number], axis=1)

    def _edge(self, box: Box) -> tuple[dict[str, int], np.ndarray]:
        """Say which registers of a row are counted whole, and which lanes of the last one."""
        width = box[-1][1] - box[-1][0]
        whole, rest = divmod(width, self.lanes)
        first = max(width - self.lanes, 0)
        lane = first + np.arange(self.lanes)
        # Lanes of whole registers are counted already; a short row has lanes beyond its end.
        mask = np.where((lane < whole * self.lanes) | (lane >= width), 0, -1).astype(f"i{self.item}")
        return {"blocks": whole, "edges": int(rest > 0), "edge": first * self.item}, mask
