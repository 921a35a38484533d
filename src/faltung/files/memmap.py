"""NPY files larger than memory: read through a map, written in place under a temporary name."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from faltung.errors import FileError
from faltung.files.fingerprint import content, local_stamp
from faltung.files.stores import About

if TYPE_CHECKING:
    from pathlib import Path

    from faltung.files.fingerprint import Fingerprint
    from faltung.files.stores import Address, Box


class FileSource:
    """What sources in one file have in common: the file is the one object."""

    address: Address
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    seekable = True
    _fingerprint: Fingerprint | None = None

    def objects(self) -> dict[str, object]:
        """List the file."""
        return {self.address.path.name: local_stamp(self.address.path)}

    def description(self) -> str:
        """Describe shape and dtype."""
        return f"{self.shape} {self.dtype.str}"

    def watch(self, fingerprint: Fingerprint) -> None:
        """Refuse to read a file that changed."""
        self._fingerprint = fingerprint

    def content(self) -> str:
        """Hash the file."""
        return content([self.address.path])

    def close(self) -> None:
        """Let go of the file."""

    def check_unchanged(self) -> None:
        """Compare the file's size and time with those at the beginning."""
        if self._fingerprint is None:
            return
        path = self.address.path
        try:
            same = self._fingerprint.unchanged(path.name, local_stamp(path))
        except FileNotFoundError:
            msg = f"{path}: was there when the job began and is gone; restore the input, then resume"
            raise FileError(msg) from None
        if not same:
            msg = f"{path}: changed since the job began; start again with --force (force=True)"
            raise FileError(msg)


class MappedSource(FileSource):
    """An NPY file."""

    def __init__(self, address: Address) -> None:
        from faltung.files.reading import open_picture

        self.address = address
        with open_picture(address.path, max_bytes=2**62) as picture:
            self.shape, self.dtype = picture.shape, picture.array.dtype
            array = picture.array
            fortran = bool(getattr(getattr(array, "mapped", None), "flags", {"F_CONTIGUOUS": False})["F_CONTIGUOUS"])
        with address.path.open("rb") as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            read(file)
            self.offset = file.tell()
        self.fortran = fortran and len(self.shape) > 1
        self.blocks, self.working, self.about = self.shape, 0, About()

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        """Copy a box; the map is let go at once, so that its pages do not count as this process's memory."""
        self.check_unchanged()
        index = tuple(slice(*one) for one in box)
        if not self.shape or 0 in self.shape:
            return np.asarray(np.load(self.address.path, allow_pickle=False)[index])
        order = "F" if self.fortran else "C"
        mapped = np.memmap(self.address.path, self.dtype, "r", self.offset, self.shape, order)  # type: ignore[call-overload]
        return np.array(mapped[index])


class MappedTarget:
    """An NPY file that is filled under a temporary name and takes its own when it is complete."""

    def __init__(self, address: Address) -> None:
        self.address, self.path = address, unfinished(address)
        with self.path.open("rb") as file:
            npy.read_magic(file)
            self.shape, _, self.dtype = npy.read_array_header_1_0(file)
            self.offset = file.tell()
        self.units = (1,) * len(self.shape)

    def write(self, box: Box, values: np.ndarray[Any, Any]) -> None:
        """Write a box line by line: a map would hide that the disk is full until the process is killed for it."""
        try:
            with self.path.open("r+b") as file:
                for start, line in _lines(self.shape, box, np.ascontiguousarray(values, self.dtype)):
                    file.seek(self.offset + start * self.dtype.itemsize)
                    file.write(line.data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            msg = f"{self.address}: cannot be written: {error.strerror or error}"
            raise FileError(msg) from error

    def finish(self) -> None:
        """Take the name."""
        self.path.replace(self.address.path)


def create(address: Address, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Write the header of a file that is as long as it will be, without occupying it yet."""
    path = unfinished(address)
    try:
        with path.open("wb") as file:
            npy.write_array_header_1_0(
                file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            )
            file.truncate(file.tell() + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        msg = f"{address}: cannot be written: {error.strerror or error}"
        raise FileError(msg) from error


def unfinished(address: Address) -> Path:
    """Give the name that the file has until it is complete."""
    path = address.path
    return path.with_name(f".{path.name}.unfinished")


def _lines(shape: tuple[int, ...], box: Box, values: np.ndarray[Any, Any]) -> Any:
    """Give the pieces of a box that lie together in the file: (first sample, samples)."""
    whole = len(shape)
    while whole > 0 and box[whole - 1] == (0, shape[whole - 1]):
        whole -= 1
    # Axes from `whole` on are complete, so the one before them joins in.
    split = max(whole - 1, 0)
    for index in np.ndindex(*values.shape[:split]):
        first = [start + i for (start, _), i in zip(box, index, strict=False)] + [start for start, _ in box[split:]]
        at = 0
        for size, position in zip(shape, first, strict=True):
            at = at * size + position
        yield at, values[index].reshape(-1)
