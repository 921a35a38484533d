"""TIFF larger than memory: read tile by tile or strip by strip, through tifffile's view of a file as a Zarr store."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import FileError
from faltung.files.memmap import FileSource
from faltung.files.optional import need
from faltung.files.reading import understood
from faltung.files.stores import About

if TYPE_CHECKING:
    from faltung.files.stores import Address, Box

NODATA_TAG = 42113  # GDAL_NODATA


class TiffSource(FileSource):
    """One series of a TIFF file, at full resolution; ``part`` is its number."""

    seekable = False

    def __init__(self, address: Address) -> None:
        import tifffile

        zarr = need("zarr", "reading a TIFF by tiles")
        from faltung.files.tiff import _choose, _letters

        self.address = address
        number = _number(address)
        with understood(address.path), ExitStack() as stack:
            self.file = stack.enter_context(tifffile.TiffFile(address.path, _multifile=False))
            series = _choose(address.path, self.file.series, number)
            self.store = series.aszarr(level=0)
            self.array: Any = zarr.open_array(self.store, mode="r")
            tag = series.keyframe.tags.get(NODATA_TAG)
            stack.pop_all()
        self.shape, self.dtype = tuple(self.array.shape), np.dtype(self.array.dtype)
        self.blocks = tuple(self.array.chunks)
        self.working = 8 * math.prod(self.blocks) * self.dtype.itemsize
        letters = _letters(series.axes)
        self.about = About(tuple(letters) if letters else None)
        if tag is not None:
            self.about = replace(self.about, attributes={"nodata": _nodata(address, str(tag.value))})

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        """Decode the tiles or strips that a box touches."""
        self.check_unchanged()
        with understood(self.address.path):
            return np.asarray(self.array[tuple(slice(*one) for one in box)])

    def close(self) -> None:
        """Close the file."""
        self.store.close()
        self.file.close()


def _number(address: Address) -> int | None:
    if address.part is None:
        return None
    if not address.part.isdecimal():
        msg = f"{address.url}: --part {address.part!r} is no number; a TIFF's pictures are numbered from 0"
        raise FileError(msg)
    return int(address.part)


def _nodata(address: Address, text: str) -> float:
    try:
        return float(text.strip("\0 "))
    except ValueError:
        msg = f"{address.url}: its GDAL_NODATA tag says {text!r}, which is no number; correct the tag"
        raise FileError(msg) from None
