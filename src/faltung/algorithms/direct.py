"""The direct sum of taps: every output is one chain of multiply-adds in the kernel's C order.

The interior is read straight from the caller's array; borders, strided lanes and small arrays are gathered first and
then run through the same kernels, so that an output's bits never depend on where it lies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms import tap_loops
from faltung.algorithms.layout import Layout, layout
from faltung.compiler import isa as isas
from faltung.compiler.elements import Element
from faltung.runtime import gather, regions, threads, workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.algorithms.tap_loops import Call, Form, Frame
    from faltung.problem.problem import Problem
    from faltung.runtime.regions import Box

# An array this small is gathered whole: two calls cost less than one for every side.
SMALL_BYTES = 96 << 10
# Gathered pieces and the blocks of a filter bank stay inside the second-level cache.
BLOCK_BYTES = 512 << 10
# Outputs beyond this leave the caches anyway, so they are stored past them.
STREAM_BYTES = 8 << 20
# A thread is worth waking for about this many multiply-accumulates.
MACS_PER_THREAD = 1 << 21


# Elements and shape of the scratch output of a box narrower than a register, and where its kept part goes.
Short = tuple[int, tuple[int, ...], tuple[slice, ...]]


@dataclass(frozen=True, slots=True)
class Step:
    """One box of output: how its input is read, the kernel calls on it, and where short rows go."""

    gather: gather.Gather | None
    scratch_bytes: int
    calls: tuple[Call, ...]
    short: Short | None = None


class Direct:
    """The compiled direct method for one problem, bound to strides on first use and then reused."""

    def __init__(self, problem: Problem, load: np.dtype) -> None:
        self.problem = problem
        self.layout: Layout = layout(problem)
        dtypes = problem.dtypes
        self.load_dtype, self.out_dtype = load, dtypes.output
        self.types = tap_loops.Types(Element.of(load), Element.of(dtypes.accumulate), Element.of(dtypes.output))
        self.in_shape = self.layout.array_shape(out=False)
        self.out_shape = self.layout.array_shape(out=True)
        self._bound: dict[tuple[object, ...], list[Step]] = {}

    def weights(self, kernels: Sequence[np.ndarray]) -> Weights:
        """Pack the kernels of a bank (or one kernel) for every form in which a step asks for them."""
        return Weights([np.ascontiguousarray(k, self.problem.dtypes.accumulate).ravel() for k in kernels])

    def run(self, source: np.ndarray, out: np.ndarray, weights: Weights, threads_: int, box: Box | None = None) -> None:
        """Fill `out`, C-contiguous (filters, *merged shape of the box), from the whole input array.

        Strides of the source are free as long as a line is contiguous.
        """
        if out.size == 0:
            return
        box = _whole_box(self.layout) if box is None else box
        count = min(threads_, 1 + self.problem.macs // MACS_PER_THREAD) if threads_ > 1 else 1
        source_address = source.__array_interface__["data"][0]
        out_address = out.__array_interface__["data"][0]
        steps = self._steps(source.strides, box, count, len(weights.kernels), out_address % workspace.ALIGNMENT)
        map_bytes = out.nbytes // len(weights.kernels)
        job = partial(self._execute, source, source_address, out, out_address, map_bytes, weights)
        if count == 1 or len(steps) == 1:
            for step in steps:
                job(step)
        else:
            threads.run([partial(job, step) for step in steps], count)

    def shortcut(self, weights: Weights) -> Callable[[np.ndarray, np.ndarray], None] | None:
        """Give a quick way from a C-contiguous input to a C-contiguous output, if one gathered call does everything.

        Preparing a call as `run` does would take longer than the call itself.
        """
        strides = _c_strides(self.in_shape, self.load_dtype.itemsize)
        steps = self._steps(strides, _whole_box(self.layout), 1, len(weights.kernels), 0)
        if len(steps) != 1 or len(weights.kernels) != 1 or len(steps[0].calls) != 1:
            return None
        step, call = steps[0], steps[0].calls[0]
        prepared, short = step.gather, step.short
        if prepared is None or prepared.copy is None:
            return None
        copy, table, kernel, parameters = prepared.copy, prepared.parameters, call.kernel, call.parameters
        size, source, target = step.scratch_bytes, call.source, call.target
        packed, borrow = weights.address(0, call.form), workspace.borrow

        def run(x: np.ndarray, out: np.ndarray) -> None:
            scratch, _held = borrow(size)
            copy(table, x.__array_interface__["data"][0], scratch)
            kernel(parameters, scratch + source, out.__array_interface__["data"][0] + target, packed)

        def run_short(x: np.ndarray, out: np.ndarray) -> None:
            rows = np.empty(rows_shape, out.dtype)
            run(x, rows)
            out.reshape(kept_shape)[...] = rows[..., : kept_shape[-1]]

        if short is None:
            return run
        _, rows_shape, kept_shape = *short[:2], self.out_shape
        return run_short

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, for `Plan.explain`."""
        isa, plan = isas.host(), self.layout
        lanes = f"axis of {plan.lane.out} outputs" + (f" x {plan.inner} interleaved" if plan.inner > 1 else "")
        if plan.row is None:
            rows = "the lane axis folded"
        else:
            rows = f"axis of {plan.axes[plan.row].out} outputs{', sharing loads' if plan.shared else ''}"
        tile = f"{isa.rows} rows x {isa.vectors} vectors of {tap_loops.lanes(self.types)} lanes"
        whole = self._steps(_c_strides(self.in_shape, self.load_dtype.itemsize), _whole_box(plan), 1, 1, 0)
        scratch = max((step.scratch_bytes for step in whole), default=0)
        read = sum(step.gather is not None for step in whole)
        return [
            ("algorithm", "direct: compiled sum of taps, every tap of the box counts"),
            ("order", "one chain of multiply-adds per output, in the kernel's C order"),
            ("instructions", f"{isa.name}{', fused multiply-add' if isa.has_fma else ''}"),
            ("tile", tile),
            ("lanes, rows", f"{lanes}; {rows}"),
            ("steps", f"{len(whole) - read} read the input in place, {read} through gathered tiles"),
            ("memory", f"{scratch:,} bytes of scratch for each thread"),
        ]

    def _execute(
        self,
        source: np.ndarray,
        source_address: int,
        out: np.ndarray,
        out_address: int,
        map_bytes: int,
        weights: Weights,
        step: Step,
    ) -> None:
        if step.gather is not None:
            scratch, _held = workspace.borrow(step.scratch_bytes)
            step.gather.run(source, source_address, scratch)
            source_address = scratch
        for filter_ in range(len(weights.kernels)):
            target = out_address + filter_ * map_bytes
            if step.short is not None:
                self._execute_short(step, step.short, source_address, out, filter_, weights)
                continue
            for call in step.calls:
                call.kernel(
                    call.parameters,
                    source_address + call.source,
                    target + call.target,
                    weights.address(filter_, call.form),
                )

    def _execute_short(
        self, step: Step, short: Short, source_address: int, out: np.ndarray, filter_: int, weights: Weights
    ) -> None:
        """Run into scratch rows of one full register, and keep the part that exists."""
        size, shape, where = short
        rows = np.empty(size, self.out_dtype)
        for call in step.calls:
            call.kernel(
                call.parameters,
                source_address + call.source,
                rows.ctypes.data + call.target,
                weights.address(filter_, call.form),
            )
        out[filter_][where] = rows.reshape(shape)[..., : where[-1].stop - where[-1].start]

    def _steps(self, strides: Sequence[int], box: Box, count: int, filters: int, phase: int) -> list[Step]:
        key = (*strides, box, count, filters, phase)
        steps = self._bound.get(key)
        if steps is None:
            if len(self._bound) >= 16:
                self._bound.clear()
            steps = self._bound[key] = _Binder(self, tuple(strides), box, phase, filters).steps(count)
        return steps


