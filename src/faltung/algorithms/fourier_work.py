"""The tiled Fourier method at work: load a pair of tiles, transform, multiply, transform back, store."""

from __future__ import annotations

import ctypes
import math
import operator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms import fourier_regions, fourier_repair, held
from faltung.algorithms.fourier_loads import Loads
from faltung.algorithms.fourier_stores import Stores
from faltung.algorithms.fourier_tables import (
    axis_panels,
    bridge,
    factor_tables,
    laid,
    spectrum,
    stage_lists,
    strides_of,
)
from faltung.compiler import isa as isas
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.compiler.fourier_nest import FIELDS, AxisNest, LastNest
from faltung.runtime import threads as pool
from faltung.runtime import workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.algorithms.fourier_tiles import Tiling
    from faltung.algorithms.held import Intervals
    from faltung.algorithms.task import Task
    from faltung.runtime.regions import Box

# A thread is worth waking for about this many points of transforms.
POINTS_PER_THREAD = 1 << 16
# Both parts of a sample shall not meet in one set of the first cache.
PLANES_APART = 5 * workspace.ALIGNMENT


def scratch_bytes(tiling: Tiling, accumulate: np.dtype, load: np.dtype, bank: int) -> tuple[int, int, int]:
    """Give the bytes of a complex tile, of the buffer of a panel, and of all scratch memory of a thread."""
    tile = 2 * (math.prod(laid(tiling.shape, accumulate.itemsize)) * accumulate.itemsize + PLANES_APART)
    buffer = 2 * max(tiling.shape) * isas.host().vector_bytes
    gathered = tiling.points * load.itemsize + workspace.ALIGNMENT
    return tile, buffer, (1 + (bank > 1)) * tile + buffer + gathered


