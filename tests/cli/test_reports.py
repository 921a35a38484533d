"""``info`` and ``filters`` print what there is, and a progress bar hides nothing."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image
from typer.testing import CliRunner

from faltung.cli.app import app
from faltung.cli.progress import track
from faltung.compiler import cache
from faltung.filters import REGISTRY

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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


def test_filters_are_listed() -> None:
    listing = run("filters")
    for name in REGISTRY:
        assert re.search(rf"^{name}[: ]", listing, re.MULTILINE), name
    assert "gaussian:sigma=..." in listing
    assert "k = δ - amount·laplacian" in listing


def test_one_filter_is_shown() -> None:
    shown = run("filters", "laplacian", "--ndim", 1)
    assert shown.startswith("laplacian: the Laplacian of nearest neighbours, the sum of the second")
    assert "formula  k[0] = -2·ndim, k[±e_a] = 1 for every axis a, 0 elsewhere" in shown
    assert "source   M. Abramowitz and I. A. Stegun" in shown
    assert re.search(r"^spacing +none +distance of neighbouring samples", shown, re.MULTILINE)
    assert "laplacian(ndim=1)\n3 int64, sum 0, -2 to 1\n" in shown
    assert shown.endswith("[ 1 -2  1]\n")
    bars = [line.split() for line in shown.splitlines()[-4:-1]]
    assert [(line[0], line[1], len(line[2])) for line in bars] == [("-1", "1", 20), ("0", "-2", 40), ("1", "1", 20)]


def test_a_filter_that_needs_a_parameter_is_shown_by_an_example() -> None:
    shown = run("filters", "gabor")
    assert re.search(r"^wavelength +needed +length of the wave", shown, re.MULTILINE)
    assert "(an example: gabor:wavelength=8)" in shown.replace("\n", "")
    assert "█" in shown
    assert "example" not in run("filters", "gaussian:sigma=1,order=0,2")
    assert "the NPY file" in run("filters", "custom")
    assert refused("filters", "gaussian:truncate=3").startswith("filter gaussian needs sigma: write gaussian:sigma=...")
    assert refused("filters", "gausian").startswith("unknown filter 'gausian' (did you mean gaussian?); there are")


def test_kernels_of_any_rank_and_size_are_drawn() -> None:
    assert "(the plane at the anchor; " in run("filters", "box:size=3", "--ndim", 3)
    assert "(1 tap of 4; " in run("filters", "gaussian:sigma=15")
    assert "(1 tap of 2)" in run("filters", "gaussian:sigma=10", "--ndim", 1)
    shown = run("filters", "sobel").splitlines()
    assert [line.rstrip() for line in shown[-7:-4]] == ["==  ▓▓", "##  ██", "==  ▓▓"]


def test_taps_of_any_kind_are_drawn(tmp_path: Path) -> None:
    for name, taps in {
        "b": [[True, False]],
        "c": [[1 + 2j, 0]],
        "e": np.zeros((0, 3)),
        "n": [[np.nan, 1], [np.inf, 0]],
    }.items():
        np.save(tmp_path / f"{name}.npy", np.array(taps))
    shown = {name: run("filters", f"custom:file={tmp_path / name}.npy") for name in "bcen"}
    assert "1 x 2 bool, sum 1, 0 to 1\n" in shown["b"]
    assert "(real parts; " in shown["c"]
    assert "0 x 3 float64, sum 0\n" in shown["e"]
    assert "\n??██\n██\n" in shown["n"]
    np.save(tmp_path / "line.npy", [True, False])
    assert "0  1  ████" in run("filters", f"custom:file={tmp_path / 'line.npy'}", "--ndim", 1).replace("-1", " 0")
    run("filters", f"custom:file={tmp_path / 'n.npy'}", "--save", tmp_path / "n.png")
    with Image.open(tmp_path / "n.png") as opened:
        assert opened.getpixel((0, 0)) == (128, 128, 128)


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = run("filters", "sobel")
    assert "38;2;178;24;43" in shown
    assert shown.count("▀") == 24 * 12


def test_filters_are_saved(tmp_path: Path) -> None:
    taps, picture = tmp_path / "k.npy", tmp_path / "k.png"
    assert run("filters", "sobel:axis=0", "--save", taps) == f"{taps}: 3 x 3 int64\n"
    np.testing.assert_array_equal(np.load(taps), [[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    assert refused("filters", "box:size=2", "--save", taps).endswith(
        "exists already; pass --force (force=True) to replace it"
    )
    run("filters", "box:size=2", "--save", taps, "--force")
    np.testing.assert_array_equal(np.load(taps), [[0.25] * 2] * 2)
    assert run("filters", "sobel", "--save", picture).endswith("255 x 255 pixels, red above 0, blue below\n")
    with Image.open(picture) as opened:
        assert opened.size == (255, 255)
        assert opened.getpixel((0, 127)) == (33, 102, 172)
        assert opened.getpixel((127, 0)) == (255, 255, 255)
        assert opened.getpixel((254, 127)) == (178, 24, 43)
    assert "--ndim 2" in refused("filters", "box:size=2", "--ndim", 3, "--save", tmp_path / "v.png")
    assert refused("filters", "--save", taps) == "--save needs a filter: write faltung filters NAME:params --save FILE"
    assert refused("filters", "gaussian", "--save", tmp_path / "g.npy").startswith("filter gaussian needs sigma")
    assert {p.name for p in tmp_path.iterdir()} == {"k.npy", "k.png"}


def test_info_describes_a_file(tmp_path: Path) -> None:
    stack = tmp_path / "stack.tif"
    pages = np.zeros((5, 33, 41), np.uint16)
    tifffile.imwrite(stack, pages, photometric="minisblack", metadata={"axes": "TYX"})
    expected = f"file     {stack}\nformat   TIFF (shaped)\nshape    5 x 33 x 41\ndtype    uint16\naxes     tyx\n"
    assert run("info", stack) == expected
    np.save(tmp_path / "x.npy", np.ones((2, 3, 4)))
    assert run("info", tmp_path / "x.npy").endswith("axes     not named; give --axes by number, or --layout\n")
    assert refused("info", tmp_path / "absent") == f"{tmp_path / 'absent'}: no such file"
    assert f"numpy    {np.__version__}" in run("info")


def test_progress_yields_everything(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(track([1, 2, 3])) == [1, 2, 3]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(track([1, 2, 3], patience=-1)) == [1, 2, 3]
    assert "filtering" in capsys.readouterr().err


def test_cache_shows_and_clears_the_kept_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.delenv("FALTUNG_CACHE", raising=False)
    cache.store(bytes(32), b"no code, but bytes")
    shown = CliRunner().invoke(app, ["cache"]).output
    assert str(tmp_path / "kept") in shown.replace("\n", "")
    assert "1" in shown
    assert CliRunner().invoke(app, ["cache", "--clear"]).exit_code == 0
    assert cache.entries() == []
