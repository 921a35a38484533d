"""Missing samples of Dask arrays: both sums of a chunk are computed in one task, and divided there.

Samples and mask travel together, as pairs. A lazy array cannot know whether a NaN comes, so with ``nan="ignore"`` it is
always weighed; where nothing is missing at all, the answer in memory is not, and differs by rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung import holes as missing
from faltung.algorithms.held import joined
from faltung.errors import DtypeError, GeometryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import dask.array as da

    from faltung.algorithms.held import Intervals
    from faltung.holes import Holes, Normalised, Quotient
    from faltung.plan.plan import Plan


@dataclass(frozen=True)
class Weighed:
    """The work of a chunk: see `arrays.graph.Work`."""

    quotient: Quotient
    nan: str
    paired: bool
    dtype: np.dtype

    @property
    def plans(self) -> tuple[Plan, Plan]:
        """Those of both sums."""
        return self.quotient.values, self.quotient.weights

    def reads(self, region: Sequence[tuple[int, int]], /) -> tuple[Intervals, ...]:
        """Give the samples that either sum needs."""
        both = (plan.reads(region) for plan in self.plans)
        return tuple(joined((*one, *other)) for one, other in zip(*both, strict=True))

    def run_region(
        self, source: np.ndarray, region: Sequence[tuple[int, int]], /, *, threads: int | None = None
    ) -> np.ndarray:
        """Divide the sums of a region."""
        x, mask = (source["x"], source["mask"]) if self.paired else (source, None)
        parts = missing.certain(self.quotient, x, mask, self.nan, self.reads(region))
        result = np.empty([stop - start for start, stop in region], self.quotient.values.problem.dtypes.output)
        self.quotient.store(parts, region, result, threads)
        return missing.finished(result, self.dtype)


def weighed(
    normalised: Normalised, holes: Holes, x: da.Array, dtype: np.dtype, options: Mapping[str, Any],
    lazily: Callable[[Any, Plan, da.Array, np.dtype], da.Array],
) -> da.Array:  # fmt: skip
    """Filter a Dask array with missing samples; `lazily` makes the graph of a work, laid out as that of a plan."""
    missing.check(holes)
    mask = None if holes.mask is None else _mask(holes.mask, x, missing.part_of(x.dtype))
    if mask is None and not normalised.outside and holes.nan != "ignore":
        part = np.result_type(missing.part_of(x.dtype), x.dtype)
        values = normalised.values.plan(x.shape, part, dtype, **options)
        converted: Any = x
        y = lazily(values, values, converted.astype(part), dtype)
    else:
        quotient = normalised.quotient(x.shape, x.dtype, None if mask is None else mask.dtype, holes, options)
        work = Weighed(quotient, holes.nan, mask is not None, dtype)
        y = lazily(work, quotient.values, x if mask is None else _paired(x, mask), dtype)
    return _with_nan(normalised, x, y) if holes.preserve_nan else y


def _mask(mask: Any, x: da.Array, part: np.dtype) -> Any:
    """Give the mask in the chunks of x; its values are looked at when they come."""
    import dask.array

    da: Any = dask.array
    given = da.asarray(mask)
    if given.dtype.kind not in "biuf":
        missing.checked_mask(np.empty(0, given.dtype), (0,), part)
    try:
        given = da.broadcast_to(given, x.shape)
    except ValueError:
        msg = f"the mask of shape {given.shape} does not fit the input of shape {x.shape}; give one of the same shape"
        raise GeometryError(msg) from None
    given = given.rechunk(x.chunks)
    dtype = given.dtype if given.dtype == bool else part
    return given.map_blocks(_checked, part=part, dtype=dtype, meta=np.empty((0,) * x.ndim, dtype))


def _checked(block: np.ndarray, part: np.dtype) -> np.ndarray:
    return missing.checked_mask(block, block.shape, part)


def _paired(x: da.Array, mask: Any) -> Any:
    import dask.array

    da: Any = dask.array
    dtype = np.dtype([("x", x.dtype), ("mask", mask.dtype)])
    return da.map_blocks(_pair, x, mask, dtype=dtype, meta=np.empty((0,) * x.ndim, dtype))


def _pair(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    pairs = np.empty(x.shape, [("x", x.dtype), ("mask", mask.dtype)])
    pairs["x"], pairs["mask"] = x, mask
    return pairs


def _with_nan(normalised: Normalised, x: da.Array, y: da.Array) -> da.Array:
    import dask.array as da

    if y.dtype.kind in "iu":
        msg = f"preserve_nan with dtype={y.dtype}, which has no NaN; ask for dtype=float"
        raise DtypeError(msg)
    there = da.isnan(x)[missing.places_of(normalised.original, x.shape)]
    chunks = y.chunks[y.ndim - x.ndim :]
    marked: da.Array = da.where(there.rechunk(chunks), y.dtype.type(np.nan), y)
    return marked
