"""TIFF through tifffile: stacks with named axes, mapped or decoded page by page."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faltung.errors import FileError
from faltung.files.picture import Picture, bounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Array: TypeAlias = np.ndarray[Any, Any]

UNNAMED = set("QI")  # tifffile's letters for "some axis" and "page after page"
DTYPES = {"bool", "complex64", "complex128", "float16", "float32", "float64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
IMAGEJ_DTYPES = ("uint8", "uint16", "float32")
OME_DTYPES = DTYPES - {"bool", "float16", "int64", "uint64"}
CLASSIC_BYTES = 2**32 - 2**25  # above this a TIFF needs 64-bit offsets


def open_tiff(path: Path, number: int | None, max_bytes: int) -> Picture:
    """Open one series of a TIFF file; its pages are read when the array is indexed."""
    import tifffile

    with ExitStack() as stack:
        with _no_warnings(path):
            # Files that an OME header names beside this one are not opened: the user named one file.
            file = stack.enter_context(tifffile.TiffFile(path, _multifile=False))
            series = _choose(path, file.series, number)
            array = _stored(path, file, series, number or 0, max_bytes)
        stack.pop_all()
    axes = _letters(series.axes)
    return Picture(array, axes, "tiff", series.kind, "" if axes else series.axes, file.close)


def check_tiff(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any] | None, axes: str) -> None:
    """Refuse a shape or a dtype that TIFF cannot hold."""
    if len(shape) < 2 or not math.prod(shape):
        size = " x ".join(map(str, shape)) or "a scalar"
        msg = f"{path}: TIFF holds at least two axes and no empty ones, not {size}; write NPY"
        raise FileError(msg)
    if dtype is not None and dtype.name not in DTYPES:
        msg = f"{path}: TIFF does not hold {dtype.name}; choose another with --dtype, or write NPY"
        raise FileError(msg)


def save_tiff(
    path: Path,
    blocks: Iterable[Array],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    axes: str,
    flavour: str,
) -> None:
    """Write pages; an ImageJ or OME input keeps its kind of metadata where that can hold the result."""
    import tifffile

    channels = axes[-3:] == "yxc"
    page = shape[-3:] if channels else shape[-2:]
    nbytes = math.prod(shape) * dtype.itemsize
    kind = _flavour(flavour, shape, axes, dtype, nbytes)
    metadata = {"axes": axes.upper().replace("C", "S") if channels else axes.upper()} if axes else {}
    big = nbytes > CLASSIC_BYTES
    flavours = {name: name == kind for name in ("imagej", "ome", "shaped")}
    with _no_warnings(path), tifffile.TiffWriter(path, bigtiff=big, **flavours) as writer:  # type: ignore[arg-type]
        writer.write(
            _pages(blocks, page, dtype),
            shape=shape,
            dtype=dtype,
            photometric="rgb" if channels and page[-1] in (3, 4) else "minisblack",
            planarconfig="contig" if channels and page[-1] > 1 else None,
            metadata=metadata,
        )


class Pages:
    """A stack whose pages are decoded when it is indexed along its leading axes."""

    def __init__(self, path: Path, file: Any, series: Any, number: int, max_bytes: int) -> None:
        self.path, self.file, self.number, self.max_bytes = path, file, number, max_bytes
        self.shape: tuple[int, ...] = tuple(series.shape)
        self.dtype: np.dtype[Any] = np.dtype(series.dtype)
        self.ndim = len(self.shape)
        self.page: tuple[int, ...] = tuple(series.keyframe.shape)
        self.leading = self.shape[: self.ndim - len(self.page)]

    def __getitem__(self, index: Any) -> Array:
        index = index if isinstance(index, tuple) else (index,)
        if ... in index:
            before, after = index[: index.index(...)], index[index.index(...) + 1 :]
            index = before + (slice(None),) * (self.ndim - len(before) - len(after)) + after
        split = len(self.leading)
        numbers = np.arange(math.prod(self.leading)).reshape(self.leading)[index[:split]]
        shape = (*numbers.shape, *self.page)
        bounded(self.path, shape, math.prod(shape) * self.dtype.itemsize, self.max_bytes)
        with _no_warnings(self.path):
            pages = self.file.asarray(key=numbers.ravel().tolist(), series=self.number)
        decoded: Array = pages.reshape(shape)
        part: Array = decoded[(slice(None),) * numbers.ndim + index[split:]]
        return part


class WholeSeries(Pages):
    """A series whose pages do not line up with its axes: indexing decodes all of it."""

    def __getitem__(self, index: Any) -> Array:
        bounded(self.path, self.shape, math.prod(self.shape) * self.dtype.itemsize, self.max_bytes)
        with _no_warnings(self.path):
            decoded: Array = self.file.asarray(series=self.number)
        part: Array = decoded.reshape(self.shape)[index]
        return part


def _choose(path: Path, found: list[Any], number: int | None) -> Any:
    if not found:
        msg = f"{path}: the TIFF holds no picture"
        raise FileError(msg)
    listing = ", ".join(f"{i}: {s.axes} {' x '.join(map(str, s.shape))}" for i, s in enumerate(found))
    if number is None and len(found) > 1:
        msg = f"{path}: holds {len(found)} pictures ({listing}); choose one with --series"
        raise FileError(msg)
    if number is not None and not 0 <= number < len(found):
        msg = f"{path}: there is no series {number}; it holds {listing}"
        raise FileError(msg)
    return found[number or 0]


def _stored(path: Path, file: Any, series: Any, number: int, max_bytes: int) -> Any:
    shape, dtype = tuple(series.shape), series.dtype
    if dtype is None or dtype.kind not in "biufc":
        msg = f"{path}: samples of type {dtype} are not read; convert them to numbers"
        raise FileError(msg)
    if series.dataoffset is not None and series.keyframe.is_memmappable:
        needed, size = math.prod(shape) * dtype.itemsize, path.stat().st_size
        if series.dataoffset + needed > size:
            msg = (
                f"{path}: the header claims {' x '.join(map(str, shape))} {dtype}, {needed} bytes from byte "
                f"{series.dataoffset} on, but the file has {size} bytes; it is truncated or damaged"
            )
            raise FileError(msg)
        from faltung.files.arrays import BoundedMap

        order = dtype.newbyteorder(file.byteorder)
        return BoundedMap(path, np.memmap(path, order, "r", series.dataoffset, shape), max_bytes)
    page = tuple(series.keyframe.shape)
    leading = shape[: len(shape) - len(page)]
    aligned = shape[len(leading) :] == page and math.prod(leading) == len(series)
    return (Pages if aligned else WholeSeries)(path, file, series, number, max_bytes)


def _letters(axes: str) -> str | None:
    """Return one distinct lower-case letter per axis, or None where the file leaves an axis unnamed."""
    if UNNAMED & set(axes) or len(set(axes)) != len(axes):
        return None
    return (axes if "C" in axes else axes.replace("S", "C")).lower()


def _flavour(flavour: str, shape: tuple[int, ...], axes: str, dtype: np.dtype[Any], nbytes: int) -> str:
    """Return the metadata to write: the kind asked for where it can hold the result, else tifffile's."""
    colour = axes[-3:] == "yxc"
    order = "tzyxc" if colour else "tzcyx"
    if not axes or not set(axes) <= set(order) or list(axes) != sorted(axes, key=order.index):
        return "shaped"
    if flavour == "ome" and dtype.name in OME_DTYPES:
        return "ome"
    # ImageJ's colour pages are 8-bit RGB.
    holds = dtype.name in IMAGEJ_DTYPES and (not colour or (shape[-1] in (3, 4) and dtype.name == "uint8"))
    return "imagej" if flavour == "imagej" and holds and nbytes <= CLASSIC_BYTES else "shaped"


def _pages(blocks: Iterable[Array], page: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Array]:
    for block in blocks:
        yield from np.ascontiguousarray(block, dtype).reshape(-1, *page)


@contextmanager
def _no_warnings(path: Path) -> Iterator[None]:
    """Turn a warning that tifffile logs into an error: it announces missing pages, or pages read as zero."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    if said:
        msg = f"{path}: damaged, truncated or unusual TIFF: {'; '.join(dict.fromkeys(said))}"
        raise FileError(msg)
