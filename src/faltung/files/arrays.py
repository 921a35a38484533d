"""NPY: a header and the samples, read as a memory map and written block by block."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.lib import format as npy

from faltung.errors import FileError
from faltung.files.picture import Picture, bounded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Array: TypeAlias = np.ndarray[Any, Any]


def open_npy(path: Path, max_bytes: int) -> Picture:
    """Open an NPY file as a read-only memory map, after checking that it can hold what its header claims."""
    with path.open("rb") as file:
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(file)
        else:
            msg = f"{path}: NPY version {version[0]}.{version[1]} is not read; save it as 1.0 or 2.0"
            raise FileError(msg)
        offset = file.tell()
    if dtype.hasobject:
        msg = f"{path}: holds Python objects, which are never unpickled; save a numeric array"
        raise FileError(msg)
    if dtype.kind not in "biufc":
        msg = f"{path}: holds {dtype}, which is not numeric; save an array of numbers"
        raise FileError(msg)
    if min(shape, default=0) < 0:
        msg = f"{path}: the header claims a negative length: {shape}"
        raise FileError(msg)
    _fits(path, shape, dtype, path.stat().st_size - offset)
    order = "F" if fortran else "C"
    if not shape or not math.prod(shape):
        return Picture(_small(path, shape, dtype, offset), None, "npy")
    mapped = np.memmap(path, dtype, "r", offset, shape, order)  # type: ignore[call-overload]
    return Picture(BoundedMap(path, mapped, max_bytes), None, "npy")


class BoundedMap:
    """A memory map that refuses to bring more than ``max_bytes`` into memory at once."""

    def __init__(self, path: Path, mapped: Array, max_bytes: int) -> None:
        self.path, self.mapped, self.max_bytes = path, mapped, max_bytes
        self.shape: tuple[int, ...] = mapped.shape
        self.dtype, self.ndim = mapped.dtype, mapped.ndim

    def __getitem__(self, index: Any) -> Array:
        part = self.mapped[index]
        bounded(self.path, part.shape, part.nbytes, self.max_bytes)
        return np.asarray(part)


def save_npy(path: Path, blocks: Iterable[Array], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Write a header, then blocks that follow one another in C order."""
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype).data)


def _fits(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], available: int) -> None:
    needed = math.prod(shape) * dtype.itemsize
    if needed > available:
        size = " x ".join(map(str, shape))
        msg = (
            f"{path}: the header claims {size} {dtype}, {needed} bytes, but {available} follow; "
            "the file is truncated or damaged"
        )
        raise FileError(msg)


def _small(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int) -> Array:
    # Neither a scalar nor an empty array can be mapped.
    with path.open("rb") as file:
        file.seek(offset)
        return np.frombuffer(file.read(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
