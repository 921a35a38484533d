"""Dense and grouped layers with output channels as lanes: fast for any image size, stride and dilation.

The input of a block of output rows is read in place, or gathered where the boundary is met, and all output channels of
a group are computed from it. A layer with few output channels in a group leaves lanes empty and runs bank by bank.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.algorithms.layer_weights import Packing
from faltung.algorithms.steps import c_strides
from faltung.algorithms.task import Recipe, Rejection, gamma, unit_roundoff
from faltung.compiler import isa as isas
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.compiler.layer_nest import ACTIVATIONS, FIELDS, LayerNest
from faltung.runtime import gather, machine, regions, workspace
from faltung.runtime import threads as pool
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.algorithms.task import Task
    from faltung.problem.problem import Channels
    from faltung.runtime.regions import Box

# Pixels x registers of a tile, by the lanes of a register: 8 x 2 accumulators of AVX-512, 4 x 3 of AVX2.
TILES = {"avx512": (8, 2), "avx2": (4, 3), "sse2": (2, 4), "neon": (4, 4)}
# What is gathered at once stays in the second-level cache beside the weights.
BLOCK_BYTES = 512 << 10
BOUND_KEPT = 16
MACS_PER_THREAD = 1 << 21
# Units are handed to threads in so many shares for each.
SHARES = 4
# Fewer channels than this share of a register are run bank by bank.
LEAST_LANES = 0.5
LEAST_REGISTER = 16  # bytes


def propose(task: Task) -> Recipe | Rejection:
    """Offer the layer nest where a group has enough output channels to fill lanes."""
    problem, channels = task.problem, task.problem.channels
    if channels is None:
        return Rejection("layer", "the problem has no channels")
    if not compiled.available():
        return Rejection("layer", "nothing is compiled here (llvmlite is missing, or FALTUNG_JIT=0)")
    accumulate = problem.dtypes.accumulate
    outputs = channels.outputs // channels.groups
    lanes = _register(outputs, accumulate) // accumulate.itemsize
    if outputs < LEAST_LANES * lanes:
        return Rejection("layer", f"{outputs} output channels in a group do not fill the {lanes} lanes of a register")
    if len(task.kernels) > channels.outputs or problem.shape[channels.axis + 1 + len(problem.axes) :]:
        return Rejection("layer", "complex numbers are run bank by bank")
    unit, norm1 = unit_roundoff(accumulate), max(float(facts.norm1) for facts in task.facts)
    norm2 = max(float(np.sqrt((k.astype(float) ** 2).sum())) for k in task.kernels)
    taps = task.kernels[0].size
    return Recipe(
        algorithm="layer",
        nanoseconds=_nanoseconds(task, channels, lanes),
        workspace=2 * BLOCK_BYTES,
        error=gamma(taps + (not isas.host().has_fma), unit) * norm1,
        expected=unit * math.sqrt(taps / 2 + 1) * norm2,
        arithmetic=("direct", isas.host().has_fma),
        prepare=lambda: Layer(task, channels),
        relative=True,
    )


def _register(outputs: int, accumulate: np.dtype) -> int:
    """Give the bytes of a register: half the widest where the channels of a group fit, and pixels can be transposed."""
    isa = isas.host()
    half = isa.vector_bytes // 2
    fits = max(outputs, TILES[isa.name][0]) * accumulate.itemsize <= half
    return half if fits and half >= LEAST_REGISTER else isa.vector_bytes


def _nanoseconds(task: Task, channels: Channels, lanes: int) -> float:
    problem = task.problem
    outputs, taps = channels.outputs // channels.groups, task.kernels[0].size
    filled = channels.groups * -(-outputs // lanes)
    pixels = math.prod(problem.map_shape) // channels.outputs
    return 3000.0 + pixels * filled * (taps / (0.85 * machine.host().vector_ops) + 2.0)


class Form(NamedTuple):
    """How weights are packed: lanes of a block, taps, and blocks of a group."""

    width: int
    vectors: int
    blocks: int


class Piece(NamedTuple):
    """A box of output pixels: how its input is read, the parameters of the call, where its output lies in a map.

    It serves every image and group. `small` says that it has fewer pixels than a tile and is written through scratch.
    """

    box: Box
    gather: gather.Gather | None
    scratch_bytes: int
    parameters: int
    source: int
    target: int
    small: bool
    keep: tuple[np.ndarray, ...]


class Unit(NamedTuple):
    """What the kernel does in one call: a box of an image, for the channels of a group."""

    image: int
    group: int
    piece: Piece


class Layer:
    """The compiled layer, bound to strides on first use and then reused."""

    def __init__(self, task: Task, channels: Channels) -> None:
        problem = self.problem = task.problem
        dtypes, isa = problem.dtypes, isas.host()
        self.load_dtype, self.in_shape, self.out_shape = task.load, problem.shape, problem.map_shape
        self.groups, self.outputs = channels.groups, channels.outputs // channels.groups
        self.inputs, self.at = problem.shape[channels.axis] // channels.groups, channels.axis
        register = _register(self.outputs, dtypes.accumulate)
        lanes = register // dtypes.accumulate.itemsize
        self.pixels, most = TILES[isa.name]
        vectors = min(range(1, most + 1), key=lambda v: (-(-self.outputs // (v * lanes)) * v, -v))
        self.nest = LayerNest(
            Element.of(task.load),
            Element.of(dtypes.accumulate),
            Element.of(dtypes.output),
            self.pixels,
            vectors,
            register,
        )
        self.form = Form(vectors * lanes, vectors, -(-self.outputs // (vectors * lanes)))
        counts = (self.groups, self.outputs, self.inputs)
        self.packing = Packing(counts, problem.kernel_shape, self.form, dtypes.accumulate)
        stacked = np.stack(task.kernels)
        self.weights = self.packing.pack(stacked.reshape(self.groups, self.outputs, *stacked.shape[1:]))
        self.box: Box = tuple((0, axis.out) for axis in problem.geometry)
        self._bound: Kept[tuple[int, ...], list[Piece]] = Kept(BOUND_KEPT)

    def run(self, source: np.ndarray, out: np.ndarray, threads: int) -> None:
        """Fill `out` (1, *batch, outputs, *sizes), C-contiguous."""
        if out.size == 0:
            return
        count = min(threads, 1 + self.problem.macs // MACS_PER_THREAD)
        # Several batch axes may have to be copied to become one, so the strides that count are those of the images.
        images = source.reshape(-1, self.groups, self.inputs, *self.in_shape[self.at + 1 :])
        pieces = self._bound.get((*images.strides, count))
        if pieces is None:
            pieces = [self._piece(box, images.strides[2:]) for box in self._boxes(count)]
            self._bound.keep((*images.strides, count), pieces)
        units = [
            Unit(image, group, piece)
            for image in range(len(images))
            for group in range(self.groups)
            for piece in pieces
        ]
        share = len(units) if count == 1 else max(1, len(units) // (SHARES * count))
        maps = out.reshape(-1, self.groups, self.outputs, *self.out_shape[self.at + 1 :])
        jobs = [partial(self._execute, images, maps, units[i : i + share]) for i in range(0, len(units), share)]
        pool.run(jobs, count)

    def shortcut(self) -> Callable[[np.ndarray, np.ndarray], None] | None:
        """Give none: a layer's sums take longer than preparing a call."""
        return None

    def reweighed(self, weight: np.ndarray) -> Layer:
        """Give the same method for other weights, for one call; everything else is shared."""
        other = copy.copy(self)
        other.weights = self.packing.pack(weight, once=True)
        return other

    def finished(self, bias: np.ndarray | None, activation: str | None) -> Layer | None:
        """Give the same method with bias (outputs,) and activation applied before a sum is stored, if it can.

        It writes to the weights, so they must be those of this call.
        """
        if activation is not None and activation not in ACTIVATIONS:
            return None
        other = copy.copy(self)
        other.nest = replace(self.nest, biased=bias is not None, activation=activation or "")
        if bias is not None:
            self.packing.put_bias(self.weights, bias.reshape(self.groups, self.outputs))
        return other

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, for `Plan.explain`."""
        isa = isas.host()
        return [
            ("method", "compiled layer: output channels are lanes, every tap of the box counts"),
            ("order", "one chain of multiply-adds per output, over input channels and then the window in C order"),
            ("instructions", f"{isa.name}{', fused multiply-add' if isa.has_fma else ''}"),
            ("tile", f"{self.pixels} pixels x {self.form.vectors} vectors of channels"),
            ("groups", f"{self.groups} of {self.inputs} -> {self.outputs} channels"),
        ]

    def _execute(self, images: np.ndarray, maps: np.ndarray, units: Sequence[Unit]) -> None:
        # Groups of few channels take microseconds each, as long as NumPy takes to make a view.
        source, target, weights = (a.__array_interface__["data"][0] for a in (images, maps, self.weights))
        kernel = compiled.get(self.nest)
        for image, group, piece in units:
            address = source + image * images.strides[0] + group * images.strides[1]
            if piece.gather is not None:
                scratch, _held = workspace.borrow(piece.scratch_bytes)
                piece.gather.run(images[image, group] if piece.gather.copy is None else images, address, scratch)
                address = scratch
            packed = weights + group * self.weights.strides[0]
            if piece.small:
                lines = np.empty((self.outputs, self.pixels), maps.dtype)
                kernel(piece.parameters, address + piece.source, lines.ctypes.data, packed)
                where: tuple[Any, ...] = (image, group, slice(None), *(slice(*part) for part in piece.box))
                sizes = [stop - start for start, stop in piece.box]
                maps[where] = lines[:, : math.prod(sizes)].reshape(self.outputs, *sizes)
            else:
                to = target + image * maps.strides[0] + group * maps.strides[1]
                kernel(piece.parameters, address + piece.source, to + piece.target, packed)

    def _boxes(self, count: int) -> list[Box]:
        """Cut an image into boxes of whole lines whose input stays in cache, enough of them for the threads."""
        images = math.prod(self.out_shape[: self.at]) * self.groups
        pieces, wanted = [self.box], -(-4 * count // images) if count > 1 else 1
        while self._bytes(pieces[0]) > BLOCK_BYTES or len(pieces) < wanted:
            # The first axis that can be cut: the pixels of a box then lie one after the other in the output.
            axis = next((i for i, (start, stop) in enumerate(pieces[0]) if stop - start > 1), 0)
            halves = [half for piece in pieces for half in regions.split(piece, axis, 2)]
            if len(halves) == len(pieces):
                break
            pieces = halves
        return pieces

    def _bytes(self, box: Box) -> int:
        size = self.inputs * self.load_dtype.itemsize
        for axis, (start, stop) in zip(self.problem.geometry, box, strict=True):
            first, last = axis.reads(start, stop)
            size *= last - first
        return size

    def _piece(self, box: Box, strides: tuple[int, ...]) -> Piece:
        """Prepare a box for inputs whose channels and axes have these strides."""
        axes = self.problem.geometry
        reads = [axis.reads(*part) for axis, part in zip(axes, box, strict=True)]
        inside = all(start >= 0 and stop <= axis.size for (start, stop), axis in zip(reads, axes, strict=True))
        # Planes far apart cost a page and a line for each channel; copied, they lie close together.
        if inside and self.inputs * abs(strides[0]) <= 2 * BLOCK_BYTES:
            first = sum(stride * start for stride, (start, _) in zip(strides[1:], reads, strict=True))
            return self._bound_piece(box, None, 0, strides, first)
        maps = [gather.coordinates(0, self.inputs, self.inputs, None)]
        maps += [
            gather.coordinates(*read, axis.size, sides)
            for read, axis, sides in zip(reads, axes, self.problem.boundary, strict=True)
        ]
        # Planes a power of two apart would share the same few sets of the cache.
        pitch = -(-len(maps[-1].index) * self.load_dtype.itemsize // 16) * 16 + 16
        sizes = [len(m.index) for m in maps[:-1]]
        shape = (self.inputs, *self.in_shape[self.at + 1 :])
        copy = gather.prepare(maps, strides, shape, self.load_dtype, 1, pitch)
        steps = (*(stride * pitch for stride in c_strides(sizes, 1)), self.load_dtype.itemsize)
        return self._bound_piece(box, copy, pitch * math.prod(sizes), steps, 0)

    def _bound_piece(
        self, box: Box, copy: gather.Gather | None, scratch: int, steps: tuple[int, ...], first: int
    ) -> Piece:
        """Fill the parameter block of one box."""
        form, axes, item = self.form, self.problem.geometry, self.nest.store.bytes
        pixels, taps = np.zeros(1, np.int64), np.arange(self.inputs) * steps[0]
        target, plane = 0, math.prod(axis.out for axis in axes)
        for axis, (start, stop), step in zip(axes, box, steps[1:], strict=True):
            pixels = (pixels[:, None] + np.arange(stop - start) * (axis.stride * step)).ravel()
            taps = (taps[:, None] + np.arange(axis.taps) * (axis.dilation * step)).ravel()
            target = target * axis.out + start
        small = len(pixels) < self.pixels
        if small:
            pixels, plane, target = np.resize(pixels, self.pixels), self.pixels, 0
        image = np.zeros(2, np.int64)
        values = {
            "images": 1, "image_table": image.ctypes.data, "blocks": form.blocks, "block": form.width * plane * item,
            "channel": plane * item, "channels": self.outputs - (form.blocks - 1) * form.width,
            "count": len(pixels), "pixel_table": pixels.ctypes.data, "taps": len(taps), "tap_table": taps.ctypes.data,
        }  # fmt: skip
        parameters = np.array([values[name] for name in FIELDS], np.int64)
        keep = (parameters, image, pixels, taps)
        return Piece(box, copy, scratch, parameters.ctypes.data, first, target * item, small, keep)
