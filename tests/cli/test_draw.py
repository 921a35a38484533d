"""`faltung draw`: every command writes its picture, and refuses with one message."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from faltung.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
COMMANDS: dict[str, tuple[list[str], str]] = {
    "kernel": (["kernel", "sobel"], "sobel(axis=-1, ndim=2), 3 × 3"),
    "taps": (["kernel", "0,1,0;1,-4,1;0,1,0"], "−4"),
    "sliding": (["sliding", "1,2,1", "--size", "6", "--at", "2", "--boundary", "wrap"], "y[2] = 1·1 + 4·2 + 1·1 = 10"),
    "convolve": (["sliding", "1,2,0", "--convolve", "--at", "1"], "y[1] = 3·0 + 1·2 + 4·1 = 6"),
    "layer": (["layer", "--inputs", "3", "--outputs", "64", "--kernel", "3,5"], "(3·5·3 + 1)·64 = 2944 parameters"),
    "units": (["units", "1,2,4", "--size", "4"], "3 weights, each used up to 4 times"),
    "matrix": (["matrix", "1,2,4", "--shape", "5", "--boundary", "wrap"], "15 of 25 entries"),
    "blocks": (["matrix", "sobel", "--shape", "4,4", "--stride", "2"], "4 outputs, 2 × 2"),
    "arithmetic": (["arithmetic", "--size", "7,", "--dilation", "2"], "input 7, kernel 3, dilation 2"),
    "transposed": (["arithmetic", "--size", "2", "--stride", "2", "--transposed"], "transposed, input 2 × 2"),
    "boundary": (["boundary", "--rules", "reflect,ndimage:reflect"], "ndimage:reflect"),
    "response": (["response", "gaussian:sigma=1"], "magnitude"),
}


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["draw", *(str(a) for a in arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["draw", *(str(a) for a in arguments)])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("faltung: ")
    return result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_picture_is_written(name: str, tmp_path: Path) -> None:
    arguments, expected = COMMANDS[name]
    path = tmp_path / "picture.svg"
    assert run(*arguments, "-o", path).startswith(f"{path}: ")
    written = ["".join(t.itertext()) for t in ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")]
    assert any(expected in text for text in written), written


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    return path


def test_photographs_and_files(photo: Path, tmp_path: Path) -> None:
    run("map", "sobel", "-i", photo, "-o", tmp_path / "map.png", "--stride", 2)
    run("boundary", "-i", photo, "-o", tmp_path / "rules.png", "--rules", "wrap")
    np.save(tmp_path / "k.npy", np.eye(3))
    np.save(tmp_path / "x.npy", np.arange(12).reshape(3, 4))
    run("sliding", tmp_path / "k.npy", "-i", tmp_path / "x.npy", "-o", tmp_path / "s.png", "--at", "1,1")
    for name in ("map", "rules", "s"):
        with Image.open(tmp_path / f"{name}.png") as image:
            assert 200 < image.width <= 1000


def test_moving_pictures(tmp_path: Path) -> None:
    said = run("arithmetic", "-o", tmp_path / "a.gif", "--stride", 2, "--seconds", 0.2)
    assert said.endswith(", 4 frames\n")
    with Image.open(tmp_path / "a.gif") as moving:
        assert (moving.n_frames, moving.info["duration"]) == (4, 200)
    run("arithmetic", "-o", tmp_path / "a.svg", "--stride", 2, "--moving")
    assert (tmp_path / "a.svg").read_text().count("<animate ") == 4


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    run("kernel", "sobel", "-o", path)
    before = path.read_bytes()
    assert "exists already; pass --force" in refused("kernel", "laplacian", "-o", path)
    assert path.read_bytes() == before
    run("kernel", "laplacian", "-o", path, "--force")
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["kernel", "sobbel"], "did you mean sobel?"),
        (["kernel", "1,2;3"], "have 2, 1 taps"),
        (["kernel", "1,x"], "'x' is no tap"),
        (["sliding", "1,2", "--size", "big"], "--size 'big' is no whole number"),
        (["sliding", "1,2", "--size", "0"], "leaves nothing to draw"),
        (["sliding", "1,2,1", "--at", "9"], "no position of the output (5,)"),
        (["sliding", "1,2", "--boundary", "mirrored"], "unknown boundary"),
        (["matrix", "1,2", "--shape", "500"], "500 x 500 entries"),
        (["units", "1,2;3,4"], "give the taps of one axis"),
        (["arithmetic", "--size", "2", "--kernel", "5"], "pad by 3 more"),
        (["layer", "--groups", "2"], "must divide"),
        (["boundary", "-i", "missing.png"], "missing.png"),
    ],
)
def test_refusals_are_one_message_and_no_file(arguments: list[Any], text: str, tmp_path: Path) -> None:
    assert text in refused(*arguments, "-o", tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []


def test_formats(tmp_path: Path) -> None:
    assert "names no format of pictures; use one of .svg, .png, .gif" in refused("layer", "-o", tmp_path / "a.pdf")
    assert "does not exist; create it first" in refused("layer", "-o", tmp_path / "no" / "a.svg")
    moving = refused("arithmetic", "--moving", "--size", "4", "-o", tmp_path / "a.png")
    assert "a PNG holds one picture, and there are 4; write .gif or .svg" in moving


def test_help_is_light() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from faltung.cli.app import app; "
        "print(CliRunner().invoke(app, ['draw', 'sliding', '--help']).output); "
        "print('LOADED', sorted({'numpy', 'matplotlib', 'scipy', 'PIL', 'llvmlite'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in result.stdout
    assert "products and their sum written out" in " ".join(result.stdout.split())
