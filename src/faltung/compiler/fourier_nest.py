"""The loop nests of the tiled Fourier method: transforms along an axis that is not the last, and through the last.

A tile is complex, in two planes: its real part is one piece of the input, its imaginary part another. Transforms run
along rows, each lane for itself, one panel of one register's width after the other, which stays in the first cache.
Along the last axis a square of registers is transposed on the way in and on the way out, and between them are the
forward stages, the product with the kernel's spectrum and the inverse stages, with one trip to the second cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import default_arithmetic, restore_arithmetic
from faltung.compiler.fourier_stages import Rows, Transform
from faltung.compiler.ir import Writer
from faltung.compiler.transpose import transpose

if TYPE_CHECKING:
    from faltung.compiler.elements import Element
    from faltung.compiler.isa import Isa

# The 64-bit integers behind the first argument; offsets are in bytes.
FIELDS = (
    "panels",       # entries of the panel table
    "panel_table",  # address: (offset in the source, in the target) pairs
    "vectors",      # registers side by side in each panel
    "pitch",        # bytes from row to row of the transform
    "plane",        # bytes from the real to the imaginary part of a tile
    "buffer",       # bytes from the source to room for size x 2 registers
    "twiddles",     # address of the factors
    "spectrum",     # address of the kernel's spectrum (the last axis)
    "bridge",       # address of the factors between two axes that are one (the last axis)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AxisNest:
    """Transforms along an axis that is not the last, from the tile `source` to the tile `target`."""

    element: Element
    stages: tuple[int, ...]
    inverse: bool

    @property
    def name(self) -> str:
        """A unique symbol."""
        how = "inverse" if self.inverse else "forward"
        return f"fourier_{how}_{self.element.name}_{'x'.join(map(str, self.stages))}"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _AxisEmitter(self, isa).module()


@dataclass(frozen=True, slots=True)
class LastNest:
    """Through the last axis and back, with the product between: from the tile `source` to the tile `target`.

    A panel has as many rows as a register has lanes. `bridged` says that the last axis and the one before it are one
    long axis, whose transform needs factors in between. `vectors` registers of each row are written.
    """

    element: Element
    stages: tuple[int, ...]
    bridged: bool

    @property
    def name(self) -> str:
        """A unique symbol."""
        bridged = "_bridged" * self.bridged
        return f"fourier_last_{self.element.name}_{'x'.join(map(str, self.stages))}{bridged}"

    def emit(self, isa: Isa) -> str:
        """Write the module for an instruction set."""
        return _LastEmitter(self, isa).module()


class _Emitter:
    def __init__(self, nest: AxisNest | LastNest, isa: Isa) -> None:
        self.isa, self.element = isa, nest.element
        self.lanes = isa.vector_bytes // nest.element.bytes
        self.vector = nest.element.vector(self.lanes)
        self.bytes = isa.vector_bytes
        w = self.w = Writer()
        self.transform = Transform(w, isa, nest.element, self.lanes, nest.stages)

    def begin(self) -> None:
        """Load the parameters."""
        w = self.w
        self.p = dict(zip(FIELDS, w.parameters("%p", len(FIELDS)), strict=True))
        self.table, self.twiddles, self.spectrum, self.bridge = (
            w.pointer_at(w.offset("%p", 8 * FIELDS.index(name)))
            for name in ("panel_table", "twiddles", "spectrum", "bridge")
        )
        work = w.offset("%src", self.p["buffer"])
        self.buffer = Rows(work, w.offset(work, self.bytes), 2 * self.bytes)
        self.control = default_arithmetic(w, self.isa)

    def end(self, name: str) -> str:
        """Close the function."""
        restore_arithmetic(self.w, self.isa, self.control)
        return self.w.function(name, "ptr %p, ptr %src, ptr %dst", 8 * self.bytes)

    def entry(self, panel: str) -> tuple[str, str]:
        """Read where a panel starts in both tiles."""
        w = self.w
        at = w.offset(self.table, w.mul(panel, 16))
        return w.op(f"load i64, ptr {at}, align 8"), w.op(f"load i64, ptr {w.offset(at, 8)}, align 8")

    def rows(self, base: str) -> Rows:
        """Give the rows of a tile's two planes."""
        return Rows(base, self.w.offset(base, self.p["plane"]), self.p["pitch"])

    def load(self, pointer: str) -> str:
        return self.w.op(f"load {self.vector}, ptr {pointer}, align {self.element.bytes}")

    def store(self, value: str, pointer: str) -> None:
        self.w.do(f"store {self.vector} {value}, ptr {pointer}, align {self.element.bytes}")