class Fourier:
    """The method prepared for a task and a tiling."""

    def __init__(self, task: Task, tiling: Tiling, dwarf: float) -> None:
        self.task, self.tiling, self.dwarf = task, tiling, dwarf
        self.problem, self.load_dtype = task.problem, task.load
        self.in_shape, self.out_shape = task.problem.shape, task.problem.map_shape
        self.accumulate, self.out_dtype = task.problem.dtypes.accumulate, task.problem.dtypes.output
        self.strided = any(axis.stride > 1 for axis in tiling.view.axes)
        self.tile_bytes, self.buffer_bytes, self.scratch = scratch_bytes(
            tiling, self.accumulate, task.load, len(task.kernels)
        )
        self.loads = Loads(task, tiling)
        self.stores = Stores(self)
        self._prepare()

    def _prepare(self) -> None:
        """Compile, and make the tables that never change."""
        tiling, dtype = self.tiling, self.accumulate
        element, lists, shape = Element.of(dtype), stage_lists(tiling.shape), tiling.shape
        self.factors = factor_tables(shape, dtype)
        self.spectra = [spectrum(kernel, tiling, dtype) for kernel in self.task.kernels]
        self.bridge = bridge(tiling, dtype) if tiling.bridged else self.spectra[0]
        # With one kernel everything happens in place; a bank needs the spectrum of the input again.
        apart = self.tile_bytes * (len(self.spectra) > 1)
        self.second = apart
        lanes = isas.host().vector_bytes // dtype.itemsize
        wanted = (shape[0], shape[1]) if tiling.bridged else tiling.step
        whole, columns = shape[-1] // lanes, -(-wanted[-1] // lanes)
        front = range(len(shape) - 1)
        self._keep: list[tuple[np.ndarray, np.ndarray]] = []
        self.forward = [
            self._call(AxisNest(element, lists[a], False), a, axis_panels(shape, a, dtype.itemsize), 0, whole)
            for a in front
        ]
        last = compiled.get(LastNest(element, lists[-1], tiling.bridged))
        pitch = laid(shape, dtype.itemsize)[-1] * dtype.itemsize
        rows = lanes * pitch * np.arange(tiling.points // shape[-1] // lanes)
        self.last = [
            (last, self.parameters(rows, len(shape) - 1, 0, columns, spectrum=s.ctypes.data)) for s in self.spectra
        ]
        parts = {a: axis_panels(shape, a, dtype.itemsize, wanted) for a in reversed(front)}
        self.backward = [
            self._call(AxisNest(element, lists[a], True), a, part, apart, columns) for a, part in parts.items()
        ]

    def _call(
        self, nest: AxisNest, axis: int, panels: np.ndarray, apart: int, vectors: int
    ) -> tuple[Callable[..., None], int]:
        return compiled.get(nest), self.parameters(panels, axis, apart, vectors)

    def parameters(self, panels: np.ndarray, axis: int, apart: int, vectors: int, **further: int) -> int:
        """Make a parameter block that lives as long as this method, and give its address."""
        size = self.accumulate.itemsize
        pitches = strides_of(laid(self.tiling.shape, size), size)
        table = np.stack([panels, panels], axis=1)
        values = {
            "panels": len(table), "panel_table": table.ctypes.data, "vectors": vectors,
            "pitch": pitches[min(axis, len(pitches) - 2)],
            "plane": self.tile_bytes // 2, "buffer": self.tile_bytes + self.second - apart,
            "twiddles": self.factors[axis].ctypes.data, "bridge": self.bridge.ctypes.data,
            "spectrum": self.spectra[0].ctypes.data, **further,
        }  # fmt: skip
        block = np.array([values.get(name, 0) for name in FIELDS], np.int64)
        self._keep.append((block, table))
        return block.ctypes.data

    def run(self, source: np.ndarray, out: np.ndarray, threads: int) -> None:
        """Fill `out`, C-contiguous (kernels, *out_shape), from the input."""
        if out.size:
            self._run(source, out, range(self.tiling.pairs), None, threads)

    def samples(self, box: Box) -> tuple[Intervals, ...]:
        """Give the samples that a box of one map needs: those of all tiles that meet it, and of their partners."""
        return fourier_regions.samples(self.tiling, box)

    def grain(self) -> tuple[int, ...]:
        """Give the outputs of a pair of tiles along each axis of a map."""
        return fourier_regions.grain(self.tiling)

    def box_workspace(self) -> int:
        """Give the scratch bytes that each thread needs for a box: beside its tiles one that is stored in between.

        Odd rules and repairs work on copies of a tile.
        """
        return self.scratch + self.tiling.points * (self.out_dtype.itemsize + 4 * self.accumulate.itemsize)

    def run_box(
        self, source: np.ndarray, box: Box, samples: tuple[Intervals, ...], out: np.ndarray, threads: int
    ) -> None:
        """Fill `out` (kernels, *box) from a block of these samples, which hold those that the box needs."""
        view = self.tiling.view
        if source.strides[-1] != source.itemsize:
            source = np.ascontiguousarray(source)
        part = Part(tuple(samples[i] for i in view.order), Stores(self, tuple(box[i] for i in view.order)))
        self._run(source, out, fourier_regions.pairs(self.tiling, box), part, threads)

    def _run(self, source: np.ndarray, out: np.ndarray, pairs: Sequence[int], part: Part | None, threads: int) -> None:
        view, result = self.tiling.view, out
        if view.moved:
            source = np.ascontiguousarray(source.transpose(view.order))
            out = np.empty((len(out), *(out.shape[1 + i] for i in view.order)), out.dtype)
        count = min(threads, 1 + len(pairs) * self.tiling.points // POINTS_PER_THREAD, len(pairs))
        edges = [len(pairs) * i // count for i in range(count + 1)]
        jobs = [partial(self._work, source, out, pairs[a:b], part) for a, b in pairwise(edges)]
        pool.run(jobs, count)
        if view.moved:
            result[...] = out.transpose(0, *(1 + view.order.index(i) for i in range(len(view.order))))

    def _work(self, source: np.ndarray, out: np.ndarray, pairs: Sequence[int], part: Part | None) -> None:
        worker = Worker(self, source, out, part)
        for pair in pairs:
            worker.pair(pair)

    def shortcut(self) -> None:
        """There is no quicker way."""
        return

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, for `Plan.explain`."""
        tiling, isa = self.tiling, isas.host()
        shape, step = "x".join(map(str, tiling.shape)), "x".join(map(str, tiling.step))
        stages = ", ".join("·".join(map(str, stages)) for stages in stage_lists(tiling.shape))
        return [
            ("method", "overlap-save: compiled Fourier transforms of tiles, two tiles as one of complex numbers"),
            ("tile", f"{shape} points for {step} outputs, anchored at output 0; {tiling.tiles} tiles"),
            ("order", f"radices {stages}{'; both axes of the tile are one line' * tiling.bridged}"),
            ("instructions", f"{isa.name}{', fused multiply-add' if isa.has_fma else ''}"),
            ("care", "tiles with NaN, Inf or samples that dwarf others are repaired by the definition"),
            ("memory", f"{self.scratch:,} bytes of scratch for each thread"),
        ]


class Part(NamedTuple):
    """What a run over a part of the output has instead of whole arrays: the samples of its block, and its stores."""

    samples: tuple[Intervals, ...]
    stores: Stores


class Worker:
    """One thread's scratch memory and the pair of tiles in it."""

    def __init__(self, method: Fourier, source: np.ndarray, out: np.ndarray, part: Part | None = None) -> None:
        self.method, self.source, self.out = method, source, out
        self.samples_held = None if part is None else part.samples
        self.stores = method.stores if part is None else part.stores
        self.source_address = source.__array_interface__["data"][0]
        self.out_address = out.__array_interface__["data"][0]
        self.tile, self._held = workspace.borrow(method.scratch)
        self.second = self.tile + method.second
        self.gathered = self.second + method.tile_bytes + method.buffer_bytes
        self.found = np.zeros((2, 2), np.int64)
        half, found = method.tile_bytes // 2, self.found.ctypes.data
        room = self.second + method.tile_bytes
        self.targets = np.array([[self.tile, found, room], [self.tile + half, found + 16, room]], np.int64)
        self.target_addresses = [self.targets.ctypes.data, self.targets.ctypes.data + self.targets.strides[0]]
        self.sizes = self.found.view(method.accumulate)[:, :: 8 // method.accumulate.itemsize]
        self.bounced = self.stores.bounce_buffers()

    def pair(self, index: int) -> None:
        """Do two tiles, or the last one."""
        method, tiling = self.method, self.method.tiling
        tiles = tiling.pair(index)
        careful = [self._load(part, tile) for part, tile in enumerate(tiles)]
        if len(tiles) == 1:
            ctypes.memset(self.tile + method.tile_bytes // 2, 0, method.tile_bytes // 2)
            self.found[1] = 0, self.found[0, 1]
        (a, b), (c, d) = self.sizes.tolist()
        if any(careful) or not self._calm(a, b, c, d):
            fourier_repair.repair(self, list(tiles))
            return
        self.transform(list(tiles))

    def _calm(self, a: float, b: float, c: float, d: float) -> bool:
        """Say whether no sample is NaN, Inf, out of range or so large that it dwarfs a window.

        The largest samples of the tiles are `a` and `c`, those of the darkest blocks `b` and `d`.
        """
        low, high = self.method.loads.limits
        if not (a <= high and c <= high):
            return False
        largest = max(a, c)
        return largest == 0 or (largest >= low and min(b, d) >= self.method.dwarf * largest)

    def _load(self, part: int, tile: int) -> bool:
        """Load a tile into one part of the complex one; say whether its samples must be looked at in any case."""
        loads, tiling, samples = self.method.loads, self.method.tiling, self.samples_held
        image, tile = divmod(tile, tiling.per_image)
        if samples is None:
            shift, load = loads.image(self.source.strides, image), loads.tile(self.source, tile)
        else:
            images = len(tiling.view.images)
            shift = sum(map(operator.mul, self._place(image), self.source.strides))
            load = loads.tile(self.source, tile, samples[images:])
        address = self.source_address + shift
        if load.clear:
            half = self.method.tile_bytes // 2
            ctypes.memset(self.tile + part * half, 0, half)
        if load.gather is None:
            loads.kernel(load.parameters, address + load.offset, self.target_addresses[part])
        else:
            load.gather.run(self.source[self._place(image)], address, self.gathered)
            loads.kernel(load.parameters, self.gathered, self.target_addresses[part])
        return load.careful

    def _place(self, image: int) -> tuple[int, ...]:
        """Say where an image lies in the source."""
        at = (int(n) for n in np.unravel_index(image, self.method.tiling.view.images))
        samples = self.samples_held
        return tuple(at) if samples is None else tuple(map(held.place, samples, at))

    def transform(self, tiles: list[int | None]) -> None:
        """Transform what is loaded, and store the results of these tiles (None for one that is not wanted)."""
        method = self.method
        for call, parameters in method.forward:
            call(parameters, self.tile, self.tile)
        for i, (call, parameters) in enumerate(method.last):
            call(parameters, self.tile, self.second)
            for back, block in method.backward:
                back(block, self.second, self.second)
            self.stores.store(self, i, tiles)

    def samples(self, part: int) -> np.ndarray:
        """Give what is loaded in a part of the tile, along the filtered axes."""
        return self._plane(part).reshape(self.method.tiling.size)

    def fill(self, part: int, samples: np.ndarray | None) -> None:
        """Put samples into the first corner of a part of the tile, and zeros elsewhere."""
        plane = self._plane(part)
        plane[...] = 0
        if samples is not None:
            whole = np.zeros(self.method.tiling.size, plane.dtype)
            whole[tuple(slice(0, n) for n in samples.shape)] = samples
            plane[...] = whole.reshape(plane.shape)

    def _plane(self, part: int) -> np.ndarray:
        method, shape = self.method, self.method.tiling.shape
        extents = laid(shape, method.accumulate.itemsize)
        raw = (ctypes.c_uint8 * method.tile_bytes).from_address(self.tile)
        planes = np.ctypeslib.as_array(raw).view(method.accumulate).reshape(2, -1)
        plane: np.ndarray = planes[part, : math.prod(extents)].reshape(extents)[..., : shape[-1]]
        return plane
