"""What an input looked like when a job began: its description, and size and time of each of its objects."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def short(text: str | bytes) -> int:
    """Hash a text to 64 bits."""
    data = text.encode() if isinstance(text, str) else text
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A digest of the metadata, and for each object (file, chunk, shard) a hash of its name and of its stamp.

    16 bytes an object, so that millions of chunks can be watched. The stamp is the size with the time of change, or
    the size with the tag that a remote store gives.

    >>> old = Fingerprint.of("float32", {"c/0": (4, 1.0), "c/1": (4, 1.0)})
    >>> new = Fingerprint.of("float32", {"c/0": (4, 2.0), "c/2": (4, 1.0)})
    >>> new.difference(old, ["c/0", "c/2"])
    '1 of 2 objects changed (such as c/0), 1 appeared (such as c/2), 1 vanished'
    """

    metadata: str
    names: np.ndarray[Any, Any]
    stamps: np.ndarray[Any, Any]

    @classmethod
    def of(cls, metadata: str | bytes, objects: Mapping[str, object]) -> Self:
        """Take the fingerprint of a description and of named objects with their stamps."""
        data = metadata.encode() if isinstance(metadata, str) else metadata
        pairs = np.array([(short(k), short(repr(v))) for k, v in objects.items()], np.uint64).reshape(-1, 2)
        pairs = pairs[np.argsort(pairs[:, 0])]
        return cls(hashlib.sha256(data).hexdigest(), pairs[:, 0].copy(), pairs[:, 1].copy())

    def knows(self, name: str) -> bool:
        """Whether there was an object of this name."""
        return self._stamp(short(name)) is not None

    def unchanged(self, name: str, stamp: object) -> bool:
        """Whether an object still has the stamp that it had."""
        return self._stamp(short(name)) == short(repr(stamp))

    @property
    def digest(self) -> str:
        """The fingerprint in short."""
        found = hashlib.sha256(self.metadata.encode())
        found.update(self.names.tobytes() + self.stamps.tobytes())
        return found.hexdigest()

    def difference(self, before: Fingerprint, names: Iterable[str]) -> str:
        """Say what changed since `before`, in the objects called `names`; the empty text where nothing did."""
        if self.digest == before.digest:
            return ""
        said = ["its metadata changed"] if self.metadata != before.metadata else []
        changed, appeared = [], []
        for name in names:
            now, then = self._stamp(short(name)), before._stamp(short(name))
            if then is None:
                appeared.append(name)
            elif now != then:
                changed.append(name)
        vanished = len(np.setdiff1d(before.names, self.names))
        if changed:
            said.append(f"{len(changed)} of {len(before.names)} objects changed (such as {changed[0]})")
        if appeared:
            said.append(f"{len(appeared)} appeared (such as {appeared[0]})")
        if vanished:
            said.append(f"{vanished} vanished")
        return ", ".join(said)

    def to_bytes(self) -> bytes:
        """Pack it."""
        file = io.BytesIO()
        np.savez_compressed(file, metadata=np.array(self.metadata), names=self.names, stamps=self.stamps)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Unpack it; nothing is unpickled."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return cls(str(file["metadata"]), file["names"], file["stamps"])

    def _stamp(self, name: int) -> int | None:
        at = int(np.searchsorted(self.names, np.uint64(name)))
        return int(self.stamps[at]) if at < len(self.names) and int(self.names[at]) == name else None


def local_stamp(path: Path) -> tuple[int, int]:
    """Give size and time of change of a file."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def local_objects(folder: Path) -> dict[str, tuple[int, int]]:
    """List the files below a folder with their stamps; hidden ones are somebody's temporary files or metadata."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            if not name.startswith("."):
                path = folder.__class__(place) / name
                found[path.relative_to(folder).as_posix()] = local_stamp(path)
    return found


def content(paths: Iterable[Path]) -> str:
    """Hash the bytes of files, in the order given."""
    found = hashlib.blake2b(digest_size=32)
    for path in paths:
        with path.open("rb") as file:
            while data := file.read(1 << 20):
                found.update(data)
    return found.hexdigest()
