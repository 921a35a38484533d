"""Cutting a separable filter's output into boxes, and the passes on each: parameter blocks of the pass nest.

A box runs through all its passes in the second-level cache: from the caller's array to one scratch block, along every
further axis within it, and from there along the lanes to the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms.separable_axes import Extent, Rows
from faltung.algorithms.steps import c_strides
from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.pass_nest import CONSTANT, FIELDS, PassNest, Work, group
from faltung.runtime import gather, workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.algorithms.layout import Layout
    from faltung.algorithms.separable_axes import Core
    from faltung.compiler.elements import Element
    from faltung.runtime.regions import Box


class Pass(NamedTuple):
    """One call of a compiled pass; input and output are the caller's (0) or lie in scratch, at these bytes."""

    kernel: Callable[..., None]
    parameters: int
    source_in_scratch: bool
    source: int
    target_in_scratch: bool
    target: int
    keep: tuple[np.ndarray, ...]


class Step(NamedTuple):
    """One box: what is gathered first (odd rules), its passes, and where they work.

    Where the sums are floats, the work memory holds at `note` the bytes `finite` if all outputs are.
    """

    box: Box
    gather: gather.Gather | None
    passes: tuple[Pass, ...]
    work: int
    scratch_bytes: int
    note: int
    finite: bytes