class _AxisEmitter(_Emitter):
    def __init__(self, nest: AxisNest, isa: Isa) -> None:
        super().__init__(nest, isa)
        self.nest = nest

    def module(self) -> str:
        w, nest = self.w, self.nest
        self.begin()
        run = self.transform.inverse if nest.inverse else self.transform.forward
        with w.loop(self.p["panels"]) as panel:
            start, end = self.entry(panel.index)
            with w.loop(self.p["vectors"]) as v:
                shift = w.mul(v.index, self.bytes)
                source, target = w.offset("%src", w.add(start, shift)), w.offset("%dst", w.add(end, shift))
                run(self.rows(source), self.buffer, self.rows(target), self.twiddles)
        return self.end(nest.name)


class _LastEmitter(_Emitter):
    def __init__(self, nest: LastNest, isa: Isa) -> None:
        super().__init__(nest, isa)
        self.nest = nest

    def module(self) -> str:
        w = self.w
        self.begin()
        panel_bytes = 2 * self.bytes * self.transform.size
        with w.loop(self.p["panels"]) as panel:
            start, end = self.entry(panel.index)
            spectrum = w.offset(self.spectrum, w.mul(panel.index, panel_bytes))
            bridge = w.offset(self.bridge, w.mul(panel.index, panel_bytes))
            self._turn_in(self.rows(w.offset("%src", start)), bridge)
            for i in range(len(self.nest.stages) - 1):
                self.transform.stage(i, self.buffer, self.buffer, self.twiddles, inverse=False)
            self._middle(spectrum)
            for i in range(len(self.nest.stages) - 2, -1, -1):
                self.transform.stage(i, self.buffer, self.buffer, self.twiddles, inverse=True)
            self._turn_out(self.rows(w.offset("%dst", end)), bridge)
        return self.end(self.nest.name)

    def _turn_in(self, source: Rows, bridge: str) -> None:
        """Transpose squares of registers into the buffer."""
        w = self.w
        with w.loop(self.transform.size // self.lanes) as square:
            shift = w.mul(square.index, self.bytes)
            parts = []
            for base in (source.real, source.imaginary):
                first = w.offset(base, shift)
                loaded = [self.load(w.offset(first, w.mul(source.pitch, i))) for i in range(self.lanes)]
                parts.append(transpose(w, loaded, self.element))
            at = w.mul(square.index, 2 * self.bytes * self.lanes)
            rows, factors = w.offset(self.buffer.real, at), w.offset(bridge, at)
            for i, value in enumerate(zip(*parts, strict=True)):
                place = 2 * self.bytes * i
                if self.nest.bridged:
                    value = self.transform.product(value, self._pair(w.offset(factors, place)))
                self._put(value, w.offset(rows, place))

    def _middle(self, spectrum: str) -> None:
        """The last forward stage, the product, and the first inverse stage: all on the same rows."""
        w, radix = self.w, self.nest.stages[-1]
        with w.loop(self.transform.size // radix) as block:
            at = w.mul(block.index, 2 * self.bytes * radix)
            rows, factors = w.offset(self.buffer.real, at), w.offset(spectrum, at)
            places = [2 * self.bytes * i for i in range(radix)]
            values = self.transform.butterfly([self._pair(w.offset(rows, a)) for a in places], inverse=False)
            values = [
                self.transform.product(value, self._pair(w.offset(factors, a)))
                for value, a in zip(values, places, strict=True)
            ]
            for value, a in zip(self.transform.butterfly(values, inverse=True), places, strict=True):
                self._put(value, w.offset(rows, a))

    def _turn_out(self, target: Rows, bridge: str) -> None:
        """Transpose back the columns that are wanted."""
        w = self.w
        with w.loop(self.p["vectors"]) as square:
            at = w.mul(square.index, 2 * self.bytes * self.lanes)
            rows, factors = w.offset(self.buffer.real, at), w.offset(bridge, at)
            values = [self._pair(w.offset(rows, 2 * self.bytes * i)) for i in range(self.lanes)]
            if self.nest.bridged:
                values = [
                    self.transform.product(value, self._pair(w.offset(factors, 2 * self.bytes * i)), conjugate=True)
                    for i, value in enumerate(values)
                ]
            shift = w.mul(square.index, self.bytes)
            for base, part in zip((target.real, target.imaginary), zip(*values, strict=True), strict=True):
                first = w.offset(base, shift)
                for i, row in enumerate(transpose(w, list(part), self.element)):
                    self.store(row, w.offset(first, w.mul(target.pitch, i)))

    def _pair(self, pointer: str) -> tuple[str, str]:
        return self.load(pointer), self.load(self.w.offset(pointer, self.bytes))

    def _put(self, value: tuple[str, str], pointer: str) -> None:
        self.store(value[0], pointer)
        self.store(value[1], self.w.offset(pointer, self.bytes))
