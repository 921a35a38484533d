"""The loop nest of one pass of a separable filter: a sum of taps along one axis, and its LLVM IR.

    out[m, i] = Σ_p Σ_t  weight[m, p, t] · in[p, extended coordinate stride·i + dilation·t]

A pass packs, sweeps and unpacks, one register of lanes at a time:

    pack     the extended coordinates along the axis become the rows of a buffer, each one register wide. Along the
             lanes themselves (`lanes`) a buffer row is a column of the array: lines are transposed in registers
    sweep    a tile of `isa.sweep` outputs slides along the rows; a row is loaded once and then moves through registers
    unpack   results are stored, transposed back where they came transposed

Packed rows are aligned and contiguous, whatever the array's strides (a power of two maps all its rows to one set of
the cache), boundaries are copies of rows or a constant, and the lane axis is an axis like any other: no load crosses a
cache line. A symmetric or antisymmetric line of weights first adds or subtracts the two samples that share a weight,
which halves the multiplications (measured on Zen 4, where additions have their own pipes: 81 taps in half the time).
Every output is one chain, the same wherever it lies. Rows beyond the last output are computed from whatever the buffer
holds and thrown away; lanes beyond the last element are never loaded or stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.sweep import MODES

if TYPE_CHECKING:
    from faltung.compiler.elements import Element
    from faltung.compiler.isa import Isa

# The 64-bit integers behind the first argument. Buffer rows are counted in bytes, lanes in elements.
FIELDS = (
    "lines",       # entries of the line table
    "line_table",  # address: (input offset, output offset) pairs; along the lanes each is one line, else one position
    "planes",      # input arrays that are summed
    "in_plane",    # input bytes from one to the next
    "maps",        # output arrays
    "out_map",     # output bytes from one to the next
    "taps",
    "weights",     # address: [map, plane, tap] in the accumulator's type
    "modes",       # address: [map, plane], as in `sweep`
    "chains",      # outputs that lie between two neighbours of a chain, plus one
    "tap_step",    # buffer bytes from one tap to the next
    "out_step",    # buffer bytes from one output of a chain to the next
    "fills",       # address: the boundary's constant in every plane, in the type that is loaded
    "outputs",     # along the axis
    "width",       # rows: lanes of the array; lanes: columns that are packed
    "extent",      # rows: extended coordinates; lanes: buffer row of the first column
    "table",       # address, rows: input offset of each extended coordinate, or CONSTANT;
                   # lanes: (row to be filled, row to be copied or CONSTANT) pairs
    "copies",      # lanes: entries of that table
    "out_row",     # rows: output bytes from one output to the next
    "lead",        # lanes: outputs of the first block that the second computes again to begin on a cache line, negative
    "stream",      # 1 to store whole registers on cache lines past the caches
    "buffer",      # work bytes before the buffer (see `Work`)
    "plane_bytes", # buffer bytes of a plane
    "block_bytes", # buffer bytes of a register of lanes
)  # fmt: skip

CONSTANT = -(2**63)
# Bytes packed at a time along rows, and read ahead: rows may be pages apart, where no hardware fetches them (measured:
# 9 taps down the columns of 2048² floats take 1.6 ms, 2.2 without, and more with 256 bytes or when fetched for sooner).
GROUP_BYTES = 128
CACHE_LINE = 64


def sweep_rows(isa: Isa) -> int:
    """Give the outputs of a tile: as many accumulators and two windows of samples fit the registers."""
    return 8 if isa.vector_bytes == 64 or "x86" not in isa.triple else 4


def group(isa: Isa) -> int:
    """Give the registers that are packed at a time."""
    return GROUP_BYTES // isa.vector_bytes


@dataclass(frozen=True, slots=True)
class PassNest:
    """What is compiled: element types, whether the axis is that of the lanes, and how results are stored.

    `check` notes whether any output was not finite. `known` are the taps and the mode of a short line in a single
    plane, whose sum is then written out (measured with 9 taps: a tenth of the time of both passes).
    """

    load: Element
    accumulate: Element
    store: Element
    lanes: bool
    check: bool = False
    known: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """A unique symbol; it takes four pointers as all sums of taps do: parameters, input, output, work."""
        known = "" if self.known is None else f"_{self.known[0]}{MODES[self.known[1]]}"
        types = f"{self.load.name}_{self.accumulate.name}_{self.store.name}"
        return f"taps_pass_{types}_{'lanes' if self.lanes else 'rows'}{'c' * self.check}{known}"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        # They build on this description.
        from faltung.compiler.pass_lanes import LanesWriter
        from faltung.compiler.pass_rows import RowsWriter

        return (LanesWriter if self.lanes else RowsWriter)(self, isa).module()


@dataclass(frozen=True, slots=True)
class Work:
    """Where things lie in the work memory: a spare slot, the note of what is not finite, a row of constants,
    results, the buffer.

    `register` is in bytes, and `slot` that of its lanes in the widest of the types; `rows` are the outputs of a tile,
    `lanes` those of a register.
    """

    register: int
    slot: int
    rows: int
    lanes: int

    @classmethod
    def of(cls, isa: Isa, nest: PassNest) -> Work:
        """Lay it out."""
        lanes = isa.vector_bytes // nest.accumulate.bytes
        slot = lanes * max(nest.load.bytes, nest.accumulate.bytes, nest.store.bytes)
        return cls(isa.vector_bytes, slot, sweep_rows(isa), lanes)

    @property
    def results(self) -> int:
        """Bytes before the results: two slots and the row of constants."""
        return self.slot * (2 + GROUP_BYTES // self.register)

    @property
    def block(self) -> int:
        """Outputs of a chain that are unpacked together."""
        return max(self.rows, self.lanes)

    def buffer(self, chains: int) -> int:
        """Bytes before the buffer."""
        return self.results + self.slot * self.block * chains
