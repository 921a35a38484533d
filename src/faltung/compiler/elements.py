"""Element types: how a vector of them is loaded into, and stored from, the accumulator's type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from faltung.compiler.ir import Writer


@dataclass(frozen=True, slots=True)
class Element:
    """A machine type: `kind` is "f", "i" or "u" as in NumPy, `bits` its width."""

    kind: str
    bits: int

    @classmethod
    def of(cls, dtype: np.dtype) -> Element:
        """Describe a NumPy dtype (bool is stored as uint8)."""
        return cls("u" if dtype.kind == "b" else dtype.kind, 8 * dtype.itemsize)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.bits // 8

    @property
    def llvm(self) -> str:
        """The LLVM type."""
        return {("f", 32): "float", ("f", 64): "double"}.get((self.kind, self.bits), f"i{self.bits}")

    @property
    def name(self) -> str:
        """The short name, such as ``f32``."""
        return f"{self.kind}{self.bits}"

    def vector(self, lanes: int) -> str:
        """The LLVM type of a vector."""
        return f"<{lanes} x {self.llvm}>"

    @property
    def mangled(self) -> str:
        """How LLVM spells the type inside the name of an intrinsic."""
        return f"{'f' if self.kind == 'f' else 'i'}{self.bits}"


def convert(w: Writer, value: str, source: Element, target: Element, lanes: int) -> str:
    """Widen a loaded vector to the accumulator's type; exact wherever the type can hold the value."""
    if source == target:
        return value
    if target.kind == "f" and source.kind == "f":
        return w.op(f"fpext {source.vector(lanes)} {value} to {target.vector(lanes)}")
    if target.kind == "f":
        # Small unsigned integers go through i32: every set converts signed 32-bit lanes in one instruction.
        if source.bits < 32:
            wide = Element("i", 32)
            value, source = convert(w, value, source, wide, lanes), wide
        how = "uitofp" if source.kind == "u" else "sitofp"
        return w.op(f"{how} {source.vector(lanes)} {value} to {target.vector(lanes)}")
    if source.bits == target.bits:
        return value
    how = "zext" if source.kind == "u" else "sext"
    return w.op(f"{how} {source.vector(lanes)} {value} to {target.vector(lanes)}")


def narrow(w: Writer, value: str, source: Element, target: Element, lanes: int) -> str:
    """Turn accumulators into the stored type: floats to integers round half to even and saturate, NaN gives 0."""
    if source == target or (
        source.kind != "f" and target.kind != "f" and source.bits == target.bits and source.kind == target.kind
    ):
        return value
    if source.kind == "f" and target.kind == "f":
        how = "fpext" if target.bits > source.bits else "fptrunc"
        return w.op(f"{how} {source.vector(lanes)} {value} to {target.vector(lanes)}")
    if target.kind == "f":
        return w.op(f"sitofp {source.vector(lanes)} {value} to {target.vector(lanes)}")
    if source.kind == "f":
        return _round_and_saturate(w, value, source, target, lanes)
    return _saturate(w, value, source, target, lanes)


def _round(w: Writer, value: str, element: Element, lanes: int) -> str:
    """Round half to even by adding and subtracting 2^(bits of the fraction): SSE2 has no instruction for it."""
    vector, fraction = element.vector(lanes), {32: 23, 64: 52}[element.bits]
    large = f"<{', '.join([f'{element.llvm} {float(2**fraction):e}'] * lanes)}>"
    size = w.call(vector, f"llvm.fabs.v{lanes}{element.mangled}", (vector, value))
    signed = w.call(vector, f"llvm.copysign.v{lanes}{element.mangled}", (vector, large), (vector, value))
    rounded = w.op(f"fsub {vector} {w.op(f'fadd {vector} {value}, {signed}')}, {signed}")
    small = w.op(f"fcmp olt {vector} {size}, {large}")
    return w.op(f"select <{lanes} x i1> {small}, {vector} {rounded}, {vector} {value}")


def _round_and_saturate(w: Writer, value: str, source: Element, target: Element, lanes: int) -> str:
    vector = source.vector(lanes)
    rounded = _round(w, value, source, lanes)
    how = "fptoui" if target.kind == "u" else "fptosi"
    if target.bits >= 32:
        result = target.vector(lanes)
        name = f"llvm.{how}.sat.v{lanes}{target.mangled}.v{lanes}{source.mangled}"
        return w.call(result, name, (vector, rounded))
    low, high = _limits(target)
    # maxnum(NaN, low) is low; a NaN must become 0, so it is replaced first.
    ordered = w.op(f"fcmp ord {vector} {rounded}, {rounded}")
    clean = w.op(f"select <{lanes} x i1> {ordered}, {vector} {rounded}, {vector} zeroinitializer")
    for bound, intrinsic in ((low, "maxnum"), (high, "minnum")):
        splat = f"<{', '.join([f'{source.llvm} {float(bound):e}'] * lanes)}>"
        clean = w.call(vector, f"llvm.{intrinsic}.v{lanes}{source.mangled}", (vector, clean), (vector, splat))
    wide = w.op(f"fptosi {vector} {clean} to <{lanes} x i32>")
    return w.op(f"trunc <{lanes} x i32> {wide} to {target.vector(lanes)}")


def _saturate(w: Writer, value: str, source: Element, target: Element, lanes: int) -> str:
    vector = source.vector(lanes)
    low, high = _limits(target)
    source_low, source_high = _limits(source)
    for bound, intrinsic in ((max(low, source_low), "smax"), (min(high, source_high), "smin")):
        splat = f"<{', '.join([f'{source.llvm} {bound}'] * lanes)}>"
        value = w.call(vector, f"llvm.{intrinsic}.v{lanes}{source.mangled}", (vector, value), (vector, splat))
    if target.bits == source.bits:
        return value
    how = "trunc" if target.bits < source.bits else "sext"
    return w.op(f"{how} {vector} {value} to {target.vector(lanes)}")


def _limits(element: Element) -> tuple[int, int]:
    if element.kind == "u":
        return 0, 2**element.bits - 1
    return -(2 ** (element.bits - 1)), 2 ** (element.bits - 1) - 1
