"""Cutting the output of a window operation into tiles, and running them: in place inside, through a copy at borders."""

from __future__ import annotations

import ctypes
import math
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms.steps import c_strides
from faltung.algorithms.window_program import (
    INPUT,
    OUTPUT,
    SCRATCH,
    SLACK,
    Frame,
    Program,
    entry,
    line_bytes,
    pixel_strides,
)
from faltung.algorithms.window_work import extent, phase_extent
from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.sequence_nest import SequenceNest
from faltung.runtime import gather, regions, workspace
from faltung.runtime import threads as pool
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.layout import Layout
    from faltung.algorithms.window_work import Arithmetic, Work
    from faltung.runtime.gather import Gather
    from faltung.runtime.regions import Box

# Scratch memory of a tile, just so much that a thread keeps it (measured: 1.2 times as fast as tiles that fit
# the second-level cache, which overlap more and read shorter lines).
TILE_BYTES = 8_100_000
# Lines are cut late: their borders are gathered element by element, and memory is read in long runs.
LEAST_LANES = 512
# A thread is worth waking for about so much output.
BYTES_PER_THREAD = 1 << 19
# Outputs beyond this leave the caches anyway, so they are stored past them.
STREAM_BYTES = 4 << 20
BOUND_KEPT = 16


class Windows:
    """A window operation on arrays of one merged shape, once for each of its arithmetics (the filters of a bank)."""

    def __init__(
        self, plan: Layout, works: tuple[Work, ...], arithmetics: Sequence[Arithmetic], load: np.dtype, store: np.dtype
    ) -> None:
        self.plan, self.works, self.arithmetics, self.load, self.store = plan, works, arithmetics, load, store
        self.in_shape, self.out_shape = plan.array_shape(out=False), plan.array_shape(out=True)
        self._bound: Kept[tuple[object, ...], list[Job]] = Kept(BOUND_KEPT)

    def run(self, source: np.ndarray, out: np.ndarray, threads: int) -> None:
        """Fill `out`, C-contiguous (filters, *out_shape); a line of the source is contiguous."""
        if out.size == 0:
            return
        count = min(threads, 1 + out.nbytes // BYTES_PER_THREAD)
        for which, target in enumerate(out):
            phase = target.__array_interface__["data"][0] % workspace.ALIGNMENT
            jobs = self.jobs(source.strides, count, which, phase)
            pool.run([partial(job.run, source, target) for job in jobs], count)

    def jobs(self, strides: Sequence[int], count: int = 1, which: int = 0, phase: int = 1) -> list[Job]:
        """Cut the output, which starts `phase` bytes into a cache line, for so many threads.

        The cuts are kept for the next arrays of the same strides.
        """
        key = (*strides, count, which, phase)
        jobs = self._bound.get(key)
        if jobs is None:
            jobs = _Binder(self, self.arithmetics[which], strides, phase).jobs(count)
            self._bound.keep(key, jobs)
        return jobs


class Tile(NamedTuple):
    """A box of the output: its program, how its input is gathered, and where input and output start.

    Lines that are `narrow`, shorter than a register, are made
    in scratch memory with these strides, and then copied.
    """

    box: Box
    program: Program
    gather: Gather | None
    source: int
    target: int
    narrow: tuple[int, ...] | None

    @property
    def alone(self) -> bool:
        """Whether NumPy has a part in it, before or after the compiled calls."""
        return self.narrow is not None or (self.gather is not None and self.gather.copy is None)


class Job:
    """Tiles that one thread computes in one compiled call, or a single one that NumPy prepares or copies."""

    def __init__(self, tiles: list[Tile], store: np.dtype, inner: int) -> None:
        self.tiles, self._store, self._inner = tiles, store, inner
        self._sequence = kernels.get(SequenceNest())
        self._copies = [self._copy(tile.gather) for tile in tiles]
        groups = np.array([g for tile, copy in zip(tiles, self._copies, strict=True) for g in _groups(tile, copy)])
        block = np.array((len(groups), groups.ctypes.data), np.int64)
        self._keep = (groups, block)
        self._address = block.ctypes.data
        self.scratch_bytes = max(tile.program.scratch_bytes for tile in tiles)

    @staticmethod
    def _copy(prepared: Gather | None) -> np.ndarray | None:
        """Write the call of a compiled copy: from the input to the start of the scratch memory."""
        if prepared is None or prepared.copy is None:
            return None
        return np.array([(entry(prepared.copy), prepared.parameters, INPUT, 0, SCRATCH, 0)], np.int64)

    def run(self, source: np.ndarray, out: np.ndarray) -> None:
        """Compute the tiles of one feature map."""
        tile = self.tiles[0]
        start, target = (array.__array_interface__["data"][0] for array in (source, out))
        rows = tile.narrow[0] * (tile.box[0][1] - tile.box[0][0]) + SLACK if tile.narrow else 0
        scratch, _held = workspace.borrow(self.scratch_bytes + rows)
        if tile.gather is not None and tile.gather.copy is None:
            tile.gather.run(source, start, scratch)
        if tile.narrow is None:
            self._sequence(self._address, (ctypes.c_void_p * 3)(start, scratch, target), 0)
            return
        lines = scratch + self.scratch_bytes
        self._sequence(self._address, (ctypes.c_void_p * 3)(start, scratch, lines), 0)
        where = [slice(*part) for part in tile.box]
        where[-1] = slice(where[-1].start * self._inner, where[-1].stop * self._inner)
        shape = [part.stop - part.start for part in where]
        raw = np.ctypeslib.as_array((ctypes.c_uint8 * rows).from_address(lines))
        strides = (*tile.narrow[:-1], self._store.itemsize)
        out[tuple(where)] = np.ndarray(shape, self._store, raw.data, 0, strides)


def _groups(tile: Tile, copy: np.ndarray | None) -> list[tuple[int, ...]]:
    program, groups = tile.program, list[tuple[int, ...]]()
    if copy is not None:
        groups.append((1, copy.ctypes.data, INPUT, tile.source, SCRATCH, 0, OUTPUT, 0))
    groups.append((program.calls, program.address, INPUT, tile.source, SCRATCH, 0, OUTPUT, tile.target))
    return groups


def cut(plan: Layout, works: Sequence[Work], box: Box, limit: int) -> list[Box]:
    """Cut a box until the levels of a tile take no more bytes than the limit."""
    halves = _halves(plan, works, box, limit)
    return halves if len(halves) == 1 else [part for half in halves for part in cut(plan, works, half, limit)]


def first_tile(plan: Layout, works: Sequence[Work]) -> Box:
    """Give the first of the tiles for one thread."""
    halves: list[Box] = [tuple((0, axis.out) for axis in plan.axes), ()]
    while len(halves) > 1:
        halves = _halves(plan, works, halves[0], TILE_BYTES)
    return halves[0]


def _halves(plan: Layout, works: Sequence[Work], box: Box, limit: int) -> list[Box]:
    """Cut a box that is too large along the axis whose halves read least twice; lanes are cut late."""
    if scratch_bytes(plan, works, box) <= limit:
        return [box]
    spans = [axis.span / axis.stride for axis in plan.axes]
    spans[-1] = max(2 * spans[-1], LEAST_LANES / plan.inner)
    sizes = [stop - start for start, stop in box]
    axis = max(range(len(box)), key=lambda i: sizes[i] / spans[i])
    # Tiles begin on cache lines.
    multiple = workspace.ALIGNMENT if axis == len(box) - 1 else 1
    return regions.split(box, axis, 2 if sizes[axis] >= 2 * multiple else 1, multiple)


def scratch_bytes(plan: Layout, works: Sequence[Work], box: Box) -> int:
    """Estimate the scratch memory for the levels of a tile."""
    pixels = math.prod(extent(plan, i, stop - start) for i, (start, stop) in enumerate(box))
    # What an axis is made from, its levels, and its result unless that is the output.
    arrays = max(len(work.chain.stages) + (work is not works[-1]) for work in works)
    return pixels * plan.inner * arrays * max(work.element.bytes for work in works)


class _Binder:
    """Makes the tiles for an array of given strides; programs and copies are shared by tiles that look alike."""

    def __init__(self, windows: Windows, arithmetic: Arithmetic, strides: Sequence[int], phase: int) -> None:
        self.windows, self.arithmetic, self.plan = windows, arithmetic, windows.plan
        self.strides = (*strides[:-1], self.plan.inner * windows.load.itemsize)
        out = c_strides(windows.out_shape, windows.store.itemsize)
        self.out_strides = (*out[:-1], self.plan.inner * windows.store.itemsize)
        vector_bytes = isas.host().vector_bytes
        lanes = [vector_bytes // windows.works[i].element.bytes for i in (0, -1)]
        self.block = lanes[1]
        # Half a line at a time is slower than not to stream (measured for the direct sum).
        whole = vector_bytes % workspace.ALIGNMENT == 0 and windows.store.itemsize >= windows.works[-1].element.bytes
        aligned = all(step % workspace.ALIGNMENT == 0 for step in (phase, *out[:-1]))
        self.may_stream = whole and aligned and math.prod(windows.out_shape) * windows.store.itemsize > STREAM_BYTES
        # The fewest pixels of a line that a register reads and writes in place.
        self.least = [-(-n // self.plan.inner) for n in lanes]
        self.most_lanes = isas.host().vector_bytes // min(work.element.bytes for work in windows.works)
        # Later stages that read the input would need it laid out as the levels are.
        later = windows.works[0].chain.stages[1:]
        self.in_place = self.plan.lane.stride == 1 and all(p.level for stage in later for p in stage.parts)
        self.programs: dict[Frame, Program] = {}
        self.gathers: dict[tuple[object, ...], Gather] = {}

    def jobs(self, count: int) -> list[Job]:
        """Cut until the levels of a tile fit the cache, and there are enough tiles for the threads."""
        box: Box = tuple((0, axis.out) for axis in self.plan.axes)
        works, limit = self.windows.works, TILE_BYTES
        if count > 1:
            limit = min(limit, scratch_bytes(self.plan, works, box) // (4 * count))
        tiles = [self._tile(part) for part in cut(self.plan, works, box, limit)]
        together = len(tiles) if count == 1 else -(-len(tiles) // (4 * count))
        jobs = []
        for alone, some in groupby(tiles, key=lambda tile: tile.alone):
            listed = list(some)
            size = 1 if alone else together
            parts = [listed[i : i + size] for i in range(0, len(listed), size)]
            jobs += [Job(part, self.windows.store, self.plan.inner) for part in parts]
        return jobs

    def _tile(self, box: Box) -> Tile:
        counts = tuple(stop - start for start, stop in box)
        narrow, target, out_strides = None, 0, self.out_strides
        if counts[-1] < self.least[1]:
            # Lines with room for a register of any type.
            pixel = self.out_strides[-1]
            narrow = out_strides = pixel_strides(counts, isas.host().vector_bytes * pixel, pixel)
        else:
            target = sum(a * step for (a, _), step in zip(box, out_strides, strict=True))
        on_line = target % workspace.ALIGNMENT == 0 and counts[-1] * self.plan.inner % self.block == 0
        stream = self.may_stream and narrow is None and on_line
        reads = [axis.reads(*part) for axis, part in zip(self.plan.axes, box, strict=True)]
        inside = [a >= 0 and b <= axis.size for (a, b), axis in zip(reads, self.plan.axes, strict=True)]
        wide = reads[-1][1] - reads[-1][0] >= self.least[0]
        if all(inside) and wide and self.in_place:
            source = sum(a * step for (a, _), step in zip(reads, self.strides, strict=True))
            frame = Frame(counts, self.strides, out_strides, 0, stream)
            return Tile(box, self._program(frame), None, source, target, narrow)
        sizes = [extent(self.plan, i, n) for i, n in enumerate(counts)]
        # The levels are laid out as the gathered input is: stages may combine both.
        pitch = line_bytes(max(sizes[-1] * self.plan.inner, self.most_lanes) * self.windows.load.itemsize)
        copy, source = self._gather(reads, inside, counts[-1], pitch)
        front = -(-(math.prod(sizes[:-1]) * pitch + SLACK) // 64) * 64
        frame = Frame(counts, pixel_strides(sizes, pitch, self.strides[-1]), out_strides, front, stream)
        return Tile(box, self._program(frame), copy, source, target, narrow)

    def _program(self, frame: Frame) -> Program:
        found = self.programs.get(frame)
        if found is None:
            found = self.programs[frame] = Program(self.plan, self.windows.works, self.arithmetic, frame)
        return found

    def _gather(
        self, reads: Sequence[tuple[int, int]], inside: Sequence[bool], outputs: int, pitch: int
    ) -> tuple[Gather, int]:
        """Prepare a copy, relative to the tile along the axes where it lies inside; and say where the tile starts."""
        relative = [(0, b - a) if here else (a, b) for (a, b), here in zip(reads, inside, strict=True)]
        key = (*relative, pitch)
        found = self.gathers.get(key)
        if found is None:
            found = self.gathers[key] = self._prepare(relative, outputs, pitch)
        if found.copy is None:
            # NumPy copies from the array itself.
            return self._prepare(reads, outputs, pitch), 0
        return found, sum(a * step for (a, _), step, here in zip(reads, self.strides, inside, strict=True) if here)

    def _prepare(self, reads: Sequence[tuple[int, int]], outputs: int, pitch: int) -> Gather:
        maps = [
            gather.coordinates(*part, axis.size, sides)
            for part, axis, sides in zip(reads, self.plan.axes, self.plan.sides, strict=True)
        ]
        lane = self.plan.lane
        if lane.stride > 1:
            places = np.arange(phase_extent(lane, outputs))
            order = np.array(self.plan.phases)[:, None] + lane.stride * places[None, :]
            maps[-1] = gather.pick(maps[-1], np.minimum(order, len(maps[-1].index) - 1).ravel())
        strides = (*self.strides[:-1], self.windows.load.itemsize)
        return gather.prepare(maps, strides, self.windows.in_shape, self.windows.load, self.plan.inner, pitch)
