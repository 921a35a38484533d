"""Writing a file that appears complete under its name, or not at all."""

from __future__ import annotations

import math
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faltung.errors import FaltungError, FileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from faltung.files.picture import Picture

Array: TypeAlias = np.ndarray[Any, Any]

SUFFIXES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".npy": "npy",
}


def write(
    path: str | Path,
    array: Array,
    axes: str | None = None,
    *,
    like: Picture | None = None,
    force: bool = False,
) -> None:
    """Write an array as PNG, JPEG, TIFF or NPY, as the suffix of ``path`` says.

    ``axes`` names the axes by letter (``"yx"``, ``"yxc"``, ``"tyx"``); two axes without names are ``yx``.
    ``like`` is the picture the array was made from: a TIFF keeps its kind of metadata. Samples are never
    rounded, scaled or clipped here.

    Raises:
        FileError: an unknown suffix, an existing file without ``force``, a shape or dtype that the format
            cannot hold, or a disk that cannot be written. Nothing is left behind then.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "grey.png"
    >>> write(path, np.zeros((4, 5), np.uint8))
    >>> write(path, np.zeros((4, 5), np.uint8))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    faltung.errors.FileError: ...grey.png: exists already; pass --force (force=True) to replace it
    """
    array = np.asarray(array)
    write_blocks(path, [array], array.shape, array.dtype, axes, like=like, force=force)


def write_blocks(
    path: str | Path,
    blocks: Iterable[Array],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    axes: str | None = None,
    *,
    like: Picture | None = None,
    force: bool = False,
) -> None:
    """Write as `write` does, from blocks that follow one another in C order and hold whole pages.

    TIFF and NPY keep one block in memory at a time. An error raised by ``blocks`` leaves nothing behind.
    """
    path = Path(path)
    check(path, shape, dtype, axes, force=force)
    kind, letters = SUFFIXES[path.suffix.lower()], _named(shape, axes)
    with _appearing(path, force) as temporary:
        if kind == "npy":
            from faltung.files.arrays import save_npy

            save_npy(temporary, _complete(blocks, shape), shape, dtype)
        elif kind == "tiff":
            from faltung.files.tiff import save_tiff

            flavour = "ome" if ".ome" in path.suffixes[-2:-1] else like.flavour if like else ""
            save_tiff(temporary, _complete(blocks, shape), shape, dtype, letters, flavour)
        else:
            from faltung.files.images import save_image

            save_image(temporary, kind, _complete(blocks, shape), shape, dtype)


def check(
    path: str | Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any] | None,
    axes: str | None = None,
    *,
    force: bool = False,
) -> None:
    """Refuse, before anything is computed, what `write` would refuse; ``dtype`` may not be known yet.

    Raises:
        FileError: as `write`.
    """
    path = Path(path)
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(SUFFIXES)
        msg = f"{path}: the suffix {path.suffix!r} names no format; use one of {known}"
        raise FileError(msg)
    if path.is_dir():
        msg = f"{path}: this is a folder; give a file name in it"
        raise FileError(msg)
    if not path.parent.is_dir():
        msg = f"{path}: the folder {path.parent} does not exist; create it first"
        raise FileError(msg)
    if os.path.lexists(path) and not force:
        raise _exists(path)
    if kind == "tiff":
        from faltung.files.tiff import check_tiff

        check_tiff(path, shape, dtype, _named(shape, axes))
    elif kind != "npy":
        from faltung.files.images import check_image

        check_image(path, kind, shape, dtype, _named(shape, axes))


def _named(shape: tuple[int, ...], axes: str | None) -> str:
    return axes if axes is not None else "yx" if len(shape) == 2 else ""


def _exists(path: Path) -> FileError:
    return FileError(f"{path}: exists already; pass --force (force=True) to replace it")


def _complete(blocks: Iterable[Array], shape: tuple[int, ...]) -> Iterator[Array]:
    """Pass blocks on, and refuse to finish a file that has too few or too many samples."""
    written = 0
    for block in blocks:
        written += block.size
        yield block
    if written != math.prod(shape):
        msg = f"blocks of {written} samples were given for a shape {shape}; give all, once, in C order"
        raise FileError(msg)


@contextmanager
def _appearing(path: Path, force: bool) -> Iterator[Path]:
    """Yield a temporary file in the same folder that takes the final name when the block ends well."""
    # Through a symbolic link the file it names is replaced, and the link stays.
    final = path.resolve()
    temporary = final.with_name(f".{final.stem}.{secrets.token_hex(6)}.part{final.suffix}")
    try:
        yield temporary
        _publish(temporary, final, force)
    except FaltungError:
        raise
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror or error}"
        raise FileError(msg) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _publish(temporary: Path, final: Path, force: bool) -> None:
    if force:
        temporary.replace(final)
        return
    try:
        # Unlike a rename, a link never replaces a file that appeared in the meantime.
        os.link(temporary, final)
    except FileExistsError:
        raise _exists(final) from None
    except OSError:
        # A file system without hard links.
        if final.exists():
            raise _exists(final) from None
        temporary.replace(final)
