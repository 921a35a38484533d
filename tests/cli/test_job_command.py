"""``faltung apply`` and ``faltung pyramid`` on stores, as a user runs them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

import faltung as ft
from faltung.cli.app import app
from faltung.cli.job import duration, size
from faltung.errors import ProblemError
from faltung.filters import gaussian

if TYPE_CHECKING:
    from pathlib import Path

zarr = pytest.importorskip("zarr")

X = np.random.default_rng(5).standard_normal((6, 40, 50)).astype(np.float32)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.fixture
def source(tmp_path: Path) -> Path:
    zarr.create_array(str(tmp_path / "x.zarr"), data=X, chunks=(2, 16, 16), dimension_names=("t", "y", "x"))
    return tmp_path / "x.zarr"


def test_apply_filters_the_axes_that_the_store_names(source: Path, tmp_path: Path) -> None:
    said = run("apply", source, tmp_path / "y.zarr", "-f", "gaussian:sigma=1", "--boundary", "reflect")
    expected = ft.correlate(X, gaussian(1.0), axes=(1, 2), boundary="reflect")
    assert np.asarray(zarr.open_array(str(tmp_path / "y.zarr"), mode="r")[...]).tobytes() == expected.tobytes()
    assert said.startswith(f"{tmp_path / 'y.zarr'}: 6 x 40 x 50 float32, ")
    assert "complete already" in run("apply", source, tmp_path / "y.zarr", "-f", "gaussian:sigma=1", "--boundary",
                                     "reflect", "--resume")  # fmt: skip
    assert "exists already" in refused("apply", source, tmp_path / "y.zarr", "-f", "gaussian:sigma=1")


def test_dry_run_says_everything_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    said = run("apply", source, tmp_path / "y.zarr", "-f", "box:size=3", "--dry-run", "--max-memory", "2GB",
               "--workers", "2", "--chunks", "6,20,25")  # fmt: skip
    assert "algorithm" in said
    assert "4 chunks of 6 x 20 x 25" in said
    assert "regions     1 of up to 6 x 40 x 50, in 1 runs, by 2 processes" in said
    assert "of the 2,000,000,000 bytes allowed" in said
    assert not (tmp_path / "y.zarr").exists()


def test_a_picture_becomes_a_store_and_a_pyramid(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", X, metadata={"axes": "TYX"}, photometric="minisblack", compression="zlib")
    run("apply", tmp_path / "x.tif", tmp_path / "y.zarr", "-f", "box:size=3", "--stride", "2")
    assert zarr.open_array(str(tmp_path / "y.zarr"), mode="r").shape == (6, 20, 25)
    said = run("pyramid", tmp_path / "x.tif", tmp_path / "p.zarr", "--levels", "2", "--max-memory", "2GB")
    assert said.splitlines() == [f"{tmp_path}/p.zarr/0: 6 x 40 x 50", f"{tmp_path}/p.zarr/1: 6 x 20 x 25"]


def test_what_is_refused(source: Path, tmp_path: Path) -> None:
    wanted = ("apply", source, tmp_path / "y.zarr", "-f", "box:size=3")
    assert "--max-memory is too small" in refused(*wanted, "--max-memory", "1MB")
    assert "write 500MB, 1GB or 1.5GiB" in refused(*wanted, "--max-memory", "lots")
    assert "one whole number for each axis" in refused(*wanted, "--chunks", "a,b")
    assert "give one of them" in refused(*wanted, "--workers", "2", "--scheduler", "tcp://nowhere:1")


def test_sizes_and_times() -> None:
    assert [size("", text) for text in ("1000", "1.5kB", "2 MiB", "1e9", "1e3MB")] == [1000, 1500, 2**21, 10**9, 10**9]
    assert size("", None) is None
    with pytest.raises(ProblemError):
        size("--max-memory", "3 bananas")
    assert [duration(s) for s in (0.4, 61, 7322, float("inf"))] == ["0 s", "1 min 1 s", "2 h 2 min", "unknown"]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, stop: signal.Signals) -> None:
    x = np.random.default_rng(5).standard_normal((24, 512, 512)).astype(np.float32)
    # So many chunks that the job is under way for more than a second after its first ones.
    zarr.create_array(str(tmp_path / "x.zarr"), data=x, chunks=(1, 64, 64), compressors=None)
    command = [sys.executable, "-m", "faltung.cli", "apply", str(tmp_path / "x.zarr"), str(tmp_path / "y.zarr"), "-f",
               "box:size=3", "--axes", "1,2", "--workers", "1", "--max-memory", "420MB", "--threads", "1"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "y.zarr.faltung-job"
    deadline = time.monotonic() + 30
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 1) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(stop)
    _, said = process.communicate(timeout=30)
    assert process.returncode == (130 if stop == signal.SIGINT else 143), said
    assert "go on with the same command and --resume" in said
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    expected = ft.correlate(x, np.ones((3, 3), np.float32) / 9, axes=(1, 2))
    np.testing.assert_allclose(zarr.open_array(str(tmp_path / "y.zarr"), mode="r")[...], expected, atol=1e-5)
