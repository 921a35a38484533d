"""The loop nest of a gathered copy: rows by a table, columns by a table on both sides of a contiguous run.

    out[r, :] = [in[row r + low table], in[row r + middle : + run], in[row r + high table]]

A column offset of -1, or a row offset of CONSTANT_ROW (rows of a reversed array have negative offsets), stands for the
boundary's constant. One compiled copy serves every element of its
size, whatever its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.ir import Writer

if TYPE_CHECKING:
    from faltung.compiler.isa import Isa

CONSTANT_ROW = -(2**63)

# Offsets are in bytes, tables hold 64-bit integers, `fill` is the address of one element.
FIELDS = ("rows", "row_table", "low", "low_table", "middle", "run", "high", "high_table", "out_row", "fill")


@dataclass(frozen=True, slots=True)
class CopyNest:
    """What is compiled: the size of an element in bytes (1, 2, 4 or 8)."""

    size: int

    @property
    def name(self) -> str:
        """A unique symbol."""
        return f"copy_{self.size}"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: CopyNest, isa: Isa) -> None:
        self.size, self.isa, self.name = nest.size, isa, nest.name
        self.lanes = isa.vector_bytes // nest.size
        self.scalar, self.vector = (
            f"i{8 * nest.size}",
            f"<{isa.vector_bytes // nest.size} x i{8 * nest.size}>",
        )
        self.w = Writer()

    def module(self) -> str:
        w = self.w
        self.p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        tables = {
            name: w.pointer_at(w.offset("%p", 8 * FIELDS.index(name))) for name in FIELDS if name.endswith("table")
        }
        fill = w.pointer_at(w.offset("%p", 8 * FIELDS.index("fill")))
        self.constant = w.op(f"load {self.scalar}, ptr {fill}, align 1")
        with w.loop(self.p["rows"]) as rows:
            shift = w.op(f"load i64, ptr {w.offset(tables['row_table'], w.mul(rows.index, 8))}, align 8")
            target = w.offset("%dst", w.mul(rows.index, self.p["out_row"]))
            inside = w.op(f"icmp ne i64 {shift}, {CONSTANT_ROW}")
            copy, fill_row, done = (f"{label}{len(w.lines)}" for label in ("copy", "fill", "done"))
            w.do(f"br i1 {inside}, label %{copy}, label %{fill_row}")
            w.begin(copy)
            self._copy_row(w.offset("%src", shift), target, tables)
            w.do(f"br label %{done}")
            w.begin(fill_row)
            self._fill_row(target)
            w.do(f"br label %{done}")
            w.begin(done)
        return w.function(
            self.name,
            "ptr noalias %p, ptr noalias readonly %src, ptr noalias %dst",
            8 * self.isa.vector_bytes,
        )

    def _copy_row(self, source: str, target: str, tables: dict[str, str]) -> None:
        w, p = self.w, self.p
        self._by_table(source, target, p["low"], tables["low_table"])
        target = w.offset(target, w.mul(p["low"], self.size))
        self._run(w.offset(source, p["middle"]), target)
        self._by_table(source, w.offset(target, w.mul(p["run"], self.size)), p["high"], tables["high_table"])

    def _by_table(self, source: str, target: str, count: str, table: str) -> None:
        w = self.w
        with w.loop(count) as c:
            shift = w.op(f"load i64, ptr {w.offset(table, w.mul(c.index, 8))}, align 8")
            inside = w.op(f"icmp sge i64 {shift}, 0")
            # A constant still loads something (column 0 of the run's row), which must exist: see runtime.gather.
            safe = w.op(f"select i1 {inside}, i64 {shift}, i64 {self.p['middle']}")
            value = w.op(f"load {self.scalar}, ptr {w.offset(source, safe)}, align 1")
            chosen = w.op(f"select i1 {inside}, {self.scalar} {value}, {self.scalar} {self.constant}")
            w.do(f"store {self.scalar} {chosen}, ptr {w.offset(target, w.mul(c.index, self.size))}, align 1")

    def _run(self, source: str, target: str) -> None:
        """Copy the contiguous middle: whole vectors, the last moved back to its edge; a short one by elements."""
        w, run = self.w, self.p["run"]
        short = w.op(f"icmp slt i64 {run}, {self.lanes}")
        blocks = w.op(f"sdiv i64 {w.add(run, self.lanes - 1)}, {self.lanes}")
        last = w.add(run, -self.lanes)
        with w.loop(w.op(f"select i1 {short}, i64 0, i64 {blocks}")) as v:
            at = w.mul(w.minimum(w.mul(v.index, self.lanes), last), self.size)
            value = w.op(f"load {self.vector}, ptr {w.offset(source, at)}, align 1")
            w.do(f"store {self.vector} {value}, ptr {w.offset(target, at)}, align 1")
        with w.loop(w.op(f"select i1 {short}, i64 {run}, i64 0")) as c:
            at = w.mul(c.index, self.size)
            value = w.op(f"load {self.scalar}, ptr {w.offset(source, at)}, align 1")
            w.do(f"store {self.scalar} {value}, ptr {w.offset(target, at)}, align 1")

    def _fill_row(self, target: str) -> None:
        w, p = self.w, self.p
        with w.loop(w.add(w.add(p["low"], p["run"]), p["high"])) as c:
            w.do(f"store {self.scalar} {self.constant}, ptr {w.offset(target, w.mul(c.index, self.size))}, align 1")
