"""Samples that are missing: normalised convolution, which weighs by what is there.

    y[j] = Σ_l k[l] · ( Σ_l k[l] c[j+l] x[j+l] ) / ( Σ_l k[l] c[j+l] )

c is the certainty of a sample: 0 where it is missing (its value is never read), 1 where it counts, anything between for
a doubtful one. Source: Knutsson and Westin, "Normalized and differential convolution" (CVPR 1993).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.algorithms.numpy_taps import stored
from faltung.certainty import Certain, bands
from faltung.errors import BoundaryError, DtypeError, GeometryError, ProblemError
from faltung.problem import dtypes as rules
from faltung.problem.boundary import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from faltung.convolution import Convolution
    from faltung.plan.plan import Plan
    from faltung.problem.boundary import Sides

# A kernel whose taps sum to less than this share of their magnitudes weighs nothing: there is no average to speak of.
LEAST_SUM = 1e-9
LOOK_SAMPLES = 1 << 18


class Holes(NamedTuple):
    """How missing samples are treated, as `faltung.correlate` describes it."""

    nan: str
    mask: Any
    min_weight: float
    preserve_nan: bool


class Quotient(NamedTuple):
    """Two sums to divide, where the weight is at least so much."""

    values: Plan
    weights: Plan
    least: float
    above: float

    def store(self, parts: Certain, region: Sequence[tuple[int, int]], target: np.ndarray, threads: int | None) -> None:
        """Compute a region of the output."""
        values, weights = self.values, self.weights
        filled, certainty = parts.read(values.reads(region))
        values.run_region(filled, region, target, threads)
        if weights.reads(region) != values.reads(region):
            certainty = parts.read(weights.reads(region))[1]
        weight = parts.buffer("weight", target.shape, weights.problem.dtypes.output)
        weights.run_region(certainty, region, weight, threads)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            target /= weight
        if max(self.above, self.least) > 0:  # otherwise 0 / 0 has said it
            target[(weight <= self.above) | (weight < self.least)] = np.nan


class Normalised:
    """A convolution prepared for missing samples: one that sums k·c·x, and one that sums k·c."""

    def __init__(self, c: Convolution, derive: Callable[[Any, Any], Convolution]) -> None:
        self.original, kernels = c, [_real(kernel) for kernel in c.kernels]
        self.totals = np.array([_total(kernel) for kernel in kernels])
        # Sums of products of one sign are precise relative to themselves, others only relative to ‖kernel‖₁.
        self.one_sign = all((k >= 0).all() or (k <= 0).all() for k in kernels)
        bank: Any = kernels[0] if c.filters is None else kernels
        _refuse_odd(c.sides)
        self.values = derive(bank, _constants(c.sides, lambda value: 0.0 if value != value else value))
        shares = [k / k.dtype.type(total) for k, total in zip(kernels, self.totals, strict=True)]
        self.weights = derive(
            shares[0] if c.filters is None else shares,
            _constants(c.sides, lambda value: 0.0 if value != value else 1.0),
        )
        self.outside = any(rule.value != rule.value for pair in c.sides for rule in pair)

    def __call__(self, x: np.ndarray, holes: Holes, dtype: Any, run: Mapping[str, Any]) -> np.ndarray:
        """Filter `x`; `run` holds threads, algorithm, tolerance and max_memory."""
        check(holes)
        dtypes = rules.resolve(x.dtype, np.dtype(np.float64), dtype)
        part = part_of(x.dtype)
        mask = None if holes.mask is None else checked_mask(holes.mask, x.shape, part)
        if mask is None and not self.outside and not (holes.nan == "ignore" and _has_nan(x)):
            result = self.values(x.astype(np.result_type(part, x.dtype), copy=False), **run)
        else:
            result = self._weighed(x, mask, holes, run)
        if holes.preserve_nan:
            result[..., np.isnan(x)[places_of(self.original, x.shape)]] = np.nan
        return finished(result, dtypes.output)

    def _weighed(self, x: np.ndarray, mask: np.ndarray | None, holes: Holes, run: Mapping[str, Any]) -> np.ndarray:
        """Divide both sums, band by band: what lies between them stays in cache."""
        wishes = {name: run[name] for name in run if name != "threads"}
        quotient = self.quotient(x.shape, x.dtype, None if mask is None else mask.dtype, holes, wishes)
        result = np.empty(quotient.values.problem.output_shape, quotient.values.problem.dtypes.output)
        parts = certain(quotient, x, mask, holes.nan)
        for region in bands(quotient.values, quotient.weights):
            quotient.store(parts, region, result[tuple(slice(*one) for one in region)], run["threads"])
        return result

    def quotient(
        self, shape: tuple[int, ...], dtype: np.dtype, mask: np.dtype | None, holes: Holes, wishes: Mapping[str, Any]
    ) -> Quotient:
        """Plan both sums for an array and a mask of these dtypes."""
        part = part_of(dtype)
        values = self.values.plan(shape, np.result_type(part, dtype), **wishes)
        # Bytes are read as they are, and summed in the type of the samples.
        counted = np.dtype(np.uint8) if mask is None or mask.type is np.bool_ else part
        weights = self.weights.plan(shape, counted, part, **wishes)
        precise = self.one_sign and weights.recipe.relative
        floor = 0.0 if precise else weights.error_bound / float(np.abs(self.totals).min())
        return Quotient(values, weights, holes.min_weight, floor)


def certain(
    quotient: Quotient, x: np.ndarray, mask: np.ndarray | None, nan: str, held: Sequence[Any] | None = None
) -> Certain:
    """Read samples and certainties as the sums of a quotient take them."""
    inputs = (plan.problem.dtypes.input for plan in quotient[:2])
    return Certain(x, mask, *inputs, look=nan == "ignore", held=held)


def finished(result: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Give the result in the dtype that was asked for, which may have no NaN."""
    if dtype.kind in "iu" and np.isnan(result).any():
        msg = (
            f"some outputs see no sample at all, and {dtype} cannot say so; ask for dtype=float, or use a larger kernel"
        )
        raise DtypeError(msg)
    return result if result.dtype == dtype else stored(result, dtype)


