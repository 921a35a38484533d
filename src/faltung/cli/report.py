"""What ``info`` and ``cache`` print, line by line."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from faltung.compiler import cache
from faltung.errors import CompileError
from faltung.files import open_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def machine_lines() -> Iterator[str]:
    """Describe the installation and the machine."""
    yield f"faltung  {version('faltung')}"
    yield f"python   {platform.python_version()} ({sys.platform})"
    yield f"numpy    {np.__version__}"
    try:
        yield f"llvmlite {version('llvmlite')}"
        compiled = True
    except PackageNotFoundError:
        yield "llvmlite not installed: NumPy computes, more slowly"
        compiled = False
    if compiled:
        yield from _cpu_lines()
    if os.environ.get("FALTUNG_JIT") == "0":
        yield "compiler off (FALTUNG_JIT=0): NumPy computes, more slowly"
    yield f"cores    {os.cpu_count()}"
    yield f"cache    {cache.folder()}"


def _cpu_lines() -> Iterator[str]:
    import llvmlite.binding as llvm

    from faltung.compiler import isa

    yield f"cpu      {llvm.get_host_cpu_name()}"
    try:
        host = isa.host()
        yield f"vectors  {host.name}, {8 * host.vector_bytes} bits"
    except CompileError as error:
        yield f"vectors  none: {error}"


def file_lines(path: Path) -> Iterator[str]:
    """Describe a file without decoding more than its headers, where the format allows that."""
    with open_picture(path) as picture:
        flavour = f" ({picture.flavour})" if picture.flavour else ""
        yield f"file     {path}"
        yield f"format   {picture.format.upper()}{flavour}"
        yield f"shape    {' x '.join(map(str, picture.shape)) or 'scalar'}"
        yield f"dtype    {picture.array.dtype}"
        if picture.axes:
            yield f"axes     {picture.axes}"
        else:
            seen = f", seemingly {picture.seen}" if picture.seen else ""
            choose = "; give --axes by number, or --layout" if picture.ndim > 2 else ""
            yield f"axes     not named{seen}{choose}"


def cache_lines(*, clear: bool) -> Iterator[str]:
    """Describe the cache of compiled kernels, or empty it."""
    entries = cache.entries()
    total = sum(size for _, size in entries)
    if clear:
        yield f"{cache.clear()} compiled kernels deleted from {cache.folder()}"
        return
    yield f"folder   {cache.folder()}"
    yield f"entries  {len(entries)}"
    yield f"bytes    {total}"
