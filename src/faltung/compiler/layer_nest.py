"""The loop nest of a layer: output channels are lanes, so that size, stride and dilation of the image do not matter.

    out[o, b, v, y] = Σ_t in[o, pixel y, tap t] · weight[b, t, v]

    axis   meaning                              role
    o      images                               loop (a table of byte offsets)
    b      blocks of output channels            loop
    y      output pixels of an image, in a row  loop over blocks of `pixels` (a table of their input offsets)
    v      output channels of a block           `vectors` registers of lanes
    t      taps: input channels and window      reduce (a table of byte offsets)

Each tap loads `vectors` registers of weights and one sample for each pixel, and does `pixels` x `vectors`
multiply-adds. Every output is one chain over t. The tile is transposed in registers, so that pixels lie beside each
other when it is stored. The last block of pixels is moved back to end with the image; callers give at least one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import constant, default_arithmetic, multiply_add, restore_arithmetic
from faltung.compiler.elements import Element, convert, narrow
from faltung.compiler.ir import Writer
from faltung.compiler.smooth import Smooth

if TYPE_CHECKING:
    from faltung.compiler.isa import Isa

# 64-bit integers; strides and offsets in bytes, tables hold 64-bit integers.
FIELDS = (
    "images",        # entries of the image table
    "image_table",   # address: (input offset, output offset) pairs
    "blocks",        # blocks of output channels
    "block",         # output bytes from one block of channels to the next
    "channel",       # output bytes from one channel to the next
    "channels",      # channels that exist in the last block
    "count",         # pixels of an image
    "pixel_table",   # address: input offset of each pixel
    "taps",          # entries of the tap table
    "tap_table",     # address: input offset of each tap
)  # fmt: skip


# Activations that a comparison and a selection make, so that NaN stays NaN (leaky_relu has the slope 0.01), and those
# that are written as polynomials.
SMOOTH = ("silu", "gelu")
ACTIVATIONS = ("relu", "leaky_relu", "relu6", *SMOOTH)
SLOPE = 0.01


@dataclass(frozen=True, slots=True)
class LayerNest:
    """What is compiled: element types and the register tile, and what is done to a sum before it is stored.

    Weights are packed [block, 1 + tap, lane]; the first row is the bias, which is added if the nest is `biased`.
    Registers of `register_bytes` may be narrower than the widest, for groups of few channels. `activation` is one of
    ACTIVATIONS, or empty.
    """

    load: Element
    accumulate: Element
    store: Element
    pixels: int
    vectors: int
    register_bytes: int
    biased: bool = False
    activation: str = ""

    @property
    def name(self) -> str:
        """A unique symbol."""
        types = f"{self.load.name}_{self.accumulate.name}_{self.store.name}"
        after = f"{'_biased' * self.biased}{'_' * bool(self.activation)}{self.activation}"
        return f"taps_layer_{types}_{self.pixels}x{self.vectors}x{self.register_bytes}{after}"

    @property
    def lanes(self) -> int:
        """Lanes of one register of accumulators."""
        return self.register_bytes // self.accumulate.bytes

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: LayerNest, isa: Isa) -> None:
        self.nest, self.isa, self.lanes = nest, isa, nest.lanes
        self.acc = nest.accumulate.vector(self.lanes)
        self.w = Writer()

    def module(self) -> str:
        w, nest = self.w, self.nest
        p = self.p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        self.tables = {
            name: w.pointer_at(w.offset("%p", 8 * FIELDS.index(name))) for name in FIELDS if name.endswith("table")
        }
        control = default_arithmetic(w, self.isa)
        size = nest.vectors * self.lanes * nest.accumulate.bytes
        block_bytes = w.mul(w.add(p["taps"], 1), size)
        pixel_blocks = w.op(f"sdiv i64 {w.add(p['count'], nest.pixels - 1)}, {nest.pixels}")
        last_pixel, last_block = w.add(p["count"], -nest.pixels), w.add(p["blocks"], -1)
        with w.loop(p["images"]) as o:
            entry = w.offset(self.tables["image_table"], w.mul(o.index, 16))
            source = w.offset("%src", w.op(f"load i64, ptr {entry}, align 8"))
            target = w.offset("%dst", w.op(f"load i64, ptr {w.offset(entry, 8)}, align 8"))
            with w.loop(p["blocks"]) as b:
                weights = w.offset("%weights", w.mul(b.index, block_bytes))
                maps = w.offset(target, w.mul(b.index, p["block"]))
                is_last = w.op(f"icmp eq i64 {b.index}, {last_block}")
                exist = w.op(f"select i1 {is_last}, i64 {p['channels']}, i64 {nest.vectors * self.lanes}")
                with w.loop(pixel_blocks) as y:
                    first = w.minimum(w.mul(y.index, nest.pixels), last_pixel)
                    self._tile(source, w.offset(maps, w.mul(first, nest.store.bytes)), weights, first, exist)
        restore_arithmetic(w, self.isa, control)
        arguments = "ptr noalias %p, ptr noalias readonly %src, ptr noalias %dst, ptr noalias readonly %weights"
        return w.function(nest.name, arguments, 8 * self.isa.vector_bytes)

    def _tile(self, source: str, target: str, weights: str, first: str, exist: str) -> None:
        w, nest, size = self.w, self.nest, self.lanes * self.nest.accumulate.bytes
        pixel = w.offset(self.tables["pixel_table"], w.mul(first, 8))
        places = [
            w.offset(source, w.op(f"load i64, ptr {w.offset(pixel, 8 * i)}, align 8")) for i in range(nest.pixels)
        ]
        zeros = [(self.acc, "zeroinitializer")] * (nest.pixels * nest.vectors)
        with w.loop(self.p["taps"], [*zeros, ("ptr", w.offset(weights, nest.vectors * size))]) as t:
            *acc, row = t.values
            shift = w.op(f"load i64, ptr {w.offset(self.tables['tap_table'], w.mul(t.index, 8))}, align 8")
            loaded = [
                w.op(f"load {self.acc}, ptr {w.offset(row, v * size)}, align {nest.accumulate.bytes}")
                for v in range(nest.vectors)
            ]
            for i, place in enumerate(places):
                sample = self._sample(w.offset(place, shift))
                for v in range(nest.vectors):
                    at = i * nest.vectors + v
                    acc[at] = multiply_add(w, self.isa, nest.accumulate, self.lanes, sample, loaded[v], acc[at])
            t.next = [*acc, w.offset(row, nest.vectors * size)]
        for v in range(nest.vectors):
            sums = t.result[v :: nest.vectors][: nest.pixels]
            if nest.biased:
                bias = w.op(f"load {self.acc}, ptr {w.offset(weights, v * size)}, align {nest.accumulate.bytes}")
                add = "fadd" if nest.accumulate.kind == "f" else "add"
                sums = [w.op(f"{add} {self.acc} {one}, {bias}") for one in sums]
            if nest.activation:
                sums = [self._activated(one) for one in sums]
            self._store(sums, target, v * self.lanes, exist)

    def _activated(self, x: str) -> str:
        """Apply the activation to a register of sums."""
        if self.nest.activation in SMOOTH:
            smooth = Smooth(self.w, self.isa, self.nest.accumulate, self.lanes)
            return smooth.silu(x) if self.nest.activation == "silu" else smooth.gelu(x)
        w, real = self.w, self.nest.accumulate.kind == "f"
        less, more = ("fcmp olt", "fcmp ogt") if real else ("icmp slt", "icmp sgt")
        zero, vector, mask = "zeroinitializer", self.acc, f"<{self.lanes} x i1>"
        negative = w.op(f"{less} {vector} {x}, {zero}")
        below = zero
        if self.nest.activation == "leaky_relu":
            below = w.op(f"fmul {vector} {x}, {constant(self.nest.accumulate, self.lanes, SLOPE)}")
        y = w.op(f"select {mask} {negative}, {vector} {below}, {vector} {x}")
        if self.nest.activation != "relu6":
            return y
        six = constant(self.nest.accumulate, self.lanes, 6.0)
        return w.op(f"select {mask} {w.op(f'{more} {vector} {y}, {six}')}, {vector} {six}, {vector} {y}")

    def _sample(self, pointer: str) -> str:
        """Load one sample into all lanes, in the accumulator's type."""
        w, load = self.w, self.nest.load
        vector = load.vector(self.lanes)
        scalar = w.op(f"load {load.llvm}, ptr {pointer}, align 1")
        first = w.op(f"insertelement {vector} poison, {load.llvm} {scalar}, i32 0")
        all_lanes = f"shufflevector {vector} {first}, {vector} poison, <{self.lanes} x i32> zeroinitializer"
        return convert(w, w.op(all_lanes), load, self.nest.accumulate, self.lanes)

    def _store(self, acc: list[str], target: str, channel: int, exist: str) -> None:
        """Store one register of channels for every pixel: transpose, then a run of pixels for each channel."""
        w, nest, pixels = self.w, self.nest, self.nest.pixels
        rows = [narrow(w, a, nest.accumulate, nest.store, self.lanes) for a in acc]
        rows = self._transposed(rows)
        stored = nest.store.vector(self.lanes)
        for i in range(self.lanes):
            part, row = divmod(i, pixels)
            mask = ", ".join(f"i32 {part * pixels + j}" for j in range(pixels))
            text = f"shufflevector {stored} {rows[row]}, {stored} poison, <{pixels} x i32> <{mask}>"
            run = w.op(text) if pixels < self.lanes else rows[row]
            with w.when(f"icmp slt i64 {channel + i}, {exist}"):
                where = w.offset(target, w.mul(self.p["channel"], channel + i))
                w.do(f"store {nest.store.vector(pixels)} {run}, ptr {where}, align {nest.store.bytes}")

    def _transposed(self, rows: list[str]) -> list[str]:
        """Transpose the squares of `pixels` lanes within the registers, exchanging ever larger pieces."""
        w, vector, lanes, step = self.w, self.nest.store.vector(self.lanes), self.lanes, 1
        while step < self.nest.pixels:
            exchanged = list(rows)
            for i in range(self.nest.pixels):
                if i & step:
                    continue
                a, b = rows[i], rows[i + step]
                low = ", ".join(f"i32 {lanes + j - step if j & step else j}" for j in range(lanes))
                high = ", ".join(f"i32 {lanes + j if j & step else j + step}" for j in range(lanes))
                for place, mask in ((i, low), (i + step, high)):
                    text = f"shufflevector {vector} {a}, {vector} {b}, <{lanes} x i32> <{mask}>"
                    exchanged[place] = w.op(text)
            rows, step = exchanged, 2 * step
        return rows
