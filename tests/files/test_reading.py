"""Reading real photographs, stacks that other programs wrote, and damaged files."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

from faltung.errors import FileError
from faltung.files import open_picture, read

PHOTOS = Path(skimage.data.__path__[0])
STACK = np.random.default_rng(1).integers(0, 256, (5, 16, 24), dtype=np.uint8)


def refused(path: Path, text: str, **options: Any) -> None:
    """Require that reading is refused with this text, naming the file."""
    with pytest.raises(FileError, match=re.escape(text)) as caught:
        read(path, **options)
    assert str(caught.value).startswith(f"{path}: ")


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, samples: bytes) -> bytes:
    """Return a PNG file put together from the standard alone."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(samples)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("name", "axes", "kind"),
    [("astronaut.png", "yxc", "png"), ("camera.png", "yx", "png"), ("rocket.jpg", "yxc", "jpeg")],
)
def test_photographs_as_pillow_decodes_them(name: str, axes: str, kind: str) -> None:
    picture = read(PHOTOS / name)
    with Image.open(PHOTOS / name) as image:
        np.testing.assert_array_equal(picture.array, np.asarray(image))
    assert (picture.axes, picture.format) == (axes, kind)


def test_16_bit_png_keeps_all_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for colour, channels in ((0, 1), (2, 3), (6, 4)):
        array = rng.integers(0, 65536, (4, 5, channels), dtype=np.uint16)
        lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
        path = tmp_path / "deep.png"
        path.write_bytes(png(5, 4, 16, colour, lines))
        found = read(path)
        assert found.array.dtype == np.uint16
        np.testing.assert_array_equal(found.array, array[..., 0] if channels == 1 else array)


def test_orientation_is_applied_as_a_viewer_does(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row of the file is the right-hand side of the picture
    Image.fromarray(array).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "turned.png").array, np.rot90(array, -1))


