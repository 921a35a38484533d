"""Machine constants, one row for each instruction set: what predictions of time are made of.

They are shipped, never measured at run time: the choice of an algorithm must not depend on what else the machine does.
"""

from __future__ import annotations

from dataclasses import dataclass

from faltung.compiler import isa as isas
from faltung.compiler import kernels


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates of one core.

    `vector_ops` is the number of vector multiply-adds (or adds) in a nanosecond, `memory_bytes` and `cache_bytes` what
    moves from and to memory and the second-level cache in one, `call` the nanoseconds of one compiled call from Python.
    """

    vector_bytes: int
    vector_ops: float
    memory_bytes: float
    cache_bytes: float
    call: float = 1500.0


TABLE = {
    "avx512": Machine(64, 3.2, 8.0, 60.0),
    "avx2": Machine(32, 5.5, 8.0, 60.0),
    "sse2": Machine(16, 3.5, 8.0, 40.0),
    "neon": Machine(16, 6.0, 8.0, 40.0),
    # Without a compiler: NumPy's own loops, a product and a sum per tap, each through the cache.
    "numpy": Machine(16, 0.5, 4.0, 8.0, 5000.0),
}


def host() -> Machine:
    """Give the constants of what runs here."""
    return TABLE[isas.host().name if kernels.available() else "numpy"]