class Weights:
    """Kernels, packed once for every form."""

    def __init__(self, kernels: list[np.ndarray]) -> None:
        self.kernels = kernels
        self._packed: dict[tuple[int, Form], tuple[np.ndarray, int]] = {}

    def address(self, index: int, form: Form) -> int:
        """Give the address of one kernel's packed weights."""
        found = self._packed.get((index, form))
        if found is None:
            packed = tap_loops.pack(self.kernels[index], form)
            found = self._packed[index, form] = (packed, packed.ctypes.data)
        return found[1]


class _Binder:
    """Cuts a region of the output into steps, for given input strides and output address modulo a cache line."""

    def __init__(self, direct: Direct, strides: tuple[int, ...], box: Box, phase: int, filters: int) -> None:
        self.phase, self.filters = phase, filters
        self.plan, self.types = direct.layout, direct.types
        self.load, self.in_shape, self.strides, self.box = direct.load_dtype, direct.in_shape, strides, box
        self.lane_bytes = self.plan.inner * self.load.itemsize
        self.registers = tap_loops.lanes(direct.types)
        sizes = [stop - start for start, stop in box]
        sizes[-1] *= self.plan.inner
        self.out_strides = _c_strides(sizes, direct.out_dtype.itemsize)
        self.out_strides[-1] *= self.plan.inner
        self.out_origin = [start for start, _ in box]
        line = workspace.ALIGNMENT
        maps_bytes = regions.size(box) * self.plan.inner * direct.out_dtype.itemsize
        self.aligned = all(stride % line == 0 for stride in self.out_strides[:-1]) and (
            filters == 1 or maps_bytes % line == 0
        )
        whole = self.types.store.bytes == self.types.accumulate.bytes and self.plan.row is not None
        self.stream = self.aligned and whole and maps_bytes > STREAM_BYTES

    def steps(self, count: int) -> list[Step]:
        if regions.size(self.box) * self.plan.inner == 0:
            return []
        interior = self._interior()
        small = self._input_bytes(self.box) <= SMALL_BYTES
        if interior is None or (small and count == 1):
            return [step for piece in self._blocks(self.box) for step in self._gathered(piece)]
        borders = [piece for slab in regions.shell(self.box, interior) for piece in self._blocks(slab)]
        steps = [step for piece in borders for step in self._gathered(piece)]
        # Large pieces first: the borders fill the gaps at the end.
        return [*(self._direct(piece) for piece in self._pieces(interior, count)), *steps]

    def _interior(self) -> Box | None:
        """Give the outputs whose taps all lie inside, leaving whole tiles to the borders; None if there are none."""
        if self.plan.lane.stride > 1 or any(size == 0 for size in self.in_shape):
            return None
        interior = []
        for i, (axis, (start, stop)) in enumerate(zip(self.plan.axes, self.box, strict=True)):
            low, high = axis.interior
            low, high = max(low, start), min(high, stop)
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
        interior[-1] = self._align(*interior[-1])
        return tuple(interior) if interior[-1][0] < interior[-1][1] else None

    def _align(self, low: int, high: int) -> tuple[int, int]:
        """Let the interior's lanes start on a cache line, and hold whole tiles if they are streamed."""
        pixel = self.out_strides[-1]
        if self.aligned:
            shifts = [
                s for s in range(workspace.ALIGNMENT) if (self.phase + (low + s) * pixel) % workspace.ALIGNMENT == 0
            ]
            low += shifts[0] if shifts else 0
            self.stream = self.stream and bool(shifts)
        if self.stream:
            tile = isas.host().vectors * self.registers
            high = low + (high - low) * self.plan.inner // tile * tile // self.plan.inner
        return low, high

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
        types = replace(self.types, stream=self.stream)
        found = tap_loops.calls(self.plan, types, box, frame, self.out_strides, self.out_origin)
        return Step(None, 0, tuple(found))

    def _gathered(self, box: Box) -> list[Step]:
        plan, _lane = self.plan, self.plan.lane
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
        strides = (*(stride * pitch for stride in _c_strides(sizes, 1)), self.lane_bytes)
        copy = gather.prepare(maps, self.strides, self.in_shape, self.load, plan.inner, pitch)
        origin = tuple(start for start, _ in reads)
        frame = tap_loops.Frame(strides, origin, taps, 0)
        total = pitch * int(np.prod(sizes, dtype=np.int64))
        if slack:
            return [self._short(box, frame, copy, total)]
        found = tap_loops.calls(plan, self.types, box, frame, self.out_strides, self.out_origin)
        return [Step(copy, total, tuple(found))]

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
        strides = _c_strides(sizes, self.types.store.bytes)
        wide: Box = (*box[:-1], (box[-1][0], box[-1][0] + -(-self.registers // self.plan.inner)))
        origin = [start for start, _ in box]
        found = tap_loops.calls(self.plan, self.types, wide, frame, strides, origin, self.registers)
        first = self.plan.inner
        where = tuple(slice(a - o, b - o) for (a, b), o in zip(box[:-1], self.out_origin, strict=False))
        lanes = slice((box[-1][0] - self.out_origin[-1]) * first, (box[-1][1] - self.out_origin[-1]) * first)
        return Step(copy, total, tuple(found), (int(np.prod(sizes)), tuple(sizes), (*where, lanes)))


def _whole_box(plan: Layout) -> Box:
    return tuple((0, axis.out) for axis in plan.axes)


def _c_strides(sizes: Sequence[int], itemsize: int) -> list[int]:
    strides = [itemsize]
    for size in reversed(sizes[1:]):
        strides.append(strides[-1] * size)
    return strides[::-1] if sizes else []