def test_palettes_become_colours_and_bits_become_grey(tmp_path: Path) -> None:
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read(tmp_path / "palette.png").array, [[[10, 20, 30], [40, 50, 60]]])
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read(tmp_path / "bits.png").array, [[255, 0]])


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ({"imagej": True, "metadata": {"axes": "ZYX"}}, "zyx"),
        ({"imagej": True, "metadata": {"axes": "TYX"}}, "tyx"),
        ({"ome": True, "metadata": {"axes": "CYX"}}, "cyx"),
        ({"ome": True, "compression": "zlib", "metadata": {"axes": "ZYX"}}, "zyx"),
        ({"metadata": {"axes": "TYX"}, "byteorder": ">"}, "tyx"),
        ({"metadata": {"axes": "TYX"}, "bigtiff": True}, "tyx"),
        ({"metadata": None}, None),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_stacks_carry_the_axes_of_their_metadata(tmp_path: Path, options: Any, axes: str | None, dtype: str) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK.astype(dtype), photometric="minisblack", **options)
    picture = read(path)
    assert picture.axes == axes
    assert picture.array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(picture.array, STACK)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_indexing_a_stack_reads_what_it_selects(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "stack.tif"
    hyper = np.random.default_rng(3).integers(0, 9, (2, 3, 6, 7), dtype=np.uint16)
    tifffile.imwrite(path, hyper, photometric="minisblack", compression=compression, metadata={"axes": "TZYX"})
    with open_picture(path) as picture:
        for index in np.s_[..., :], np.s_[1], np.s_[0, 1:3], np.s_[..., 2], np.s_[1, ..., 3:5], np.s_[:, 2, 1]:
            np.testing.assert_array_equal(picture.array[index], hyper[index])


def test_colour_tiff(tmp_path: Path) -> None:
    colour = np.random.default_rng(4).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", colour, photometric="rgb")
    picture = read(tmp_path / "rgb.tif")
    assert picture.axes == "yxc"
    np.testing.assert_array_equal(picture.array, colour)


def test_series_are_chosen_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK[0], metadata=None)
        writer.write(STACK[1, :4, :4].astype(np.uint16), metadata=None)
    refused(path, "holds 2 pictures (0: YX 16 x 24, 1: YX 4 x 4); choose one with --series")
    refused(path, "there is no series 2; it holds 0: YX 16 x 24, 1: YX 4 x 4", series=2)
    np.testing.assert_array_equal(read(path, series=1).array, STACK[1, :4, :4])
    np.save(tmp_path / "a.npy", STACK)
    refused(tmp_path / "a.npy", "only TIFF files have a series, and this is NPY", series=0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f4", "<i8", "c8", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 3), (4,), (2, 3, 4, 5, 2)])
def test_npy_of_any_rank(tmp_path: Path, order: Any, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.random.default_rng(5).integers(0, 2, shape)).astype(dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    picture = read(tmp_path / "a.npy")
    assert picture.axes is None
    assert picture.array.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(picture.array, array)


def test_refused_npy(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((100, 10)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    refused(path, "the header claims 100 x 10 float64, 8000 bytes, but 7992 follow; the file is truncated or damaged")
    path.write_bytes(whole[:40])
    refused(path, "damaged, truncated or not supported")
    path.write_bytes(whole.replace(b"(100, 10), }", b"(-10, 10), }"))
    refused(path, "the header claims a negative length: (-10, 10)")
    path.write_bytes(whole)
    refused(path, "100 x 10 samples need 8000 bytes, more than the limit of 7999; raise it with", max_bytes=7999)
    assert read(path, max_bytes=8000).shape == (100, 10)
    np.save(path, np.array([None]))
    refused(path, "holds Python objects, which are never unpickled; save a numeric array")
    np.save(path, np.array(["text"]))
    refused(path, "holds <U4, which is not numeric; save an array of numbers")


def test_refused_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    photo = (PHOTOS / "astronaut.png").read_bytes()
    path.write_bytes(photo[: len(photo) // 2])
    refused(path, "damaged, truncated or not supported")
    path.write_bytes(photo)
    refused(path, "512 x 512 x 3 samples need 786432 bytes, more than the limit of 786431", max_bytes=786431)
    path.write_bytes(png(60000, 60000, 8, 0, b"\0"))
    refused(
        path, "the header claims 60000 x 60000 pixels, more than 66 bytes can hold; the file is truncated or damaged"
    )
    frames = [Image.fromarray(page) for page in STACK[:2]]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    refused(path, "an animation of 2 frames is not read; save the frames as a TIFF stack")
    Image.fromarray(np.zeros((2, 2, 4), np.uint8), "CMYK").save(tmp_path / "a.jpg")
    refused(tmp_path / "a.jpg", "colour mode CMYK is not read; convert it to grey or RGB")


def test_truncated_jpeg(tmp_path: Path) -> None:
    Image.fromarray(STACK[0]).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[:-100])
    refused(tmp_path / "a.jpg", "damaged, truncated or not supported: image file is truncated")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_refused_tiff(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", compression=compression, metadata={"axes": "TYX"})
    refused(path, "5 x 16 x 24 samples need 1920 bytes, more than the limit of 1919", max_bytes=1919)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "truncated or")
    path.write_bytes(whole[:6])
    refused(path, "damaged, truncated or")


def test_neither_a_name_nor_a_guess_makes_a_format(tmp_path: Path) -> None:
    refused(tmp_path / "absent.png", "no such file")
    refused(tmp_path, "this is a folder, not a file")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "the file is empty")
    (tmp_path / "text.png").write_text("hello, world")
    refused(tmp_path / "text.png", "the content is not PNG, JPEG, TIFF or NPY (it begins with b'hello, w')")


def test_layout_names_the_axes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", STACK)
    picture = read(tmp_path / "a.npy")
    assert picture.with_layout("TYX").axes == "tyx"
    for wrong in ("yx", "tyy", "t1x"):
        text = f"layout {wrong!r} does not name the 3 axes of 5 x 16 x 24; give one distinct letter per axis"
        with pytest.raises(FileError, match=re.escape(text)):
            picture.with_layout(wrong)
