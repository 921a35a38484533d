"""The output of a job: begun, found again, and checked at the end."""

from __future__ import annotations

import os
from itertools import product
from typing import TYPE_CHECKING

from faltung.errors import FileError
from faltung.files import durable, memmap, zarr_create, zarr_store
from faltung.files.fingerprint import local_objects
from faltung.files.layout import coordinates
from faltung.files.optional import need
from faltung.files.stores import open_target

if TYPE_CHECKING:
    from faltung.files.job import Prepared
    from faltung.files.journal import Head, Journal
    from faltung.files.stores import Address, Box


def start(job: Prepared, journal: Journal, head: Head, *, resume: bool, force: bool) -> bool:
    """Create the output, or take up the unfinished one; False where it is complete already.

    Raises:
        FileError: it exists, or what is unfinished there is another job.
    """
    address = job.target_at
    if journal.head is not None:
        if not resume:
            msg = f"{address.url}: a job is unfinished there ({len(journal.done)} regions are on disk); "
            raise FileError(msg + "go on with --resume (resume=True), or start again with --force (force=True)")
        _take_up(job, journal, head)
        return True
    if exists(address) and not force:
        if resume and _is_complete(job):
            return False
        msg = f"{address.url}: exists already" + (", and no unfinished job is there" if resume else "")
        raise FileError(msg + "; pass --force (force=True) to replace it")
    journal.check_free()
    _clear(address)
    journal.begin(head)
    _create(job)
    return True


def _take_up(job: Prepared, journal: Journal, head: Head) -> None:
    assert journal.head is not None
    address = job.target_at
    if head.content is not None and journal.head.content is None:
        msg = f"{address.url}: the job began without --verify, so there is nothing to compare the bytes with; "
        raise FileError(msg + "resume without it")
    if head.content is None and journal.head.content is not None:
        head = type(head)(head.plan, head.token, head.settings, head.layout, head.input, journal.head.content)
    reason = head.refusal(journal.head, job.source.objects())
    if reason:
        msg = f"{address.url}: cannot be resumed, because {reason}; give what the job began with, or start again with "
        raise FileError(msg + "--force (force=True)")
    journal.lock()
    _sweep(address)
    if address.kind_written == "npy":
        # Killed between taking its name and the end of the journal: nothing is left to do.
        if memmap.unfinished(address).exists() or not journal.done:
            if not journal.done:
                _create(job)
            return
        if address.path.exists():
            memmap.unfinished(address).hardlink_to(address.path)
            return
        msg = f"{address.url}: the unfinished output is gone; start again with --force (force=True)"
        raise FileError(msg)
    if not journal.done:
        _clear(address)
        _create(job)
        return
    gone = set(_missing(job, journal.done))
    journal.done = [region for region in journal.done if region not in gone]


def finish(job: Prepared) -> None:
    """Check that every chunk or shard is there, and let the output take its name.

    Raises:
        FileError: some vanished; the journal stays, and --resume computes them again.
    """
    made = open_target(job.target_at, job.layout.array)
    if job.target_at.kind_written == "zarr":
        gone = _missing(job, [region for run in job.cut.runs() for region in run])
        if gone:
            msg = f"{job.target_at.url}: {len(gone)} regions of the output vanished while the job ran; go on with "
            raise FileError(msg + "--resume (resume=True), which computes them again")
    made.finish()


def exists(address: Address) -> bool:
    """Whether anything is at an output's address."""
    return zarr_store.is_zarr(address) if address.remote else os.path.lexists(address.path)


def _create(job: Prepared) -> None:
    address = job.target_at
    if address.kind_written == "npy":
        memmap.create(address, job.layout.shape, job.plan.problem.dtypes.output.newbyteorder("="))
        return
    places = coordinates(job.source.about, job.convolution, job.source.shape) if job.layout.group is not None else {}
    zarr_create.create(address, job.layout, places)


def _clear(address: Address) -> None:
    """Remove an older output."""
    if address.kind_written == "npy":
        memmap.unfinished(address).unlink(missing_ok=True)
    elif exists(address):
        if not address.remote and address.path.is_dir() and not any(address.path.iterdir()):
            address.path.rmdir()
        else:
            zarr_store.remove(address)


def _sweep(address: Address) -> None:
    if not address.remote and address.path.is_dir():
        durable.sweep(address.path)


def _is_complete(job: Prepared) -> bool:
    """Whether the output says that it comes of the same plan, kernel and input."""
    if job.target_at.kind_written != "zarr" or not zarr_store.is_zarr(job.target_at):
        return False
    made = zarr_store.ZarrTarget(job.target_at, job.layout.array)
    return bool(dict(made.array.attrs).get("faltung") == job.layout.attributes["faltung"])


def _missing(job: Prepared, regions: list[Box]) -> list[Box]:
    """List the regions of which a chunk or shard is not in the store."""
    made = zarr_store.ZarrTarget(job.target_at, job.layout.array)
    there = _keys(job.target_at, job.layout.array)
    found = []
    for region in regions:
        cells = [range(a // u, -(-b // u)) for (a, b), u in zip(region, job.layout.units, strict=True)]
        if any(made.array.metadata.encode_chunk_key(index) not in there for index in product(*cells)):
            found.append(region)
    return found


def _keys(address: Address, array: str) -> set[str]:
    if not address.remote:
        return set(local_objects(address.path / array))
    fs, path = need("fsspec", "a URL").core.url_to_fs(f"{address.url.rstrip('/')}/{array}".rstrip("/"))
    return {key[len(path) :].lstrip("/") for key in fs.find(path)}
