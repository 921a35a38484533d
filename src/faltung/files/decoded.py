"""Missing and packed values: attributes say which number means nothing, and what an integer stands for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from faltung.files.fingerprint import Fingerprint
    from faltung.files.stores import Box, Source

MISSING = ("_FillValue", "missing_value", "nodata")
PACKED = ("scale_factor", "add_offset")


def decoded(source: Source) -> Source:
    """Give the source itself, or one that decodes what its attributes say.

    Samples equal to ``_FillValue``, ``missing_value`` or ``nodata`` become NaN, which spoils just the windows that
    read it; outputs that are NaN are stored as that number again. ``scale_factor`` and ``add_offset`` are applied, as
    the CF conventions have it, and what is stored is not packed again. Integers of up to 16 bits become float32, wider
    ones float64.
    """
    attributes = source.about.attributes
    missing = next((_number(attributes[name]) for name in MISSING if name in attributes), None)
    if source.dtype.kind == "c" or source.dtype.kind == "b":
        return source
    if (missing is None or np.isnan(missing)) and not any(name in attributes for name in PACKED):
        return source
    return Decoded(source, missing)


def _number(value: Any) -> float | None:
    try:
        return float(np.asarray(value).reshape(-1)[0])
    except (ValueError, IndexError, TypeError):
        return None


class Decoded:
    """A source whose missing samples are NaN and whose packed ones are what they stand for."""

    def __init__(self, source: Source, missing: float | None) -> None:
        self.source, self.missing = source, missing
        self.shape, self.blocks, self.seekable = source.shape, source.blocks, source.seekable
        given = source.dtype
        small = given.itemsize <= 2 or (given.kind == "f" and given.itemsize == 4)
        self.dtype = given if given.kind == "f" else np.dtype(np.float32 if small else np.float64)
        attributes = dict(source.about.attributes)
        self.scale = _number(attributes.pop("scale_factor", 1)) or 1.0
        self.offset = _number(attributes.pop("add_offset", 0)) or 0.0
        self.about = replace(source.about, attributes=attributes, missing=missing)
        # Beside the samples: the raw ones and a mask.
        self.working = source.working + int(np.prod(source.blocks, dtype=np.int64)) * (given.itemsize + 1)

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        """Read and decode."""
        raw = self.source.read(box)
        values = raw.astype(self.dtype)
        if self.scale != 1:
            values *= self.dtype.type(self.scale)
        if self.offset:
            values += self.dtype.type(self.offset)
        if self.missing is not None:
            values[raw == raw.dtype.type(self.missing)] = np.nan
        return values

    def objects(self) -> dict[str, object]:
        """List the objects."""
        return self.source.objects()

    def description(self) -> str:
        """Describe the array."""
        return self.source.description()

    def watch(self, fingerprint: Fingerprint) -> None:
        """Refuse what is not as it was."""
        self.source.watch(fingerprint)

    def content(self) -> str:
        """Hash the bytes."""
        return self.source.content()

    def close(self) -> None:
        """Let go of files."""
        self.source.close()
