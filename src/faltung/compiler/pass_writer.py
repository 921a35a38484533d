"""What passes along rows and along the lanes have in common: parameters, tiles, stores, the note of infinities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import default_arithmetic, multiply_add, restore_arithmetic
from faltung.compiler.elements import Element, convert, narrow
from faltung.compiler.ir import Writer
from faltung.compiler.pass_nest import CACHE_LINE, FIELDS, Work, group
from faltung.compiler.sweep import Sweep

if TYPE_CHECKING:
    from faltung.compiler.isa import Isa
    from faltung.compiler.pass_nest import PassNest


class PassWriter:
    """Writes a pass; `run` is that of rows or lanes."""

    def __init__(self, nest: PassNest, isa: Isa) -> None:
        self.nest, self.isa = nest, isa
        self.at = Work.of(isa, nest)
        self.lanes, self.group = self.at.lanes, group(isa)
        self.w = Writer()
        self.kinds = {e: e.vector(self.lanes) for e in (nest.load, nest.accumulate, nest.store)}

    def module(self) -> str:
        """Write the whole module."""
        w, nest = self.w, self.nest
        self.p = p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        self.pointers = {
            name: w.pointer_at(w.offset("%p", 8 * FIELDS.index(name)))
            for name in ("line_table", "weights", "modes", "table", "fills")
        }
        control = default_arithmetic(w, self.isa)
        self.sweep = Sweep(w, self.isa, nest.accumulate, self.lanes, self.at.rows, p)
        self.map_weights = w.mul(w.mul(p["planes"], p["taps"]), nest.accumulate.bytes)
        self.buffer = w.offset("%work", p["buffer"])
        self.flag = w.offset("%work", self.at.slot)
        self.fill_row = w.offset("%work", 2 * self.at.slot)
        self.results = w.offset("%work", self.at.results)
        if nest.check:
            self._keep("zeroinitializer", self.flag)
        self._edge()
        self.run()
        restore_arithmetic(w, self.isa, control)
        arguments = "ptr noalias %p, ptr %src, ptr %dst, ptr %work"
        return w.function(nest.name, arguments, 8 * self.isa.vector_bytes)

    def run(self) -> None:
        """Write the loops."""
        raise NotImplementedError

    def _edge(self) -> None:
        """Find where the last whole register of `width` begins, and whether there is none."""
        w, width = self.w, self.p["width"]
        self.last_lane = w.maximum(w.add(width, -self.lanes), "0")
        self.narrow = w.op(f"icmp slt i64 {width}, {self.lanes}")

    def _moved_back(self, register: str) -> str:
        """Give a register's first lane: the last one ends at the edge, unless all there is are less than a register."""
        w = self.w
        return w.minimum(w.mul(register, self.lanes), self.last_lane)

    def _tile(self, buffer: str, map_: str, row: str) -> list[str]:
        w, p = self.w, self.p
        weights = w.offset(self.pointers["weights"], w.mul(map_, self.map_weights))
        modes = w.offset(self.pointers["modes"], w.mul(w.mul(map_, p["planes"]), 8))
        if self.nest.known is not None:
            acc = self.sweep.known(w.offset(buffer, row), weights, *self.nest.known)
        else:
            acc = self.sweep.planes(w.offset(buffer, row), weights, modes)
        if self.nest.check:
            self._note(acc)
        return acc

    def _note(self, acc: list[str]) -> None:
        """Leave a NaN in the note if a value is not finite (0 · Inf is NaN); a sum that overflows is a false alarm."""
        w, element, kind = self.w, self.nest.accumulate, self.kinds[self.nest.accumulate]
        while len(acc) > 1:
            acc = [w.op(f"fadd {kind} {a}, {b}") for a, b in zip(acc[::2], acc[1::2], strict=True)]
        noted = w.op(f"load {kind}, ptr {self.flag}, align {self.at.register}")
        value = multiply_add(w, self.isa, element, self.lanes, acc[0], "zeroinitializer", noted)
        self._keep(value, self.flag)

    def _line(self, index: str) -> tuple[str, str]:
        w = self.w
        entry = w.offset(self.pointers["line_table"], w.mul(index, 16))
        source = w.offset("%src", w.op(f"load i64, ptr {entry}, align 8"))
        return source, w.offset("%dst", w.op(f"load i64, ptr {w.offset(entry, 8)}, align 8"))

    def _line_of(self, first: str, i: int) -> str:
        """The last group is filled up with the last line, which is then computed several times."""
        return self.w.minimum(self.w.add(first, i), self.w.add(self.p["lines"], -1))

    def _fill(self, plane: str) -> str:
        return self.w.offset(self.pointers["fills"], self.w.mul(plane, self.nest.load.bytes))

    def _up(self, count: str, unit: str | int) -> str:
        """Divide and round up."""
        w = self.w
        return w.op(f"sdiv i64 {w.add(w.add(count, unit), -1)}, {unit}")

    def _if(self, condition: str, value: str, otherwise: str = "0") -> str:
        return self.w.op(f"select i1 {condition}, i64 {value}, i64 {otherwise}")

    def _load(self, place: str) -> str:
        return self.w.op(f"load {self.kinds[self.nest.load]}, ptr {place}, align 1")

    def _convert(self, value: str) -> str:
        return convert(self.w, value, self.nest.load, self.nest.accumulate, self.lanes)

    def _narrow(self, value: str) -> str:
        return narrow(self.w, value, self.nest.accumulate, self.nest.store, self.lanes)

    def _keep(self, value: str, place: str) -> None:
        """Store a register of accumulators to work memory."""
        self.w.do(f"store {self.kinds[self.nest.accumulate]} {value}, ptr {place}, align {self.at.register}")

    def _spare(self, value: str, slot: int) -> None:
        """Store a register as the output has it, to be copied from there element by element."""
        where = self.w.offset(self.results, slot * self.at.slot)
        self.w.do(f"store {self.kinds[self.nest.store]} {self._narrow(value)}, ptr {where}, align 1")

    def _store(self, values: list[str], places: list[str]) -> None:
        """Store registers, past the caches where that is asked for and the first place is on a cache line."""
        w, size, kind = self.w, self.lanes * self.nest.store.bytes, self.kinds[self.nest.store]
        values = [self._narrow(value) for value in values]
        phase = w.op(f"and i64 {w.op(f'ptrtoint ptr {places[0]} to i64')}, {CACHE_LINE - 1}")
        once = self._if(w.op(f"icmp eq i64 {phase}, 0"), self.p["stream"])
        # Half a cache line at a time would be slower than not to stream.
        if size == CACHE_LINE:
            with w.loop(once):
                for value, place in zip(values, places, strict=True):
                    w.do(f"store {kind} {value}, ptr {place}, align {size}, !nontemporal !0")
            once = w.op(f"xor i64 {once}, 1")
        else:
            once = "1"
        with w.loop(once):
            for value, place in zip(values, places, strict=True):
                w.do(f"store {kind} {value}, ptr {place}, align 1")

    def _prefetch(self, place: str) -> None:
        self.w.run("llvm.prefetch.p0", ("ptr", place), ("i32", "0"), ("i32", "2"), ("i32", "1"))

    def _copy_elements(self, source: str, target: str, count: str, element: Element) -> None:
        w = self.w
        with w.loop(count) as c:
            at = w.mul(c.index, element.bytes)
            value = w.op(f"load {element.llvm}, ptr {w.offset(source, at)}, align 1")
            w.do(f"store {element.llvm} {value}, ptr {w.offset(target, at)}, align 1")
