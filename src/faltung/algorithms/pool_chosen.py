"""Extrema with the index of the sample chosen, by compiled loops: where what lies beyond the edges does not count.

Along the lanes, which are contiguous in memory, lines are first copied if they must be extended or deinterleaved; along
every other axis the windows at the borders have fewer taps.
"""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms.pool_places import blocks
from faltung.compiler import kernels
from faltung.compiler.elements import Element
from faltung.compiler.place_nest import FIELDS, POSITION, TAP, PlaceNest
from faltung.runtime import gather, threads, workspace
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.algorithms.pool_places import Kind
    from faltung.problem.boundary import Sides
    from faltung.problem.geometry import Axis
    from faltung.runtime.gather import Gather
    from faltung.runtime.regions import Box

# Samples of a copied block: it stays in the second cache.
BLOCK = 1 << 16
BOUND_KEPT, KEPT_BYTES = 16, 16 << 20
INDEX_OUT = FIELDS.index("index_out")


class Chosen:
    """The extrema of an array's windows and their indices.

    `axes` describes all axes of the array, `pooled` says which of them are: indices count these, in C order. Beyond the
    edges of the last axis `sides` gives constants that no extremum prefers; a window that holds nothing else than what
    equals them may choose one of those. Of equal samples the first is chosen, of several NaN the last.
    """

    def __init__(self, axes: Sequence[Axis], pooled: Sequence[int], sides: Sides, kind: Kind, dtype: np.dtype) -> None:
        self.axes, self.dtype, self.sides = tuple(axes), dtype, sides
        self.steps = [0] * len(axes)
        step = 1
        for axis in sorted(pooled, reverse=True):
            self.steps[axis], step = step, step * axes[axis].size
        lane = axes[-1]
        self.phases = sorted({lane.dilation * tap % lane.stride for tap in range(lane.taps)})
        self.copied = lane.stride > 1 or lane.low > 0 or lane.reads(0, lane.out)[1] > lane.size
        self.kernel = kernels.get(PlaceNest(kind, Element.of(dtype)))
        self._bound: Kept[tuple[int, ...], list[_Job]] = Kept(BOUND_KEPT)

    def run(self, source: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Give extrema and indices of an array of the axes' sizes and of the dtype."""
        if source.strides[-1] != source.itemsize:
            source = np.ascontiguousarray(source)
        shape = [axis.out for axis in self.axes]
        values, indices = np.empty(shape, self.dtype), np.empty(shape, np.int64)
        jobs = self._bound.get(source.strides)
        if jobs is None:
            # A block that is not copied has no size to keep to; many of them keep all threads busy.
            jobs = [self._job(box, source.strides) for box in blocks(self.axes, BLOCK if self.copied else 16 * BLOCK)]
            if sum(table.nbytes for job in jobs for table in job.tables) <= KEPT_BYTES:
                self._bound.keep(source.strides, jobs)
        threads.run([partial(job.run, self.kernel, source, values, indices) for job in jobs], count)
        return values, indices

    def _job(self, box: Box, strides: Sequence[int]) -> _Job:
        reads = [axis.reads(*pair) for axis, pair in zip(self.axes, box, strict=True)]
        boxed = [(max(a, 0), min(b, axis.size)) for (a, b), axis in zip(reads[:-1], self.axes, strict=False)]
        copy, pitch, starts = None, 0, [0] * len(self.axes)
        if self.copied:
            copy, pitch = self._gather(boxed, reads[-1], box[-1], strides)
            sizes = [b - a for a, b in boxed]
            strides = [*(pitch * math.prod(sizes[i + 1 :]) for i in range(len(sizes))), self.dtype.itemsize]
            starts = [a for a, _ in boxed] + [0]
        scratch = pitch * math.prod(b - a for a, b in boxed)
        width, lane_step = box[-1][1] - box[-1][0], self.steps[-1] * self.axes[-1].stride
        return _Job.of(copy, scratch, *self._tables(box, strides, starts), width, lane_step)

    def _gather(
        self, boxed: Sequence[tuple[int, int]], read: tuple[int, int], outputs: tuple[int, int], strides: Sequence[int]
    ) -> tuple[Gather, int]:
        """Prepare the copy of lines, their samples sorted by the place in a stride."""
        lane, size = self.axes[-1], self.dtype.itemsize
        maps = [gather.coordinates(a, b, b, None) for a, b in boxed]
        extent = self._extent(outputs)
        places = np.array(self.phases)[:, None] + lane.stride * np.arange(extent)
        line = gather.coordinates(*read, lane.size, self.sides)
        maps.append(gather.pick(line, np.minimum(places, len(line.index) - 1).ravel()))
        shape = [axis.size for axis in self.axes]
        pitch = len(self.phases) * extent * size
        return gather.prepare(maps, (*strides[:-1], size), shape, self.dtype, 1, pitch), pitch

    def _extent(self, outputs: tuple[int, int]) -> int:
        lane = self.axes[-1]
        return outputs[1] - outputs[0] + lane.dilation * (lane.taps - 1) // lane.stride

    def _tables(self, box: Box, strides: Sequence[int], starts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Write the positions, and the taps of each kind of position: those inside the array along every axis."""
        size, shape = self.dtype.itemsize, [b - a for a, b in box[:-1]]
        lane, begin = self.axes[-1], box[-1][0]
        first = lane.stride * begin - lane.low
        # Bytes to source, value and index, and the index itself.
        begins = [0 if self.copied else first * size, begin * size, begin * 8, first * self.steps[-1]]
        fields = np.zeros((4, *shape), np.int64) + np.reshape(begins, (4, *[1] * len(shape)))
        kinds = np.zeros(shape, np.int64)
        inside = []
        for i, axis in enumerate(self.axes[:-1]):
            at, ones = np.arange(*box[i]), [-1 if j == i else 1 for j in range(len(shape))]
            firsts = axis.stride * at - axis.low
            step = math.prod(axis.out for axis in self.axes[i + 1 :])
            sources = (firsts - starts[i]) * strides[i]
            fields += np.stack([sources, at * step * size, at * step * 8, firsts * self.steps[i]]).reshape(4, *ones)
            ends = [np.clip(-((firsts - edge) // axis.dilation), 0, axis.taps) for edge in (0, axis.size)]
            found, which = np.unique(np.stack(ends, 1), axis=0, return_inverse=True)
            kinds = kinds * len(found) + which.reshape(ones)
            inside.append([range(low, high) for low, high in found.tolist()])
        taps, at_taps, counts = self._taps(inside, strides, self._extent(box[-1]))
        positions = np.concatenate([fields, [at_taps[kinds], counts[kinds]]])
        return np.ascontiguousarray(positions.reshape(len(POSITION), -1).T), taps

    def _taps(
        self, inside: Sequence[Sequence[range]], strides: Sequence[int], extent: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Write the taps of every kind of position one after the other; give where each begins, and how many it has."""
        lane = self.axes[-1]
        ahead = lane.dilation * np.arange(lane.taps)
        places = ahead
        if self.copied:
            places = np.searchsorted(self.phases, ahead % lane.stride) * extent + ahead // lane.stride
        along = np.stack([places * self.dtype.itemsize, ahead * self.steps[-1]], -1)
        tables = []
        for ranges in itertools.product(*inside):
            taps = along
            for axis, some, stride, step in reversed(list(zip(self.axes, ranges, strides, self.steps, strict=False))):
                more = axis.dilation * np.array(some, np.int64)[:, None] * np.array([stride, step])
                taps = (more.reshape(-1, 1, len(TAP)) + taps).reshape(-1, len(TAP))
            tables.append(taps)
        counts = np.array([len(taps) for taps in tables])
        begins = 8 * len(TAP) * (np.cumsum(counts) - counts)
        return np.concatenate(tables), begins, counts


class _Job(NamedTuple):
    """A box of the output: how its lines are copied, and what the kernel is told; the tables that it names are kept."""

    copy: Gather | None
    scratch: int
    parameters: np.ndarray
    tables: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls, copy: Gather | None, scratch: int, positions: np.ndarray, taps: np.ndarray, width: int, lane_step: int
    ) -> _Job:
        block = {
            "positions": len(positions), "position_table": positions.ctypes.data, "tap_table": taps.ctypes.data,
            "index_out": 0, "width": width, "lane_step": lane_step,
        }  # fmt: skip
        return cls(copy, scratch, np.array([block[name] for name in FIELDS], np.int64), (positions, taps))

    def run(self, kernel: Callable[..., None], source: np.ndarray, values: np.ndarray, indices: np.ndarray) -> None:
        """Fill the box."""
        address, keep = _address(source), None
        if self.copy is not None:
            scratch, keep = workspace.borrow(self.scratch)
            self.copy.run(source, address, scratch)
            address = scratch
        # Other threads may run the same job on other arrays.
        parameters = self.parameters.copy()
        parameters[INDEX_OUT] = _address(indices)
        kernel(_address(parameters), address, _address(values))
        del keep


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
