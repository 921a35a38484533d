"""``info`` and ``filters`` print what there is, and a progress bar hides nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from typer.testing import CliRunner

from faltung.cli.app import app
from faltung.cli.progress import track
from faltung.compiler import cache

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


def test_filters_lists_every_filter_and_prints_one() -> None:
    listing = run("filters")
    for line in ("gaussian:sigma,truncate=4.0", "box:size", "sobel:axis=-1", "laplacian", "sharpen:amount=1.0"):
        assert line in listing.splitlines()
    assert run("filters", "laplacian", "--ndim", 1) == (
        "laplacian(ndim=1): k[0] = -2·ndim, k[±e] = 1 along every axis, 3 int64\n[ 1 -2  1]\n"
    )
    assert refused("filters", "gaussian").startswith("filter gaussian needs sigma: write gaussian:sigma=...")


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
