"""Multiscale OME-Zarr from an image larger than memory: each level is smoothed and halved from the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.convolution import Convolution
from faltung.errors import FileError, GeometryError, ProblemError
from faltung.files import job, ome, target, zarr_create, zarr_store
from faltung.files.optional import need
from faltung.files.stores import About, Address, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from faltung.files.job import Progress
    from faltung.files.stores import Source

SMALL = 256  # no level is made of one that fits on a screen
NAMES = {1: "x", 2: "yx", 3: "zyx"}
# Weights, the tap on the output's first sample, and how far the middle of the window lies behind that sample.
BINOMIAL = (np.array([1.0, 3.0, 3.0, 1.0]) / 8, 1, 0.5)


def pyramid(
    source: str | PathLike[str], to: str | PathLike[str], *, part: str | None = None, levels: int | None = None,
    kernel: str = "binomial", axes: Sequence[int] | None = None, resume: bool = False, force: bool = False,
    progress: Callable[[int, Progress], object] | None = None, **options: Any,
) -> list[tuple[int, ...]]:  # fmt: skip
    """Write an image and ever smaller versions of it as OME-Zarr, and return the shapes of the levels.

    Level 0 holds the input's samples; each other one is the level before it, smoothed along the spatial `axes` (z, y
    and x where the store names them, else all of up to three) and kept at every second sample, with the input's dtype
    (integers round), symmetric at the edges. `kernel` is ``binomial``, (1, 3, 3, 1)/8 centred between the two samples
    that become one, or ``gaussian`` with sigma 1 centred on the first of them; scale and translation say so. `levels`
    counts them; by default none is made of one that fits into 256 samples along each axis. Memory is bounded as in
    `job.apply`, whose `max_memory`, `workers`, `scheduler`, `threads`, `chunks` and `shards` are taken; `resume` goes
    on where a killed run was. ``progress`` is called with the level.

    Raises:
        FileError, PlanError: as `job.apply`.
        GeometryError: axes that are none, or none that is spatial.
        ProblemError: an unknown kernel, or no level.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "x.npy", np.ones((300, 200), np.uint8))
    >>> pyramid(folder / "x.npy", folder / "x.ome.zarr")
    [(300, 200), (150, 100)]
    """
    weights, anchor, behind = _kernel(kernel)
    opened = open_source(Address(str(source), part))
    opened.close()
    about, along = _placed(opened, axes)
    count = _levels(opened.shape, along, levels)
    root = Address(str(to))
    zarr_format = _begin(root, opened, resume=resume, force=force)
    scale, shift = list(about.scale or ()), list(about.translation or ())
    made: list[tuple[str, list[float], list[float]]] = []
    shapes: list[tuple[int, ...]] = []
    before, at = str(source), part
    shape, chunks = opened.shape, options.pop("chunks", None)
    for level in range(count):
        halved = tuple(axis for axis in along if shape[axis] > 1) if level else ()
        convolution = _halving(shape, halved, weights, anchor) if level else _copying()
        watch = None if progress is None else _Level(level, progress)
        to_level = f"{root.url.rstrip('/')}/{level}"
        done = job.apply(before, to_level, convolution, part=at, dtype="input", resume=True, progress=watch,
                         chunks=chunks, bare=True, **options)  # fmt: skip
        for axis in halved:
            shift[axis] += behind * scale[axis]
            scale[axis] *= 2
        made.append((str(level), list(scale), list(shift)))
        shapes.append(done.shape)
        before, at, shape = to_level, None, done.shape
        if chunks is None:
            chunks = zarr_store.ZarrTarget(Address(to_level), "").array.chunks
    name = root.url.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr").removesuffix(".ome")
    zarr_create.describe(root, ome.attributes(about, made, name, zarr_format))
    return shapes


class _Level:
    """Adds the level to a report of progress."""

    def __init__(self, level: int, say: Callable[[int, Progress], object]) -> None:
        self.level, self.say = level, say

    def __call__(self, progress: Progress) -> None:
        self.say(self.level, progress)


def _kernel(name: str) -> tuple[np.ndarray[Any, Any], int, float]:
    if name == "binomial":
        return BINOMIAL
    if name == "gaussian":
        from faltung.filters import gaussian

        taps = np.asarray(gaussian(1.0, ndim=1))
        return taps, len(taps) // 2, 0.0
    msg = f"kernel={name!r}: expected binomial or gaussian"
    raise ProblemError(msg)


def _placed(source: Source, axes: Sequence[int] | None) -> tuple[About, tuple[int, ...]]:
    """Find the spatial axes, and name what has no name."""
    ndim, about = len(source.shape), source.about
    dims = about.dims
    if dims is None and ndim in NAMES:
        dims = tuple(NAMES[ndim])
    if axes is not None:
        along = tuple(axis + ndim if axis < 0 else axis for axis in axes)
    else:
        along = tuple(axis for axis, name in enumerate(dims or ()) if name.lower() in "zyx")
    if not along or min(along) < 0 or max(along) >= ndim or len(set(along)) < len(along):
        msg = f"which of the {ndim} axes are spatial is not clear ({dims or 'they have no names'}); "
        msg += "name them by number (--axes 1,2)"
        raise GeometryError(msg)
    names = dims or tuple(f"d{axis}" for axis in range(ndim))
    scale, shift = about.scale or (1.0,) * ndim, about.translation or (0.0,) * ndim
    return About(names, about.attributes, scale, shift, about.units, about.ome), along


def _levels(shape: Sequence[int], along: Sequence[int], wanted: int | None) -> int:
    if wanted is not None:
        if wanted < 1:
            msg = f"levels={wanted}: expected at least 1, the image itself"
            raise ProblemError(msg)
        return wanted
    count, longest = 1, max(shape[axis] for axis in along)
    while longest > SMALL:
        longest, count = -(-longest // 2), count + 1
    return count


def _begin(root: Address, source: Source, *, resume: bool, force: bool) -> int:
    """Make the group that the levels go into, or find it."""
    need("zarr", "writing OME-Zarr")
    if target.exists(root) and not resume:
        if not force:
            msg = f"{root.url}: exists already; go on with --resume (resume=True), or replace it with --force "
            raise FileError(msg + "(force=True)")
        zarr_store.remove(root)
    from faltung.files.layout import stored

    given = stored(source)
    zarr_format = given.array.metadata.zarr_format if isinstance(given, zarr_store.ZarrSource) else 3
    zarr_create.describe(root, None, zarr_format)
    return int(zarr_format)


def _copying() -> Convolution:
    return Convolution(np.array(1), axes=())


def _halving(shape: Sequence[int], axes: tuple[int, ...], weights: np.ndarray[Any, Any], anchor: int) -> Convolution:
    kernel = np.ones(())
    for _ in axes:
        kernel = np.multiply.outer(kernel, weights)
    return Convolution(
        kernel, flip=False, boundary="symmetric" if axes else None, stride=2 if axes else 1,
        anchor=anchor if axes else None, axes=axes,
    )  # fmt: skip
