"""Writing: what other programs read back, what is refused, and that nothing half-written stays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from faltung.errors import FileError
from faltung.files import check, read, write, write_blocks
from faltung.files import writing as module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RNG = np.random.default_rng(0)


def random(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Return random samples over the range of an integer dtype, or around 0."""
    if np.dtype(dtype).kind in "iu":
        return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    return RNG.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((7, 5), "uint8"), ((7, 5), "uint16"), ((7, 5, 2), "uint8"), ((7, 5, 3), "uint8"), ((1, 1, 4), "uint8")],
)
def test_png_as_pillow_reads_it(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    array = random(shape, dtype)
    write(tmp_path / "a.png", array, "yxc"[: len(shape)])
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), array)


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_png_as_opencv_reads_it(tmp_path: Path, channels: int) -> None:
    cv2 = pytest.importorskip("cv2")
    array = random((7, 5, channels), "uint16")
    write(tmp_path / "a.png", array, "yxc")
    found = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    order = [2, 1, 0, 3][:channels]
    np.testing.assert_array_equal(found[..., order], array)
    np.testing.assert_array_equal(read(tmp_path / "a.png").array, array)


def test_jpeg_is_close_and_colour_keeps_its_resolution(tmp_path: Path) -> None:
    smooth = np.indices((32, 32)).sum(0).astype(np.uint8)
    colour = np.stack([smooth, smooth[::-1], smooth.T], -1)
    write(tmp_path / "a.jpg", colour, "yxc")
    with Image.open(tmp_path / "a.jpg") as image:
        assert [(c[1], c[2]) for c in image.layer] == [(1, 1)] * 3
        np.testing.assert_allclose(np.asarray(image).astype(int), colour.astype(int), atol=8)


@pytest.mark.parametrize(
    ("shape", "axes", "tifffile_axes"),
    [((7, 5), None, "YX"), ((3, 7, 5), "zyx", "ZYX"), ((7, 5, 3), "yxc", "YXS"), ((2, 3, 7, 5), "tcyx", "TCYX")],
)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "complex64"])
def test_tiff_as_tifffile_reads_it(
    tmp_path: Path, shape: tuple[int, ...], axes: str | None, tifffile_axes: str, dtype: str
) -> None:
    array = random(shape, dtype)
    write(tmp_path / "a.tif", array, axes)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.series[0].axes == tifffile_axes
        np.testing.assert_array_equal(file.asarray(), array)


