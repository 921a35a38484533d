"""The journal of a job: what it is, and which regions are on disk. One file or object, gone when the job is done."""

from __future__ import annotations

import base64
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from faltung.errors import FileError
from faltung.files import durable
from faltung.files.durable import put
from faltung.files.fingerprint import Fingerprint
from faltung.files.optional import need
from faltung.files.stores import Address

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from faltung.files.stores import Box

SUFFIX = ".faltung-job"
VERSION = 1
PATIENCE = 5.0  # seconds between two copies of a remote journal


@dataclass(frozen=True)
class Head:
    """What a job is: only the same job may go on."""

    plan: str
    token: str
    settings: dict[str, Any]
    layout: dict[str, Any]
    input: Fingerprint
    content: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Describe it."""
        packed = base64.b85encode(self.input.to_bytes()).decode()
        return {
            "faltung": VERSION, "plan": self.plan, "token": self.token, "settings": self.settings,
            "layout": self.layout, "input": packed, "content": self.content,
        }  # fmt: skip

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Read it."""
        prints = Fingerprint.from_bytes(base64.b85decode(found["input"]))
        return cls(found["plan"], found["token"], found["settings"], found["layout"], prints, found["content"])

    def refusal(self, before: Head, names: Iterable[str]) -> str:
        """Say why a job that began as `before` cannot go on as this; the empty text if it can."""
        if self.plan != before.plan:
            return "the problem or its arithmetic is another one: shapes, boundary, stride, dtype or algorithm"
        if self.token != before.token:
            return "the kernel is another one"
        for name, now in self.settings.items():
            if now != before.settings.get(name):
                return f"{name} was {before.settings.get(name)} and is {now}"
        changed = self.input.difference(before.input, names)
        if changed:
            return f"the input changed: {changed}"
        if self.content != before.content:
            return "the input's bytes changed, though not its sizes and times"
        for name, now in self.layout.items():
            if now != before.layout.get(name):
                return f"the output's {name} was {before.layout.get(name)} and is {now}"
        return ""


@dataclass
class Journal:
    """The journal of one output, locked as long as it is open (where that is a local file)."""

    address: Address
    head: Head | None = None
    done: list[Box] = field(default_factory=list)
    _file: Any = None
    _sent: float = 0.0

    @classmethod
    def of(cls, target: Address, *, anew: bool = False) -> Self:
        """Find the journal of an output, or begin to keep one (`anew` in any case); nothing is written yet."""
        journal = cls(Address(target.url.rstrip("/") + SUFFIX))
        text = b"" if anew else journal._read()
        if text:
            journal._understand(text)
        return journal

    def begin(self, head: Head) -> None:
        """Write a new journal."""
        self.head, self.done = head, []
        self._write()
        self.lock()

    def check_free(self) -> None:
        """Raise FileError if another process keeps this journal."""
        if not self.address.remote and self.address.path.exists():
            self.lock()
            self.close()

    def lock(self) -> None:
        """Keep other processes out, and make ready to append.

        Raises:
            FileError: another process works on the same output.
        """
        if self.address.remote:
            return
        path = self.address.path
        for left in path.parent.glob(f".{path.name}.*{durable.SUFFIX}"):
            left.unlink(missing_ok=True)
        self._file = path.open("r+b")
        with suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.close()
                msg = f"{self.address.url}: another process works on this job; wait for it, or stop it"
                raise FileError(msg) from None
        # A line that was cut off by a kill is dropped, so that the next one stands alone.
        text = path.read_bytes()
        self._file.truncate(text.rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)

    def add(self, region: Box) -> None:
        """Record a region that is on disk."""
        self.done.append(region)
        if self._file is not None:
            try:
                self._file.write(_line(region))
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise self._unwritten(error) from error
        elif time.monotonic() - self._sent > PATIENCE:
            self._write()

    def remaining(self, runs: Sequence[Sequence[Box]], shape: Sequence[int], units: Sequence[int]) -> list[list[Box]]:
        """Leave out the regions whose units are all done, however they were cut then."""
        if not self.done:
            return [list(run) for run in runs]
        marks = np.zeros([-(-n // unit) for n, unit in zip(shape, units, strict=True)], bool)
        for region in self.done:
            marks[_cells(region, units)] = True
        left = [[region for region in run if not marks[_cells(region, units)].all()] for run in runs]
        return [run for run in left if run]

    def flush(self) -> None:
        """Bring a remote journal up to date."""
        if self._file is None and self.head is not None:
            self._write()

    def remove(self) -> None:
        """Delete it: the job is done."""
        if self.address.remote:
            fs, path = need("fsspec", "a URL").core.url_to_fs(self.address.url)
            if fs.exists(path):
                fs.rm(path)
        else:
            self.address.path.unlink(missing_ok=True)
        self.head, self.done = None, []
        self.close()

    def close(self) -> None:
        """Let go of the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self) -> None:
        assert self.head is not None
        text = json.dumps(self.head.to_json()).encode() + b"\n" + b"".join(map(_line, self.done))
        if self.address.remote:
            fs, path = need("fsspec", "a URL").core.url_to_fs(self.address.url)
            fs.pipe_file(path, text)
            self._sent = time.monotonic()
            return
        try:
            put(self.address.path, text)
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: OSError) -> FileError:
        return FileError(f"{self.address.url}: cannot be written: {error.strerror or error}")

    def _read(self) -> bytes:
        if self.address.remote:
            fs, path = need("fsspec", "a URL").core.url_to_fs(self.address.url)
            return bytes(fs.cat_file(path)) if fs.exists(path) else b""
        return self.address.path.read_bytes() if self.address.path.exists() else b""

    def _understand(self, text: bytes) -> None:
        first, *lines = text[: text.rfind(b"\n") + 1].splitlines()
        try:
            found = json.loads(first)
            if found["faltung"] != VERSION:
                msg = f"{self.address.url}: written by another version of faltung; start again with --force"
                raise FileError(msg)
            self.head = Head.from_json(found)
            self.done = [tuple((int(a), int(b)) for a, b in json.loads(line)) for line in lines]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{self.address.url}: is no journal, or damaged ({error}); start again with --force (force=True)"
            raise FileError(msg) from error


def _line(region: Box) -> bytes:
    return json.dumps(region).encode() + b"\n"


def _cells(region: Box, units: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(start // unit, -(-stop // unit)) for (start, stop), unit in zip(region, units, strict=True))
