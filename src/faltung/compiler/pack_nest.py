"""The loop nest that turns rows into columns: what lies along a line in memory comes to lie in different registers.

    out[band][x, i] = in[band][i, x]      i < lanes,  x < columns

A band is as many rows as a register has lanes; where fewer exist, the last one is repeated, so that whole registers
are stored. The last square of columns is moved back to end at the edge. Of fewer columns than lanes whole registers are
read all the same in the first `wide` bands, which the caller knows to lie so far from the end of the memory that is
there (3x3 weights of 512 to 512 channels, rows 36 bytes apart: 2.4 times as fast as one by one); in others they go one
by one.
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
    "wide",        # bands in which a register can be read from each row, though it has fewer columns
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
        long, wide = (w.op(f"select i1 {short}, i64 {a}, i64 {b}") for a, b in ((0, p["bands"]), (p["wide"], 0)))
        squares = w.op(f"sdiv i64 {w.add(p['columns'], lanes - 1)}, {lanes}")
        last = w.add(p["columns"], -lanes)
        with w.loop(long) as band:
            lines, out = self._band(table, band.index)
            with w.loop(squares) as x:
                self._square(lines, out, w.minimum(w.mul(x.index, lanes), last))
        with w.loop(wide) as band:
            self._short(*self._band(table, band.index))
        with w.loop(w.add(p["bands"], w.mul(w.add(long, wide), -1))) as band:
            lines, out = self._band(table, w.add(band.index, wide))
            with w.loop(p["columns"]) as x:
                self._column(lines, out, x.index)
        return w.function(
            self.nest.name, "ptr noalias %p, ptr noalias readonly %src, ptr noalias %dst", 8 * self.isa.vector_bytes
        )

    def _band(self, table: str, index: str) -> tuple[list[str], str]:
        """Give where each row of a band lies, and where its first column goes."""
        w, lanes = self.w, self.nest.lanes
        entry = w.offset(table, w.mul(index, 24))
        source, target, rows = (w.op(f"load i64, ptr {w.offset(entry, 8 * i)}, align 8") for i in range(3))
        last_row = w.add(rows, -1)
        lines = [
            w.offset(w.offset("%src", source), w.mul(self.p["row"], w.minimum(str(i), last_row) if i else 0))
            for i in range(lanes)
        ]
        return lines, w.offset("%dst", target)

    def _short(self, lines: list[str], out: str) -> None:
        """Read a register from each row, and store as many columns as there are."""
        w, size = self.w, self.nest.element.bytes
        rows = [w.op(f"load {self.vector}, ptr {line}, align {size}") for line in lines]
        for i, column in enumerate(transpose(w, rows, self.nest.element)[:-1]):
            with w.when(f"icmp slt i64 {i}, {self.p['columns']}"):
                w.do(f"store {self.vector} {column}, ptr {w.offset(out, w.mul(self.p['pitch'], i))}, align {size}")

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
