"""Arrays larger than memory on disk or elsewhere: what can be read and written part by part.

Read: Zarr (v2 and v3, OME-Zarr; a folder or any fsspec URL), TIFF by tile or strip, NPY, NetCDF.
Written: Zarr, OME-Zarr and NPY. Every chunk or shard appears whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from faltung.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from faltung.files.fingerprint import Fingerprint

Box: TypeAlias = tuple[tuple[int, int], ...]
SUFFIXES = {".tif": "tiff", ".tiff": "tiff", ".npy": "npy", ".nc": "netcdf", ".nc4": "netcdf", ".h5": "netcdf"}


@dataclass(frozen=True)
class About:
    """What is carried from an input to an output.

    ``dims`` names the axes (None: unnamed). ``attributes`` is JSON. ``scale`` and ``translation`` place sample i of an
    axis at scale·i + translation, in ``units``; they are None where the store says nothing.
    """

    dims: tuple[str, ...] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    scale: tuple[float, ...] | None = None
    translation: tuple[float, ...] | None = None
    units: tuple[str | None, ...] | None = None
    ome: dict[str, Any] | None = None
    #: The number that stands for missing samples, which are NaN when they are read.
    missing: float | None = None
    #: Of dimensions: values and attributes; and in which variable of which group (its attributes) the array is.
    coordinates: dict[str, tuple[np.ndarray[Any, Any], dict[str, Any]]] = field(default_factory=dict)
    variable: str | None = None
    group: dict[str, Any] = field(default_factory=dict)

    @property
    def letters(self) -> str | None:
        """The axes as letters, where each has a name of one letter."""
        names = [name.lower() for name in self.dims or ()]
        single = names and all(len(name) == 1 and name.isalpha() for name in names) and len(set(names)) == len(names)
        return "".join(names) if single else None


class Source(Protocol):
    """An array that is read box by box."""

    #: Bytes in use while a block is decoded, besides the samples asked for.
    working: int

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    #: The samples along each axis that are decoded together.
    blocks: tuple[int, ...]
    #: Whether any box is read at the same cost, so that nothing need be kept for the next one.
    seekable: bool
    about: About

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        """Read the samples of a box, one (start, stop) for each axis."""

    def objects(self) -> dict[str, object]:
        """List the objects that hold the samples, with size and time."""

    def description(self) -> str:
        """Describe the array as the store does."""

    def watch(self, fingerprint: Fingerprint) -> None:
        """Refuse from now on to read what is not as it was."""

    def content(self) -> str:
        """Hash the bytes of all objects."""

    def close(self) -> None:
        """Let go of files."""


class Target(Protocol):
    """An array that is written unit by unit."""

    #: The samples along each axis that are written together: a chunk, a shard, or any number.
    units: tuple[int, ...]

    def write(self, box: Box, values: np.ndarray[Any, Any]) -> None:
        """Write a box of whole units; when this returns they are on disk."""

    def finish(self) -> None:
        """Make the complete array appear under its name."""


@dataclass(frozen=True)
class Address:
    """Where an array is: a path or URL, and which array, level, variable or series in there."""

    url: str
    part: str | None = None

    @property
    def remote(self) -> bool:
        """Whether it is a URL that is no file here."""
        return "://" in self.url and not self.url.startswith("file://")

    @property
    def path(self) -> Path:
        """The path of a local store."""
        return Path(self.url.removeprefix("file://"))

    @property
    def kind(self) -> str:
        """What the name or the folder says it is: zarr, tiff, npy or netcdf."""
        if self.remote or self.path.is_dir():
            return "zarr"
        return SUFFIXES.get(self.path.suffix.lower(), "zarr")

    @property
    def kind_written(self) -> str:
        """What the name says is to be written: zarr or npy."""
        suffix = self.path.suffix.lower()
        if suffix == ".npy" and not self.remote:
            return "npy"
        if suffix not in ("", ".zarr") and not self.remote:
            msg = f"{self.url}: a job writes Zarr (OUT.zarr) or NPY (OUT.npy), chunk by chunk"
            raise FileError(msg)
        return "zarr"

    def __str__(self) -> str:
        return self.url if self.part is None else f"{self.url} ({self.part})"


def plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Turn attributes into what JSON holds: numbers, texts and lists."""
    return {str(name): value.tolist() if hasattr(value, "tolist") else value for name, value in attributes.items()}


def open_source(address: Address) -> Source:
    """Open an array to read it box by box.

    Raises:
        FileError: nothing is there, it is damaged, of an unknown kind, or holds several arrays and none is named.
    """
    if not address.remote and not address.path.exists():
        msg = f"{address.url}: no such file or store"
        raise FileError(msg)
    opened = _opened(address)
    if opened.dtype.kind not in "biufc":
        msg = f"{address}: holds {opened.dtype}, which is not numeric; give an array of numbers"
        raise FileError(msg)
    from faltung.files.decoded import decoded

    return decoded(opened)


def _opened(address: Address) -> Source:
    if address.kind == "npy":
        from faltung.files.memmap import MappedSource

        return MappedSource(address)
    if address.kind == "tiff":
        from faltung.files.tiff_store import TiffSource

        return TiffSource(address)
    if address.kind == "netcdf":
        from faltung.files.netcdf import NetcdfSource

        return NetcdfSource(address)
    from faltung.files.zarr_store import ZarrSource

    return ZarrSource(address)


def open_target(address: Address, array: str) -> Target:
    """Open an output that exists, to fill it; ``array`` is the path of the array in a Zarr store.

    Raises:
        FileError: it is damaged or gone.
    """
    if address.kind_written == "npy":
        from faltung.files.memmap import MappedTarget

        return MappedTarget(address)
    from faltung.files.zarr_store import ZarrTarget

    return ZarrTarget(address, array)
