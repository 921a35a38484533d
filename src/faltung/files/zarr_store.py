"""Zarr arrays, v2 and v3, in folders and behind fsspec URLs: read by chunks, written by whole chunks or shards."""

from __future__ import annotations

import base64
import json
import math
import posixpath
import shutil
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import FaltungError, FileError
from faltung.files import ome
from faltung.files.durable import sweep
from faltung.files.fingerprint import content, local_objects
from faltung.files.optional import need
from faltung.files.stores import About, Address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from faltung.files.fingerprint import Fingerprint
    from faltung.files.stores import Box

CONCURRENT = 4  # chunks that are coded at once
BLOCK_BYTES = 1 << 20  # chunks smaller than this are read several together


class ZarrSource:
    """A Zarr array, or a level of an OME-Zarr image, that is read box by box."""

    seekable = False

    def __init__(self, address: Address) -> None:
        zarr = need("zarr", "reading a Zarr store")
        with understood(address):
            found = zarr.open(store=_reading(address.url), mode="r", path=address.part or "")
            part: str | None = address.part
            told: About | None = None
            if isinstance(found, zarr.Group):
                part, told = _chosen(address, found)
            own = address.url if part is None else posixpath.join(address.url, part)
            self.address, self.store = Address(own), _reading(own)
            self.array = zarr.open_array(self.store, mode="r")
        self.shape, self.dtype = tuple(self.array.shape), np.dtype(self.array.dtype)
        self.chunks = tuple(max(1, n) for n in self.array.chunks)
        self.blocks = _together(self.chunks, self.shape, self.dtype.itemsize)
        self.working = 2 * CONCURRENT * math.prod(self.chunks) * self.dtype.itemsize
        self.about = _about(self.array, told)

    def read(self, box: Box) -> np.ndarray[Any, Any]:
        """Read the samples of a box."""
        where = ", ".join(f"{start}:{stop}" for start, stop in box)
        with understood(self.address, f"samples [{where}] "):
            return np.asarray(self.array[tuple(slice(*one) for one in box)])

    def objects(self) -> dict[str, object]:
        """List chunks, shards and metadata."""
        if self.address.remote:
            fs, path = need("fsspec", "a URL").core.url_to_fs(self.address.url)
            names = ("size", "ETag", "etag", "mtime", "LastModified", "created", "generation")
            found = fs.find(path, detail=True)
            return {
                key[len(path) :].lstrip("/"): tuple(str(info.get(name)) for name in names)
                for key, info in found.items()
            }
        return dict(local_objects(self.address.path))

    def description(self) -> str:
        """Give the metadata as sorted JSON."""
        return json.dumps(self.array.metadata.to_dict(), sort_keys=True, default=str)

    def watch(self, fingerprint: Fingerprint) -> None:
        """Refuse to read a chunk that vanished or changed."""
        self.store.fingerprint = fingerprint

    def content(self) -> str:
        """Hash every object."""
        if self.address.remote:
            msg = f"{self.address}: --verify reads local stores only; leave it out, sizes and tags are compared"
            raise FileError(msg)
        return content(self.address.path / name for name in sorted(self.objects()))

    def close(self) -> None:
        """Nothing is open between two reads."""


class ZarrTarget:
    """A Zarr array that exists, to be filled."""

    def __init__(self, address: Address, path: str) -> None:
        zarr = need("zarr", "writing a Zarr store")
        self.address = address
        with written(address):
            # Chunks that hold the fill value are stored too: -0.0 would come back as 0.0, and none may be missing.
            self.store = writing(address.url)
            found = zarr.open_array(self.store, path=path, mode="r+")
            self.array = found.with_config({"write_empty_chunks": True})
        self.units = tuple(self.array.shards or self.array.chunks)

    def write(self, box: Box, values: np.ndarray[Any, Any]) -> None:
        """Write whole chunks or shards."""
        where = ", ".join(f"{start}:{stop}" for start, stop in box)
        with written(self.address, f"samples [{where}] "):
            try:
                self.array[tuple(slice(*one) for one in box)] = values
            except BaseException:
                if not self.address.remote:
                    self.store.stop()
                raise

    def finish(self) -> None:
        """Sweep up what killed processes left."""
        if not self.address.remote:
            sweep(self.address.path)


