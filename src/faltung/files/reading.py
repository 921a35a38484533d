"""Opening a file: its first bytes say what it is, whatever its name."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import FaltungError, FileError
from faltung.files.picture import MAX_BYTES, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"II+\x00": "tiff",
    b"MM\x00+": "tiff",
    b"\x93NUMPY": "npy",
}


def read(path: str | Path, *, series: int | None = None, max_bytes: int = MAX_BYTES) -> Picture:
    """Read a PNG, JPEG, TIFF or NPY file whole.

    Returns a `Picture` whose ``array`` is in memory, in the file's dtype (native byte order) and shape.

    Raises:
        FileError: no such file, an unknown format, a damaged or truncated file, a size above ``max_bytes``,
            an NPY file of objects or records, a TIFF with several pictures and no ``series``.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "ramp.npy"
    >>> np.save(path, np.arange(6.0).reshape(2, 3))
    >>> read(path).array.shape
    (2, 3)
    """
    with open_picture(path, series=series, max_bytes=max_bytes) as picture, understood(path):
        whole = picture.array[...]
        return replace(picture, array=np.array(whole, dtype=whole.dtype.newbyteorder("=")))


def open_picture(path: str | Path, *, series: int | None = None, max_bytes: int = MAX_BYTES) -> Picture:
    """Open a file as `read` does, reading samples only when ``array`` is indexed.

    NPY files and uncompressed TIFF stacks are memory maps, other TIFF stacks are decoded page by page, PNG
    and JPEG at once. ``max_bytes`` bounds what one indexing decodes. Close it, or use it in ``with``.

    Raises:
        FileError: as `read`; a damaged page only shows when it is read.
    """
    path = Path(path)
    with understood(path):
        kind = format_of(path)
        if series is not None and kind != "tiff":
            msg = f"{path}: only TIFF files have a series, and this is {kind.upper()}"
            raise FileError(msg)
        if kind == "npy":
            from faltung.files.arrays import open_npy

            return open_npy(path, max_bytes)
        if kind == "tiff":
            from faltung.files.tiff import open_tiff

            return open_tiff(path, series, max_bytes)
        from faltung.files.images import open_image

        return open_image(path, kind, max_bytes)


def format_of(path: Path) -> str:
    """Return the format that the first bytes of a file announce."""
    with path.open("rb") as file:
        head = file.read(8)
    for signature, kind in SIGNATURES.items():
        if head.startswith(signature):
            return kind
    if not head:
        msg = f"{path}: the file is empty"
        raise FileError(msg)
    msg = f"{path}: the content is not PNG, JPEG, TIFF or NPY (it begins with {head!r})"
    raise FileError(msg)


@contextmanager
def understood(path: str | Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into a FileError that names the file."""
    try:
        yield
    except FaltungError:
        raise
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise FileError(msg) from None
    except IsADirectoryError:
        msg = f"{path}: this is a folder, not a file"
        raise FileError(msg) from None
    except PermissionError:
        msg = f"{path}: no permission to read it"
        raise FileError(msg) from None
    except MemoryError as error:
        msg = f"{path}: too large for the memory of this machine"
        raise FileError(msg) from error
    # Decoders raise nearly every type there is on damaged bytes, so nothing narrower would do.
    except Exception as error:
        msg = f"{path}: damaged, truncated or not supported: {error}"
        raise FileError(msg) from error
