"""A kernel from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from faltung.errors import FileError, GeometryError
from faltung.filters.filter import Filter


def custom(file: str | Path, ndim: int | None = None) -> Filter:
    """Return the kernel stored in an NPY file, in its own shape and dtype.

    Args:
        file: the NPY file.
        ndim: the number of axes the kernel must have; None: any.

    Raises:
        FileError: the file cannot be read, is truncated, or holds Python objects or records.
        GeometryError: ``ndim`` is given and the array has another rank.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "edge.npy"
    >>> np.save(path, [-1, 1])
    >>> custom(path).kernel
    array([-1,  1])
    """
    from faltung.files import read

    picture = read(file)
    if picture.format != "npy":
        msg = f"{file}: a kernel is read from an NPY file, and this is {picture.format.upper()}"
        raise FileError(msg)
    if ndim is not None and picture.ndim != ndim:
        message = f"{file}: the kernel has {picture.ndim} axes, but {ndim} axes are filtered"
        msg = f"{message}; name {picture.ndim} axes, or give a kernel with {ndim}"
        raise GeometryError(msg)
    return Filter("custom", np.asarray(picture.array), f"taps of {Path(file).name}", {"file": str(file)})