def is_zarr(address: Address) -> bool:
    """Whether a Zarr array or group is at an address."""
    names = ("zarr.json", ".zarray", ".zgroup")
    if address.remote:
        fs, path = need("fsspec", "a URL").core.url_to_fs(address.url)
        return any(fs.exists(f"{path.rstrip('/')}/{name}") for name in names)
    return any((address.path / name).is_file() for name in names)


def remove(address: Address) -> None:
    """Delete a Zarr store, and nothing that is none."""
    if not is_zarr(address):
        msg = f"{address}: is no Zarr store, so it is not deleted; remove it yourself, or choose another name"
        raise FileError(msg)
    if address.remote:
        fs, path = need("fsspec", "a URL").core.url_to_fs(address.url)
        fs.rm(path, recursive=True)
    else:
        shutil.rmtree(address.path)


@contextmanager
def understood(address: Address, what: str = "") -> Iterator[None]:
    """Turn what zarr and its codecs raise on damage into a FileError that names the store."""
    try:
        yield
    except FaltungError as error:
        msg = f"{address}: {what}cannot be read: {error}"
        raise FileError(msg) from error
    except MemoryError:
        raise
    # Codecs raise nearly every type there is on damaged bytes.
    except Exception as error:
        reason = str(error) or type(error).__name__
        msg = f"{address}: {what}cannot be read, the store is damaged or no Zarr store: {reason}"
        raise FileError(msg) from error


@contextmanager
def written(address: Address, what: str = "") -> Iterator[None]:
    """Turn what a store raises when it cannot be written into a FileError."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        msg = f"{address}: {what}cannot be written: {reason}"
        raise FileError(msg) from error


def _reading(url: str) -> Any:
    need("zarr", "reading a Zarr store")
    from zarr.storage import LocalStore

    from faltung.files.zarr_local import WatchedStore

    address = Address(url)
    if address.remote:
        need("fsspec", "a URL")
        from zarr.storage import FsspecStore

        return WatchedStore(FsspecStore.from_url(url, read_only=True), None)
    return WatchedStore(LocalStore(address.path, read_only=True), address.path)


def writing(url: str) -> Any:
    """Give the store behind a path or URL, to be written."""
    address = Address(url)
    if address.remote:
        need("fsspec", "a URL")
        from zarr.storage import FsspecStore

        return FsspecStore.from_url(url)
    from faltung.files.zarr_local import DurableStore

    return DurableStore(address.path)


def _chosen(address: Address, group: Any) -> tuple[str, About | None]:
    """Choose the array of a group: the finest level of an image, or the only one."""
    inside = address.part or ""
    image = ome.multiscale(dict(group.attrs))
    if image:
        path = ome.levels(image)[0]
        return posixpath.join(inside, path), ome.about(dict(group.attrs), path, len(group[path].shape))
    names = sorted(name for name, _ in group.arrays())
    if len(names) == 1:
        return posixpath.join(inside, names[0]), None
    listing = ", ".join(names) or "none"
    msg = f"{address}: a group with several arrays or none ({listing}); choose one with --part NAME (part=)"
    raise FileError(msg)


def _about(array: Any, given: About | None) -> About:
    attributes = dict(array.attrs)
    dims = getattr(array.metadata, "dimension_names", None) or attributes.get("_ARRAY_DIMENSIONS")
    value = attributes.get("_FillValue")
    if isinstance(value, str):
        attributes["_FillValue"] = struct.unpack("<d", base64.standard_b64decode(value))[0]
    elif array.metadata.zarr_format == 2 and "_ARRAY_DIMENSIONS" in attributes and array.fill_value is not None:
        # What xarray writes as v2 has its missing value there.
        attributes["_FillValue"] = array.fill_value.item()
    attributes.pop("_ARRAY_DIMENSIONS", None)
    named = tuple(str(name) for name in dims) if dims and all(dims) else None
    given = given or About()
    return About(named or given.dims, attributes, given.scale, given.translation, given.units, given.ome)


def _together(chunks: Sequence[int], shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Put small chunks together until they are worth a read."""
    blocks = list(chunks)
    for axis in reversed(range(len(blocks))):
        while blocks[axis] < shape[axis] and 2 * math.prod(blocks) * itemsize <= BLOCK_BYTES:
            blocks[axis] *= 2
    return tuple(blocks)
