"""Jobs that are stopped: killed at any write, out of disk, input damaged or gone. What is marked done is on disk."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import faltung as ft
from faltung.errors import FileError
from faltung.files import durable, job, zarr_local, zarr_store
from faltung.files.cut import Cut
from faltung.files.journal import Journal
from faltung.files.stores import Address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

zarr = pytest.importorskip("zarr")

RNG = np.random.default_rng(11)
X = RNG.standard_normal((24, 20)).astype(np.float32)
K = RNG.standard_normal((3, 5)).astype(np.float32)
SIZES = (8, 10)


@pytest.fixture
def source(tmp_path: Path) -> str:
    zarr.create_array(str(tmp_path / "x.zarr"), data=X, chunks=(8, 5))
    return str(tmp_path / "x.zarr")


def small(source: str, to: Path, kernel: Any = K, **options: Any) -> job.Prepared:
    """Prepare a job of six regions of two chunks each."""
    prepared = job.prepare(source, str(to), ft.Convolution(kernel), threads=1, **options)
    return replace(prepared, cut=Cut(prepared.layout.shape, SIZES, 0, 0))


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def uninterrupted(source: str, tmp_path: Path) -> dict[str, bytes]:
    job.run(small(source, tmp_path / "whole.zarr"))
    return files(tmp_path / "whole.zarr")


class Stop(BaseException):
    """Stands for a kill: nothing that cleans up may rely on it."""


class Faults:
    """Stops or fails at the n-th write, before or after it, and leaves what a kill would leave."""

    def __init__(self, at: int, *, after: bool, error: BaseException) -> None:
        self.at, self.after, self.error, self.count = at, after, error, 0
        self.put = durable.put

    def __call__(self, path: Path, value: Any) -> None:
        self.count += 1
        if self.count == self.at and not self.after:
            if isinstance(self.error, Stop):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.with_name(f".{path.name}.killed{durable.SUFFIX}").write_bytes(bytes(value)[:3])
            raise self.error
        self.put(path, value)
        if self.count == self.at:
            raise self.error


def every_write(faults: Faults) -> pytest.MonkeyPatch:
    patch = pytest.MonkeyPatch()
    patch.setattr(zarr_local, "put", faults)
    patch.setattr("faltung.files.journal.put", faults)
    return patch


@pytest.mark.parametrize("after", [False, True])
def test_stopped_at_every_write_and_resumed(source: str, tmp_path: Path, after: bool) -> None:
    expected = uninterrupted(source, tmp_path)
    counting = Faults(0, after=False, error=Stop())
    patch = every_write(counting)
    job.run(small(source, tmp_path / "counted.zarr"))
    patch.undo()
    assert counting.count >= len(expected) + 1
    for at in range(1, counting.count + 1):
        to = tmp_path / f"{at}.zarr"
        patch = every_write(Faults(at, after=after, error=Stop()))
        with pytest.raises(Stop):
            job.run(small(source, to))
        patch.undo()
        done = Journal.of(Address(str(to))).done
        for region in done:
            stored = np.asarray(zarr.open_array(str(to), mode="r")[tuple(slice(*one) for one in region)])
            assert stored.tobytes() == ft.convolve(X, K)[tuple(slice(*one) for one in region)].tobytes()
        result = job.run(small(source, to), resume=True)
        assert result.before == len(done)
        assert files(to) == expected
        shutil.rmtree(to)
    assert {p.name for p in tmp_path.iterdir()} == {"x.zarr", "whole.zarr", "counted.zarr"}


def test_a_full_disk_is_said_and_leaves_a_resumable_job(source: str, tmp_path: Path) -> None:
    expected = uninterrupted(source, tmp_path)
    to = tmp_path / "y.zarr"
    patch = every_write(Faults(9, after=False, error=OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(FileError, match=r"cannot be written: No space left; .* % of .* is on disk; go on with"):
        job.run(small(source, to))
    patch.undo()
    assert not list(to.rglob(f"*{durable.SUFFIX}"))
    assert job.run(small(source, to), resume=True).before >= 1
    assert files(to) == expected


class Killer:
    """Interrupts a job after some regions."""

    def __init__(self, after: int, error: BaseException) -> None:
        self.after, self.error = after, error

    def __call__(self, progress: job.Progress) -> None:
        self.after -= 1
        if self.after == 0:
            raise self.error


def interrupted(source: str, to: Path, after: int = 3, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        job.run(small(source, to), progress=Killer(after, KeyboardInterrupt()), **options)
    assert "go on with the same command and --resume" in caught.value.__notes__[0]


def test_ctrl_c_leaves_a_resumable_job_that_is_not_overwritten(source: str, tmp_path: Path) -> None:
    to = tmp_path / "y.zarr"
    interrupted(source, to)
    with pytest.raises(FileError, match=r"unfinished there \(3 regions are on disk\); go on with --resume"):
        job.run(small(source, to))
    done = job.run(small(source, to), resume=True)
    assert (done.before, done.computed) == (3, 3)
    assert job.run(small(source, to), resume=True).computed == 0
    with pytest.raises(FileError, match="exists already, and no unfinished job"):
        job.run(small(source, to, 2 * K), resume=True)


def test_other_cuts_go_on_too(source: str, tmp_path: Path) -> None:
    expected = uninterrupted(source, tmp_path)
    interrupted(source, tmp_path / "y.zarr")
    job.run(replace(small(source, tmp_path / "y.zarr"), cut=Cut(X.shape, (16, 5), 0, 0)), resume=True)
    assert files(tmp_path / "y.zarr") == expected


def test_npy_outputs_are_resumed(source: str, tmp_path: Path) -> None:
    to = tmp_path / "y.npy"
    interrupted(source, to)
    assert not to.exists()
    assert job.run(small(source, to), resume=True).before == 3
    assert np.load(to).tobytes() == ft.convolve(X, K).tobytes()
    assert {p.name for p in tmp_path.iterdir()} == {"x.zarr", "y.npy"}


def test_another_kernel_problem_or_input_is_refused(source: str, tmp_path: Path) -> None:
    to = tmp_path / "y.zarr"
    interrupted(source, to)
    with pytest.raises(FileError, match="because the kernel is another one"):
        job.run(small(source, to, 2 * K), resume=True)
    with pytest.raises(FileError, match="because the problem or its arithmetic is another one"):
        job.run(small(source, to, K[:2]), resume=True)
    with pytest.raises(FileError, match="because the output's chunks was"):
        job.run(small(source, to, chunks=(4, 5)), resume=True)
    os.utime(tmp_path / "x.zarr" / "c" / "1" / "2")
    with pytest.raises(FileError, match=r"the input changed: 1 of 13 objects changed \(such as c/1/2\)"):
        job.run(small(source, to), resume=True)
    job.run(small(source, to), force=True)
    assert np.asarray(zarr.open_array(str(to), mode="r")[...]).tobytes() == ft.convolve(X, K).tobytes()


def test_verify_sees_bytes_that_changed_in_secret(source: str, tmp_path: Path) -> None:
    to, chunk = tmp_path / "y.zarr", tmp_path / "x.zarr" / "c" / "0" / "0"
    interrupted(source, to, verify=True)
    job.run(small(source, tmp_path / "other.zarr"), verify=True)
    data, times = bytearray(chunk.read_bytes()), chunk.stat()
    data[-1] ^= 1
    chunk.write_bytes(data)
    os.utime(chunk, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(FileError, match="the input's bytes changed, though not its sizes and times"):
        job.run(small(source, to), resume=True, verify=True)


def test_a_chunk_that_is_damaged_unreadable_or_gone(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_store, "BLOCK_BYTES", 1)
    chunk = tmp_path / "x.zarr" / "c" / "2" / "3"
    data = chunk.read_bytes()
    chunk.write_bytes(b"no zstd")
    to = tmp_path / "y.zarr"
    with pytest.raises(FileError, match=r"samples \[16:24, .* cannot be read, the store is damaged .* % of .* on disk"):
        job.run(small(source, to))
    assert len(Journal.of(Address(str(to))).done) == 4
    chunk.write_bytes(data)
    prepared = small(source, to)
    chunk.unlink()
    with pytest.raises(FileError, match="the object c/2/3 was there when the job began and is gone"):
        job.run(prepared, force=True)
    chunk.write_bytes(data)
    with pytest.raises(FileError, match="the object c/2/3 changed since the job began"):
        job.run(prepared, force=True)


def test_an_output_that_is_deleted_under_way(source: str, tmp_path: Path) -> None:
    to = tmp_path / "y.zarr"

    def delete(progress: job.Progress) -> None:
        shutil.rmtree(to, ignore_errors=True)

    with pytest.raises(FileError, match=r"y\.zarr"):
        job.run(small(source, to), progress=delete)
    with pytest.raises(FileError, match=r"y\.zarr"):
        job.run(small(source, to), resume=True)
    chunk = to / "c" / "0" / "1"
    interrupted(source, to, force=True)
    chunk.unlink()
    assert job.run(small(source, to), resume=True).before == 2
    assert chunk.exists()


def test_two_processes_do_not_work_on_one_output(source: str, tmp_path: Path) -> None:
    to = tmp_path / "y.zarr"

    def second(progress: job.Progress) -> None:
        with pytest.raises(FileError, match="another process works on this job"):
            job.run(small(source, to), resume=True)
        with pytest.raises(FileError, match="another process works on this job"):
            job.run(small(source, to), force=True)

    job.run(small(source, to), progress=second)


def test_a_damaged_journal(source: str, tmp_path: Path) -> None:
    to = tmp_path / "y.zarr"
    interrupted(source, to)
    journal = tmp_path / "y.zarr.faltung-job"
    # A line that a kill cut off does not count.
    journal.write_bytes(journal.read_bytes()[:-4])
    assert job.run(small(source, to), resume=True).before == 2
    interrupted(source, to, force=True)
    journal.write_text("nonsense\n")
    with pytest.raises(FileError, match="is no journal, or damaged"):
        job.run(small(source, to), resume=True)
    job.run(small(source, to), force=True)


@pytest.fixture
def running(source: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that runs a job with two workers and has brought a region to disk."""
    code = (
        "import sys; from tests.files.test_job_stopped import small, job; import time\n"
        "p = small(sys.argv[1], sys.argv[2], workers=2)\n"
        "job.run(p, progress=lambda _: time.sleep(30))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, source, str(tmp_path / "y.zarr")])
    journal = tmp_path / "y.zarr.faltung-job"
    deadline = time.monotonic() + 30
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 1) and time.monotonic() < deadline:
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def test_a_killed_process_with_workers_is_resumed(
    running: subprocess.Popen[bytes], source: str, tmp_path: Path
) -> None:
    running.send_signal(signal.SIGKILL)
    running.wait()
    result = job.run(small(source, tmp_path / "y.zarr"), resume=True)
    assert result.before >= 1
    assert files(tmp_path / "y.zarr") == uninterrupted(source, tmp_path)
