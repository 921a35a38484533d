"""The loop nest of windows that say which sample they chose: its value and its index.

    value[o, x], index[o, x] = max or min over taps t of in[o, x + offset t], and where that lies

Lanes are neighbours in memory. The first of equal samples is chosen; a NaN is chosen over everything before it. Every
position has a table of taps of its own, so that windows at borders leave out what lies beyond. The last block of lanes
is moved back to end at the edge; lines shorter than a block go element by element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import default_arithmetic, restore_arithmetic
from faltung.compiler.elements import Element
from faltung.compiler.ir import Writer

if TYPE_CHECKING:
    from faltung.compiler.isa import Isa

# The 64-bit integers behind the first argument; the third argument is where values go, `index_out` where indices go.
FIELDS = ("positions", "position_table", "tap_table", "index_out", "width", "lane_step")
# Of each position: bytes to its source, value and index; the index that tap offsets are added to; bytes to its first
# tap in the table of taps, and how many it has. Of each tap: bytes to its sample, and what it adds to the index.
POSITION = ("source", "value", "index", "base", "first", "taps")
TAP = ("offset", "index")

INDEX = Element("i", 64)


@dataclass(frozen=True, slots=True)
class PlaceNest:
    """What is compiled: "max" or "min", and the type of the samples. What taps add to an index is below 2³¹."""

    op: str
    element: Element

    @property
    def name(self) -> str:
        """A unique symbol."""
        return f"place_{self.op}_{self.element.name}"

    def lanes(self, isa: Isa) -> int:
        """Lanes of a block: a register of samples, or of 32-bit offsets where these are wider."""
        return isa.vector_bytes // max(4, self.element.bytes)

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: PlaceNest, isa: Isa) -> None:
        self.nest, self.isa, self.w = nest, isa, Writer()
        # Offsets are as wide as the samples, so that one mask serves both.
        self.offset = Element("i", max(32, nest.element.bits))

    def module(self) -> str:
        w, nest = self.w, self.nest
        self.p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        positions, taps, indices = (
            w.pointer_at(w.offset("%p", 8 * FIELDS.index(name)))
            for name in ("position_table", "tap_table", "index_out")
        )
        control = default_arithmetic(w, self.isa)
        lanes, width = nest.lanes(self.isa), self.p["width"]
        short = w.op(f"icmp slt i64 {width}, {lanes}")
        blocks = w.op(f"sdiv i64 {w.add(width, lanes - 1)}, {lanes}")
        blocks, singles = (
            w.op(f"select i1 {short}, i64 0, i64 {blocks}"),
            w.op(f"select i1 {short}, i64 {width}, i64 0"),
        )
        last = w.add(width, -lanes)
        with w.loop(self.p["positions"]) as o:
            entry = w.offset(positions, w.mul(o.index, 8 * len(POSITION)))
            record = dict(zip(POSITION, w.parameters(entry, len(POSITION)), strict=True))
            self.source, self.value = w.offset("%src", record["source"]), w.offset("%dst", record["value"])
            self.index, self.base = w.offset(indices, record["index"]), record["base"]
            self.taps, self.count = w.offset(taps, record["first"]), record["taps"]
            with w.loop(blocks) as b:
                self._block(w.minimum(w.mul(b.index, lanes), last), lanes)
            with w.loop(singles) as x:
                self._block(x.index, 1)
        restore_arithmetic(w, self.isa, control)
        return w.function(nest.name, "ptr noalias %p, ptr noalias readonly %src, ptr %dst", 8 * self.isa.vector_bytes)

    def _block(self, x: str, lanes: int) -> None:
        """Choose for some lanes from x on."""
        w, element = self.w, self.nest.element
        kinds = element.vector(lanes), self.offset.vector(lanes)
        source = w.offset(self.source, w.mul(x, element.bytes))
        start = self._tap(source, self.taps, lanes)
        with w.loop(self.count, list(zip(kinds, start, strict=True)), start=1) as t:
            found = self._tap(source, w.offset(self.taps, w.mul(t.index, 8 * len(TAP))), lanes)
            wins = self._wins(found[0], t.values[0], lanes)
            t.next = [
                w.op(f"select <{lanes} x i1> {wins}, {kind} {new}, {kind} {old}")
                for kind, new, old in zip(kinds, found, t.values, strict=True)
            ]
        value, offset = t.result
        w.do(f"store {kinds[0]} {value}, ptr {w.offset(self.value, w.mul(x, element.bytes))}, align 1")
        w.do(f"store {INDEX.vector(lanes)} {self._indices(offset, x, lanes)}, "
             f"ptr {w.offset(self.index, w.mul(x, INDEX.bytes))}, align 1")  # fmt: skip

    def _tap(self, source: str, tap: str, lanes: int) -> list[str]:
        """Load the samples of a tap, and what it adds to the index."""
        w, element = self.w, self.nest.element
        at = w.offset(source, w.op(f"load i64, ptr {tap}, align 8"))
        samples = w.op(f"load {element.vector(lanes)}, ptr {at}, align 1")
        # (The low half of an integer comes first on every processor that is served.)
        scalar = w.op(f"load {self.offset.llvm}, ptr {w.offset(tap, 8 * TAP.index('index'))}, align 8")
        return [samples, self._fill(scalar, self.offset, lanes)]

    def _wins(self, new: str, old: str, lanes: int) -> str:
        w, element, kind = self.w, self.nest.element, self.nest.element.vector(lanes)
        order = "g" if self.nest.op == "max" else "l"
        if element.kind != "f":
            return w.op(f"icmp {'s' if element.kind == 'i' else 'u'}{order}t {kind} {new}, {old}")
        better, nan = w.op(f"fcmp o{order}t {kind} {new}, {old}"), w.op(f"fcmp uno {kind} {new}, {new}")
        return w.op(f"or <{lanes} x i1> {better}, {nan}")

    def _indices(self, offset: str, x: str, lanes: int) -> str:
        """Add what the tap, the position and the lane contribute."""
        w, kind = self.w, INDEX.vector(lanes)
        if self.offset != INDEX:
            offset = w.op(f"sext {self.offset.vector(lanes)} {offset} to {kind}")
        start = self._fill(w.add(self.base, w.mul(x, self.p["lane_step"])), INDEX, lanes)
        steps = self._fill(self.p["lane_step"], INDEX, lanes)
        along = w.op(f"mul {kind} {steps}, <{', '.join(f'i64 {i}' for i in range(lanes))}>")
        return w.op(f"add {kind} {w.op(f'add {kind} {offset}, {start}')}, {along}")

    def _fill(self, scalar: str, element: Element, lanes: int) -> str:
        w, kind = self.w, element.vector(lanes)
        first = w.op(f"insertelement {kind} poison, {element.llvm} {scalar}, i32 0")
        return w.op(f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer")