class Binder:
    """Makes the steps for given strides of the input."""

    def __init__(self, plan: Layout, active: Sequence[int], types: tuple[Element, Element, Element], load: np.dtype,
                 strides: tuple[int, ...]) -> None:  # fmt: skip
        self.plan, self.active, self.types, self.load = plan, list(active), types, load
        self.strides = strides
        self.lane = len(plan.axes) - 1
        self.out_strides = c_strides(plan.array_shape(out=True), types[2].bytes)
        self.out_strides[-1] *= plan.inner
        self.register = isas.host().vector_bytes
        self.lanes = self.register // types[1].bytes

    def step(self, box: Box, cores: Sequence[Core], *, stream: bool, phase: int) -> Step:
        """Prepare one box for one kernel."""
        extents = [self._extent(axis, start, stop) for axis, (start, stop) in enumerate(box)]
        scratch, copy, source, strides = 0, None, 0, list(self.strides)
        strides[-1] = self.plan.inner * self.load.itemsize
        gathered = self._must_gather(extents)
        if gathered:
            copy, extents, strides, scratch = self._gathered(extents)
        else:
            source = sum(e.low * stride for e, stride in zip(extents, strides, strict=True))
        cut = _Cut(self, box, extents, strides, source, gathered, scratch)
        return cut.step(copy, cores, stream, phase)

    def _extent(self, axis: int, start: int, stop: int) -> Extent:
        one, side = self.plan.axes[axis], self.plan.sides[axis]
        first, last = one.reads(start, stop)
        found = gather.coordinates(first, last, one.size, side)
        inside = found.index[found.index >= 0]
        low, high = (int(inside.min()), int(inside.max()) + 1) if len(inside) else (0, 1)
        return Extent(start, stop, first, found, low, high)

    def _must_gather(self, extents: list[Extent]) -> bool:
        """Tell whether an axis needs more than copies of samples and zeros, or lanes that lie elsewhere.

        Zeros pass through sums as they are; another constant would have to be what the passes before make of it.
        """
        for axis, e in enumerate(extents):
            fills = e.map.fill
            if e.map.sign is not None or (fills is not None and fills[e.map.index < 0].any()):
                return True
            if axis == self.lane and not _holds_itself(e, 0, self.plan.axes[axis].size):
                return True
        return False

    def _gathered(self, extents: list[Extent]) -> tuple[gather.Gather, list[Extent], list[int], int]:
        """Copy the extended box to scratch, which then needs no boundary."""
        sizes = [len(e.map.index) for e in extents]
        lane_bytes = self.plan.inner * self.load.itemsize
        pitch = -(-sizes[-1] * lane_bytes // workspace.ALIGNMENT) * workspace.ALIGNMENT
        strides = [stride * pitch for stride in c_strides(sizes[:-1], 1)] + [lane_bytes]
        shape = self.plan.array_shape(out=False)
        copy = gather.prepare([e.map for e in extents], self.strides, shape, self.load, self.plan.inner, pitch)
        plain = [
            Extent(e.start, e.stop, 0, gather.coordinates(0, size, size, None), 0, size)
            for e, size in zip(extents, sizes, strict=True)
        ]
        return copy, plain, strides, pitch * int(np.prod(sizes[:-1], dtype=np.int64))


class _Cut:
    """One box on its way through the passes: where its samples lie, and which part of each axis is already filtered."""

    def __init__(self, binder: Binder, box: Box, extents: list[Extent], strides: list[int], source: int,
                 in_scratch: bool, scratch: int) -> None:  # fmt: skip
        self.b, self.plan, self.box, self.extents = binder, binder.plan, box, extents
        self.strides, self.source, self.in_scratch, self.scratch = strides, source, in_scratch, scratch
        self.sizes = [e.high - e.low for e in extents]
        self.buffer_bytes = self.note = 0

    def step(self, copy: gather.Gather | None, cores: Sequence[Core], stream: bool, phase: int) -> Step:
        """Chain the passes."""
        b, last, self.phase = self.b, len(cores) - 1, phase
        held = [*self.sizes]
        for axis in b.active:
            held[axis] = max(self.sizes[axis], self.box[axis][1] - self.box[axis][0])
        held[b.active[0]] = self.box[b.active[0]][1] - self.box[b.active[0]][0]
        pitch = self._pitch(held[-1] * self.plan.inner * b.types[1].bytes)
        block = [stride * pitch for stride in c_strides(held[:-1], 1)] + [self.plan.inner * b.types[1].bytes]
        plane = pitch * int(np.prod(held[:-1], dtype=np.int64))
        most = max((core.weights.shape[0] for core in cores[:-1]), default=0)
        # With one map a pass may write over what it has read; several need a second place.
        places = [self.scratch, self.scratch + (most * plane if most > 1 else 0)]
        passes = []
        for i, (axis, core) in enumerate(zip(b.active, cores, strict=True)):
            if i == last:
                target, out_strides, out_map = 0, b.out_strides, 0
                target = sum(start * stride for (start, _), stride in zip(self.box, b.out_strides, strict=True))
            else:
                target, out_strides, out_map = places[i % 2], block, plane
            passes.append(self._pass(axis, core, plane if i else 0, target, out_strides, out_map,
                                     final=i == last, stream=stream and i == last))  # fmt: skip
            self.source, self.strides, self.in_scratch = target, list(out_strides), True
            self.sizes[axis] = self.box[axis][1] - self.box[axis][0]
        work = self.scratch + (0 if last == 0 else (2 if most > 1 else 1) * max(most, 1) * plane)
        note, finite = (self.note, bytes(b.register)) if b.types[1].kind == "f" else (0, b"")
        return Step(self.box, copy, tuple(passes), work, work + self.buffer_bytes, note, finite)

    def _pitch(self, row_bytes: int) -> int:
        """Pad rows to whole registers, and so that they do not all map to one set of the cache."""
        whole = -(-row_bytes // self.b.register) * self.b.register
        whole = -(-whole // workspace.ALIGNMENT) * workspace.ALIGNMENT
        return whole + workspace.ALIGNMENT * (whole // workspace.ALIGNMENT % 2 == 0)

    def _pass(self, axis: int, core: Core, in_plane: int, target: int, out_strides: Sequence[int], out_map: int, *,
              final: bool, stream: bool) -> Pass:  # fmt: skip
        b = self.b
        load, accumulate, store = b.types
        along_lanes = axis == b.lane
        check = final and accumulate.kind == "f"
        first = axis == b.active[0]
        nest = PassNest(load if first else accumulate, accumulate, store if final else accumulate, along_lanes, check,
                        core.known)  # fmt: skip
        rows = Rows.of(self.plan, axis)
        maps, planes, taps = core.weights.shape
        at = Work.of(isas.host(), nest)
        self.note = at.slot
        lines = self._lines(axis, out_strides)
        fill = np.zeros(planes, np.int64)  # zeros of any type
        values = dict.fromkeys(FIELDS, 0) | {
            "lines": len(lines), "line_table": lines.ctypes.data, "planes": planes, "in_plane": in_plane,
            "maps": maps, "out_map": out_map, "taps": taps, "weights": core.weights.ctypes.data,
            "modes": core.modes.ctypes.data, "chains": rows.chains, "tap_step": rows.tap * b.register,
            "out_step": rows.out * b.register, "fills": fill.ctypes.data, "buffer": at.buffer(rows.chains),
            "out_row": out_strides[axis], "stream": stream,
        }  # fmt: skip
        if along_lanes:
            table, needed = self._lane_columns(values, rows, at.block)
        else:
            table, needed = self._row_offsets(axis, values, rows, at.rows, final)
        values["block_bytes"] = (needed + 1 - needed % 2) * b.register
        values["plane_bytes"] = values["block_bytes"] * (1 if along_lanes else group(isas.host()))
        self.buffer_bytes = max(self.buffer_bytes, values["buffer"] + planes * values["plane_bytes"])
        parameters = np.array([values[name] for name in FIELDS], np.int64)
        keep = (parameters, lines, core.weights, core.modes, fill, table)
        return Pass(kernels.get(nest), parameters.ctypes.data, self.in_scratch, self.source, not final, target, keep)

    def _lines(self, axis: int, out_strides: Sequence[int]) -> np.ndarray:
        """List (input, output) offsets of the positions of all axes but this one and the lanes."""
        table: np.ndarray = np.zeros((1, 2), np.int64)
        for i in range(self.b.lane):
            if i != axis:
                steps = np.arange(self.sizes[i])[:, None] * [self.strides[i], out_strides[i]]
                table = (table[:, None, :] + steps[None, :, :]).reshape(-1, 2)
        return np.ascontiguousarray(table)

    def _row_offsets(
        self, axis: int, values: dict[str, int], rows: Rows, block: int, final: bool
    ) -> tuple[np.ndarray, int]:
        """List the offsets of the extended coordinates along rows; also give the buffer rows that are needed."""
        e, lanes = self.extents[axis], self.sizes[-1] * self.plan.inner
        # Within scratch, rows have room for whole registers.
        inside = self.in_scratch and axis != self.b.active[0] and not final
        width = -(-lanes // self.b.lanes) * self.b.lanes if inside else lanes
        table = np.where(e.map.index >= 0, (e.map.index - e.low) * self.strides[axis], CONSTANT).astype(np.int64)
        values |= {
            "outputs": e.stop - e.start, "width": width, "extent": len(table), "table": table.ctypes.data,
        }  # fmt: skip
        return table, max(len(table), rows.needed(e.stop - e.start, values["taps"], block))

    def _lane_columns(self, values: dict[str, int], rows: Rows, block: int) -> tuple[np.ndarray, int]:
        """List which buffer rows beyond the array's lanes are copies of which; also give those that are needed."""
        e, inner = self.extents[-1], self.plan.inner
        copies, outputs = self._copies(e), (e.stop - e.start) * inner
        if values["stream"] and rows.chains == 1:
            # Blocks begin on the output's cache lines, apart from the first and the last.
            beyond = (self.phase + e.start * self.b.out_strides[-1]) % workspace.ALIGNMENT
            values["lead"] = -beyond // self.b.types[2].bytes if beyond % self.b.types[2].bytes == 0 else 0
        values |= {
            "outputs": outputs, "width": (e.high - e.low) * inner, "extent": (e.low - e.first) * inner,
            "table": copies.ctypes.data, "copies": len(copies),
        }  # fmt: skip
        return copies, max(len(e.map.index) * inner, rows.needed(outputs, values["taps"], block))

    def _copies(self, e: Extent) -> np.ndarray:
        """List which buffer rows beyond the array's lanes are copies of which."""
        inner, before = self.plan.inner, e.low - e.first
        place = np.arange(len(e.map.index))
        beyond = (place < before) | (place >= before + e.high - e.low)
        origin = (e.map.index[beyond] - e.low + before)[:, None] * inner + np.arange(inner)
        to = place[beyond][:, None] * inner + np.arange(inner)
        constant = (e.map.index[beyond] < 0)[:, None]
        pairs = np.stack([to * self.b.register, np.where(constant, CONSTANT, origin * self.b.register)], axis=-1)
        return np.ascontiguousarray(pairs.reshape(-1, 2).astype(np.int64))


def _holds_itself(e: Extent, start: int, stop: int) -> bool:
    """Tell whether all samples that are read lie between the first and the last coordinate, within [start, stop)."""
    return e.low >= max(e.first, start) and e.high <= min(e.first + len(e.map.index), stop)
