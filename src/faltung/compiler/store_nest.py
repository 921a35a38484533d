"""The loop nest that stores rows of a tile as rows of the output, in the output's type.

Whole registers are stored, the last moved back to end at the edge; a row shorter than that goes element by element.
(Measured: streaming past the caches is slower, since rows of tiles begin and end in lines they share.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import default_arithmetic, restore_arithmetic
from faltung.compiler.elements import Element, narrow
from faltung.compiler.ir import Writer

if TYPE_CHECKING:
    from faltung.compiler.isa import Isa

# The 64-bit integers behind the first argument; offsets are in bytes. A row of the tile has at least one register.
FIELDS = (
    "rows",       # rows to store
    "row_table",  # address: (offset in the tile, offset in the output) pairs
    "width",      # columns to store
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoreNest:
    """What is compiled: the types of the tile and the output."""

    element: Element
    store: Element

    @property
    def name(self) -> str:
        """A unique symbol."""
        return f"fourier_store_{self.element.name}_{self.store.name}"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: StoreNest, isa: Isa) -> None:
        self.nest, self.isa, self.w = nest, isa, Writer()
        self.lanes = isa.vector_bytes // nest.element.bytes
        self.vector, self.stored = nest.element.vector(self.lanes), nest.store.vector(self.lanes)

    def module(self) -> str:
        w = self.w
        p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        table, width = w.pointer_at(w.offset("%p", 8 * FIELDS.index("row_table"))), p["width"]
        place = w.op(f"alloca {self.stored}, align {self.isa.vector_bytes}")
        control = default_arithmetic(w, self.isa)
        edge = w.add(width, -self.lanes)
        with w.loop(p["rows"]) as row:
            entry = w.offset(table, w.mul(row.index, 16))
            source = w.offset("%src", w.op(f"load i64, ptr {entry}, align 8"))
            target = w.offset("%dst", w.op(f"load i64, ptr {w.offset(entry, 8)}, align 8"))
            with w.when(f"icmp sge i64 {edge}, 0"):
                self._whole(source, target, width, edge)
            with w.when(f"icmp slt i64 {edge}, 0"):
                self._register(source, place, "0")
                with w.loop(width) as column:
                    at = w.mul(column.index, self.nest.store.bytes)
                    one = w.op(f"load {self.nest.store.llvm}, ptr {w.offset(place, at)}, align 1")
                    w.do(f"store {self.nest.store.llvm} {one}, ptr {w.offset(target, at)}, align 1")
        restore_arithmetic(w, self.isa, control)
        return w.function(self.nest.name, "ptr %p, ptr %src, ptr %dst", 8 * self.isa.vector_bytes)

    def _whole(self, source: str, target: str, width: str, edge: str) -> None:
        w = self.w
        with w.loop(w.op(f"sdiv i64 {w.add(width, self.lanes - 1)}, {self.lanes}")) as v:
            self._register(source, target, w.minimum(w.mul(v.index, self.lanes), edge))

    def _register(self, source: str, target: str, column: str) -> None:
        w, nest = self.w, self.nest
        at = w.offset(source, w.mul(column, nest.element.bytes))
        value = w.op(f"load {self.vector}, ptr {at}, align {nest.element.bytes}")
        stored = narrow(w, value, nest.element, nest.store, self.lanes)
        w.do(f"store {self.stored} {stored}, ptr {w.offset(target, w.mul(column, nest.store.bytes))}, align 1")
