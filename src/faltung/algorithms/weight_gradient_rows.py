"""The gradient by weights with pixels as lanes: for depthwise layers, a single channel, and a few in a group.

Tiles of taps stay in registers while a block of pixels passes by; an input row serves all tap rows of a tile. A
register's lanes are partial sums, added up at the very end in a fixed order.
"""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.weight_gradient_parts import (
    BOUND_KEPT,
    LEAST_REGISTER,
    Sizes,
    Spare,
    images_of,
    pack_parameters,
    shares,
    square_blocks,
    workers,
)
from faltung.algorithms.weight_gradient_pieces import STEPS, Pieces
from faltung.algorithms.weight_gradient_taps import tap_tiles
from faltung.compiler import isa as isas
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.compiler.gradient_rows import GradientRowNest
from faltung.compiler.pack_nest import PackNest
from faltung.runtime import regions, workspace
from faltung.runtime import threads as pool
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from faltung.algorithms.weight_gradient_pieces import Piece
    from faltung.problem.problem import Problem

# Pixels of a block: with the samples it reads they stay in the second-level cache while all tiles of taps pass by.
BLOCK_PIXELS = 8192
SCRATCH_BYTES = 1 << 20


class RowGradient:
    """The compiled gradient, bound to strides on first use and then reused."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.dtype = problem, problem.dtypes.accumulate
        self.sizes, self.item, isa = Sizes.of(problem), self.dtype.itemsize, isas.host()
        self.boxes = square_blocks(problem, BLOCK_PIXELS)
        narrowest = min(stop - start for *_, (start, stop) in self.boxes)
        self.lanes = isa.vector_bytes // self.item
        while self.lanes > narrowest and self.lanes * self.item > LEAST_REGISTER:
            self.lanes //= 2
        # Rows shorter than any register are filled up with zeros, which no product counts.
        self.width = max(problem.geometry[-1].out, self.lanes)
        height = min(box[-2][1] - box[-2][0] for box in self.boxes) if len(problem.axes) > 1 else 1
        self.taps = tap_tiles(problem, isa.name, height)
        step = problem.geometry[-1].stride if problem.geometry[-1].stride <= STEPS else 1
        self.nests = [GradientRowNest(Element.of(self.dtype), *tiles.shape, self.lanes, step) for tiles in self.taps]
        self.pack = PackNest(Element.of(self.dtype), self.lanes)
        self.chunks = [(image, box) for image in range(self.sizes.images) for box in range(len(self.boxes))]
        self.pairs = self.sizes.groups * self.sizes.inputs * self.sizes.outputs
        # Where the sums of each nest begin, and where all of them end, in registers.
        self.begins = [0, *itertools.accumulate(self.pairs * tiles.number.size for tiles in self.taps)]
        self._spare = Spare(self.dtype)
        self._pieces = Pieces(problem, self.taps, self.lanes, self.width)
        self.shares = shares(len(self.chunks), self.begins[-1] * self.lanes * self.item)
        longest = max(regions.size(box[:-1]) * -(-(box[-1][1] - box[-1][0]) // self.lanes) for box in self.boxes)
        self.roundings = longest + (not isa.has_fma) + -(-len(self.chunks) // self.shares) + self.shares
        self.roundings += self.lanes.bit_length() - 1
        self._bound: Kept[tuple[int, ...], list[list[Piece]]] = Kept(BOUND_KEPT)
        self._fold = self._folding()

    @staticmethod
    def cost(problem: Problem) -> float:
        """Predict the registers of products for each pixel; taps that share no rows wait for their loads."""
        sizes, full = Sizes.of(problem), isas.host().vector_bytes // problem.dtypes.accumulate.itemsize
        axes = problem.geometry
        shared = len(axes) > 1 and axes[-2].stride == axes[-2].dilation == axes[-1].stride == 1 < axes[-2].taps
        width = axes[-1].out
        register = -(-width // full) / width if 2 * width > full else 0.5 / width
        return sizes.groups * sizes.inputs * sizes.outputs * sizes.taps * register * (1.5 if shared else 3.0)

    def run(self, x: np.ndarray, g: np.ndarray, threads: int) -> np.ndarray:
        """Sum all blocks, share by share, then the lanes of each register."""
        x = images_of(self.problem, x)
        if x.strides[-1] != self.item:
            x = np.ascontiguousarray(x)
        g = images_of(self.problem, g)
        if g.shape[-1] < self.width:
            g = np.pad(g, [*([(0, 0)] * (g.ndim - 1)), (0, self.width - g.shape[-1])])
        g = np.ascontiguousarray(g)
        count = workers(self.problem, threads)
        buffer = self._spare.take(self.shares * self.begins[-1] * self.lanes)
        sums, jobs, parts = buffer.reshape(self.shares, -1, self.lanes), [], self._bind(self._parts(count), x.strides)
        for share in range(self.shares):
            begin, end = (len(self.chunks) * i // self.shares for i in (share, share + 1))
            run = partial(self._share, x, g, self.chunks[begin:end], sums[share].ctypes.data)
            jobs += [partial(run, pieces) for pieces in parts]
        pool.run(jobs, count)
        result = self._result(sums)
        self._spare.give(buffer)
        return result

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works."""
        sizes = self.sizes
        shapes = ", ".join(f"{nest.rows}x{nest.taps}" for nest in self.nests)
        return [
            ("method", "compiled gradient: pixels are lanes"),
            ("tile", f"{shapes} taps, registers of {self.lanes} pixels"),
            ("groups", f"{sizes.groups} of {sizes.inputs} -> {sizes.outputs} channels"),
            ("blocks", f"{len(self.chunks)} of up to {regions.size(self.boxes[-1])} pixels"),
        ]

    def _parts(self, count: int) -> list[int]:
        """Cut the groups so that what is gathered for one part stays in cache, and threads have something to do."""
        groups = self.sizes.groups
        box = math.prod(
            axis.reads(*part)[1] - axis.reads(*part)[0]
            for axis, part in zip(self.problem.geometry, self.boxes[-1], strict=True)
        )
        parts = -(-groups * self.sizes.inputs * box * self.item // SCRATCH_BYTES)
        if count > 1:
            parts = max(parts, -(-2 * count // self.shares))
        parts = min(parts, groups)
        return [groups * i // parts for i in range(parts + 1)]

    def _share(
        self, x: np.ndarray, g: np.ndarray, chunks: list[tuple[int, int]], target: int, pieces: list[Piece]
    ) -> None:
        """Sum blocks one after the other."""
        scratch, _held = workspace.borrow(max(piece.scratch for piece in pieces))
        begins = [target + begin * self.lanes * self.item for begin in self.begins[:-1]]
        kernels = [(compiled.get(nest), begin) for nest, begin in zip(self.nests, begins, strict=True)]
        samples, gradients = x.ctypes.data, g.ctypes.data
        for image, box in chunks:
            piece = pieces[box]
            source = samples + image * x.strides[0] + piece.source
            if piece.gather is not None:
                piece.gather.run(x[image], source, scratch)
                source = scratch
            gradient = gradients + image * g.strides[0] + piece.gradient
            for (kernel, sums), call in zip(kernels, piece.calls, strict=True):
                kernel(call, source, sums, gradient)

    def _bind(self, parts: list[int], strides: tuple[int, ...]) -> list[list[Piece]]:
        """Prepare all boxes for every part of the groups and inputs with these strides."""
        key = (len(parts), *strides)
        bound = self._bound.get(key)
        if bound is None:
            bound = [
                [self._pieces.piece(box, range(first, stop), strides[1:]) for box in self.boxes]
                for first, stop in itertools.pairwise(parts)
            ]
            self._bound.keep(key, bound)
        return bound

    def _result(self, sums: np.ndarray) -> np.ndarray:
        """Add shares and lanes in a fixed order, and put every tap in its place."""
        total, (block, _) = sums[0], self._fold
        for share in sums[1:]:
            total += share
        across = np.empty((self.lanes, -(-len(total) // self.lanes) * self.lanes), self.dtype)
        compiled.get(self.pack)(block.ctypes.data, total.ctypes.data, across.ctypes.data)
        while len(across) > 1:
            # The upper half of the lanes to the lower one, again and again.
            half = len(across) // 2
            across = across[:half] + across[half:]
        result = np.empty((self.pairs, self.sizes.taps), self.dtype)
        for tiles, (begin, end) in zip(self.taps, itertools.pairwise(self.begins), strict=True):
            result[:, tiles.number.ravel()] = across[0, begin:end].reshape(self.pairs, -1)
        return result

    def _folding(self) -> tuple[np.ndarray, np.ndarray]:
        """Fill the parameters that put equal lanes of all registers side by side: (block, table)."""
        count, lanes, item = self.begins[-1], self.lanes, self.item
        first = np.arange(0, count, lanes)
        bands = np.stack([first * (lanes * item), first * item, np.minimum(count - first, lanes)], axis=1)
        return pack_parameters(bands, lanes * item, lanes, -(-count // lanes) * lanes * item), bands
