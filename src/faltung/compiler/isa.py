"""Instruction sets: vector width, register tiles, and which of them this machine can run.

Code is generated for an instruction set, not for a CPU model, so that equal plans give equal objects (and equal
bits) on every machine of that set, and a cached object can be shared among them.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from faltung.errors import CompileError


@dataclass(frozen=True, slots=True)
class Isa:
    """An instruction set: what LLVM is told, and the tile that fills its registers.

    `rows` x `vectors` accumulators, `vectors` inputs and one coefficient must fit the register file. `fold` is the
    tile for lines folded into rows: more rows than vectors, since rows a register apart share their loads. As many
    tap columns as `unroll` are unrolled; with 16 registers LLVM spills from 5x5 on (measured: 63 against 87 GF/s).
    """

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    rows: int
    vectors: int
    fold: tuple[int, int]
    unroll: int
    has_fma: bool
    needs: frozenset[str]


_X86 = "x86_64-unknown-linux-gnu"
_ARM = "aarch64-unknown-linux-gnu"

ISAS = {
    isa.name: isa
    for isa in (
        # 512-bit integer multiplies and conversions need DQ, byte permutes BW, and LLVM's x86-64-v4 all of these.
        Isa("avx512", _X86, "x86-64-v4", "", 64, 4, 4, (8, 2), 5, True,
            frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "fma", "f16c"})),
        # 4 x 3 accumulators, 3 inputs and 1 coefficient are exactly the 16 registers of AVX2.
        Isa("avx2", _X86, "x86-64-v3", "", 32, 4, 3, (6, 2), 3, True, frozenset({"avx2", "fma", "f16c", "bmi2"})),
        # llvm.fma would become a call into libm here, so this set multiplies and adds.
        Isa("sse2", _X86, "x86-64", "", 16, 4, 2, (4, 2), 3, False, frozenset({"sse2"})),
        Isa("neon", _ARM, "generic", "+neon", 16, 4, 4, (8, 2), 5, True, frozenset({"neon"})),
    )
}  # fmt: skip


def runnable(features: dict[str, bool]) -> list[str]:
    """Name the instruction sets that a CPU with these LLVM features runs, the best first.

    >>> runnable({"sse2": True, "avx2": False})
    ['sse2']
    """
    present = {name for name, on in features.items() if on}
    return [isa.name for isa in ISAS.values() if isa.needs <= present]


@cache
def host() -> Isa:
    """Give the instruction set to compile for: the best this CPU runs, or the one FALTUNG_ISA names.

    Raises CompileError if FALTUNG_ISA names an unknown set or one that this CPU cannot run.
    """
    available = runnable(_host_features())
    wanted = os.environ.get("FALTUNG_ISA")
    if not wanted:
        if not available:
            msg = f"this CPU ({platform.machine()}) runs none of {', '.join(ISAS)}; set FALTUNG_JIT=0 to use NumPy"
            raise CompileError(msg)
        return ISAS[available[0]]
    if wanted not in available:
        msg = f"FALTUNG_ISA={wanted} was asked for, but this CPU runs {', '.join(available)}; choose one of these"
        raise CompileError(msg)
    return ISAS[wanted]


@cache
def target_machine(isa: Isa) -> Any:
    """Give LLVM's code generator for an instruction set, which this machine need not run."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    # No optimisation passes run: the nests are written as they should be executed.
    return llvm.Target.from_triple(isa.triple).create_target_machine(
        cpu=isa.cpu, features=isa.features, opt=2, reloc="pic", codemodel="small"
    )


def _host_features() -> dict[str, bool]:
    """Name the CPU's features: from the kernel's list where LLVM's names are the same, else from LLVM."""
    if sys.platform == "linux" and platform.machine() == "x86_64":
        with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as lines:
            for line in lines:
                if line.startswith("flags"):
                    return dict.fromkeys(line.split(), True)
    import llvmlite.binding as llvm

    return dict(llvm.get_host_cpu_features())
