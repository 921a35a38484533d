"""Who computes: this process, some processes beside it, or the workers of a Dask cluster."""

from __future__ import annotations

import pickle
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from faltung.errors import FaltungError, FileError
from faltung.files.optional import need
from faltung.files.session import run_on_cluster

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from faltung.files.session import Task
    from faltung.files.stores import Box


TIMEOUT = "10s"  # for a scheduler to answer


def in_processes(task: Task, runs: Sequence[Sequence[Box]], workers: int) -> Generator[Box]:
    """Compute runs in several processes, each a contiguous part of them; yield regions as they reach the disk.

    Raises:
        FileError: a process failed or was killed; what it had finished is on disk.
    """
    shares = [runs[i * len(runs) // workers : (i + 1) * len(runs) // workers] for i in range(workers)]
    said: queue.Queue[tuple[str, Any]] = queue.Queue()
    started: list[subprocess.Popen[bytes]] = []
    try:
        for share in filter(None, shares):
            # A session of its own: Ctrl-C reaches the parent, which ends its workers.
            process = subprocess.Popen(
                [sys.executable, "-m", "faltung.files.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            started.append(process)
            threading.Thread(target=_listen, args=(process, pickle.dumps((task, share)), said), daemon=True).start()
        yield from _regions(said, len(started))
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _regions(said: queue.Queue[tuple[str, Any]], working: int) -> Iterator[Box]:
    while working:
        kind, what = said.get()
        if kind == "region":
            yield what
        elif kind == "end":
            working -= 1
        elif kind == "error":
            raise what if isinstance(what, FaltungError | MemoryError) else FileError(f"a worker failed: {what!r}")
        else:
            msg = f"a worker was killed (status {what}); the system may have run out of memory: lower --max-memory"
            raise FileError(msg + " or --workers")


def _listen(process: subprocess.Popen[bytes], work: bytes, said: queue.Queue[tuple[str, Any]]) -> None:
    """Hand a process its work and pass on what it says."""
    assert process.stdin is not None
    assert process.stdout is not None
    ended = False
    try:
        process.stdin.write(work)
        process.stdin.flush()
        while not ended:
            kind, what = pickle.load(process.stdout)
            said.put((kind, what))
            ended = kind in ("end", "error")
    except (EOFError, OSError, ValueError, pickle.UnpicklingError):
        if not ended:
            said.put(("killed", process.wait()))


def on_cluster(task: Task, runs: Sequence[Sequence[Box]], scheduler: str) -> Generator[Box]:
    """Compute runs on a Dask cluster, which computes again what a lost worker had not finished.

    Raises:
        FileError: no scheduler answers, or a run fails.
    """
    distributed = need("distributed", "--scheduler", "dask")
    try:
        client = distributed.Client(scheduler, timeout=TIMEOUT, set_as_default=False)
    except OSError as error:
        msg = f"{scheduler}: no Dask scheduler answers there: {error}"
        raise FileError(msg) from error
    with client:
        name = f"{task.plan.token}-{task.target.url}"
        shared = client.scatter(task, broadcast=True)
        futures = [client.submit(run_on_cluster, name, shared, run, pure=False, retries=2) for run in runs]
        try:
            for future in distributed.as_completed(futures, loop=client.loop):
                yield from _result(future)
                future.release()
        finally:
            client.cancel(futures)


def _result(future: Any) -> list[Box]:
    try:
        found: list[Box] = future.result()
    except FaltungError:
        raise
    except Exception as error:
        msg = f"the cluster could not compute a run of regions: {error!r}"
        raise FileError(msg) from error
    return found


def threads_of(scheduler: str) -> int:
    """Count the threads of a cluster's workers."""
    distributed = need("distributed", "--scheduler", "dask")
    try:
        with distributed.Client(scheduler, timeout=TIMEOUT, set_as_default=False) as client:
            return max(1, sum(int(n) for n in client.nthreads().values()))
    except OSError as error:
        msg = f"{scheduler}: no Dask scheduler answers there: {error}"
        raise FileError(msg) from error
