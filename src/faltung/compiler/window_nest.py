"""The loop nest of a window: shifted copies of a line combined into one, and its LLVM IR.

    out[o, y, x] = tree(in[o, y, x + group + k·spacing], k < count)  op  in[o, y, x + extra 0]  op ...

`op` is +, max or min. The tree pairs windows by powers of two, small ones first, and is the same in all three forms:

    apart   every output loads its own; shifts are bytes, whatever the axis
    rows    a tile of rows, `spacing` rows apart, shares what it loads
    lanes   neighbouring lanes are shifted in registers, through several stages at once (which are compiled in)

The last block of rows or lanes is moved back to end at the edge: callers give at least one block, and never let it
write over what it reads. The form "lanes" reads whole registers, beyond what it needs. These kernels do not set the
rounding mode: `SequenceNest`, which calls them, does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import splat
from faltung.compiler.ir import Writer
from faltung.compiler.window_values import Level, Loaded, Stage, Values

if TYPE_CHECKING:
    from faltung.compiler.elements import Element
    from faltung.compiler.isa import Isa
    from faltung.compiler.window_values import Registers

# The 64-bit integers behind the first argument. Strides and shifts are in bytes. The table of shifts starts with that
# of the group; `spacing` is in bytes too, but in rows for the form "rows". `before` (of the group) and `after` hold a
# factor in their first bytes; the table of factors has one for each shift, of which the extra windows use theirs.
FIELDS = (
    "positions", "position_table", "height", "width", "in_row", "out_row", "spacing", "shifts", "shift_table",
    "factor_table", "before", "after",
)  # fmt: skip


Line = tuple[Stage, ...]


def reach(line: Line) -> int:
    """Give the lanes between the first and the last that a window reads.

    >>> reach(((0, 5, 1, ()), (1, 6, 5, ((0, 30),))))
    30
    """
    reaches = [0]
    for level, count, spacing, extras in line:
        ends = [reaches[level] + (count - 1) * spacing, *(reaches[other] + start for other, start in extras)]
        reaches.append(max(ends))
    return reaches[-1]


@dataclass(frozen=True, slots=True)
class WindowNest:
    """What is compiled: the operation, element types, the form, and how many windows are a group.

    `size` is the rows of a tile (form "rows"), or the registers of a block. `line` has the stages of the form "lanes":
    (level, count, spacing, extras), all lengths in lanes, an extra window being a level and its first lane. `before`
    and `extras` say that what is loaded (of the group, of the extra windows) is multiplied; `after` is the type in
    which the result is multiplied before it is stored. Extrema of floats compare integers of their size, so `element`
    is one. `stream` stores past the caches, whole cache lines at a time.
    """

    op: str
    load: Element
    element: Element
    store: Element
    form: str
    count: int
    size: int
    line: Line = ()
    before: bool = False
    extras: bool = False
    after: Element | None = None
    stream: bool = False

    @property
    def name(self) -> str:
        """A unique symbol."""
        factors = f"{'_b' * self.before}{'_e' * self.extras}{f'_{self.after.name}' if self.after else ''}"
        types = f"{self.load.name}_{self.element.name}_{self.store.name}{factors}"
        stages = [f"{a}x{n}x{d}{''.join(f'_{b}at{x}' for b, x in extras)}" for a, n, d, extras in self.line]
        shape = "__".join(stages) or str(self.count)
        return f"window_{self.op}_{types}_{self.form}_{shape}_{self.size}{'_s' * self.stream}"

    def lanes(self, isa: Isa) -> int:
        """Lanes of one register."""
        return isa.vector_bytes // self.element.bytes

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _Emitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: WindowNest, isa: Isa) -> None:
        self.nest, self.isa, self.w = nest, isa, Writer()
        self.lanes = nest.lanes(isa)
        self.kind = nest.element.vector(self.lanes)
        rows, self.vectors = (nest.size, 1) if nest.form == "rows" else (1, nest.size)
        self.rows = range(rows)

    def module(self) -> str:
        w, nest = self.w, self.nest
        self.p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        positions, self.table, self.factors = (
            w.pointer_at(w.offset("%p", 8 * FIELDS.index(f"{name}_table"))) for name in ("position", "shift", "factor")
        )
        before, after = (
            splat(w, w.offset("%p", 8 * FIELDS.index(name)), element, self.lanes) if used and element else ""
            for name, used, element in (("before", nest.before, nest.element), ("after", True, nest.after))
        )
        self.values = Values(w, nest.op, (nest.load, nest.element, nest.store), self.lanes, (nest.after, after))
        self.before = before
        with w.loop(self.p["positions"]) as o:
            entry = w.offset(positions, w.mul(o.index, 16))
            source = w.offset("%src", w.op(f"load i64, ptr {entry}, align 8"))
            target = w.offset("%dst", w.op(f"load i64, ptr {w.offset(entry, 8)}, align 8"))
            self._rows(source, target)
        arguments = "ptr noalias %p, ptr noalias readonly %src, ptr noalias %dst"
        return w.function(nest.name, arguments, 8 * self.isa.vector_bytes)

    def _rows(self, source: str, target: str) -> None:
        """Go through the rows; those of a tile are `spacing` apart, so a block of them holds `spacing` tiles."""
        w, p = self.w, self.p
        tiles = p["spacing"] if self.nest.form == "rows" else "1"
        block = w.mul(tiles, len(self.rows))
        self.in_step, self.out_step = w.mul(p["in_row"], tiles), w.mul(p["out_row"], tiles)
        blocks, last = self._blocks(p["height"], block)
        with w.loop(blocks) as b, w.loop(tiles) as turn:
            y = w.add(w.minimum(w.mul(b.index, block), last), turn.index)
            self._line(w.offset(source, w.mul(y, p["in_row"])), w.offset(target, w.mul(y, p["out_row"])))

    def _line(self, source: str, target: str) -> None:
        w, nest = self.w, self.nest
        block = str(self.vectors * self.lanes)
        blocks, last = self._blocks(self.p["width"], block)
        with w.loop(blocks) as b:
            x = w.minimum(w.mul(b.index, block), last)
            self._block(w.offset(source, w.mul(x, nest.load.bytes)), w.offset(target, w.mul(x, nest.store.bytes)))

    def _blocks(self, extent: str, block: str) -> tuple[str, str]:
        w = self.w
        last = w.op(f"sub nsw i64 {extent}, {block}")
        return w.op(f"sdiv i64 {w.add(w.add(extent, block), -1)}, {block}"), last

    def _block(self, source: str, target: str) -> None:
        """Combine and store one tile."""
        w, store = self.w, self.nest.store
        first = w.op(f"load i64, ptr {self.table}, align 8")
        group = getattr(self, f"_{self.nest.form}_group")(w.offset(source, first))
        with w.loop(self.p["shifts"], [(self.kind, value) for value in group], start=1) as s:
            row = w.offset(source, w.op(f"load i64, ptr {w.offset(self.table, w.mul(s.index, 8))}, align 8"))
            extra, factor = [], ""
            if self.nest.extras:
                factor = splat(w, w.offset(self.factors, w.mul(s.index, 8)), self.nest.element, self.lanes)
            for _ in self.rows:
                extra += [self._load(row, v, factor) for v in range(self.vectors)]
                row = w.offset(row, self.in_step)
            s.next = [self.values.combine(a, b) for a, b in zip(s.values, extra, strict=True)]
        for i, value in enumerate(s.result):
            y, v = divmod(i, self.vectors)
            where = w.offset(target, w.mul(self.out_step, y)) if y else target
            where = w.offset(where, v * self.lanes * store.bytes)
            how = f"align {min(64, self.lanes * store.bytes)}, !nontemporal !0" if self.nest.stream else "align 1"
            w.do(f"store {store.vector(self.lanes)} {self.values.finish(value)}, ptr {where}, {how}")

    def _apart_group(self, source: str) -> list[str]:
        w, rows = self.w, [source]
        while len(rows) < self.nest.count:
            rows.append(w.offset(rows[-1], self.p["spacing"]))
        return [
            self.values.tree([self._load(row, v, self.before) for row in rows], 0, self.nest.count, {})
            for v in range(self.vectors)
        ]

    def _rows_group(self, source: str) -> list[str]:
        """Load each row once, for all outputs of the tile it belongs to."""
        samples: list[str] = []
        known: dict[tuple[int, int], str] = {}
        outputs = []
        for row in range(len(self.rows) + self.nest.count - 1):
            samples.append(self._load(source, 0, self.before))
            source = self.w.offset(source, self.in_step)
            if row >= self.nest.count - 1:
                outputs.append(self.values.tree(samples, row - self.nest.count + 1, self.nest.count, known))
        return outputs

    def _lanes_group(self, source: str) -> list[str]:
        nest = self.nest
        needed = self.vectors + -(-reach(nest.line) // self.lanes)

        def load(lane: int) -> str:
            return self._load(self.w.offset(source, lane * nest.load.bytes), 0, self.before)

        levels: list[Registers] = [
            Loaded(self.values, load, needed, again=nest.load == nest.element and not nest.before)
        ]
        for stage in nest.line:
            levels.append(Level(self.values, levels, stage, needed))
        return [levels[-1][v] for v in range(self.vectors)]

    def _load(self, row: str, v: int, factor: str) -> str:
        load = self.nest.load
        where = self.w.offset(row, v * self.lanes * load.bytes)
        return self.values.prepare(self.w.op(f"load {load.vector(self.lanes)}, ptr {where}, align 1"), factor)
