"""The loop nest of a sum of taps, and its LLVM IR.

    out[o, y, x] = Σ_t Σ_i Σ_j  weight[t, j, i] · in[o, tap t, y·row + i·row, x + j·step]

    axis   meaning                                  role
    o      positions of all further axes            loop (a table of byte offsets)
    y      output rows                              loop over blocks of `rows` registers
    x      output lanes                             loop over blocks of `vectors` registers of `lanes` lanes
    t      taps of all further axes                 reduce (a table of byte offsets)
    i      taps along y                             reduce; input row y+i feeds every output row it belongs to
    j      taps along x                             reduce

Every output is one chain in the order t, i, j, whatever the tile: a result never depends on where it lies.
The last block of rows or lanes is moved back to end at the edge, so an output may be written twice with equal
bits; there are no masked tails. Callers give at least one full tile. A loop over taps costs no speed against
unrolled taps from 5x5 on (measured: unrolling large kernels overflows the micro-op cache), so one object serves
every kernel with `tap_rows >= rows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import default_arithmetic, multiply_add, restore_arithmetic, splat
from faltung.compiler.elements import Element, convert, narrow
from faltung.compiler.ir import Writer

if TYPE_CHECKING:
    from faltung.compiler.isa import Isa

# The 64-bit integers behind the first argument. Strides and offsets are in bytes; tables hold 64-bit integers.
FIELDS = (
    "positions",       # entries of the position table
    "position_table",  # address: (input offset, output offset, offset of the weights)
    "taps",            # entries of the tap table
    "tap_table",       # address: input offsets
    "height",          # output rows
    "width",           # output lanes
    "in_row",          # input bytes from one output row to the next (and from tap i to i+1)
    "out_row",         # output bytes from one row to the next
    "step",            # input bytes from tap j to j+1
    "tap_rows",        # extent of i
    "tap_columns",     # extent of j
    "last_columns",    # extent of j in the last tap row (smaller only for folded one-dimensional kernels)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TapNest:
    """What is compiled: element types, register tile, and which tap extents are known.

    `tap_rows` None means "at runtime, at least `rows`"; smaller extents are always known. `stream` stores past the
    caches, which spares reading every output line before it is written (measured: 3x3 on 8192² is 1.5 times as fast);
    outputs must then be aligned to whole vectors and the width a multiple of the tile's.
    """

    load: Element
    accumulate: Element
    store: Element
    rows: int
    vectors: int
    tap_rows: int | None
    tap_columns: int | None = None
    ragged: bool = False
    stream: bool = False

    @property
    def name(self) -> str:
        """A unique symbol."""
        taps = f"{self.tap_rows or 'n'}x{self.tap_columns or 'n'}{'r' * self.ragged}{'s' * self.stream}"
        types = f"{self.load.name}_{self.accumulate.name}_{self.store.name}"
        return f"taps_{types}_{self.rows}x{self.vectors}_{taps}"

    def lanes(self, isa: Isa) -> int:
        """Lanes of one register of accumulators."""
        return isa.vector_bytes // self.accumulate.bytes

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: TapNest, isa: Isa) -> None:
        self.nest, self.isa = nest, isa
        self.lanes = nest.lanes(isa)
        self.w = Writer()
        self.acc_type = nest.accumulate.vector(self.lanes)
        self.tile = range(nest.rows * nest.vectors)

    def module(self) -> str:
        w, nest = self.w, self.nest
        p = self.p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        if nest.tap_rows is not None:
            p["tap_rows"] = str(nest.tap_rows)
        if nest.tap_columns is not None:
            p["tap_columns"] = str(nest.tap_columns)
        self.positions = w.pointer_at(w.offset("%p", 8 * FIELDS.index("position_table")))
        self.taps = w.pointer_at(w.offset("%p", 8 * FIELDS.index("tap_table")))
        self.column_bytes = w.mul(p["tap_rows"], nest.accumulate.bytes)
        self.tap_bytes = w.mul(self.column_bytes, p["tap_columns"])
        control = default_arithmetic(w, self.isa)
        width = nest.vectors * self.lanes
        row_blocks, last_row = self._blocks(p["height"], nest.rows)
        lane_blocks, last_lane = self._blocks(p["width"], width)
        with w.loop(p["positions"]) as o:
            entry = w.offset(self.positions, w.mul(o.index, 24))
            source = w.offset("%src", w.op(f"load i64, ptr {entry}, align 8"))
            target = w.offset("%dst", w.op(f"load i64, ptr {w.offset(entry, 8)}, align 8"))
            self.weights = w.offset("%weights", w.op(f"load i64, ptr {w.offset(entry, 16)}, align 8"))
            with w.loop(row_blocks) as rows:
                y = w.minimum(w.mul(rows.index, nest.rows), last_row)
                in_row = w.offset(source, w.mul(y, p["in_row"]))
                out_row = w.offset(target, w.mul(y, p["out_row"]))
                with w.loop(lane_blocks) as lanes:
                    x = w.minimum(w.mul(lanes.index, width), last_lane)
                    self._tile(
                        w.offset(in_row, w.mul(x, nest.load.bytes)),
                        w.offset(out_row, w.mul(x, nest.store.bytes)),
                    )
        restore_arithmetic(w, self.isa, control)
        arguments = "ptr noalias %p, ptr noalias readonly %src, ptr noalias %dst, ptr noalias readonly %weights"
        return w.function(nest.name, arguments, 8 * self.isa.vector_bytes)

    def _blocks(self, extent: str, block: int) -> tuple[str, str]:
        w = self.w
        count = w.op(f"sdiv i64 {w.add(extent, block - 1)}, {block}")
        return count, w.add(extent, -block)

    def _tile(self, source: str, target: str) -> None:
        """Sum all taps of one register tile and store it."""
        w, nest = self.w, self.nest
        zero = [(self.acc_type, "zeroinitializer") for _ in self.tile]
        with w.loop(self.p["taps"], [*zero, ("ptr", self.weights)]) as t:
            *acc, weights = t.values
            shift = w.op(f"load i64, ptr {w.offset(self.taps, w.mul(t.index, 8))}, align 8")
            acc = self._rows(acc, w.offset(source, shift), weights)
            t.next = [*acc, w.offset(weights, self.tap_bytes)]
        for o in range(nest.rows):
            row = w.offset(target, w.mul(self.p["out_row"], o)) if o else target
            for v in range(nest.vectors):
                value = narrow(w, t.result[o * nest.vectors + v], nest.accumulate, nest.store, self.lanes)
                where = w.offset(row, v * self.lanes * nest.store.bytes)
                how = f"align {self.lanes * nest.store.bytes}, !nontemporal !0" if nest.stream else "align 1"
                w.do(f"store {nest.store.vector(self.lanes)} {value}, ptr {where}, {how}")

    def _rows(self, acc: list[str], source: str, weights: str) -> list[str]:
        """Let every input row of the tile feed the output rows it belongs to."""
        w, rows, in_row = self.w, self.nest.rows, self.p["in_row"]
        if self.nest.tap_rows is not None:
            for r in range(self.nest.tap_rows + rows - 1):
                feeds = [(o, r - o) for o in range(rows) if 0 <= r - o < self.nest.tap_rows]
                row = w.offset(source, w.mul(in_row, r)) if r else source
                acc = self._columns(acc, row, weights, feeds, last=self.nest.tap_rows - 1)
            return acc
        size = self.nest.accumulate.bytes
        row = source
        for r in range(rows - 1):
            acc = self._columns(acc, row, weights, [(o, r - o) for o in range(r + 1)])
            row = w.offset(row, in_row)
        # From here on `weights` points to tap row r, so that offsets -o are known. The last tap row is left to the end.
        middle = w.add(self.p["tap_rows"], -1)
        start = [
            *((self.acc_type, a) for a in acc),
            ("ptr", row),
            ("ptr", w.offset(weights, (rows - 1) * size)),
        ]
        with w.loop(middle, start, start=rows - 1) as i:
            *acc, row, tap = i.values
            acc = self._columns(acc, row, tap, [(o, -o) for o in range(rows)])
            i.next = [*acc, w.offset(row, in_row), w.offset(tap, size)]
        *acc, row, tap = i.result
        for r in range(rows):
            acc = self._columns(acc, row, tap, [(o, r - o) for o in range(r, rows)], last=0)
            row = w.offset(row, in_row)
        return acc

    def _columns(
        self, acc: list[str], row: str, weights: str, feeds: list[tuple[int, int]], last: int | None = None
    ) -> list[str]:
        """Add one input row, tap column by tap column; feed (o, k) multiplies by weight row k for output row o.

        `last` is the k of the last tap row, whose columns may be fewer.
        """
        if self.nest.ragged and last is not None and any(k == last for _, k in feeds):
            acc, row, weights = self._column_loop(acc, row, weights, feeds, self.p["last_columns"])
            rest = self.w.op(f"sub nsw i64 {self.p['tap_columns']}, {self.p['last_columns']}")
            others = [(o, k) for o, k in feeds if k != last]
            return self._column_loop(acc, row, weights, others, rest)[0] if others else acc
        return self._column_loop(acc, row, weights, feeds, self.p["tap_columns"])[0]

    def _column_loop(
        self, acc: list[str], row: str, weights: str, feeds: list[tuple[int, int]], count: str
    ) -> tuple[list[str], str, str]:
        w, step = self.w, self.p["step"]
        if count.isdigit():
            for j in range(int(count)):
                if j:
                    row, weights = w.offset(row, step), w.offset(weights, self.column_bytes)
                acc = self._tap(acc, row, weights, feeds)
            return acc, row, weights
        with w.loop(count, [*((self.acc_type, a) for a in acc), ("ptr", row), ("ptr", weights)]) as j_loop:
            *acc, row, weights = j_loop.values
            acc = self._tap(acc, row, weights, feeds)
            j_loop.next = [*acc, w.offset(row, step), w.offset(weights, self.column_bytes)]
        *acc, row, weights = j_loop.result
        return acc, row, weights

    def _tap(self, acc: list[str], row: str, weights: str, feeds: list[tuple[int, int]]) -> list[str]:
        w, nest, lanes = self.w, self.nest, self.lanes
        acc, stride = list(acc), lanes * nest.load.bytes
        inputs = []
        for v in range(nest.vectors):
            loaded = w.op(f"load {nest.load.vector(lanes)}, ptr {w.offset(row, v * stride)}, align 1")
            inputs.append(convert(w, loaded, nest.load, nest.accumulate, lanes))
        for o, k in feeds:
            weight = splat(w, w.offset(weights, k * nest.accumulate.bytes), nest.accumulate, lanes)
            for v in range(nest.vectors):
                at = o * nest.vectors + v
                acc[at] = multiply_add(w, self.isa, nest.accumulate, lanes, inputs[v], weight, acc[at])
        return acc
