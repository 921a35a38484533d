"""A pass along the lanes: as many lines as a register has lanes are transposed into the buffer, and back."""

from __future__ import annotations

from faltung.compiler.arithmetic import splat
from faltung.compiler.pass_nest import CONSTANT
from faltung.compiler.pass_writer import PassWriter
from faltung.compiler.transpose import transpose


class LanesWriter(PassWriter):
    """Writes a pass along the axis of the lanes."""

    def run(self) -> None:
        """Write the loops over groups of lines, and blocks of outputs."""
        w, p = self.w, self.p
        block = w.mul(p["chains"], self.at.block)
        # The last block ends at the edge, unless all outputs are less than a block.
        last = w.maximum(w.op(f"sub i64 {p['outputs']}, {block}"), "0")
        along = w.op(f"sdiv i64 {p['out_step']}, {p['chains']}")
        with w.loop(self._up(p["lines"], self.lanes)) as group:
            first = w.mul(group.index, self.lanes)
            ends = [self._line(self._line_of(first, i)) for i in range(self.lanes)]
            self._pack_lanes([source for source, _ in ends])
            with w.loop(p["maps"]) as m, w.loop(self._up(w.op(f"sub i64 {p['outputs']}, {p['lead']}"), block)) as b:
                before = w.minimum(w.maximum(w.add(w.mul(b.index, block), p["lead"]), "0"), last)
                self._sweep_lanes(m.index, w.mul(before, along))
                left = w.minimum(p["outputs"], block)
                shift = w.add(w.mul(m.index, p["out_map"]), w.mul(before, self.nest.store.bytes))
                self._unpack([w.offset(target, shift) for _, target in ends], first, left, shift)

    def _sweep_lanes(self, map_: str, start: str) -> None:
        """Compute one block of outputs of every chain, in the order of the array."""
        w, p = self.w, self.p
        with w.loop(p["chains"]) as chain:
            row = w.add(start, w.mul(chain.index, self.at.register))
            for t in range(0, self.at.block, self.at.rows):
                acc = self._tile(self.buffer, map_, w.add(row, w.mul(p["out_step"], t)))
                for o, value in enumerate(acc, t):
                    place = w.add(w.mul(p["chains"], o), chain.index)
                    self._keep(value, w.offset(self.results, w.mul(place, self.at.register)))

    def _pack_lanes(self, sources: list[str]) -> None:
        """Transpose lines into the buffer, then extend it by copies of its rows."""
        w, p, size = self.w, self.p, self.nest.load.bytes
        with w.loop(p["planes"]) as plane:
            shift = w.mul(plane.index, p["in_plane"])
            into = w.offset(self.buffer, w.mul(plane.index, p["plane_bytes"]))
            columns = w.offset(into, w.mul(p["extent"], self.at.register))
            with w.loop(self._if(self.narrow, "0", self._up(p["width"], self.lanes))) as c:
                first = self._moved_back(c.index)
                along = w.add(shift, w.mul(first, size))
                lines = [self._convert(self._load(w.offset(source, along))) for source in sources]
                to = w.offset(columns, w.mul(first, self.at.register))
                for j, column in enumerate(transpose(w, lines, self.nest.accumulate)):
                    self._keep(column, w.offset(to, j * self.at.register))
            with w.loop(self._if(self.narrow, p["width"])) as c:
                along = w.add(shift, w.mul(c.index, size))
                column = self._column([w.offset(source, along) for source in sources])
                self._keep(self._convert(column), w.offset(columns, w.mul(c.index, self.at.register)))
            self._extend(into, self._convert(splat(w, self._fill(plane.index), self.nest.load, self.lanes)))

    def _column(self, places: list[str]) -> str:
        """Load one element of every line."""
        w, load, vector = self.w, self.nest.load, "poison"
        for i, place in enumerate(places):
            element = w.op(f"load {load.llvm}, ptr {place}, align 1")
            vector = w.op(f"insertelement {self.kinds[load]} {vector}, {load.llvm} {element}, i32 {i}")
        return vector

    def _extend(self, buffer: str, fill: str) -> None:
        w, kind = self.w, self.kinds[self.nest.accumulate]
        with w.loop(self.p["copies"]) as k:
            entry = w.offset(self.pointers["table"], w.mul(k.index, 16))
            to, origin = (w.op(f"load i64, ptr {w.offset(entry, at)}, align 8") for at in (0, 8))
            inside = w.op(f"icmp ne i64 {origin}, {CONSTANT}")
            # A constant still loads something, and throws it away.
            value = w.op(f"load {kind}, ptr {w.offset(buffer, self._if(inside, origin, to))}, align 1")
            self._keep(w.op(f"select i1 {inside}, {kind} {value}, {kind} {fill}"), w.offset(buffer, to))

    def _unpack(self, targets: list[str], first: str, count: str, shift: str) -> None:
        """Transpose results back and store them: whole registers, then the rest element by element."""
        w, size = self.w, self.nest.store.bytes
        whole = w.op(f"sdiv i64 {count}, {self.lanes}")
        with w.loop(whole) as u:
            along = w.mul(u.index, self.lanes * size)
            self._store(self._lines(u.index), [w.offset(target, along) for target in targets])
        rest = w.op(f"sub i64 {count}, {w.mul(whole, self.lanes)}")
        with w.loop(self._if(w.op(f"icmp sgt i64 {rest}, 0"), "1")):
            for slot, line in enumerate(self._lines(whole)):
                # The results of this block have all been read.
                self._spare(line, slot)
            left = w.minimum(w.op(f"sub i64 {self.p['lines']}, {first}"), str(self.lanes))
            done = w.add(shift, w.mul(whole, self.lanes * size))
            with w.loop(left) as i:
                _, target = self._line(w.add(first, i.index))
                held = w.offset(self.results, w.mul(i.index, self.at.slot))
                self._copy_elements(held, w.offset(target, done), rest, self.nest.store)

    def _lines(self, unit: str) -> list[str]:
        w, kind = self.w, self.kinds[self.nest.accumulate]
        rows = w.offset(self.results, w.mul(unit, self.lanes * self.at.register))
        columns = [
            w.op(f"load {kind}, ptr {w.offset(rows, j * self.at.register)}, align {self.at.register}")
            for j in range(self.lanes)
        ]
        return transpose(w, columns, self.nest.accumulate)
