"""How the output of a job is stored: chunks and shards like the input's, codec, axes, places in space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.arrays.coordinates import Positions
from faltung.errors import GeometryError
from faltung.files import ome
from faltung.files.zarr_create import Layout
from faltung.files.zarr_store import ZarrSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.convolution import Convolution
    from faltung.files.stores import About, Address, Source
    from faltung.plan.plan import Plan

CHUNK_BYTES = 4 << 20


def layout(
    target: Address, source: Source, convolution: Convolution, plan: Plan,
    chunks: Sequence[int] | None, shards: Sequence[int] | None, provenance: dict[str, Any], *, bare: bool = False,
) -> Layout:  # fmt: skip
    """Decide how the output is stored; ``bare`` leaves out the group that an image or a variable lies in.

    Raises:
        GeometryError: chunks or shards that do not fit the output.
    """
    problem = plan.problem
    inner, given = problem.dtypes.output, stored(source)
    steps = [problem_axis.stride for problem_axis in problem.array_axes()]
    shape = problem.output_shape
    if chunks is None:
        of_input = given.chunks if isinstance(given, ZarrSource) else None if source.seekable else source.blocks
        chunks = _like(of_input, steps, shape, inner.itemsize)
        if shards is None and isinstance(given, ZarrSource) and given.array.shards is not None:
            factors = [s // c for s, c in zip(given.array.shards, given.chunks, strict=True)]
            extra = [1] * (len(chunks) - len(factors))
            shards = [c * f for c, f in zip(chunks, [*extra, *factors], strict=True)]
    checked = _checked("chunks", chunks, shape)
    whole = None if shards is None else _checked("shards", shards, shape)
    if whole and any(s % c for s, c in zip(whole, checked, strict=True)):
        msg = f"shards {whole} are no multiples of the chunks {checked}; give whole multiples"
        raise GeometryError(msg)
    about = source.about
    dims = about.dims if about.dims and len(about.dims) == len(shape) else None
    zarr_format = given.array.metadata.zarr_format if isinstance(given, ZarrSource) and not whole else 3
    attributes = {**about.attributes, "faltung": provenance}
    group, path = None, "" if bare else about.variable or ""
    if about.ome is not None and not bare and dims is not None:
        path = "0"
        scale, shift = placed(about, convolution, source.shape)
        name = target.url.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr")
        group = ome.attributes(about, [(path, scale, shift)], name, zarr_format)
    elif about.variable is not None and not bare:
        group = about.group
    return Layout(
        shape, inner.newbyteorder("=").str if zarr_format == 2 else inner.name, checked, whole, zarr_format,
        _compressors(given, zarr_format), _fill(given, inner, about, zarr_format), path, dims, attributes, group,
    )  # fmt: skip


def placed(about: About, convolution: Convolution, shape: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """Give scale and translation of the output: a stride widens the samples, and the first may lie elsewhere."""
    scale = list(about.scale or [1.0] * len(shape))
    shift = list(about.translation or [0.0] * len(shape))
    for axis in convolution.geometry(shape)[0]:
        at = Positions.of(convolution, shape, axis)
        shift[axis] += scale[axis] * at.first
        scale[axis] *= at.step
    return scale, shift


def coordinates(about: About, convolution: Convolution, shape: tuple[int, ...]) -> dict[str, tuple[Any, Any]]:
    """Move the coordinates of dimensions with the outputs; one that would lie outside its values is left out."""
    found = dict(about.coordinates)
    for axis in convolution.geometry(shape)[0]:
        name = (about.dims or ())[axis] if about.dims else None
        if name in found:
            at = Positions.of(convolution, shape, axis)
            index = at.first + at.step * np.arange(at.outputs)
            values, attributes = found.pop(name)
            if len(index) == 0 or (index[0] >= 0 and index[-1] < at.size):
                found[name] = (values[index], attributes)
    return found


def stored(source: Source) -> Source:
    """Give the store below a source that decodes."""
    return getattr(source, "source", source)


def _like(given: Sequence[int] | None, steps: Sequence[int], shape: Sequence[int], itemsize: int) -> list[int]:
    if given is None:
        return _cubes(shape, itemsize)
    sizes = [max(1, n // step) for n, step in zip(given, steps, strict=True)]
    return [*shape[: len(shape) - len(sizes)], *sizes]


def _cubes(shape: Sequence[int], itemsize: int) -> list[int]:
    """Cut the longest side in two until a chunk is small enough."""
    sizes = [max(1, n) for n in shape]
    while sizes and math.prod(sizes) * itemsize > CHUNK_BYTES:
        longest = sizes.index(max(sizes))
        sizes[longest] = -(-sizes[longest] // 2)
    return sizes


def _checked(what: str, sizes: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    if len(sizes) != len(shape) or min(sizes, default=1) < 1:
        msg = f"{what} {tuple(sizes)} do not fit the output {tuple(shape)}; give one positive number for each axis"
        raise GeometryError(msg)
    if what == "shards":
        return tuple(sizes)
    return tuple(min(size, max(1, n)) for size, n in zip(sizes, shape, strict=True))


def _compressors(given: Source, zarr_format: int) -> tuple[Any, ...] | None:
    if isinstance(given, ZarrSource) and given.array.metadata.zarr_format == zarr_format:
        return tuple(given.array.compressors)
    return None


def _fill(given: Source, dtype: np.dtype[Any], about: About, zarr_format: int) -> Any:
    """Keep the input's fill value where the output's type holds it; 0 otherwise.

    In v2 it is the missing value, if there is one, where xarray looks for it.
    """
    value = given.array.fill_value if isinstance(given, ZarrSource) else None
    if zarr_format == 2 and about.missing is not None:
        value = about.missing
    if value is None:
        return dtype.type(0).item()
    with np.errstate(all="ignore"):
        try:
            kept = np.asarray(value).astype(dtype)
        except (TypeError, ValueError):
            return dtype.type(0).item()
    same = np.asarray(kept == value) | ((kept != kept) & (np.asarray(value) != value))
    return kept.item() if bool(same) else dtype.type(0).item()
