"""What window nests do to registers: convert, combine in trees, scale and store; sums, maxima and minima alike.

Extrema of floats compare integers that are ordered as the floats are, -0 before +0; a NaN becomes the largest of them
(for a minimum the smallest) and so wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from faltung.compiler.elements import convert, narrow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.compiler.elements import Element
    from faltung.compiler.ir import Writer


# A stage of lanes: level, count, spacing, and extra windows as (level, first lane).
Stage = tuple[int, int, int, tuple[tuple[int, int], ...]]


class Registers(Protocol):
    """The registers of a line of lanes."""

    def __getitem__(self, v: int, /) -> str:
        """Give the register at a place."""
        ...

    def after(self, v: int, lanes: int, /) -> str:
        """Give the register that starts so many lanes after register v."""
        ...


class Values:
    """Writes operations on registers of `lanes` elements; `types` are loaded, combined and stored."""

    def __init__(
        self,
        w: Writer,
        op: str,
        types: tuple[Element, Element, Element],
        lanes: int,
        after: tuple[Element | None, str],
    ) -> None:
        self.w, self.op, self.lanes, self.after = w, op, lanes, after
        self.load, self.element, self.store = types
        self.kind = self.element.vector(lanes)

    def prepare(self, value: str, factor: str) -> str:
        """Turn what was loaded into what is combined, times a factor unless that is empty."""
        if self.op != "add":
            return self._ordered(value) if self.load.kind == "f" else value
        value = convert(self.w, value, self.load, self.element, self.lanes)
        return self.w.op(f"fmul {self.kind} {value}, {factor}") if factor else value

    def combine(self, a: str, b: str) -> str:
        """Add two registers, or take the larger or smaller."""
        w, element = self.w, self.element
        if self.op == "add":
            return w.op(f"{'fadd' if element.kind == 'f' else 'add'} {self.kind} {a}, {b}")
        name = f"llvm.{'s' if element.kind == 'i' else 'u'}{self.op}.v{self.lanes}{element.mangled}"
        return w.call(self.kind, name, (self.kind, a), (self.kind, b))

    def tree(self, samples: list[str], start: int, count: int, known: dict[tuple[int, int], str]) -> str:
        """Combine samples[start : start + count]; parts that other outputs share are found in `known`."""
        if count == 1:
            return samples[start]
        if (start, count) not in known:
            high, rest, at = self.split(count)
            low = self.tree(samples, start, high, known)
            known[start, count] = self.combine(self.tree(samples, start + at, rest, known), low)
        return known[start, count]

    def shifted(self, registers: Callable[[int], str], v: int, lanes: int) -> str:
        """Shift registers: give the one that starts so many lanes after register v."""
        whole, shift = divmod(lanes, self.lanes)
        first = registers(v + whole)
        if shift == 0:
            return first
        places = ", ".join(f"i32 {shift + i}" for i in range(self.lanes))
        following = registers(v + whole + 1)
        return self.w.op(f"shufflevector {self.kind} {first}, {self.kind} {following}, <{self.lanes} x i32> <{places}>")

    def split(self, count: int) -> tuple[int, int, int]:
        """Split a window into the largest power of two below it, and the rest: its length and its place."""
        high = 1 << ((count - 1).bit_length() - 1)
        return (high, count - high, high) if self.op == "add" else (high, high, count - high)

    def finish(self, value: str) -> str:
        """Turn what was combined into what is stored."""
        if self.op != "add":
            return self._from_order(value) if self.store.kind == "f" else value
        (wide, factor), lanes = self.after, self.lanes
        if wide is None:
            return convert(self.w, value, self.element, self.store, lanes)
        value = convert(self.w, value, self.element, wide, lanes)
        value = self.w.op(f"{'fmul' if wide.kind == 'f' else 'mul'} {wide.vector(lanes)} {value}, {factor}")
        return narrow(self.w, value, wide, self.store, lanes)

    def _ordered(self, value: str) -> str:
        """Turn floats into integers of the same order."""
        w, floats = self.w, self.load.vector(self.lanes)
        nan = 2 ** (self.load.bits - 1) - 1 if self.op == "max" else -(2 ** (self.load.bits - 1))
        unordered = w.op(f"fcmp uno {floats} {value}, zeroinitializer")
        key = self._flip(w.op(f"bitcast {floats} {value} to {self.kind}"))
        return w.op(f"select <{self.lanes} x i1> {unordered}, {self.kind} {self._all(nan)}, {self.kind} {key}")

    def _from_order(self, key: str) -> str:
        return self.w.op(f"bitcast {self.kind} {self._flip(key)} to {self.store.vector(self.lanes)}")

    def _flip(self, bits: str) -> str:
        """Reverse the order of the negative floats; doing it twice gives the bits back."""
        w, size = self.w, self.element.bits
        sign = w.op(f"ashr {self.kind} {bits}, {self._all(size - 1)}")
        mask = w.op(f"and {self.kind} {sign}, {self._all(2 ** (size - 1) - 1)}")
        return w.op(f"xor {self.kind} {bits}, {mask}")

    def _all(self, value: int) -> str:
        return f"<{', '.join([f'{self.element.llvm} {value}'] * self.lanes)}>"


class Loaded:
    """The registers of a line in memory; `load` gives the one that starts at a lane.

    Where nothing is converted, lanes that are needed once are loaded again rather than shifted: loads and shifts go
    side by side (measured: a window of 31 takes a tenth less time).
    """

    def __init__(self, values: Values, load: Callable[[int], str], registers: int, *, again: bool) -> None:
        self._values, self._load, self._again = values, load, again
        self._known = [load(v * values.lanes) for v in range(registers)]

    def __getitem__(self, v: int) -> str:
        return self._known[min(v, len(self._known) - 1)]

    def after(self, v: int, lanes: int) -> str:
        """Give the register that starts so many lanes after register v."""
        start = v * self._values.lanes + lanes
        if self._again and lanes % self._values.lanes and start <= (len(self._known) - 1) * self._values.lanes:
            return self._load(start)
        return self._values.shifted(self.__getitem__, v, lanes)


class Level:
    """The registers of a level, each written when it is asked for."""

    def __init__(self, values: Values, levels: Sequence[Registers], stage: Stage, registers: int) -> None:
        self._values, self._registers = values, registers
        source, self._count, self._spacing, extras = stage
        self._source, self._extras = levels[source], [(levels[level], start) for level, start in extras]
        self._trees: dict[tuple[int, int], str] = {}
        self._known: dict[int, str] = {}

    def __getitem__(self, v: int) -> str:
        # What follows the last register is never used.
        v = min(v, self._registers - 1)
        if v not in self._known:
            total = self._tree(v, self._count)
            for level, start in self._extras:
                total = self._values.combine(total, level.after(v, start))
            self._known[v] = total
        return self._known[v]

    def after(self, v: int, lanes: int) -> str:
        """Give the register that starts so many lanes after register v."""
        return self._values.shifted(self.__getitem__, v, lanes)

    def _tree(self, v: int, count: int) -> str:
        """Combine windows, `spacing` lanes apart, in the order of `Values.tree`."""
        v = min(v, self._registers - 1)
        if count == 1:
            return self._source[v]
        if (v, count) not in self._trees:
            high, rest, at = self._values.split(count)
            low = self._tree(v, high)
            if rest == 1 < high:
                other = self._source.after(v, at * self._spacing)
            else:
                other = self._values.shifted(lambda place: self._tree(place, rest), v, at * self._spacing)
            self._trees[v, count] = self._values.combine(other, low)
        return self._trees[v, count]
