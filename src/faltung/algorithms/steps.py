"""Cutting a region of the output into steps: what is read in place, what is gathered, and the calls on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms import tap_loops
from faltung.compiler import isa as isas
from faltung.runtime import gather, regions, workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.layout import Layout
    from faltung.algorithms.tap_loops import Call, Frame, Types
    from faltung.runtime.regions import Box

# An array this small is gathered whole: two calls cost less than one for every side.
SMALL_BYTES = 96 << 10
# Gathered pieces and the blocks of a filter bank stay inside the second-level cache.
BLOCK_BYTES = 1 << 20
# The lanes' borders may take one in so many lanes, otherwise everything is gathered (measured: 3x3x3 on 128³).
MOST_BORDER = 6
# Outputs beyond this leave the caches anyway, so they are stored past them.
STREAM_BYTES = 4 << 20


# Elements and shape of the scratch output of a box narrower than a register, and where its kept part goes.
Short = tuple[int, tuple[int, ...], tuple[slice, ...]]


class Step(NamedTuple):
    """One box of output: how its input is read, the kernel calls on it, and where short rows go."""

    gather: gather.Gather | None
    scratch_bytes: int
    calls: tuple[Call, ...]
    short: Short | None = None


class Binder:
    """Cuts the output into steps, for given input strides and output address modulo a cache line."""

    def __init__(
        self, plan: Layout, types: Types, load: np.dtype, strides: tuple[int, ...], phase: int, filters: int
    ) -> None:
        self.plan, self.types, self.load, self.strides = plan, types, load, strides
        self.phase, self.filters = phase, filters
        self.lane_bytes = plan.inner * load.itemsize
        self.registers = tap_loops.lanes(types)
        self.in_shape = plan.array_shape(out=False)
        self.box: Box = tuple((0, axis.out) for axis in plan.axes)
        self.out_strides = c_strides(plan.array_shape(out=True), types.store.bytes)
        self.out_strides[-1] *= plan.inner
        self.out_origin = [0] * len(plan.axes)
        map_bytes = regions.size(self.box) * plan.inner * types.store.bytes
        ends = [*self.out_strides[:-1], map_bytes if filters > 1 else 0]
        self.aligned = all(stride % workspace.ALIGNMENT == 0 for stride in ends)
        # Half a line at a time is slower than not to stream (measured with AVX2: 5x5 takes twice as long).
        line = isas.host().vector_bytes == workspace.ALIGNMENT and types.store.bytes == types.accumulate.bytes
        whole = line and plan.row is not None
        self.may_stream = self.aligned and whole and map_bytes > STREAM_BYTES

    def steps(self, count: int) -> list[Step]:
        """Give the steps, for so many threads; large pieces come first, the borders fill the gaps at the end."""
        if regions.size(self.box) * self.plan.inner == 0:
            return []
        interior = self._interior()
        small = self._input_bytes(self.box) <= SMALL_BYTES
        if interior is None or (small and count == 1):
            return [step for piece in self._blocks(self.box) for step in self._gathered(piece)]
        borders = [piece for slab in regions.shell(self.box, interior) for piece in self._blocks(slab)]
        pieces = [part for piece in self._pieces(interior, count) for part in self._streamable(piece)]
        return [*map(self._direct, pieces), *(step for piece in borders for step in self._gathered(piece))]

    def _interior(self) -> Box | None:
        """Give the outputs whose taps all lie inside, leaving whole tiles to the borders; None to gather everything."""
        if self.plan.lane.stride > 1 or any(size == 0 for size in self.in_shape):
            return None
        interior = []
        for i, (axis, (start, stop)) in enumerate(zip(self.plan.axes, self.box, strict=True)):
            low, high = axis.interior
            least = 1
            if i == len(self.plan.axes) - 1:
                least = -(-self.registers // self.plan.inner)
            elif i == self.plan.row:
                least = isas.host().rows
            low = low if low == start else max(low, start + least)
            high = high if high == stop else min(high, stop - least)
            if high - low < least:
                return None
            interior.append((low, high))
        low, high = interior[-1] = self._align(*interior[-1])
        # Borders cost more for each output than the interior saves by not being copied.
        worth = (high - low) * MOST_BORDER >= (MOST_BORDER - 1) * self.plan.lane.out
        return tuple(interior) if worth and (high - low) * self.plan.inner >= self.registers else None

    def _align(self, low: int, high: int) -> tuple[int, int]:
        """Let the interior's lanes start on a cache line."""
        shifts = [s for s in range(workspace.ALIGNMENT) if self._on_line(low + s)] if self.aligned else []
        return (min(low + shifts[0], high) if shifts else low), high

    def _streamable(self, box: Box) -> list[Box]:
        """Cut the lanes' rest off, so that what may be streamed holds whole tiles."""
        start, stop = box[-1]
        tile = tap_loops.widest(self.types, self.plan) * self.registers
        cut = start + (stop - start) * self.plan.inner // tile * tile // self.plan.inner
        rest = (stop - cut) * self.plan.inner
        if not self.may_stream or not self._on_line(start) or cut == start or rest == 0:
            return [box]
        # A rest narrower than a register begins further left: equal bits are written twice.
        begin = min(cut, stop - -(-self.registers // self.plan.inner))
        return [(*box[:-1], (start, cut)), (*box[:-1], (begin, stop))]

    def _on_line(self, lane: int) -> bool:
        return (self.phase + lane * self.out_strides[-1]) % workspace.ALIGNMENT == 0

    def _types(self, box: Box) -> Types:
        """Stream a box of whole vectors on cache lines, if the output is so large that it leaves the caches anyway."""
        start, stop = box[-1]
        whole = (stop - start) * self.plan.inner % self.registers == 0
        return self.types._replace(stream=self.may_stream and self._on_line(start) and whole)

    def _pieces(self, interior: Box, count: int) -> list[Box]:
        """Cut the interior for threads, and for banks into blocks that stay in cache for all filters."""
        parts = 4 * count if count > 1 else 1
        if self.filters > 1:
            parts = max(parts, self._input_bytes(interior) // BLOCK_BYTES)
        candidates = list(range(len(interior) - 1)) or [0]
        axis = max(candidates, key=lambda i: interior[i][1] - interior[i][0])
        multiple = isas.host().rows if axis == self.plan.row else 1
        if axis == len(interior) - 1:
            multiple = isas.host().rows * isas.host().vectors * self.registers
        return regions.split(interior, axis, parts, multiple)

    def _blocks(self, box: Box) -> list[Box]:
        """Cut a box until its gathered input fits the cache."""
        if self._input_bytes(box) <= BLOCK_BYTES:
            return [box]
        least = [1] * len(box)
        least[-1] = 4 * -(-self.registers // self.plan.inner)
        if self.plan.row is None:
            least[-1] *= isas.host().rows
        else:
            least[self.plan.row] = isas.host().rows
        wide = [i for i, (start, stop) in enumerate(box) if stop - start >= 2 * least[i]]
        if not wide:
            return [box]
        axis = wide[0]
        halves = regions.split(box, axis, 2, least[axis])
        return [piece for half in halves for piece in self._blocks(half)] if len(halves) > 1 else [box]

    def _input_bytes(self, box: Box) -> int:
        total = self.lane_bytes
        for axis, (start, stop) in zip(self.plan.axes, box, strict=True):
            total *= axis.stride * (stop - start - 1) + axis.span
        return total

    def _direct(self, box: Box) -> Step:
        lane = self.plan.lane
        taps = np.arange(lane.taps) * (lane.dilation * self.lane_bytes)
        start = (box[-1][0] - lane.low) * self.lane_bytes
        strides = (*self.strides[:-1], self.lane_bytes)
        frame = tap_loops.Frame(strides, (0,) * len(box), taps, start)
        return Step(None, 0, self._calls(box, frame))

    def _calls(self, box: Box, frame: Frame) -> tuple[Call, ...]:
        width = (box[-1][1] - box[-1][0]) * self.plan.inner
        work = tap_loops.Work(self.plan, self._types(box), box, frame, self.out_strides, self.out_origin, width)
        return tuple(tap_loops.calls(work))

    def _gathered(self, box: Box) -> list[Step]:
        plan = self.plan
        reads = [axis.reads(start, stop) for axis, (start, stop) in zip(plan.axes, box, strict=True)]
        maps = [
            gather.coordinates(start, stop, axis.size, side)
            for (start, stop), axis, side in zip(reads, plan.axes, plan.sides, strict=True)
        ]
        order, taps = self._deinterleaved(len(maps[-1].index), box[-1][1] - box[-1][0])
        if order is not None:
            maps[-1] = gather.pick(maps[-1], order)
        width = (box[-1][1] - box[-1][0]) * plan.inner
        # A row shorter than a register is computed as a whole one, whose extra lanes read the slack.
        slack = max(0, self.registers - width) * self.load.itemsize
        pitch = -(-(len(maps[-1].index) * self.lane_bytes + slack) // 64) * 64
        sizes = [len(m.index) for m in maps[:-1]]
        strides = (*(stride * pitch for stride in c_strides(sizes, 1)), self.lane_bytes)
        copy = gather.prepare(maps, self.strides, self.in_shape, self.load, plan.inner, pitch)
        origin = tuple(start for start, _ in reads)
        frame = tap_loops.Frame(strides, origin, taps, 0)
        total = pitch * int(np.prod(sizes, dtype=np.int64))
        if slack:
            return [self._short(box, frame, copy, total)]
        return [Step(copy, total, self._calls(box, frame))]

    def _deinterleaved(self, extent: int, outputs: int) -> tuple[np.ndarray | None, np.ndarray]:
        """Order a strided lane's coordinates phase by phase, so that outputs read neighbours; and the taps' offsets."""
        lane = self.plan.lane
        reach = lane.dilation * np.arange(lane.taps)
        if lane.stride == 1:
            return None, reach * self.lane_bytes
        phases = np.array(self.plan.phases)
        most = outputs + (int(reach[-1]) // lane.stride if lane.taps else 0)
        order = np.minimum(phases[:, None] + lane.stride * np.arange(most)[None, :], extent - 1).ravel()
        place = np.searchsorted(phases, reach % lane.stride) * most + reach // lane.stride
        return order, place * self.lane_bytes

    def _short(self, box: Box, frame: Frame, copy: gather.Gather, total: int) -> Step:
        """Compute rows of one register into scratch memory: the box is narrower than that."""
        sizes = [stop - start for start, stop in box[:-1]] + [self.registers]
        strides = c_strides(sizes, self.types.store.bytes)
        wide: Box = (*box[:-1], (box[-1][0], box[-1][0] + -(-self.registers // self.plan.inner)))
        origin = [start for start, _ in box]
        work = tap_loops.Work(self.plan, self.types, wide, frame, strides, origin, self.registers)
        found = tap_loops.calls(work)
        first = self.plan.inner
        where = tuple(slice(a - o, b - o) for (a, b), o in zip(box[:-1], self.out_origin, strict=False))
        lanes = slice((box[-1][0] - self.out_origin[-1]) * first, (box[-1][1] - self.out_origin[-1]) * first)
        return Step(copy, total, tuple(found), (int(np.prod(sizes)), tuple(sizes), (*where, lanes)))


def c_strides(sizes: Sequence[int], itemsize: int) -> list[int]:
    """Give the strides of a C-contiguous array.

    >>> c_strides((5, 3, 2), 4)
    [24, 8, 4]
    """
    strides = [itemsize]
    for size in reversed(sizes[1:]):
        strides.append(strides[-1] * size)
    return strides[::-1] if sizes else []
