"""Files cut off anywhere, and files with any byte changed: refused by name, or read exactly; never read wrongly."""

from __future__ import annotations

import io
import logging
import os
import stat
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from faltung.errors import FileError
from faltung.files import open_picture, read, write, write_blocks

if TYPE_CHECKING:
    from pathlib import Path

STACK = np.random.default_rng(7).integers(0, 4000, (4, 10, 12)).astype(np.uint16)


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, STACK)
    return file.getvalue()


def tiff(**options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, STACK, photometric="minisblack", **options)
    return file.getvalue()


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(STACK[0]).save(file, "PNG")
    return file.getvalue()


WHOLE = {
    "npy": (npy(), STACK),
    "tiff": (tiff(metadata=None), STACK),
    "shaped": (tiff(metadata={"axes": "TYX"}), STACK),
    "imagej": (tiff(imagej=True, metadata={"axes": "ZYX"}), STACK),
    "ome": (tiff(ome=True, metadata={"axes": "TYX"}), STACK),
    "zlib": (tiff(compression="zlib", metadata={"axes": "TYX"}), STACK),
    "png": (png(), STACK[0]),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_off_anywhere_is_refused_or_read_exactly(tmp_path: Path, kind: str, capfd: Any) -> None:
    content, expected = WHOLE[kind]
    path, refusals, wrong = tmp_path / "cut", [], []
    for length in {*range(0, len(content), 7), *range(len(content) - 40, len(content))}:
        path.write_bytes(content[:length])
        try:
            found = np.asarray(read(path).array)
        except FileError as error:
            refusals.append(str(error))
            continue
        if found.shape != expected.shape or not np.array_equal(found, expected):
            wrong.append((length, found.shape))
    assert not wrong
    assert len(refusals) > 0.5 * len(content) / 7
    assert all(text.startswith(f"{path}: ") for text in refusals)
    # Decoders log and warn; what they know belongs into the error.
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["png", "zlib", "npy"])
def test_any_changed_byte_ends_in_samples_or_in_a_refusal(tmp_path: Path, kind: str) -> None:
    content, _ = WHOLE[kind]
    header, path, refusals = content[:1500], tmp_path / "changed", []
    for position in range(0, len(header), 2):
        for mask in (0x01, 0xFF):
            changed = bytearray(content)
            changed[position] ^= mask
            path.write_bytes(changed)
            try:
                read(path, max_bytes=2**20)
            except FileError as error:
                refusals.append(str(error))
    assert len(refusals) > 20
    assert all(text.startswith(f"{path}: ") for text in refusals)
    assert logging.getLogger("tifffile").handlers == []


def test_planar_colour_is_indexed_within_a_page_and_bounded(tmp_path: Path) -> None:
    frames = STACK.reshape(1, 4, 10, 12)[:, :3].repeat(5, axis=0) + np.arange(5, dtype=np.uint16)[:, None, None, None]
    options: Any = {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}
    tifffile.imwrite(tmp_path / "a.tif", frames, metadata={"axes": "TSYX"}, **options)
    page = 3 * 10 * 12 * 2
    with open_picture(tmp_path / "a.tif", max_bytes=2 * page) as picture:
        assert picture.axes == "tcyx"
        for index in [(3, slice(1, 3)), (slice(1, 3),), (4, 2, slice(3, 9))]:
            np.testing.assert_array_equal(picture.array[index], frames[index])
        with pytest.raises(FileError, match=f"samples need {3 * page} bytes, more than the limit of {2 * page}"):
            picture.array[1:4]


def test_deep_grey_with_alpha_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 4, 0, 0, 0))
    sample = chunk(b"IDAT", zlib.compress(b"\0\1\2\3\4"))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + sample + chunk(b"IEND", b""))
    with pytest.raises(FileError, match="16-bit grey with alpha is not read; drop the alpha channel, or save RGBA"):
        read(tmp_path / "a.png")


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "a.npy", STACK)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.npy").stat().st_mode) == 0o640


def test_pillows_own_limit_does_not_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    (tmp_path / "a.png").write_bytes(WHOLE["png"][0])
    np.testing.assert_array_equal(read(tmp_path / "a.png").array, STACK[0])


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".png", ".jpg"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_the_old_file(tmp_path: Path, suffix: str, error: type[BaseException]) -> None:
    target = tmp_path / f"a{suffix}"
    target.write_bytes(b"precious")
    grey = STACK.astype(np.uint8) if suffix in (".npy", ".tif") else STACK[0].astype(np.uint8)

    def blocks() -> Any:
        yield grey[:1]
        raise error

    with pytest.raises(error):
        write_blocks(target, blocks(), grey.shape, grey.dtype, force=True)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_bytes() == b"precious"
