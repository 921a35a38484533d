"""From an object to an address: a small loader for what our kernels are, and LLVM's linker for everything else.

A kernel is position-independent code and perhaps a pool of constants; it calls nothing. Copying its sections to memory
and filling in distances takes well under a millisecond, while importing llvmlite for its linker takes tens of them, in
every process. Memory is writable while it is filled and executable afterwards, never both.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import platform
import struct
import sys
from functools import cache
from typing import Any, NamedTuple

from faltung.compiler import isa as isas

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_X86_64, _RELOCATABLE = 62, 1
_PROGBITS, _SYMTAB, _RELA, _ALLOCATED = 1, 2, 4, 2
_ABSOLUTE64, _RELATIVE32, _CALL32 = 1, 2, 4
_READ, _WRITE, _EXECUTE = 1, 2, 4

_serial = itertools.count()


def _keep_forever(owner: object) -> None:
    """Never free code: at the interpreter's exit a thread may still be running it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int


def address(code: bytes, symbol: str) -> int:
    """Load an object and give the address of its function; the memory stays for the life of the process."""
    if sys.platform == "linux" and platform.machine() == "x86_64":
        found = _load(code, symbol)
        if found is not None:
            return found
    return _load_by_llvm(code, symbol)


def _load(code: bytes, symbol: str) -> int | None:
    """Load an x86-64 ELF object, or give None if it needs anything that kernels do not."""
    sections = _sections(code)
    if sections is None:
        return None
    places, size = _places(sections)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=_READ | _WRITE)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for i, place in places.items():
        memory[place : place + sections[i].size] = code[sections[i].offset : sections[i].offset + sections[i].size]
    symbols = _symbols(code, sections)
    for section in sections:
        if section.kind == _RELA and section.info in places:
            for where, info, addend in _RELOCATION.iter_unpack(code[section.offset : section.offset + section.size]):
                if not _relocate(memory, base, places, symbols, places[section.info] + where, info, addend):
                    return None
    entry = next((s for s in symbols if s[0] == symbol and s[1] in places), None)
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    # A system that forbids new executable memory here may still allow LLVM's.
    if entry is None or protect(base, size, _READ | _EXECUTE) != 0:
        return None
    _keep_forever(memory)
    return base + places[entry[1]] + entry[2]


def _sections(code: bytes) -> list[_Section] | None:
    if len(code) < _HEADER.size:
        return None
    header = _HEADER.unpack_from(code)
    if header[0][:6] != b"\x7fELF\x02\x01" or header[1] != _RELOCATABLE or header[2] != _X86_64:
        return None
    start, entry, count = header[6], header[11], header[12]
    return [_Section(*_SECTION.unpack_from(code, start + i * entry)) for i in range(count)]


def _places(sections: list[_Section]) -> tuple[dict[int, int], int]:
    """Lay the sections with code and constants out in memory: {section: offset}, total size."""
    places, end = {}, 0
    for i, section in enumerate(sections):
        # Tables for unwinding have another kind, and are not needed: nothing throws through a kernel.
        if section.kind == _PROGBITS and section.flags & _ALLOCATED and section.size:
            align = max(section.alignment, 1)
            places[i] = -(-end // align) * align
            end = places[i] + section.size
    return places, max(end, 1)


def _symbols(code: bytes, sections: list[_Section]) -> list[tuple[str, int, int]]:
    """List (name, section, value) of every symbol."""
    table = next(s for s in sections if s.kind == _SYMTAB)
    names = sections[table.link].offset
    found = []
    for name, _, _, section, value, _ in _SYMBOL.iter_unpack(code[table.offset : table.offset + table.size]):
        end = code.index(b"\0", names + name)
        found.append((code[names + name : end].decode(), section, value))
    return found


def _relocate(
    memory: mmap.mmap,
    base: int,
    places: dict[int, int],
    symbols: list[tuple[str, int, int]],
    where: int,
    info: int,
    addend: int,
) -> bool:
    """Fill in one address or distance; False if its kind is unknown or its symbol lies outside the object."""
    kind, (_, section, value) = info & 0xFFFFFFFF, symbols[info >> 32]
    if section not in places:
        return False
    target = places[section] + value + addend
    if kind in (_RELATIVE32, _CALL32):
        struct.pack_into("<i", memory, where, target - where)
    elif kind == _ABSOLUTE64:
        struct.pack_into("<Q", memory, where, base + target)
    else:
        return False
    return True


def _load_by_llvm(code: bytes, symbol: str) -> int:
    import llvmlite.binding as llvm

    library = llvm.JITLibraryBuilder().add_object_img(code).export_symbol(symbol)
    tracker = library.link(_linker(), f"{symbol}_{next(_serial)}")
    _keep_forever(tracker)
    return int(tracker[symbol])


@cache
def _linker() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    linker = llvm.create_lljit_compiler(isas.target_machine(isas.host()))
    _keep_forever(linker)
    return linker