def places_of(c: Convolution, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Say which samples of the input the outputs lie on."""
    if c.mode != "same" or c.padding is not None:
        asked = f"padding={c.padding!r}" if c.padding is not None else f"mode={c.mode!r}"
        msg = f"preserve_nan needs an output for each input, as mode='same' gives; but {asked} was given"
        raise GeometryError(msg)
    strides = [slice(None)] * len(shape)
    for axis, one in zip(*c.geometry(shape), strict=True):
        strides[axis] = slice(None, None, one.stride)
    return tuple(strides)


def _real(kernel: np.ndarray) -> np.ndarray:
    if kernel.dtype.kind == "c":
        msg = "missing samples need a real kernel that weighs the others, but this one is complex; filter its parts"
        raise DtypeError(msg)
    return kernel.astype(np.float64) if kernel.dtype.kind in "biu" else kernel


def _total(kernel: np.ndarray) -> float:
    total, norm = float(kernel.sum(dtype=np.float64)), float(np.abs(kernel).sum(dtype=np.float64))
    if not abs(total) > LEAST_SUM * norm:
        msg = (
            f"the kernel's taps sum to {total:g}, so the samples that are there cannot be weighed by them; with "
            "missing samples use a smoothing kernel, or fill the holes by one first and differentiate then"
        )
        raise ProblemError(msg)
    return total


def _refuse_odd(sides: Sequence[Sides]) -> None:
    odd = [rule.name for pair in sides for rule in pair if rule.is_odd]
    if odd:
        msg = f"boundary {odd[0]!r} mirrors through the edge sample, which may be missing; use 'symmetric' or 'reflect'"
        raise BoundaryError(msg)


def _constants(sides: Sequence[Sides], change: Callable[[Any], float]) -> list[tuple[Rule, Rule]]:
    def one(rule: Rule) -> Rule:
        return Rule("constant", change(rule.value)) if rule.is_constant else rule

    return [(one(low), one(high)) for low, high in sides]


def part_of(dtype: np.dtype) -> np.dtype:
    """Give the float type of samples and certainties: single precision where that holds every sample."""
    if dtype.kind == "c":
        return np.dtype(f"f{dtype.itemsize // 2}")
    narrow = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.dtype(np.float32 if narrow else np.float64)


def _has_nan(x: np.ndarray) -> bool:
    """Look for NaN, part by part: where there are some, the first part mostly has one."""
    if x.dtype.kind not in "fc" or not x.size:
        return False
    step = max(1, len(x) * LOOK_SAMPLES // x.size) if x.ndim else 1
    parts = (x[i : i + step] for i in range(0, len(x), step)) if x.ndim else iter([x])
    with np.errstate(all="ignore"):
        return any(np.isnan(part.sum()) for part in parts)  # without a temporary; Inf - Inf only costs the second look


def checked_mask(mask: Any, shape: tuple[int, ...], part: np.dtype) -> np.ndarray:
    """Give a mask as booleans or as weights from 0 to 1, of the input's shape."""
    given = np.asarray(mask)
    if given.dtype.kind not in "biuf":
        msg = f"mask must hold booleans (True where a sample counts) or weights from 0 to 1, not {given.dtype}"
        raise DtypeError(msg)
    try:
        given = np.broadcast_to(given, shape)
    except ValueError:
        msg = f"the mask of shape {given.shape} does not fit the input of shape {shape}; give one of the same shape"
        raise GeometryError(msg) from None
    if given.dtype.type is np.bool_:
        return given
    certainty = given.astype(part)
    if not ((certainty >= 0) & (certainty <= 1)).all():
        msg = "the mask has values outside 0 to 1; give booleans (True where a sample counts) or weights from 0 to 1"
        raise ProblemError(msg)
    return certainty


def check(holes: Holes) -> None:
    """Refuse options that mean nothing."""
    if holes.nan not in ("propagate", "ignore"):
        msg = f"nan={holes.nan!r}: expected 'propagate' (a window with a NaN gives NaN) or 'ignore' (NaN is missing)"
        raise ProblemError(msg)
    least = holes.min_weight
    if isinstance(least, bool) or not isinstance(least, (int, float, np.number)) or not 0 <= least <= 1:
        msg = f"min_weight={least!r}: expected the share of the kernel's weight that must be there, from 0 to 1"
        raise ProblemError(msg)
