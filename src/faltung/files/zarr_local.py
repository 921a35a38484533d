"""Zarr's stores with two promises more: what is written is on disk, and what is read is as it was."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore, WrapperStore

from faltung.errors import FileError
from faltung.files.durable import put
from faltung.files.fingerprint import local_stamp

if TYPE_CHECKING:
    from pathlib import Path

    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype

    from faltung.files.fingerprint import Fingerprint


class Writes:
    """Counts the writes under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count, self._stopped = 0, False

    def __enter__(self) -> None:
        with self._changed:
            if self._stopped:
                msg = "another object of this store could not be written"
                raise FileError(msg)
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Wait for those under way, and refuse new ones."""
        with self._changed:
            self._stopped = True
            self._changed.wait_for(lambda: not self._count)


class DurableStore(LocalStore):
    """A folder in which every object appears whole and on disk, or not at all."""

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._writes = Writes()

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object under a temporary name, and rename it."""
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Do the same without a loop."""
        self._check_writable()
        with self._writes:
            put(self.root / key, value.as_buffer_like())

    def stop(self) -> None:
        """Let the writes under way come to their end, and refuse all later ones.

        Zarr writes the chunks of a region side by side, and reports a failure before the others are done.
        """
        self._writes.stop()

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write an object unless there is one."""
        if not (self.root / key).exists():
            await self.set(key, value)


class WatchedStore(WrapperStore[Any]):
    """A store whose objects must stay what they were when the fingerprint was taken.

    Zarr reads a missing chunk as fill values, which would turn an input that is deleted under way into zeros.
    """

    def __init__(self, store: Store, folder: Path | None) -> None:
        super().__init__(store)
        self.folder = folder
        self.fingerprint: Fingerprint | None = None

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read an object; FileError if it vanished or changed."""
        value: Buffer | None = await super().get(key, prototype, byte_range)
        if self.fingerprint is not None:
            self._compare(self.fingerprint, key, value)
        return value

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Do the same without a loop."""
        value: Buffer | None = self._store.get_sync(key, prototype=prototype, byte_range=byte_range)
        if self.fingerprint is not None:
            self._compare(self.fingerprint, key, value)
        return value

    async def get_partial_values(self, prototype: BufferPrototype, key_ranges: Any) -> list[Buffer | None]:
        """Read parts of objects."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    def _compare(self, fingerprint: Fingerprint, key: str, value: Buffer | None) -> None:
        known = fingerprint.knows(key)
        if value is None:
            if known:
                msg = f"the object {key} was there when the job began and is gone; restore the input, then resume"
                raise FileError(msg)
            return
        if self.folder is None:
            return
        try:
            same = known and fingerprint.unchanged(key, local_stamp(self.folder / key))
        except FileNotFoundError:
            same = False
        if not same:
            msg = f"the object {key} changed since the job began; start again with --force (force=True)"
            raise FileError(msg)
