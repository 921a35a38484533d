"""What all nests share: the rounding mode they set, a coefficient for all lanes, and multiply-add."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faltung.compiler.elements import Element
    from faltung.compiler.ir import Writer
    from faltung.compiler.isa import Isa

# All exceptions masked, round to nearest even, no flushing to zero.
MXCSR_DEFAULT = 0x1F80


def default_arithmetic(w: Writer, isa: Isa) -> str:
    """Round to nearest and keep subnormals, whatever another library has set for this thread; give what was set."""
    if "x86" not in isa.triple:
        old = w.call("i64", "llvm.aarch64.get.fpcr")
        w.run("llvm.aarch64.set.fpcr", ("i64", "0"))
        return old
    old, default = w.op("alloca i32"), w.op("alloca i32")
    w.run("llvm.x86.sse.stmxcsr", ("ptr", old))
    w.do(f"store i32 {MXCSR_DEFAULT}, ptr {default}")
    w.run("llvm.x86.sse.ldmxcsr", ("ptr", default))
    return old


def restore_arithmetic(w: Writer, isa: Isa, old: str) -> None:
    """Set what `default_arithmetic` found."""
    if "x86" in isa.triple:
        w.run("llvm.x86.sse.ldmxcsr", ("ptr", old))
    else:
        w.run("llvm.aarch64.set.fpcr", ("i64", old))


def constant(element: Element, lanes: int, value: float) -> str:
    """Write a number in all lanes."""
    if element.kind != "f":
        text = str(int(value))
    else:
        # LLVM writes single precision as the double of the same value.
        rounded = struct.unpack("<f", struct.pack("<f", value))[0] if element.bytes == 4 else value
        text = f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"
    return f"<{', '.join([f'{element.llvm} {text}'] * lanes)}>"


def splat(w: Writer, pointer: str, element: Element, lanes: int) -> str:
    """Load one coefficient into all lanes."""
    vector = element.vector(lanes)
    scalar = w.op(f"load {element.llvm}, ptr {pointer}, align {element.bytes}")
    first = w.op(f"insertelement {vector} poison, {element.llvm} {scalar}, i32 0")
    return w.op(f"shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer")


def multiply_add(w: Writer, isa: Isa, element: Element, lanes: int, x: str, weight: str, acc: str) -> str:
    """Give x · weight + acc, fused where the instruction set does so; integers wrap."""
    vector = element.vector(lanes)
    if element.kind != "f":
        return w.op(f"add {vector} {acc}, {w.op(f'mul {vector} {x}, {weight}')}")
    if not isa.has_fma:
        return w.op(f"fadd {vector} {acc}, {w.op(f'fmul {vector} {x}, {weight}')}")
    name = f"llvm.fma.v{lanes}{element.mangled}"
    return w.call(vector, name, (vector, x), (vector, weight), (vector, acc))
