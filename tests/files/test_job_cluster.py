"""A job on a Dask cluster of separate processes on the loopback interface."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import faltung as ft
from faltung.errors import FileError
from faltung.files import crew, job
from faltung.files.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

zarr = pytest.importorskip("zarr")
distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore")
X = np.random.default_rng(2).standard_normal((40, 30)).astype(np.float32)
K = np.random.default_rng(3).standard_normal((5, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", processes=True
    ) as made:
        yield made


def test_a_cluster_computes_the_same_bits_and_survives_the_death_of_a_worker(cluster: Any, tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "x.zarr"), data=X, chunks=(4, 5))
    prepared = job.prepare(tmp_path / "x.zarr", tmp_path / "y.zarr", ft.Convolution(K),
                           scheduler=cluster.scheduler_address)  # fmt: skip
    victims = [worker.pid for worker in cluster.workers.values()][:1]

    def kill(progress: job.Progress) -> None:
        if victims:
            os.kill(victims.pop(), signal.SIGKILL)

    done = job.run(replace(prepared, cut=Cut(X.shape, (4, 5), 0, 0)), progress=kill)
    assert done.computed == 60
    assert np.asarray(zarr.open_array(str(tmp_path / "y.zarr"), mode="r")[...]).tobytes() == ft.convolve(X, K).tobytes()


def test_no_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "TIMEOUT", "1s")
    zarr.create_array(str(tmp_path / "x.zarr"), data=X, chunks=(4, 5))
    with pytest.raises(FileError, match="no Dask scheduler answers there"):
        job.apply(tmp_path / "x.zarr", tmp_path / "y.zarr", ft.Convolution(K), scheduler="tcp://127.0.0.1:9")
