"""The loop nest that loads a piece of the input into a tile, and meanwhile looks at the size of its samples.

    for each block of rows, each register of columns: convert, store, and keep max|x|

A block is `rows` x `group` samples. The results are two integers: the bits of the largest |x| of all (those of Inf and
NaN are larger than those of any number), and the smallest of the largest |x| of the blocks that count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import default_arithmetic, restore_arithmetic
from faltung.compiler.elements import Element, convert
from faltung.compiler.ir import Writer

if TYPE_CHECKING:
    from faltung.compiler.isa import Isa

# The 64-bit integers behind the first argument; offsets are in bytes.
FIELDS = (
    "blocks",      # blocks of rows
    "rows",        # rows of a block
    "vectors",     # registers of a row
    "row_table",   # address: (offset in the source, offset in the tile) pairs, for each row
    "row_mask",    # address: 0, or -1 for a block that does not count
    "lane_mask",   # address: an integer of the element's size for each column, 0, or -1 where blocks do not count
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LoadNest:
    """What is compiled: the types of the source and the tile, and the columns of a block (a power of two).

    The second argument is the source, the third the addresses of the tile, of the two results, and of room for a row.
    """

    load: Element
    element: Element
    group: int

    @property
    def name(self) -> str:
        """A unique symbol."""
        return f"fourier_load_{self.load.name}_{self.element.name}_{self.group}"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: LoadNest, isa: Isa) -> None:
        self.nest, self.isa, self.w = nest, isa, Writer()
        self.lanes = isa.vector_bytes // nest.element.bytes
        self.bits = Element("u", nest.element.bits)
        self.vector, self.whole = nest.element.vector(self.lanes), self.bits.vector(self.lanes)

    def module(self) -> str:
        w, nest = self.w, self.nest
        p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        # Rows are read one after the other: blocks of columns would meet the same cache set again and again.
        self.table, row_mask, lane_mask = (
            w.pointer_at(w.offset("%p", 8 * FIELDS.index(name))) for name in ("row_table", "row_mask", "lane_mask")
        )
        tile, results, self.work = (w.pointer_at(w.offset("%dst", 8 * i)) for i in range(3))
        control = default_arithmetic(w, self.isa)
        start = [(self.whole, "zeroinitializer"), (self.whole, self._splat("-1"))]
        with w.loop(p["blocks"], start) as block:
            with w.loop(p["vectors"]) as v:
                w.do(f"store {self.whole} zeroinitializer, ptr {self._maximum(v.index)}, align 8")
            with w.loop(p["rows"]) as row:
                entry = w.offset(self.table, w.mul(w.add(w.mul(block.index, p["rows"]), row.index), 16))
                source = w.offset("%src", w.op(f"load i64, ptr {entry}, align 8"))
                place = w.offset(tile, w.op(f"load i64, ptr {w.offset(entry, 8)}, align 8"))
                with w.loop(p["vectors"]) as v:
                    self._register(source, place, v.index)
            skip = self._fill(w.op(f"load i64, ptr {w.offset(row_mask, w.mul(block.index, 8))}, align 8"))
            with w.loop(p["vectors"], list(zip((self.whole,) * 2, block.values, strict=True))) as v:
                largest = w.op(f"load {self.whole}, ptr {self._maximum(v.index)}, align 8")
                mask = w.offset(lane_mask, w.mul(v.index, self.isa.vector_bytes))
                masked = w.op(f"or {self.whole} {w.op(f'load {self.whole}, ptr {mask}, align 8')}, {skip}")
                apart = w.op(f"or {self.whole} {self._spread(largest)}, {masked}")
                v.next = [self._binary("umax", v.values[0], largest), self._binary("umin", v.values[1], apart)]
            block.next = v.result
        for i, how in enumerate(("umax", "umin")):
            kind, name = self.bits.llvm, f"llvm.vector.reduce.{how}.v{self.lanes}{self.bits.mangled}"
            one = w.call(kind, name, (self.whole, block.result[i]))
            wide = one if kind == "i64" else w.op(f"zext {kind} {one} to i64")
            w.do(f"store i64 {wide}, ptr {w.offset(results, 8 * i)}, align 8")
        restore_arithmetic(w, self.isa, control)
        return w.function(nest.name, "ptr %p, ptr %src, ptr %dst", 8 * self.isa.vector_bytes)

    def _register(self, source: str, tile: str, v: str) -> None:
        """Load, convert and store one register, and raise the maximum of its columns."""
        w, nest, lanes = self.w, self.nest, self.lanes
        at = w.offset(source, w.mul(v, lanes * nest.load.bytes))
        value = convert(w, w.op(f"load {nest.load.vector(lanes)}, ptr {at}, align 1"), nest.load, nest.element, lanes)
        w.do(f"store {self.vector} {value}, ptr {w.offset(tile, w.mul(v, self.isa.vector_bytes))}, align 8")
        size = w.op(f"and {self.whole} {w.op(f'bitcast {self.vector} {value} to {self.whole}')}, {self._magnitude()}")
        place = self._maximum(v)
        raised = self._binary("umax", w.op(f"load {self.whole}, ptr {place}, align 8"), size)
        w.do(f"store {self.whole} {raised}, ptr {place}, align 8")

    def _maximum(self, v: str) -> str:
        """Say where the maximum of a register's columns is kept, row after row of a block."""
        return self.w.offset(self.work, self.w.mul(v, self.isa.vector_bytes))

    def _spread(self, value: str) -> str:
        """Give every lane the largest of its group."""
        step = 1
        while step < self.nest.group:
            mask = ", ".join(f"i32 {i ^ step}" for i in range(self.lanes))
            other = self.w.op(f"shufflevector {self.whole} {value}, {self.whole} poison, <{self.lanes} x i32> <{mask}>")
            value, step = self._binary("umax", value, other), 2 * step
        return value

    def _binary(self, how: str, a: str, b: str) -> str:
        name = f"llvm.{how}.v{self.lanes}{self.bits.mangled}"
        return self.w.call(self.whole, name, (self.whole, a), (self.whole, b))

    def _magnitude(self) -> str:
        return self._splat(str((1 << (self.bits.bits - 1)) - 1))

    def _splat(self, value: str) -> str:
        return f"<{', '.join([f'{self.bits.llvm} {value}'] * self.lanes)}>"

    def _fill(self, scalar: str) -> str:
        """Put an integer into all lanes."""
        w, kind = self.w, self.bits.llvm
        one = scalar if kind == "i64" else w.op(f"trunc i64 {scalar} to {kind}")
        first = w.op(f"insertelement {self.whole} poison, {kind} {one}, i32 0")
        return w.op(f"shufflevector {self.whole} {first}, {self.whole} poison, <{self.lanes} x i32> zeroinitializer")
