"""The gradient by weights with output channels as lanes: a product of matrices whose left one is never written down.

Entry e of a group's weights is an input channel and a tap, which is a place in the input beside each pixel; so
out[e, o] = Σ_y x[y + e] g[y, o] for all of them at once. The gradient is packed once for a block of pixels, with the
channels of a tile side by side; the input is read where it lies, or gathered where a boundary is met.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms.weight_gradient_parts import (
    BOUND_KEPT,
    LEAST_REGISTER,
    Reading,
    Sizes,
    Spare,
    blocks,
    copied,
    images_of,
    in_place,
    maps_of,
    pack_parameters,
    shares,
    workers,
)
from faltung.compiler import isa as isas
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.compiler.gradient_nest import FIELDS, GradientNest
from faltung.compiler.pack_nest import PackNest
from faltung.runtime import regions, workspace
from faltung.runtime import threads as pool
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from faltung.problem.problem import Problem
    from faltung.runtime.regions import Box

# Entries x registers of a tile: 8 x 2 sums, 2 gradients and a sample of AVX-512, 6 x 2 of the 16 registers of AVX2.
TILES = {"avx512": (8, 2), "avx2": (6, 2), "sse2": (4, 2), "neon": (8, 2)}
# The packed gradient of a block stays in the second-level cache, beside what is read of the input.
BLOCK_BYTES = 256 << 10
FEWEST_PIXELS, MOST_PIXELS = 512, 4096
PLANES_BYTES = 1 << 20


class Piece(NamedTuple):
    """A box of pixels: how one image's input is read, the parameters of the calls, and where its pixels begin.

    `sum` has a row of parameters for each number of images that are summed together.
    """

    read: Reading
    start: int
    pixels: int
    pack: int
    sum: np.ndarray
    keep: tuple[np.ndarray, ...]


class Bound(NamedTuple):
    """The boxes of an image for some of the tiles; the bytes of scratch for one image's input, and of all scratch."""

    pieces: list[Piece]
    image: int
    total: int


