"""A pass along rows: a group of registers of every extended row is packed, then swept register by register."""

from __future__ import annotations

from faltung.compiler.arithmetic import splat
from faltung.compiler.pass_nest import CACHE_LINE, CONSTANT
from faltung.compiler.pass_writer import PassWriter


class RowsWriter(PassWriter):
    """Writes a pass along any axis but that of the lanes."""

    def run(self) -> None:
        """Write the loops over positions, groups of registers, and registers."""
        w, p = self.w, self.p
        self.chain = self._up(p["outputs"], p["chains"])
        vectors = self._up(p["width"], self.lanes)
        with w.loop(p["lines"]) as line:
            source, target = self._line(line.index)
            with w.loop(self._up(vectors, self.group)) as g:
                first = w.mul(g.index, self.group)
                here = w.minimum(w.op(f"sub i64 {vectors}, {first}"), str(self.group))
                self._pack_rows(source, first, here)
                with w.loop(here) as v:
                    buffer = w.offset(self.buffer, w.mul(v.index, p["block_bytes"]))
                    lane = self._moved_back(w.add(first, v.index))
                    self._sweep_rows(buffer, w.offset(target, w.mul(lane, self.nest.store.bytes)))

    def _pack_rows(self, source: str, first: str, here: str) -> None:
        """Copy a group of registers of every extended row to the buffer, in the accumulator's type."""
        w, p, size = self.w, self.p, self.lanes * self.nest.load.bytes
        reach = w.mul(w.add(first, self.group), self.lanes)
        complete = w.op(f"icmp sle i64 {reach}, {p['width']}")
        with w.loop(p["planes"]) as plane:
            start = w.offset(source, w.mul(plane.index, p["in_plane"]))
            into = w.offset(self.buffer, w.mul(plane.index, p["plane_bytes"]))
            fill = splat(w, self._fill(plane.index), self.nest.load, self.lanes)
            for v in range(self.group):
                w.do(f"store {self.kinds[self.nest.load]} {fill}, ptr {w.offset(self.fill_row, v * size)}, align 1")
            with w.loop(self._if(complete, p["extent"])) as row:
                line, to = self._row(w.offset(start, w.mul(first, size)), into, row.index)
                for v in range(self.group):
                    self._keep(self._convert(self._load(w.offset(line, v * size))), to)
                    to = w.offset(to, p["block_bytes"])
                for ahead in range(2 * self.group * size, 3 * self.group * size, CACHE_LINE):
                    self._prefetch(w.offset(line, ahead))
            with w.loop(self._if(complete, "0", here)) as v_loop:
                lane = w.mul(self._moved_back(w.add(first, v_loop.index)), self.nest.load.bytes)
                block = w.offset(into, w.mul(v_loop.index, p["block_bytes"]))
                with w.loop(p["extent"]) as row:
                    line, to = self._row(w.offset(start, lane), block, row.index)
                    with w.loop(self._if(self.narrow, "1")):
                        self._copy_elements(line, "%work", p["width"], self.nest.load)
                    place = w.op(f"select i1 {self.narrow}, ptr %work, ptr {line}")
                    self._keep(self._convert(self._load(place)), to)

    def _row(self, start: str, into: str, index: str) -> tuple[str, str]:
        """Give where an extended row is read, from the row of constants if it is none of the array, and kept."""
        w = self.w
        shift = w.op(f"load i64, ptr {w.offset(self.pointers['table'], w.mul(index, 8))}, align 8")
        inside = w.op(f"icmp ne i64 {shift}, {CONSTANT}")
        line = w.op(f"select i1 {inside}, ptr {w.offset(start, shift)}, ptr {self.fill_row}")
        return line, w.offset(into, w.mul(index, self.at.register))

    def _sweep_rows(self, buffer: str, place: str) -> None:
        """Compute and store one register of lanes."""
        w, p = self.w, self.p
        step = w.mul(p["out_row"], p["chains"])
        with w.loop(p["maps"]) as m, w.loop(p["chains"]) as chain, w.loop(self._up(self.chain, self.at.rows)) as tile:
            first = w.mul(tile.index, self.at.rows)
            start = w.add(w.mul(chain.index, self.at.register), w.mul(first, p["out_step"]))
            acc = self._tile(buffer, m.index, start)
            index = w.add(chain.index, w.mul(first, p["chains"]))
            out = w.offset(w.offset(place, w.mul(m.index, p["out_map"])), w.mul(index, p["out_row"]))
            left = self._up(w.op(f"sub i64 {p['outputs']}, {index}"), p["chains"])
            full = w.op(f"icmp sge i64 {left}, {self.at.rows}")
            direct = w.op(f"and i1 {full}, {w.op(f'xor i1 {self.narrow}, 1')}")
            with w.loop(self._if(direct, "1")):
                rows = [out]
                while len(rows) < len(acc):
                    rows.append(w.offset(rows[-1], step))
                self._store(acc, rows)
            with w.loop(self._if(direct, "0", "1")):
                for o, value in enumerate(acc):
                    self._spare(value, o)
                count = w.minimum(p["width"], str(self.lanes))
                with w.loop(w.minimum(left, str(self.at.rows))) as o_loop:
                    held = w.offset(self.results, w.mul(o_loop.index, self.at.slot))
                    self._copy_elements(held, w.offset(out, w.mul(o_loop.index, step)), count, self.nest.store)
