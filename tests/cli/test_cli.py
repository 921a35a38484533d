"""The command line: equal to the library bit for bit, and every refusal one message, exit code 2, no file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image
from typer.testing import CliRunner

import faltung as ft
from faltung.cli.app import app
from faltung.filters import box, gaussian, laplacian, sobel

PHOTOS = Path(skimage.data.__path__[0])
RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 65536, (5, 33, 41), dtype=np.uint16)


def run(*arguments: object) -> str:
    """Run a command that must succeed, and return what it prints."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    """Run a command that must be refused, and return its message, the only thing printed."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.startswith("faltung: ")
    return result.stderr.removeprefix("faltung: ").rstrip("\n")


def equal(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    """Require the same shape, dtype and bits."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.tobytes() == expected.tobytes()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Give a photograph of 512 x 512 colour pixels."""
    return Path(shutil.copy(PHOTOS / "astronaut.png", tmp_path / "photo.png"))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Give a stack of 16-bit pages over time, compressed, as ImageJ would name it."""
    tifffile.imwrite(
        tmp_path / "stack.tif", STACK, photometric="minisblack", compression="zlib", metadata={"axes": "TYX"}
    )
    return tmp_path / "stack.tif"


def test_photograph_equals_the_library(photo: Path, tmp_path: Path) -> None:
    said = run("apply", photo, tmp_path / "out.png", "--filter", "gaussian:sigma=2", "--boundary", "reflect")
    pixels = np.asarray(Image.open(photo))
    expected = ft.correlate(pixels, gaussian(2.0), axes=(0, 1), boundary="reflect", dtype="input")
    equal(np.asarray(Image.open(tmp_path / "out.png")), expected)
    assert said.startswith(f"{tmp_path / 'out.png'}: 512 x 512 x 3 uint8, ")


def test_grey_16_bit_png_equals_the_library(tmp_path: Path) -> None:
    Image.fromarray(STACK[0]).save(tmp_path / "grey.png")
    run("apply", tmp_path / "grey.png", tmp_path / "out.png", "-f", "box:size=5", "--boundary", "zero/edge,wrap")
    expected = ft.correlate(STACK[0], box(5), boundary=[("zero", "edge"), "wrap"], dtype="input")
    equal(np.asarray(Image.open(tmp_path / "out.png")), expected)


def test_jpeg_equals_the_library(tmp_path: Path) -> None:
    Image.open(PHOTOS / "astronaut.png").resize((101, 67)).save(tmp_path / "photo.jpg")
    run("apply", tmp_path / "photo.jpg", tmp_path / "edges.npy", "-f", "sobel:axis=0", "--stride", "2,3", "--convolve")
    pixels = np.asarray(Image.open(tmp_path / "photo.jpg"))
    equal(np.load(tmp_path / "edges.npy"), ft.convolve(pixels, sobel(0), axes=(0, 1), stride=(2, 3)))


@pytest.mark.parametrize("flavour", ["shaped", "imagej", "ome"])
def test_stack_equals_the_library(tmp_path: Path, flavour: str) -> None:
    source, target = tmp_path / "stack.tif", tmp_path / "out.tif"
    options: Any = {} if flavour == "shaped" else {flavour: True}
    tifffile.imwrite(source, STACK, photometric="minisblack", metadata={"axes": "TYX"}, **options)
    run("apply", source, target, "-f", "gaussian:sigma=1.5,0.7", "--axes", "yx", "--dilation", 2, "--threads", 1)
    expected = ft.correlate(STACK, gaussian((1.5, 0.7)), axes=(1, 2), dilation=2)
    with tifffile.TiffFile(target) as file:
        assert (file.series[0].axes, file.series[0].kind) == ("TYX", flavour)
        equal(file.asarray(), expected)


def test_blocks_equal_the_whole(stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faltung.cli import apply

    monkeypatch.setattr(apply, "BLOCK_BYTES", 2 * STACK[0].nbytes)
    run("apply", stack, tmp_path / "out.npy", "-f", "gaussian:sigma=1", "--mode", "valid")
    equal(np.load(tmp_path / "out.npy"), ft.correlate(STACK, gaussian(1), axes=(1, 2), mode="valid"))
    kernel = RNG.standard_normal((3, 2))
    np.save(tmp_path / "k.npy", kernel)
    run("apply", stack, tmp_path / "xt.npy", "--kernel", tmp_path / "k.npy", "--axes", "xt")
    equal(np.load(tmp_path / "xt.npy"), ft.correlate(STACK, kernel, axes=(2, 0)))


def test_npy_with_axes_by_number_equals_the_library(tmp_path: Path) -> None:
    x, kernel = RNG.standard_normal((3, 4, 17, 6)).astype(np.float32), RNG.standard_normal((3, 2))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "k.npy", kernel)
    run("apply", tmp_path / "x.npy", tmp_path / "y.npy", "-k", tmp_path / "k.npy", "--axes", "2,1", "--dtype", "f8")
    equal(np.load(tmp_path / "y.npy"), ft.correlate(x, kernel, axes=(2, 1), dtype=np.float64))
    run("apply", tmp_path / "x.npy", tmp_path / "z.npy", "-f", "laplacian", "--layout", "czyx", "--axes", "zyx")
    equal(np.load(tmp_path / "z.npy"), ft.correlate(x, laplacian(3), axes=(1, 2, 3)))


def test_explain_prints_the_plan_first(photo: Path, tmp_path: Path) -> None:
    said = run("apply", photo, tmp_path / "out.png", "-f", "box:size=3", "--explain")
    plan = ft.Convolution(box(3), flip=False, axes=(-3, -2)).plan((512, 512, 3), np.uint8, "input")
    assert said.startswith(plan.explain())
    assert "512" in plan.explain()


def test_existing_output_is_untouched_without_force(photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"precious")
    message = refused("apply", photo, target, "-f", "box:size=3", "--explain")
    assert message == f"{target}: exists already; pass --force (force=True) to replace it"
    assert target.read_bytes() == b"precious"
    run("apply", photo, target, "-f", "box:size=3", "--force")
    assert np.asarray(Image.open(target)).shape == (512, 512, 3)
    run("apply", photo, photo, "-f", "box:size=3", "--force")
    equal(np.asarray(Image.open(photo)), np.asarray(Image.open(target)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("-f blur", "unknown filter 'blur'; there are gaussian:sigma=...; box:size=..."),
        ("-f gaussian:sgima=2", "filter gaussian has no parameter 'sgima'; it takes sigma, truncate"),
        ("-f box:size=0", "box: size is 0; give whole numbers of samples, 1 or more"),
        ("", "give one kernel: either --filter NAME:params or --kernel FILE.npy"),
        ("-f laplacian -k k.npy", "give one kernel: either --filter NAME:params or --kernel FILE.npy"),
        ("-k absent.npy", "absent.npy: no such file"),
        (
            "-f laplacian --boundary mirror",
            "unknown boundary 'mirror' without the prefix of its library; did you mean 'reflect'",
        ),
        ("-f laplacian --axes zx", "there is no axis 'z'; the file has y (512), x (512), c (3)"),
        ("-f laplacian --axes yy", "--axes yy names an axis twice; name each filtered axis once"),
        ("-f laplacian --axes 1,3", "--axes 1,3: there is no axis 3; the file has axes 0 to 2"),
        ("-f laplacian --axes 1,x", "--axes '1,x' is neither letters nor numbers; write yx, or 1,2"),
        ("-f laplacian --layout yx", "layout 'yx' does not name the 3 axes of 512 x 512 x 3"),
        ("-f laplacian --layout kyx --axes y", "PNG holds yx or yxc, not axes kyx"),
        ("-f laplacian --stride two", "--stride 'two' is not a whole number, nor one per filtered axis such as 2,1"),
        ("-f laplacian --stride 0", "stride 0 on axis 0: expected an integer >= 1"),
        (
            "-f laplacian --dilation 1,1,1",
            "dilation=(1, 1, 1) has 3 entries for 2 filtered axes; give one integer, or one per",
        ),
        ("-f laplacian --mode some", "unknown mode 'some'; the modes are 'same', 'full', 'valid'"),
        (
            "-f laplacian --mode valid --dilation 300",
            "spans 601 samples of axis 0 (3 taps, dilation 300), but the array has 512",
        ),
        ("-f laplacian --dtype wide", "--dtype 'wide' is no dtype; write input, uint8, uint16, int32, float32"),
        ("-f laplacian --dtype f4,,", "--dtype 'f4,,' is no dtype; write input, uint8, uint16, int32, float32"),
        ("-f laplacian --dtype float32", "PNG holds uint8 or uint16, not float32; choose one with --dtype"),
        ("-f laplacian --series 0", "only TIFF files have a series, and this is PNG"),
        ("-f laplacian --max-bytes 9", "512 x 512 x 3 samples need 786432 bytes, more than the limit of 9; raise it"),
    ],
)
def test_refusals_leave_nothing(photo: Path, tmp_path: Path, options: str, text: str) -> None:
    message = refused("apply", photo, tmp_path / "out.png", *options.split())
    assert text in message
    assert "Traceback" not in message
    assert "\n" not in message or "--boundary" in options
    assert list(tmp_path.iterdir()) == [photo]


def test_float_is_refused_as_jpeg_before_anything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", np.ones((9, 9)))

    def computed(*_: object, **__: object) -> None:
        pytest.fail("computed although the output cannot be written")

    monkeypatch.setattr(ft.Convolution, "__call__", computed)
    message = refused("apply", tmp_path / "x.npy", tmp_path / "y.jpg", "-f", "box:size=3")
    assert message.endswith("y.jpg: JPEG holds uint8, not float64; choose one with --dtype, or write TIFF or NPY")
    assert not (tmp_path / "y.jpg").exists()


def test_an_ambiguous_stack_is_refused_with_its_axes(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack", metadata=None)
    job = ("apply", tmp_path / "a.tif", tmp_path / "b.tif", "-f", "box:size=3")
    assert refused(*job) == (
        "the file has 3 axes, IYX 5 x 33 x 41, and does not say what they are; "
        "choose the filtered ones by number (--axes 1,2), or name all (--layout tyx)"
    )
    assert refused(*job, "--axes", "yx") == (
        "--axes by letter needs a file that names its axes, and this one does not; give numbers (0 to 2), "
        "or name all 3 with --layout"
    )
    assert not (tmp_path / "b.tif").exists()
    run(*job, "--layout", "tyx")
    equal(tifffile.imread(tmp_path / "b.tif"), ft.correlate(STACK, box(3), axes=(1, 2)))


def test_a_file_without_y_and_x_or_a_kernel_of_unusual_rank_is_refused(stack: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.ones((3, 3, 3)))
    message = refused("apply", stack, tmp_path / "b.tif", "-k", tmp_path / "k.npy")
    assert message.startswith(
        "which axes a kernel with 3 axes should take is not clear; the file has axes tyx: name some"
    )


def test_a_page_damaged_within_a_stack_is_named(stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faltung.cli import apply

    monkeypatch.setattr(apply, "BLOCK_BYTES", 1)
    with tifffile.TiffFile(stack) as file:
        start = file.pages[3].dataoffsets[0]
    data = bytearray(stack.read_bytes())
    data[start : start + 50] = b"\xff" * 50
    stack.write_bytes(data)
    for name in ("out.tif", "out.npy"):
        message = refused("apply", stack, tmp_path / name, "-f", "box:size=3")
        assert message.startswith(f"{stack}: damaged, truncated or not supported: ")
    assert list(tmp_path.iterdir()) == [stack]


@pytest.mark.parametrize("name", ["photo.png", "stack.tif", "x.npy"])
def test_a_truncated_file_is_refused(photo: Path, stack: Path, tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "x.npy", STACK)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    message = refused("apply", tmp_path / name, tmp_path / "out.npy", "-f", "box:size=3")
    assert message.startswith(f"{tmp_path / name}: ")
    assert "truncated" in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photo.png", "stack.tif", "x.npy"]


def test_the_process_exits_with_2_and_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "faltung.cli", "apply", "absent.png", "out.png", "-f", "sobel"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "faltung: absent.png: no such file\n"


def test_a_terminated_process_leaves_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", STACK)
    script = (
        "import os, signal, sys\nfrom faltung.cli import apply, main\n"
        "real = apply._block\n"
        "def block(source, picture, index):\n"
        "    if index[0].start == 2:\n"
        "        assert len(os.listdir()) == 2\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return real(source, picture, index)\n"
        "apply._block, apply.BLOCK_BYTES = block, 1\n"
        "sys.argv = 'faltung apply x.npy y.npy -f box:size=3 --axes 1,2'.split()\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (128 + 15, "")
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("command", [(), ("apply",), ("info",), ("cache",), ("filters",)])
def test_help_imports_neither_numpy_nor_llvmlite(command: tuple[str, ...]) -> None:
    script = (
        "import sys\nfrom faltung.cli import main\n"
        f"sys.argv = ['faltung', *{command!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('LOADED', sorted({'numpy', 'llvmlite', 'PIL', 'tifffile', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    assert done.stdout.endswith("LOADED []\n")
