"""A list of kernel calls, run as one: what is too short to be called from Python, each in its turn.

    for each group: for each of its calls: kernel(parameters, source, target)

A group names three addresses, each as an offset from an entry of the table of bases; source and target of its calls
are offsets from these. Groups may share their calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import default_arithmetic, restore_arithmetic
from faltung.compiler.ir import Writer

if TYPE_CHECKING:
    from faltung.compiler.isa import Isa

# 64-bit integers: of the list, of each group (then three times: base, offset), of each call.
FIELDS = ("groups", "group_table")
GROUP = ("calls", "call_table", "base_0", "offset_0", "base_1", "offset_1", "base_2", "offset_2")
CALL = ("kernel", "parameters", "from", "source", "to", "target")


@dataclass(frozen=True, slots=True)
class SequenceNest:
    """The same for all: the first argument is the list, the second its bases; the third is not used."""

    @property
    def name(self) -> str:
        """A unique symbol."""
        return "sequence"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        w = Writer()
        control = default_arithmetic(w, isa)
        places = w.op("alloca [3 x ptr]")
        groups = w.op("load i64, ptr %p, align 8")
        table = w.pointer_at(w.offset("%p", 8 * FIELDS.index("group_table")))
        with w.loop(groups) as g:
            group = w.offset(table, w.mul(g.index, 8 * len(GROUP)))
            for i in range(3):
                base, offset = (_integer(w, group, GROUP.index(f"{name}_{i}")) for name in ("base", "offset"))
                pointer = w.offset(w.pointer_at(w.offset("%bases", w.mul(base, 8))), offset)
                w.do(f"store ptr {pointer}, ptr {w.offset(places, 8 * i)}")
            calls = w.pointer_at(w.offset(group, 8 * GROUP.index("call_table")))
            with w.loop(_integer(w, group, GROUP.index("calls"))) as c:
                call = w.offset(calls, w.mul(c.index, 8 * len(CALL)))
                kernel, parameters = (w.pointer_at(w.offset(call, 8 * i)) for i in range(2))
                ends = []
                for i in (2, 4):
                    pointer = w.pointer_at(w.offset(places, w.mul(_integer(w, call, i), 8)))
                    ends.append(f"ptr {w.offset(pointer, _integer(w, call, i + 1))}")
                w.do(f"call void {kernel}(ptr {parameters}, {', '.join(ends)})")
        restore_arithmetic(w, isa, control)
        return w.function(self.name, "ptr %p, ptr %bases, ptr %unused", 8 * isa.vector_bytes)


def _integer(w: Writer, record: str, field: int) -> str:
    return w.op(f"load i64, ptr {w.offset(record, 8 * field)}, align 8")
