"""From a loop nest to a function that ctypes can call: the registry of compiled kernels."""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from faltung.compiler import cache as disk
from faltung.compiler import isa as isas
from faltung.compiler import link

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.compiler.isa import Isa


class Nest(Protocol):
    """A loop nest: a unique name and its LLVM IR for an instruction set."""

    @property
    def name(self) -> str:
        """The symbol."""
        ...

    def emit(self, isa: Isa) -> str:
        """Write the module."""
        ...


_registry: dict[Nest, Callable[..., None]] = {}
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    # No fork happens while anything is compiled: a child would inherit LLVM half-way, and a lock that nobody releases.
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@cache
def available() -> bool:
    """Say whether kernels are compiled: llvmlite is installed (warns once if not) and FALTUNG_JIT is not 0."""
    if os.environ.get("FALTUNG_JIT") == "0":
        return False
    if find_spec("llvmlite") is None:
        text = "llvmlite is not installed: faltung computes with NumPy, tens of times slower; pip install llvmlite"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
        return False
    return True


def get(nest: Nest) -> Callable[..., None]:
    """Give the compiled kernel of a nest: from this process, from disk, or from the compiler.

    Safe under threads; each nest is compiled once. Calling the kernel releases the GIL. The family of nests is finite
    by design (element types, tiles, a few tap extents), so the registry needs no limit.
    """
    kernel = _registry.get(nest)
    if kernel is None:
        with _lock:
            kernel = _registry.get(nest)
            if kernel is None:
                kernel = _registry[nest] = _link(nest, _object(nest, isas.host()))
    return kernel


def compiled() -> tuple[Nest, ...]:
    """List the nests of this process's registry."""
    return tuple(_registry)


def compile_object(nest: Nest, isa: Isa) -> bytes:
    """Compile a nest to a relocatable object for any instruction set, runnable here or not."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(f'target triple = "{isa.triple}"\n{nest.emit(isa)}')
    return bytes(isas.target_machine(isa).emit_object(module))


def _object(nest: Nest, isa: Isa) -> bytes:
    key = _key(nest, isa)
    kept = disk.load(key)
    if kept is None:
        kept = compile_object(nest, isa)
        disk.store(key, kept)
    return kept


def _link(nest: Nest, code: bytes) -> Callable[..., None]:
    arguments = 4 if nest.name.startswith("taps") else 3
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(link.address(code, nest.name))


def _key(nest: Nest, isa: Isa) -> bytes:
    from llvmlite import __version__ as llvmlite_version

    return hashlib.sha256(repr((nest, isa.name, llvmlite_version, _generator())).encode()).digest()


@cache
def _generator() -> str:
    """The digest of the code generator itself: a changed generator never meets an old object."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