class ChannelGradient:
    """The compiled gradient, bound to strides on first use and then reused."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.dtype = problem, problem.dtypes.accumulate
        sizes, isa, self.item = Sizes.of(problem), isas.host(), self.dtype.itemsize
        self.sizes, element = sizes, Element.of(self.dtype)
        lanes = isa.vector_bytes // self.item
        while lanes // 2 >= sizes.outputs and lanes * self.item > LEAST_REGISTER:
            lanes //= 2
        entries, most = TILES[isa.name]
        vectors = min(range(1, most + 1), key=lambda v: (-(-sizes.outputs // (v * lanes)) * v, -v))
        self.nest, self.pack = GradientNest(element, entries, vectors, lanes), PackNest(element, lanes)
        self.width, self.lanes = vectors * lanes, lanes
        self.columns = -(-sizes.outputs // self.width)
        self.entries = -(-sizes.inputs * sizes.taps // entries) * entries
        self.tiles = sizes.groups * self.columns
        pixels = BLOCK_BYTES // (self.tiles * self.width * self.item)
        pixels = min(max(pixels, FEWEST_PIXELS), MOST_PIXELS)
        self.boxes = blocks(problem, pixels)
        self.together = min(max(1, pixels // max(sizes.pixels, 1)), max(sizes.images, 1))
        self.longest = regions.size(self.boxes[-1]) * self.together
        self.chunks = [
            (image, min(self.together, sizes.images - image), box)
            for image in range(0, sizes.images, self.together)
            for box in range(len(self.boxes))
        ]
        self.shares = shares(len(self.chunks), self.tiles * self.entries * self.width * self.item)
        self.roundings = self.longest + (not isa.has_fma) + -(-len(self.chunks) // self.shares) + self.shares
        self._bound: Kept[tuple[int, ...], list[Bound]] = Kept(BOUND_KEPT)
        self._spare = Spare(self.dtype)
        self._last = self._unpacking()

    @staticmethod
    def cost(problem: Problem) -> float:
        """Predict the registers of products for each pixel; half a register takes half the time."""
        sizes, full = Sizes.of(problem), isas.host().vector_bytes // problem.dtypes.accumulate.itemsize
        registers = max(-(-sizes.outputs // full), 0.5) if sizes.outputs * 2 > full else 0.5
        return sizes.groups * (sizes.inputs * sizes.taps + 4) * registers

    def run(self, x: np.ndarray, g: np.ndarray, threads: int) -> np.ndarray:
        """Sum all blocks, share by share, and put the entries of each channel side by side."""
        x = images_of(self.problem, x)
        if x.strides[-1] != self.item:
            x = np.ascontiguousarray(x)
        g = images_of(self.problem, np.ascontiguousarray(g))
        count = workers(self.problem, threads)
        parts = min(self.tiles, -(-2 * count // self.shares)) if count > 1 else 1
        buffer = self._spare.take(self.shares * self.tiles * self.entries * self.width)
        sums = buffer.reshape(self.shares, self.tiles, self.entries, self.width)
        jobs, bounds = [], self._bind(parts, x.strides)
        for share, total in enumerate(sums):
            begin, end = (len(self.chunks) * i // self.shares for i in (share, share + 1))
            run = partial(self._share, x, g, self.chunks[begin:end], total.ctypes.data)
            jobs += [partial(run, bound) for bound in bounds]
        pool.run(jobs, count)
        result = self._unpacked(sums)
        self._spare.give(buffer)
        return result

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works."""
        sizes, nest = self.sizes, self.nest
        return [
            ("method", "compiled gradient: output channels are lanes"),
            ("tile", f"{nest.entries} weights x {nest.vectors} registers of {nest.lanes} channels"),
            ("groups", f"{sizes.groups} of {sizes.inputs} -> {sizes.outputs} channels"),
            ("blocks", f"{len(self.chunks)} of up to {self.longest} pixels"),
        ]

    def _share(
        self, x: np.ndarray, g: np.ndarray, chunks: list[tuple[int, int, int]], target: int, bound: Bound
    ) -> None:
        """Sum blocks one after the other."""
        scratch, _held = workspace.borrow(bound.total)
        packed = scratch + self.together * bound.image
        sums, pack = compiled.get(self.nest), compiled.get(self.pack)
        samples, gradients = x.ctypes.data, g.ctypes.data
        for image, count, box in chunks:
            piece = bound.pieces[box]
            for i in range(count):
                gradient = gradients + (image + i) * g.strides[0] + piece.start * self.item
                pack(piece.pack, gradient, packed + i * piece.pixels * self.width * self.item)
                if piece.read.copy is not None:
                    piece.read.copy.run(x[image + i], samples + (image + i) * x.strides[0], scratch + i * bound.image)
            source = samples + image * x.strides[0] + piece.read.source if piece.read.copy is None else scratch
            sums(piece.sum[count - 1].ctypes.data, source, target, packed)

    def _bind(self, parts: int, strides: tuple[int, ...]) -> list[Bound]:
        """Prepare the boxes of an image for every part of the tiles and inputs with these strides."""
        bounds = self._bound.get((parts, *strides))
        if bounds is None:
            cuts = [self.tiles * i // parts for i in range(parts + 1)]
            bounds = [self._part(range(*cut), strides) for cut in itertools.pairwise(cuts)]
            self._bound.keep((parts, *strides), bounds)
        return bounds

    def _part(self, tiles: range, strides: tuple[int, ...]) -> Bound:
        """Prepare the boxes of an image for some of the tiles."""
        groups = range(tiles.start // self.columns, (tiles.stop - 1) // self.columns + 1)
        read = [self._read(box, groups, strides[1:]) for box in self.boxes]
        image = max(one.scratch for one in read)
        pieces = [
            self._piece(box, tiles, groups.start, one, image if one.copy else strides[0])
            for box, one in zip(self.boxes, read, strict=True)
        ]
        return Bound(pieces, image, self.together * image + len(tiles) * self.longest * self.width * self.item)

    def _read(self, box: Box, groups: range, strides: tuple[int, ...]) -> Reading:
        """Say how the channels of some groups are read: in place, if their planes do not lie too far apart."""
        low, high = groups.start * self.sizes.inputs, groups.stop * self.sizes.inputs
        found = in_place(self.problem, box, low, strides) if (high - low) * abs(strides[0]) <= PLANES_BYTES else None
        return found or copied(self.problem, maps_of(self.problem, box), low, high, strides)

    def _piece(self, box: Box, tiles: range, group: int, read: Reading, image: int) -> Piece:
        """Fill the parameter blocks of one box; `image` bytes lie between the inputs of images summed together."""
        sizes, steps = self.sizes, read.steps
        pixels, entries, start = np.zeros(1, np.int64), np.arange(sizes.inputs) * steps[0], 0
        for axis, (a, b), step in zip(self.problem.geometry, box, steps[1:], strict=True):
            pixels = (pixels[:, None] + np.arange(b - a) * (axis.stride * step)).ravel()
            entries = (entries[:, None] + np.arange(axis.taps) * (axis.dilation * step)).ravel()
            start = start * axis.out + a
        count = len(pixels)
        pixels = (np.arange(self.together)[:, None] * image + pixels).ravel()
        # Entries beyond the last one sum it again; nobody looks at them.
        entries = np.append(entries, np.full(self.entries - len(entries), entries[-1]))
        numbers = np.array(tiles)
        room = self.longest * self.width * self.item
        source = (numbers // self.columns - group) * sizes.inputs * steps[0]
        target = numbers * self.entries * self.width * self.item
        table = np.stack([source, (numbers - tiles.start) * room, target], axis=1)
        values = {
            "tiles": len(tiles), "tile_table": table.ctypes.data, "blocks": self.entries // self.nest.entries,
            "entry_table": entries.ctypes.data, "pixels": 0, "pixel_table": pixels.ctypes.data,
        }  # fmt: skip
        sums = np.array([[values[name] for name in FIELDS]] * self.together, np.int64)
        sums[:, FIELDS.index("pixels")] = count * np.arange(1, self.together + 1)
        pack, bands = self._packing(numbers, room, count)
        return Piece(read, start, count, pack.ctypes.data, sums, (pixels, entries, table, pack, bands))

    def _packing(self, tiles: np.ndarray, room: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Fill the parameters that pack the gradient of a box, tile by tile and register by register."""
        sizes, plane = self.sizes, self.sizes.pixels * self.item
        register = np.arange(self.nest.vectors)
        channel = (tiles % self.columns)[:, None] * self.width + register * self.lanes
        # A register beyond the group's channels takes the last one again; nobody looks at its sums.
        channel = np.minimum(channel, sizes.outputs - 1)
        source = ((tiles // self.columns)[:, None] * sizes.outputs + channel) * plane
        target = (tiles - tiles[0])[:, None] * room + register * (self.lanes * self.item)
        rows = np.minimum(sizes.outputs - channel, self.lanes)
        bands = np.stack([source, target, rows], axis=2).reshape(-1, 3)
        return pack_parameters(bands, plane, columns, self.width * self.item), bands

    def _unpacking(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Fill the parameters that put the entries of each channel side by side: (block, table, entries of a row)."""
        row, item = -(-self.entries // self.lanes) * self.lanes, self.item
        first = np.arange(0, self.entries, self.lanes)
        tiles = np.arange(self.tiles)[:, None] * self.width
        source = (tiles * self.entries + first * self.width) * item
        target = (tiles * row + first) * item
        rows = np.broadcast_to(np.minimum(self.entries - first, self.lanes), source.shape)
        bands = np.stack([source, target, rows], axis=2).reshape(-1, 3)
        return pack_parameters(bands, self.width * item, self.width, row * item), bands, row

    def _unpacked(self, sums: np.ndarray) -> np.ndarray:
        """Add the shares in a fixed order, and put every weight in its place."""
        block, _, row = self._last
        total = sums[0]
        for share in sums[1:]:
            total += share
        out = np.empty((self.sizes.groups, self.columns * self.width, row), self.dtype)
        compiled.get(self.pack)(block.ctypes.data, total.ctypes.data, out.ctypes.data)
        return out[:, : self.sizes.outputs, : self.sizes.inputs * self.sizes.taps]
