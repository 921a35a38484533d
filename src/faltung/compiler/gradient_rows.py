"""The loop nest of a gradient by weights where pixels are lanes: for layers with few channels in a group.

    out[c, u, i, j, v] += Σ_o Σ_y Σ_x in[c, o, (y + i)·row + step·(x + v) + tap (u, j)] · gradient[c, o, y, x + v]

    axis   meaning                                  role
    c      pairs of an input and an output channel  loop (a table of byte offsets)
    u      tiles of taps                            loop (a table of byte offsets)
    i, j   taps of a tile                           `rows` x `taps` registers
    o      positions of all further axes            reduce (a table of byte offsets)
    y      rows                                     reduce; input row y+i meets every gradient row it belongs to
    x      blocks of lanes of a row                 reduce
    v      lanes                                    summed up by the caller

With more than one row of taps an input row is loaded once for all of them, and the gradient's last rows stay in
registers. A row is at least one register, and its last block is moved back to end at the edge: lanes that were
counted before are cleared on both sides, so that a NaN there counts once as well. With a step of 2 every other sample
of two registers is taken; the very last one read is not used, but must exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import default_arithmetic, multiply_add, restore_arithmetic
from faltung.compiler.ir import Writer

if TYPE_CHECKING:
    from faltung.compiler.elements import Element
    from faltung.compiler.isa import Isa

# The 64-bit integers behind the first argument; strides and offsets in bytes, tables hold 64-bit integers.
FIELDS = (
    "pairs",           # entries of the pair table
    "pair_table",      # address: (input, gradient, output) offsets of each pair of channels
    "tiles",           # tiles of taps
    "tap_table",       # address: input offset of each tap of the first row of each tile
    "positions",       # entries of the position table
    "position_table",  # address: (input, gradient) offsets
    "height",          # gradient rows, at least `rows` - 1
    "in_row",          # input bytes from one row to the next
    "gradient_row",    # gradient bytes from one row to the next
    "blocks",          # blocks of lanes that are counted whole
    "edges",           # 1 if a last block is counted in part, 0 if not
    "edge",            # byte offset of that block in a gradient row
    "mask",            # address: a register, all bits set in the lanes that count there
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GradientRowNest:
    """What is compiled: the type, the tile of taps, the lanes of a register, and the samples (1 or 2) between them."""

    element: Element
    rows: int
    taps: int
    lanes: int
    step: int = 1

    @property
    def name(self) -> str:
        """A unique symbol."""
        return f"taps_gradient_rows_{self.element.name}_{self.rows}x{self.taps}x{self.lanes}{'s' * (self.step == 2)}"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: GradientRowNest, isa: Isa) -> None:
        self.nest, self.isa, self.w = nest, isa, Writer()
        self.acc, self.bits = nest.element.vector(nest.lanes), f"<{nest.lanes} x i{nest.element.bits}>"
        self.size = nest.lanes * nest.element.bytes

    def module(self) -> str:
        w, nest = self.w, self.nest
        p = self.p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        tables = self.tables = {
            name: w.pointer_at(w.offset("%p", 8 * FIELDS.index(name)))
            for name in FIELDS
            if name.endswith("table") or name == "mask"
        }
        control = default_arithmetic(w, self.isa)
        self.mask = w.op(f"load {self.bits}, ptr {tables['mask']}, align {nest.element.bytes}")
        with w.loop(p["pairs"]) as c:
            source, gradient, target = self._entry("pair_table", c.index, ("%src", "%weights", "%dst"))
            with w.loop(p["tiles"]) as u:
                first = w.offset(tables["tap_table"], w.mul(u.index, 8 * nest.taps))
                self.taps = [w.op(f"load i64, ptr {w.offset(first, 8 * j)}, align 8") for j in range(nest.taps)]
                acc = self._positions(source, gradient)
                self._add(acc, w.offset(target, w.mul(u.index, nest.rows * nest.taps * self.size)))
        restore_arithmetic(w, self.isa, control)
        arguments = "ptr noalias %p, ptr noalias readonly %src, ptr noalias %dst, ptr noalias readonly %weights"
        return w.function(nest.name, arguments, 8 * self.isa.vector_bytes)

    def _entry(self, table: str, index: str, bases: tuple[str, ...]) -> list[str]:
        """Move pointers by the offsets of a table's entry."""
        w = self.w
        entry = w.offset(self.tables[table], w.mul(index, 8 * len(bases)))
        return [
            w.offset(base, w.op(f"load i64, ptr {w.offset(entry, 8 * i)}, align 8")) for i, base in enumerate(bases)
        ]

    def _positions(self, source: str, gradient: str) -> list[str]:
        """Sum a tile of taps over all positions and all blocks of lanes."""
        w, p = self.w, self.p
        zeros = [(self.acc, "zeroinitializer")] * (self.nest.rows * self.nest.taps)
        with w.loop(p["positions"], zeros) as o:
            x, g = self._entry("position_table", o.index, (source, gradient))
            with w.loop(p["blocks"], [(self.acc, a) for a in o.values]) as b:
                at = w.mul(b.index, self.size)
                start = w.offset(x, w.mul(at, self.nest.step))
                b.next = self._column(list(b.values), start, w.offset(g, at), masked=False)
            with w.loop(p["edges"], [(self.acc, a) for a in b.result]) as e:
                start = w.offset(x, w.mul(p["edge"], self.nest.step))
                e.next = self._column(list(e.values), start, w.offset(g, p["edge"]), masked=True)
            o.next = e.result
        return o.result

    def _column(self, acc: list[str], x: str, g: str, *, masked: bool) -> list[str]:
        """Go down the rows of one block of lanes; `held` are the gradient's last rows, the newest first."""
        w, p, rows = self.w, self.p, self.nest.rows
        held: list[str] = []
        for r in range(rows - 1):
            held = [self._load(g, masked), *held]
            acc = self._row(acc, x, [(i, held[i]) for i in range(r + 1)], masked)
            x, g = w.offset(x, p["in_row"]), w.offset(g, p["gradient_row"])
        carried = [*((self.acc, value) for value in (*acc, *held)), ("ptr", x), ("ptr", g)]
        with w.loop(p["height"], carried, start=rows - 1) as y:
            *values, x, g = y.values
            acc, held = values[: len(acc)], [self._load(g, masked), *values[len(acc) :]]
            acc = self._row(acc, x, list(enumerate(held)), masked)
            y.next = [*acc, *held[: rows - 1], w.offset(x, p["in_row"]), w.offset(g, p["gradient_row"])]
        *values, x, _ = y.result
        acc, held = values[: len(acc)], values[len(acc) :]
        for beyond in range(1, rows):
            acc = self._row(acc, x, [(i, held[i - beyond]) for i in range(beyond, rows)], masked)
            x = w.offset(x, p["in_row"])
        return acc

    def _row(self, acc: list[str], x: str, feeds: list[tuple[int, str]], masked: bool) -> list[str]:
        """Add one input row: feed (i, gradient) multiplies it for row i of the tile."""
        w, nest, acc = self.w, self.nest, list(acc)
        for j, tap in enumerate(self.taps):
            sample = self._load(w.offset(x, tap), masked, self.nest.step)
            for i, gradient in feeds:
                at = i * nest.taps + j
                acc[at] = multiply_add(w, self.isa, nest.element, nest.lanes, sample, gradient, acc[at])
        return acc

    def _load(self, pointer: str, masked: bool, step: int = 1) -> str:
        """Load a register, or every other sample of two; clear the lanes that do not count."""
        w, size = self.w, self.nest.element.bytes
        value = w.op(f"load {self.acc}, ptr {pointer}, align {size}")
        if step == 2:
            more = w.op(f"load {self.acc}, ptr {w.offset(pointer, self.size)}, align {size}")
            even = ", ".join(f"i32 {2 * lane}" for lane in range(self.nest.lanes))
            value = w.op(f"shufflevector {self.acc} {value}, {self.acc} {more}, <{self.nest.lanes} x i32> <{even}>")
        if not masked:
            return value
        bits = w.op(f"and {self.bits} {w.op(f'bitcast {self.acc} {value} to {self.bits}')}, {self.mask}")
        return w.op(f"bitcast {self.bits} {bits} to {self.acc}")

    def _add(self, acc: list[str], target: str) -> None:
        """Add the sums to what the output holds."""
        w, item = self.w, self.nest.element.bytes
        plus = "fadd" if self.nest.element.kind == "f" else "add"
        for at, total in enumerate(acc):
            where = w.offset(target, at * self.size)
            before = w.op(f"load {self.acc}, ptr {where}, align {item}")
            w.do(f"store {self.acc} {w.op(f'{plus} {self.acc} {before}, {total}')}, ptr {where}, align {item}")
