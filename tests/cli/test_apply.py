"""`faltung apply` as a user runs it: real pictures, equal to the library call; what is refused leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
import tifffile
from PIL import Image
from typer.testing import CliRunner

import faltung as ft
from faltung.cli.app import app

PICTURES = Path(skimage.data.__path__[0])
PHOTO, GREY = PICTURES / "astronaut.png", PICTURES / "camera.png"


def apply(*words: object) -> str:
    result = CliRunner().invoke(app, ["apply", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words: object) -> str:
    """Run what must fail: exit code 2, one message, no traceback, no new file beside the output."""
    target = Path(str(words[1]))
    before = sorted(target.parent.iterdir())
    result = CliRunner().invoke(app, ["apply", *map(str, words)])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert sorted(target.parent.iterdir()) == before
    return result.output.replace("\n", " ")


def test_a_photograph_is_blurred_channel_by_channel(tmp_path: Path) -> None:
    out = tmp_path / "soft.png"
    said = apply(PHOTO, out, "--filter", "gaussian:sigma=2", "--explain")
    got, photo = np.asarray(Image.open(out)), np.asarray(Image.open(PHOTO))
    want = ft.correlate(photo, ft.filters.gaussian(sigma=2, ndim=2), axes=(0, 1), dtype="input")
    np.testing.assert_array_equal(got, want)
    assert "17 x 17" in said
    assert "error bound" in said
    assert np.abs(got.astype(int) - photo).mean() > 1


def test_options_reach_the_library(tmp_path: Path) -> None:
    out, kernel = tmp_path / "e.npy", tmp_path / "k.npy"
    np.save(kernel, np.array([[1.0, 2.0, 0.0], [0.0, -1.0, -2.0]]))
    apply(
        GREY, out, "--kernel", kernel, "--boundary", "wrap,zero/edge", "--stride", "2,3", "--dilation", "1,2",
        "--convolve", "--dtype", "float64", "--threads", "2",
    )  # fmt: skip
    grey = np.asarray(Image.open(GREY))
    want = ft.convolve(
        grey, np.load(kernel), boundary=["wrap", ("zero", "edge")], stride=(2, 3), dilation=(1, 2), dtype=np.float64
    )
    np.testing.assert_array_equal(np.load(out), want)


def test_sixteen_bit_and_jpeg_files_are_read_and_written(tmp_path: Path) -> None:
    deep = (np.random.default_rng(0).integers(0, 2**16, (40, 50))).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    apply(tmp_path / "deep.png", tmp_path / "out.png", "--filter", "box:size=3")
    got = np.asarray(Image.open(tmp_path / "out.png"))
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, ft.correlate(deep, np.full((3, 3), 1 / 9), dtype="input"))
    Image.open(PHOTO).convert("RGB").save(tmp_path / "photo.jpg", quality=95)
    apply(tmp_path / "photo.jpg", tmp_path / "soft.jpg", "--filter", "box:size=5")
    assert np.asarray(Image.open(tmp_path / "soft.jpg")).shape == (512, 512, 3)


@pytest.mark.parametrize("axes", ["yx", "zyx", "1,2"])
def test_a_stack_of_pages_with_named_axes(tmp_path: Path, axes: str) -> None:
    stack = np.random.default_rng(1).integers(0, 255, (7, 60, 81)).astype(np.uint8)
    source, out = tmp_path / "stack.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, stack, imagej=True, metadata={"axes": "ZYX"})
    apply(source, out, "--filter", "gaussian:sigma=1", "--axes", axes)
    used = (0, 1, 2) if axes == "zyx" else (1, 2)
    want = ft.correlate(stack, ft.filters.gaussian(sigma=1, ndim=len(used)), axes=used)
    with tifffile.TiffFile(out) as file:
        assert file.series[0].axes == "ZYX"
        np.testing.assert_array_equal(file.asarray(), want)


def test_an_ambiguous_stack_is_refused_and_can_be_named(tmp_path: Path) -> None:
    stack = np.random.default_rng(1).integers(0, 255, (5, 30, 41)).astype(np.uint8)
    source, out = tmp_path / "stack.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, stack, metadata=None, photometric="minisblack")
    said = refused(source, out, "--filter", "box:size=3")
    assert "5 x 30 x 41" in said
    assert "--axes 1,2" in said
    apply(source, out, "--filter", "box:size=3", "--layout", "tyx")
    want = ft.correlate(stack, np.full((3, 3), 1 / 9), axes=(1, 2))
    np.testing.assert_array_equal(tifffile.imread(out), want)


def test_arrays_by_number(tmp_path: Path) -> None:
    x = np.random.default_rng(2).standard_normal((4, 20, 30))
    np.save(tmp_path / "x.npy", x)
    assert "does not say what they are" in refused(tmp_path / "x.npy", tmp_path / "y.npy", "--filter", "laplacian")
    apply(tmp_path / "x.npy", tmp_path / "y.npy", "--filter", "laplacian", "--axes", "0,2", "--boundary", "wrap")
    laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    want = ft.correlate(x, laplacian, axes=(0, 2), boundary="wrap")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), want)


def test_an_existing_output_is_kept_without_force(tmp_path: Path) -> None:
    out = tmp_path / "kept.png"
    out.write_bytes(b"precious")
    assert "exists already; pass --force" in refused(GREY, out, "--filter", "box:size=3")
    assert out.read_bytes() == b"precious"
    apply(GREY, out, "--filter", "box:size=3", "--force")
    with Image.open(out) as picture:
        assert picture.size == (512, 512)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--filter", "gausian:sigma=2"], "unknown filter 'gausian'; there are gaussian:sigma"),
        (["--filter", "gaussian:size=2"], "no parameter 'size'; it takes sigma, truncate"),
        (["--filter", "gaussian"], "needs sigma"),
        (["--filter", "box:size=3", "--boundary", "mirror"], "reflect"),
        (["--filter", "box:size=3", "--boundary", "wrap,wrap,wrap"], "2"),
        (["--filter", "box:size=3", "--axes", "yz"], "there is no axis 'z'; the file has y (512), x (512)"),
        (["--filter", "box:size=3", "--axes", "0,5"], "there is no axis 5"),
        (["--filter", "box:size=3", "--stride", "0"], "stride"),
        (["--filter", "box:size=3", "--stride", "two"], "--stride 'two' is not a whole number"),
        (["--filter", "box:size=900", "--mode", "valid"], "same"),
        (["--filter", "box:size=3", "--dtype", "float32"], "PNG holds uint8 or uint16, not float32"),
        (["--filter", "box:size=3", "--dtype", "flaot"], "--dtype 'flaot' is no dtype"),
        ([], "either --filter NAME:params or --kernel FILE.npy"),
    ],
)
def test_bad_wishes_are_refused_in_a_sentence(tmp_path: Path, words: list[str], text: str) -> None:
    assert text in refused(GREY, tmp_path / "out.png", *words)


def test_damaged_and_hostile_files_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    cut = tmp_path / "cut.png"
    cut.write_bytes(GREY.read_bytes()[:20_000])
    assert "cut.png" in refused(cut, out, "--filter", "box:size=3")
    stack = np.zeros((3, 40, 50), np.uint8)
    tifffile.imwrite(tmp_path / "whole.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    (tmp_path / "cut.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:3000])
    assert "truncated or damaged" in refused(tmp_path / "cut.tif", out, "--filter", "box:size=3")
    np.save(tmp_path / "whole.npy", np.zeros((100, 100)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:5000])
    assert "the header claims 100 x 100 float64" in refused(tmp_path / "cut.npy", out, "--filter", "box:size=3")
    np.save(tmp_path / "objects.npy", np.array([[1, None]], object), allow_pickle=True)
    assert "never unpickled" in refused(tmp_path / "objects.npy", out, "--filter", "box:size=3")
    (tmp_path / "text.png").write_text("no picture")
    assert "text.png" in refused(tmp_path / "text.png", out, "--filter", "box:size=3")
    assert "nowhere.png" in refused(tmp_path / "nowhere.png", out, "--filter", "box:size=3")
    said = refused(GREY, out, "--filter", "box:size=3", "--max-bytes", "1000")
    assert "--max-bytes" in said


def test_a_jpeg_of_floats_is_refused_before_it_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("computed before the output was checked")

    monkeypatch.setattr("faltung.plan.plan.Plan.run", never)
    said = refused(GREY, tmp_path / "out.jpg", "--filter", "box:size=3", "--dtype", "float32")
    assert "JPEG holds uint8, not float32" in said


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    assert "No space left" in refused(GREY, tmp_path / "out.png", "--filter", "box:size=3")


@pytest.mark.parametrize("command", [[], ["apply"], ["info"], ["cache"], ["filters"]])
def test_help_is_light_and_teaches(command: list[str]) -> None:
    code = (
        "import sys\nfrom faltung.cli import main\n"
        f"sys.argv = ['faltung', *{command!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'numpy', 'scipy', 'llvmlite', 'PIL', 'tifffile'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "faltung" in done.stdout


def test_the_other_commands_say_what_there_is() -> None:
    def said(*words: str) -> str:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return result.output

    assert "512" in said("info", str(PHOTO))
    assert "llvmlite" in said("info")
    assert "entries" in said("cache")
    listing = said("filters")
    assert all(name in listing for name in ("gaussian", "box", "sobel", "laplacian", "sharpen", "custom"))
    assert "-4" in said("filters", "laplacian")
