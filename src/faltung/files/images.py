"""PNG and JPEG, decoded and encoded by Pillow; 16-bit colour PNG is put together here."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faltung.errors import FileError
from faltung.files.picture import Picture, bounded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from PIL.ImageFile import ImageFile

Array: TypeAlias = np.ndarray[Any, Any]

CHANNELS = {"png": (1, 2, 3, 4), "jpeg": (1, 3)}
DTYPES = {"png": ("uint8", "uint16"), "jpeg": ("uint8",)}
LONGEST = {"png": 2**31 - 1, "jpeg": 65535}
DEFLATE_RATIO = 1032  # the most that zlib's format can compress


def open_image(path: Path, kind: str, max_bytes: int) -> Picture:
    """Decode a PNG or JPEG file: grey as ``yx``, colour as ``yxc``, upright."""
    from PIL import ImageOps
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

    # Not Image.open: it would apply Pillow's own limit, which --max-bytes cannot raise.
    with (PngImageFile if kind == "png" else JpegImageFile)(path) as image:
        _plausible(path, image, kind, max_bytes)
        if _packing(image).startswith(("RGB;16", "RGBA;16", "LA;16")):
            array = _decode_16_bit_colour(path, image)
        else:
            array = np.asarray(ImageOps.exif_transpose(_plain(path, image)))
    if array.dtype.kind == "i":
        array = array.astype(np.uint16)
    return Picture(array, "yx" if array.ndim == 2 else "yxc", kind)


def check_image(path: Path, kind: str, shape: tuple[int, ...], dtype: np.dtype[Any] | None, axes: str) -> None:
    """Refuse a shape, a dtype or axes that the format cannot hold."""
    name, other = kind.upper(), "write TIFF or NPY"
    if axes not in ("yx", "yxc") or len(axes) != len(shape):
        given = f"axes {axes}" if axes else f"{len(shape)} axes without names"
        msg = f"{path}: {name} holds yx or yxc, not {given}; name them with --layout, or {other}"
        raise FileError(msg)
    if len(shape) == 3 and shape[2] not in CHANNELS[kind]:
        numbers = ", ".join(map(str, CHANNELS[kind]))
        msg = f"{path}: {name} holds {numbers} channels, not {shape[2]}; {other}"
        raise FileError(msg)
    if min(shape) < 1 or max(shape[:2]) > LONGEST[kind]:
        size = " x ".join(map(str, shape))
        msg = f"{path}: {name} holds 1 to {LONGEST[kind]} samples along y and x, not {size}; {other}"
        raise FileError(msg)
    if dtype is not None and dtype.name not in DTYPES[kind]:
        names = " or ".join(DTYPES[kind])
        msg = f"{path}: {name} holds {names}, not {dtype.name}; choose one with --dtype, or {other}"
        raise FileError(msg)
    if dtype is not None and dtype.name == "uint16" and shape[2:] == (2,):
        msg = f"{path}: 16-bit PNG holds 1, 3 or 4 channels here, not 2; {other}"
        raise FileError(msg)


def save_image(path: Path, kind: str, blocks: Iterable[Array], shape: tuple[int, ...], dtype: Any) -> None:
    """Encode one picture; JPEG with quality 95 and no subsampling of colour."""
    from PIL import Image

    parts = [np.ascontiguousarray(block) for block in blocks]
    array = np.concatenate([part.reshape(-1) for part in parts]).astype(dtype, copy=False).reshape(shape)
    if shape[2:] == (1,):
        array = array[..., 0]
    if array.dtype == np.uint16 and array.ndim == 3:
        path.write_bytes(_encode_16_bit_colour(array))
    elif kind == "png":
        Image.fromarray(array).save(path, "PNG")
    else:
        Image.fromarray(array).save(path, "JPEG", quality=95, subsampling=0)


def _plausible(path: Path, image: ImageFile, kind: str, max_bytes: int) -> None:
    """Refuse a size that is not allowed, or that the bytes of the file cannot decode to."""
    width, height = image.size
    samples = 4 if image.mode == "P" else len(image.getbands())
    deep = "16" in _packing(image) or image.mode.startswith("I")
    bounded(path, (height, width, samples), height * width * samples * (2 if deep else 1), max_bytes)
    size = path.stat().st_size
    # A pixel takes one bit at least.
    if kind == "png" and height * width > size * DEFLATE_RATIO * 8:
        claim = f"the header claims {height} x {width} pixels, more than {size} bytes can hold"
        msg = f"{path}: {claim}; the file is truncated or damaged"
        raise FileError(msg)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        msg = f"{path}: an animation of {frames} frames is not read; save the frames as a TIFF stack"
        raise FileError(msg)


def _packing(image: ImageFile) -> str:
    """Return how samples lie in the file, in Pillow's words, such as ``RGB;16B``."""
    return str(image.tile[0].args) if image.tile else ""


def _plain(path: Path, image: ImageFile) -> Any:
    """Return the picture as grey or colour samples: a palette becomes colours, 1 bit becomes 0 and 255."""
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode not in ("L", "LA", "RGB", "RGBA", "I;16", "I"):
        msg = f"{path}: colour mode {image.mode} is not read; convert it to grey or RGB"
        raise FileError(msg)
    return image


def _decode_16_bit_colour(path: Path, image: ImageFile) -> Array:
    """Decode all 16 bits of a colour PNG, of which Pillow by itself keeps the upper 8."""
    if _packing(image).startswith("LA"):
        msg = f"{path}: 16-bit grey with alpha is not read; drop the alpha channel, or save RGBA"
        raise FileError(msg)
    from PIL import ImageOps
    from PIL.PngImagePlugin import PngImageFile

    # The upper byte comes first: unpacking as big-endian keeps upper bytes, as little-endian lower ones.
    halves = []
    for order in "BL":
        with PngImageFile(path) as half:
            half.tile = [tile._replace(args=f"{half.mode};16{order}") for tile in half.tile]
            halves.append(np.asarray(ImageOps.exif_transpose(half)).astype(np.uint16))
    return halves[0] << 8 | halves[1]


def _encode_16_bit_colour(array: Array) -> bytes:
    """Encode ``(y, x, c)`` uint16, which Pillow cannot; a line is stored as its change from the one above."""
    height, width, channels = array.shape
    lines = np.ascontiguousarray(array, ">u2").view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, lines.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2  # PNG filter type "up"; the line above the first one is 0
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(filtered.tobytes())) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