@pytest.mark.parametrize("flavour", ["imagej", "ome"])
def test_a_stack_keeps_its_kind_of_metadata(tmp_path: Path, flavour: str) -> None:
    array = random((3, 7, 5), "uint16")
    tifffile.imwrite(tmp_path / "in.tif", array, **{flavour: True}, photometric="minisblack", metadata={"axes": "ZYX"})
    like = read(tmp_path / "in.tif")
    write(tmp_path / "out.tif", array.astype(np.float32), like.axes, like=like)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert (file.series[0].kind, file.series[0].axes) == (flavour, "ZYX")
        np.testing.assert_array_equal(file.asarray(), array)


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [">f4", "int64", "complex128", "bool"])
def test_npy_as_numpy_reads_it(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    array = np.asarray(RNG.integers(0, 2, shape)).astype(dtype)
    write(tmp_path / "a.npy", array)
    found = np.load(tmp_path / "a.npy")
    assert (found.shape, found.dtype) == (shape, np.dtype(dtype))
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_blocks_follow_one_another(tmp_path: Path, suffix: str) -> None:
    array = random((6, 4, 5), "float32")
    write_blocks(tmp_path / f"a{suffix}", [array[:1], array[1:4], array[4:]], array.shape, array.dtype, "tyx")
    np.testing.assert_array_equal(read(tmp_path / f"a{suffix}").array, array)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "axes", "text"),
    [
        ("a.bmp", (4, 4), "u1", None, "the suffix '.bmp' names no format; use one of .png, .jpg, .jpeg, .tif, .tiff"),
        ("a", (4, 4), "u1", None, "the suffix '' names no format"),
        ("no/a.png", (4, 4), "u1", None, "does not exist; create it first"),
        ("a.png", (4, 4), "f4", None, "PNG holds uint8 or uint16, not float32; choose one with --dtype, or write TIFF"),
        ("a.jpg", (4, 4), "f4", None, "JPEG holds uint8, not float32; choose one with --dtype, or write TIFF or NPY"),
        ("a.jpg", (4, 4), "u2", None, "JPEG holds uint8, not uint16"),
        ("a.jpg", (4, 4, 4), "u1", "yxc", "JPEG holds 1, 3 channels, not 4; write TIFF or NPY"),
        ("a.jpg", (4, 65536), "u1", None, "JPEG holds 1 to 65535 samples along y and x, not 4 x 65536"),
        ("a.png", (4, 0), "u1", None, "PNG holds 1 to 2147483647 samples along y and x, not 4 x 0"),
        ("a.png", (4, 4, 5), "u1", "yxc", "PNG holds 1, 2, 3, 4 channels, not 5; write TIFF or NPY"),
        ("a.png", (4, 4, 2), "u2", "yxc", "16-bit PNG holds 1, 3 or 4 channels here, not 2"),
        ("a.png", (4, 4, 3), "u1", "tyx", "PNG holds yx or yxc, not axes tyx; name them with --layout, or write TIFF"),
        ("a.png", (4, 4, 3), "u1", None, "PNG holds yx or yxc, not 3 axes without names; name them with --layout"),
        ("a.tif", (4,), "u1", None, "TIFF holds at least two axes and no empty ones, not 4; write NPY"),
        ("a.tif", (0, 4), "u1", None, "TIFF holds at least two axes and no empty ones, not 0 x 4; write NPY"),
        ("a.tif", (4, 4), "g", None, "TIFF does not hold "),
    ],
)
def test_refused(tmp_path: Path, name: str, shape: tuple[int, ...], dtype: str, axes: str | None, text: str) -> None:
    array = np.zeros(shape, dtype)
    with pytest.raises(FileError, match=re.escape(text)):
        check(tmp_path / name, shape, array.dtype, axes)
    with pytest.raises(FileError, match=re.escape(text)):
        write(tmp_path / name, array, axes)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_with_force_only(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"precious")
    with pytest.raises(FileError, match=r"a\.npy: exists already; pass --force \(force=True\) to replace it"):
        write(path, np.ones(3))
    assert path.read_bytes() == b"precious"
    write(path, np.ones(3), force=True)
    np.testing.assert_array_equal(np.load(path), [1, 1, 1])


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(FileError, match="this is a folder; give a file name in it"):
        write(tmp_path / "a.npy", np.ones(3), force=True)


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"

    def blocks() -> Iterator[np.ndarray[Any, Any]]:
        path.write_bytes(b"precious")
        yield np.ones(3)

    with pytest.raises(FileError, match="exists already"):
        write_blocks(path, blocks(), (3,), np.dtype(float))
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.npy").touch()
    (tmp_path / "link.npy").symlink_to(tmp_path / "real.npy")
    write(tmp_path / "link.npy", np.ones(2), force=True)
    assert (tmp_path / "link.npy").is_symlink()
    np.testing.assert_array_equal(np.load(tmp_path / "real.npy"), [1, 1])


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".png"])
def test_nothing_stays_after_a_failure(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"precious")
    shape, axes = ((4, 4), "yx") if suffix == ".png" else ((4, 4, 4), "tyx")

    def failing() -> Iterator[np.ndarray[Any, Any]]:
        yield np.ones((2, *shape[1:]), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_blocks(path, failing(), shape, np.dtype(np.uint8), axes, force=True)
    for rows in (1, 5):
        block = np.ones((rows, *shape[1:]), np.uint8)
        text = f"blocks of {block.size} samples were given for a shape {shape}; give all, once, in C order"
        with pytest.raises(FileError, match=re.escape(text)):
            write_blocks(path, [block], shape, np.dtype(np.uint8), axes, force=True)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_publish", full)
    with pytest.raises(FileError, match=r"a\.npy: cannot be written: No space left on device"):
        write(tmp_path / "a.npy", np.ones(3))
    assert list(tmp_path.iterdir()) == []
