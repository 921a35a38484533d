"""The loop nest that turns rows into columns: what lies along a line in memory comes to lie in different registers.

    out[band][x, i] = in[band][i, x]      i < lanes,  x < columns

A band is as many rows as a register has lanes; where fewer exist, the last one is repeated, so that whole registers
are stored. The last square of columns is moved back to end at the edge; fewer columns than lanes go one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.ir import Writer
from faltung.compiler.transpose import transpose

if TYPE_CHECKING:
    from faltung.compiler.elements import Element
    from faltung.compiler.isa import Isa

# The 64-bit integers behind the first argument; offsets and strides are in bytes.
FIELDS = (
    "bands",       # entries of the band table
    "band_table",  # address: (input offset, output offset, rows that exist) of each band
    "row",         # input bytes from one row to the next
    "columns",     # elements of a row
    "pitch",       # output bytes from one column to the next
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PackNest:
    """What is compiled: the type of an element, and the rows of a band (a power of two, at least 16 bytes)."""

    element: Element
    lanes: int

    @property
    def name(self) -> str:
        """A unique symbol."""
        return f"pack_{self.element.name}_{self.lanes}"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: PackNest, isa: Isa) -> None:
        self.nest, self.isa, self.w = nest, isa, Writer()
        self.vector = nest.element.vector(nest.lanes)

    def module(self) -> str:
        w, lanes = self.w, self.nest.lanes
        p = self.p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        table = w.pointer_at(w.offset("%p", 8 * FIELDS.index("band_table")))
        short = w.op(f"icmp slt i64 {p['columns']}, {lanes}")
        squares = w.op(f"sdiv i64 {w.add(p['columns'], lanes - 1)}, {lanes}")
        squares, singles = (w.op(f"select i1 {short}, i64 {a}, i64 {b}") for a, b in ((0, squares), (p["columns"], 0)))
        last = w.add(p["columns"], -lanes)
        with w.loop(p["bands"]) as band:
            entry = w.offset(table, w.mul(band.index, 24))
            source, target, rows = (w.op(f"load i64, ptr {w.offset(entry, 8 * i)}, align 8") for i in range(3))
            last_row = w.add(rows, -1)
            lines = [
                w.offset(w.offset("%src", source), w.mul(p["row"], w.minimum(str(i), last_row) if i else 0))
                for i in range(lanes)
            ]
            out = w.offset("%dst", target)
            with w.loop(squares) as x:
                self._square(lines, out, w.minimum(w.mul(x.index, lanes), last))
            with w.loop(singles) as x:
                self._column(lines, out, x.index)
        return w.function(
            self.nest.name, "ptr noalias %p, ptr noalias readonly %src, ptr noalias %dst", 8 * self.isa.vector_bytes
        )

    def _square(self, lines: list[str], out: str, first: str) -> None:
        w, size = self.w, self.nest.element.bytes
        at = w.mul(first, size)
        rows = [w.op(f"load {self.vector}, ptr {w.offset(line, at)}, align {size}") for line in lines]
        target = w.offset(out, w.mul(first, self.p["pitch"]))
        for column in transpose(w, rows, self.nest.element):
            w.do(f"store {self.vector} {column}, ptr {target}, align {size}")
            target = w.offset(target, self.p["pitch"])

    def _column(self, lines: list[str], out: str, column: str) -> None:
        w, element = self.w, self.nest.element
        at, target = w.mul(column, element.bytes), w.offset(out, w.mul(column, self.p["pitch"]))
        for i, line in enumerate(lines):
            value = w.op(f"load {element.llvm}, ptr {w.offset(line, at)}, align {element.bytes}")
            w.do(f"store {element.llvm} {value}, ptr {w.offset(target, i * element.bytes)}, align {element.bytes}")
