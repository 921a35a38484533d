"""``faltung apply``: open, prepare, compute block by block, write."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import faltung as ft
from faltung.cli.progress import track
from faltung.cli.select import filtered_axes
from faltung.errors import DtypeError, GeometryError, ProblemError
from faltung.files import Picture, check, open_picture, write_blocks
from faltung.files.reading import understood
from faltung.filters import Filter, custom, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the user asked for, as text."""

    source: Path
    target: Path
    filter: str | None
    kernel: Path | None
    boundary: str | None
    stride: str
    dilation: str
    mode: str
    axes: str | None
    layout: str | None
    series: int | None
    dtype: str | None
    convolve: bool
    threads: int | None
    max_bytes: int
    explain: bool
    force: bool


def apply_job(job: Job, say: Callable[[str], object]) -> None:
    """Run a job; ``say`` receives the plan, if it is wanted, and one line about the result.

    The file holds what one call of the library on the whole array gives. Axes before the filtered ones are
    carried along, so the array is read, filtered and written a few pages at a time.
    """
    started = time.perf_counter()
    with open_picture(job.source, series=job.series, max_bytes=job.max_bytes) as opened:
        picture = opened.with_layout(job.layout) if job.layout else opened
        convolution, dtype = prepare(job, picture), wanted_dtype(job, picture)
        plan = convolution.plan(picture.shape, picture.array.dtype, dtype)
        shape, output = plan.problem.output_shape, plan.problem.dtypes.output.newbyteorder("=")
        check(job.target, shape, output, picture.axes, force=job.force)
        if job.explain:
            say(plan.explain())
        # The whole picture's algorithm serves every block, so that cutting it changes no bit.
        options: dict[str, Any] = {"dtype": dtype, "threads": job.threads, "algorithm": plan.recipe.algorithm}
        blocks = (
            convolution(_block(job.source, picture, index), **options)
            for index in track(block_indices(picture, convolution.axes or ()))
        )
        write_blocks(job.target, blocks, shape, output, picture.axes, like=picture, force=job.force)
    size = " x ".join(map(str, shape))
    say(f"{job.target}: {size} {output}, {time.perf_counter() - started:.2f} s")


def prepare(job: Job, picture: Picture) -> ft.Convolution:
    """Return the convolution that a job describes for a picture."""
    if (job.filter is None) == (job.kernel is None):
        raise ProblemError("give one kernel: either --filter NAME:params or --kernel FILE.npy")
    given = custom(job.kernel) if job.kernel else None
    axes = filtered_axes(picture, job.axes, given.ndim if given else None)
    kernel: Filter = given or parse(job.filter or "", ndim=len(axes))
    return ft.Convolution(
        kernel,
        flip=job.convolve,
        mode=job.mode,
        boundary=_boundary(job.boundary),
        stride=_integers("--stride", job.stride),
        dilation=_integers("--dilation", job.dilation),
        # Counted from the end, an axis has the same number in a block that lacks leading axes.
        axes=tuple(axis - picture.ndim for axis in axes),
    )


def block_indices(picture: Picture, axes: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """Return indices that cut a picture into blocks of some pages, in C order, across no filtered axis."""
    page = 3 if (picture.axes or "").endswith("yxc") else 2
    first = max(0, min([axis % picture.ndim for axis in axes] + [picture.ndim - page]))
    leading, page_shape = picture.shape[:first], picture.shape[first:]
    if not math.prod(leading) or not leading:
        return [(...,)]
    *outer, last = leading
    rows = max(1, BLOCK_BYTES // max(1, math.prod(page_shape) * picture.array.dtype.itemsize))
    slices = [slice(start, min(start + rows, last)) for start in range(0, last, rows)]
    return [(*index, rows_) for index in np.ndindex(*outer) for rows_ in slices]


def wanted_dtype(job: Job, picture: Picture) -> str | np.dtype[Any] | None:
    """Return the dtype asked for; integer pictures that become PNG or JPEG stay what they are."""
    if job.dtype is None:
        to_image = job.target.suffix.lower() in (".png", ".jpg", ".jpeg")
        return "input" if to_image and picture.array.dtype.kind in "iu" else None
    if job.dtype == "input":
        return "input"
    try:
        return np.dtype(job.dtype)
    except (TypeError, ValueError, SyntaxError):  # NumPy raises all three on text that names no dtype
        message = f"--dtype {job.dtype!r} is no dtype; write input, uint8, uint16, int32, float32 or float64"
        raise DtypeError(message) from None


def _block(source: Path, picture: Picture, index: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    # A damaged page only shows here, when it is decoded.
    with understood(source):
        block: np.ndarray[Any, Any] = picture.array[index]
        return block


def _boundary(text: str | None) -> Any:
    if text is None:
        return None
    rules: list[Any] = [tuple(entry.strip().split("/")) if "/" in entry else entry.strip() for entry in text.split(",")]
    return rules[0] if len(rules) == 1 and isinstance(rules[0], str) else rules


def _integers(option: str, text: str) -> int | tuple[int, ...]:
    try:
        numbers = tuple(int(piece) for piece in text.split(","))
    except ValueError:
        message = f"{option} {text!r} is not a whole number, nor one per filtered axis such as 2,1"
        raise GeometryError(message) from None
    return numbers[0] if len(numbers) == 1 else numbers
