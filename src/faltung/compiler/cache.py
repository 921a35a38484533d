"""Object code on disk: private, verified before use, and disposable at any time.

One file per kernel, named by the SHA-256 of everything that determines its code. A file holds a magic number, the
key, the SHA-256 of the payload and the payload; whatever does not match is deleted and compiled again. Nothing is
unpickled. The folder must belong to us and be writable by nobody else, otherwise it is not used.

FALTUNG_CACHE_DIR moves the folder, FALTUNG_CACHE=0 turns the cache off.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import warnings
from functools import lru_cache
from pathlib import Path

MAGIC = b"FALTUNG\x01"
HEADER = len(MAGIC) + 2 * hashlib.sha256().digest_size
LIMIT_BYTES = 64 << 20
_NAME = re.compile(r"[0-9a-f]{64}\.o")
_warned = False


def folder() -> Path:
    """Give the cache folder (which need not exist).

    >>> folder().is_absolute()
    True
    """
    chosen = os.environ.get("FALTUNG_CACHE_DIR")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path("~/.cache").expanduser()).absolute() / "faltung"


def entries() -> list[tuple[str, int]]:
    """List (name, bytes) of the kept objects, the most recently used first."""
    files = []
    for path in _files(folder()):
        with contextlib.suppress(OSError):
            status = path.stat()
            files.append((status.st_mtime, path.name, status.st_size))
    return [(name, size) for _, name, size in sorted(files, reverse=True)]


def clear() -> int:
    """Delete every kept object and say how many there were."""
    count = 0
    for path in _files(folder()):
        with contextlib.suppress(OSError):
            path.unlink()
            count += 1
    return count


def load(key: bytes) -> bytes | None:
    """Give the object kept under a 32-byte key, or None; an entry that does not verify is deleted."""
    home = _trusted_folder()
    if home is None:
        return None
    path = home / f"{key.hex()}.o"
    try:
        data = _read(path)
    except OSError:
        return None
    payload = data[HEADER:]
    expected = MAGIC + key + hashlib.sha256(payload).digest()
    if data[:HEADER] != expected or not payload:
        _warn(f"the kernel cache entry {path} is damaged or foreign; it is compiled again")
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return payload


def store(key: bytes, payload: bytes) -> None:
    """Keep an object under a 32-byte key; failing to is no error, the next process compiles again."""
    home = _trusted_folder(create=True)
    if home is None:
        return
    data = MAGIC + key + hashlib.sha256(payload).digest() + payload
    try:
        # (The tempfile module would double the time to import faltung.)
        temporary = home / f".writing-{os.getpid()}-{os.urandom(8).hex()}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            temporary.replace(home / f"{key.hex()}.o")
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _shrink_once(home)
    except OSError as error:
        _warn(f"the kernel cache {home} cannot be written ({error.strerror}); kernels are compiled in every process")


def _files(home: Path) -> list[Path]:
    try:
        return [path for path in home.iterdir() if _NAME.fullmatch(path.name)]
    except OSError:
        return []


def _read(path: Path) -> bytes:
    # A symbolic link could lead to a file that others write.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(handle, "rb") as file:
        return file.read(LIMIT_BYTES)


def _trusted_folder(*, create: bool = False) -> Path | None:
    """Give the folder if only we can write to it; objects from any other folder would be somebody else's code."""
    if os.environ.get("FALTUNG_CACHE") == "0":
        return None
    try:
        home = folder()
    except RuntimeError:  # a user without a home folder, as in some containers
        return None
    try:
        if create:
            home.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                home.mkdir(mode=0o700)
        status = home.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn(f"the kernel cache {home} cannot be used ({error.strerror}); kernels are compiled in every process")
        return None
    if not stat.S_ISDIR(status.st_mode):
        _warn(f"the kernel cache {home} is not a folder; kernels are compiled in every process")
        return None
    if not hasattr(os, "geteuid"):
        return home
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        _warn(
            f"the kernel cache {home} is not used: it must belong to the current user and be writable by nobody else "
            "(chmod 700), or set FALTUNG_CACHE_DIR to a folder that is"
        )
        return None
    return home


@lru_cache(1)
def _shrink_once(home: Path) -> None:
    """Delete the least recently used objects beyond the limit, once in a process: a program adds only a handful."""
    total = 0
    for name, size in entries():
        total += size
        if total > LIMIT_BYTES:
            with contextlib.suppress(OSError):
                (home / name).unlink()


def _warn(message: str) -> None:
    """Warn once in a process: a broken cache costs time, not answers."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(message, RuntimeWarning, stacklevel=2)
