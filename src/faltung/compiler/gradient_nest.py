"""The loop nest of a layer's gradient by its weights, where output channels are lanes.

    out[u, e, v] += Σ_y in[u, pixel y + entry e] · gradient[u, y, v]

    axis   meaning                                    role
    u      tiles of output channels, of any group     loop (a table of byte offsets)
    e      entries: input channels and window         loop over blocks of `entries` registers (a table of byte offsets)
    v      output channels of a tile                  `vectors` registers of `lanes` lanes
    y      pixels of a block                          reduce (a table of byte offsets)

A pixel loads `vectors` registers of the gradient and one sample for each entry, and does `entries` x `vectors`
multiply-adds; whatever the window, its taps share the gradient's registers. Every sum over y is one chain from 0, and
is added to what `out` holds. The table of entries is filled up to whole blocks by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import default_arithmetic, multiply_add, restore_arithmetic, splat
from faltung.compiler.ir import Writer

if TYPE_CHECKING:
    from faltung.compiler.elements import Element
    from faltung.compiler.isa import Isa

# The 64-bit integers behind the first argument; offsets are in bytes, tables hold 64-bit integers.
FIELDS = (
    "tiles",        # entries of the tile table
    "tile_table",   # address: (input, gradient, output) offsets of each tile of output channels
    "blocks",       # blocks of entries
    "entry_table",  # address: input offset of each entry
    "pixels",       # pixels of the sum
    "pixel_table",  # address: input offset of each pixel
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GradientNest:
    """What is compiled: the type, and the register tile. Gradients are packed [tile, pixel, lane], outputs alike."""

    element: Element
    entries: int
    vectors: int
    lanes: int

    @property
    def name(self) -> str:
        """A unique symbol."""
        return f"taps_gradient_{self.element.name}_{self.entries}x{self.vectors}x{self.lanes}"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: GradientNest, isa: Isa) -> None:
        self.nest, self.isa, self.w = nest, isa, Writer()
        self.acc = nest.element.vector(nest.lanes)
        self.size = nest.lanes * nest.element.bytes

    def module(self) -> str:
        w, nest = self.w, self.nest
        p = self.p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        tables = self.tables = {
            name: w.pointer_at(w.offset("%p", 8 * FIELDS.index(name))) for name in FIELDS if name.endswith("table")
        }
        control = default_arithmetic(w, self.isa)
        with w.loop(p["tiles"]) as u:
            entry = w.offset(tables["tile_table"], w.mul(u.index, 24))
            source, gradient, target = (
                w.offset(base, w.op(f"load i64, ptr {w.offset(entry, 8 * i)}, align 8"))
                for i, base in enumerate(("%src", "%weights", "%dst"))
            )
            with w.loop(p["blocks"]) as b:
                first = w.offset(tables["entry_table"], w.mul(b.index, 8 * nest.entries))
                places = [
                    w.offset(source, w.op(f"load i64, ptr {w.offset(first, 8 * e)}, align 8"))
                    for e in range(nest.entries)
                ]
                self._sum(places, gradient, w.offset(target, w.mul(b.index, nest.entries * nest.vectors * self.size)))
        restore_arithmetic(w, self.isa, control)
        arguments = "ptr noalias %p, ptr noalias readonly %src, ptr noalias %dst, ptr noalias readonly %weights"
        return w.function(nest.name, arguments, 8 * self.isa.vector_bytes)

    def _sum(self, places: list[str], gradient: str, target: str) -> None:
        """Sum one block of entries over all pixels, and add the sums to the output."""
        w, nest, item = self.w, self.nest, self.nest.element.bytes
        zeros = [(self.acc, "zeroinitializer")] * (nest.entries * nest.vectors)
        with w.loop(self.p["pixels"], [*zeros, ("ptr", gradient)]) as y:
            *acc, row = y.values
            shift = w.op(f"load i64, ptr {w.offset(self.tables['pixel_table'], w.mul(y.index, 8))}, align 8")
            loaded = [
                w.op(f"load {self.acc}, ptr {w.offset(row, v * self.size)}, align {item}") for v in range(nest.vectors)
            ]
            for e, place in enumerate(places):
                sample = splat(w, w.offset(place, shift), nest.element, nest.lanes)
                for v in range(nest.vectors):
                    at = e * nest.vectors + v
                    acc[at] = multiply_add(w, self.isa, nest.element, nest.lanes, sample, loaded[v], acc[at])
            y.next = [*acc, w.offset(row, nest.vectors * self.size)]
        plus = "fadd" if nest.element.kind == "f" else "add"
        for at, total in enumerate(y.result):
            if at < nest.entries * nest.vectors:
                where = w.offset(target, at * self.size)
                before = w.op(f"load {self.acc}, ptr {where}, align {item}")
                w.do(f"store {self.acc} {w.op(f'{plus} {self.acc} {before}, {total}')}, ptr {where}, align {item}")
