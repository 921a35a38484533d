"""Machine constants, one row for each instruction set: what predictions of time are made of.

They are shipped: the choice of an algorithm must not depend on what else the machine does. Whoever wants those of his
own machine measures them once with `faltung tune` and asks for them with FALTUNG_TUNED=1 (or the file's path); every
plan's signature and `explain()` then say so.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.errors import PlanError


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates of one core.

    `vector_ops` is the number of vector multiply-adds of floats in a nanosecond, `int32` and `int64` what one of
    integers costs against that; `memory_bytes` what a large copy reads and writes in a nanosecond, `call` the
    nanoseconds of a small call from Python. What vector operations cost in other loops than the plain sum's, against
    those of AVX-512: `separable`, `window_sum`, `fourier`. `tuned` names the measurement, if it is one.
    """

    vector_bytes: int
    vector_ops: float
    int32: float = 1.0
    int64: float = 1.0
    memory_bytes: float = 26.0
    call: float = 4000.0
    separable: float = 1.0
    window_sum: float = 1.0
    fourier: float = 1.0
    tuned: str | None = None

    def product(self, kind: str, size: int) -> float:
        """Give what a multiply-add of numbers of this kind ("f", "i", "u") and size costs against one of floats."""
        return 1.0 if kind == "f" else self.int32 if size == 4 else self.int64

    @property
    def memory_time(self) -> float:
        """How much longer memory takes than where the costs of bytes were measured."""
        return REFERENCE.memory_bytes / self.memory_bytes

    @property
    def python_time(self) -> float:
        """How much longer the interpreter takes than where the costs of calls were measured."""
        return self.call / REFERENCE.call


# Measured on Zen 4. (AVX-512 of other makers multiplies 64-bit integers in three steps.)
TABLE = {
    "avx512": Machine(64, 3.2, 1.15, 1.25),
    "avx2": Machine(32, 6.1, 1.95, 4.3, separable=1.2, window_sum=0.7, fourier=1.5),
    "sse2": Machine(16, 4.1, 2.5, 3.1, window_sum=0.55),
    # Not measured: two pipes at 3 GHz; 64-bit integers are multiplied in parts.
    "neon": Machine(16, 6.0, 1.0, 4.0),
    # Without a compiler NumPy's sums are the only algorithm.
    "numpy": Machine(16, 0.5),
}
REFERENCE = TABLE["avx512"]
TUNED = "FALTUNG_TUNED"
MEASURED = ("vector_ops", "int32", "int64", "memory_bytes", "call")


def host() -> Machine:
    """Give the constants of what runs here: those shipped, or those measured if FALTUNG_TUNED asks for them."""
    if not kernels.available():
        return TABLE["numpy"]  # there is nothing to choose from
    name = isas.host().name
    return TABLE[name] if os.environ.get(TUNED, "") in ("", "0") else _tuned(tuned_path(), name)


def tuned_path() -> Path:
    """Give the file of the measured constants: the one FALTUNG_TUNED names, or that in the user's configuration.

    >>> tuned_path().is_absolute()
    True
    """
    wanted = os.environ.get(TUNED, "")
    if wanted not in ("", "0", "1"):
        return Path(wanted).expanduser().absolute()
    base = os.environ.get("XDG_CONFIG_HOME")
    return Path(base or "~/.config").expanduser().absolute() / "faltung" / "machine.json"


def write(path: Path, machine: Machine, isa: str) -> None:
    """Keep measured constants; the file appears complete or not at all."""
    values = {name: getattr(machine, name) for name in MEASURED}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps({"isa": isa, **values}, indent=1) + "\n")
    unfinished.replace(path)


@cache
def _tuned(path: Path, isa: str) -> Machine:
    """Read measured constants, once for a process: a plan's signature must not change while it runs."""
    cure = f"run `faltung tune`, or unset {TUNED} to use the constants that are shipped"
    try:
        values = json.loads(path.read_text())
        given: dict[str, Any] = {name: float(values[name]) for name in MEASURED}
    except FileNotFoundError:
        msg = f"{TUNED}={os.environ[TUNED]} asks for measured constants, but there is no file {path}; {cure}"
        raise PlanError(msg) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        msg = f"the measured constants in {path} cannot be read ({type(error).__name__}: {error}); {cure}"
        raise PlanError(msg) from None
    if values.get("isa") != isa or not all(0 < value < math.inf for value in given.values()):
        msg = f"the constants in {path} are for {values.get('isa')!r}, and this runs {isa!r}; {cure}"
        raise PlanError(msg)
    digest = sha256(json.dumps([isa, *sorted(given.items())]).encode()).hexdigest()[:12]
    return replace(TABLE[isa], **given, tuned=digest)
