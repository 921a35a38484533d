"""Pooling whole axes, axes cut into a given number of parts, and the way back from indices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import DtypeError, GeometryError
from faltung.plan.plan import as_array
from faltung.pooling.description import Pooling, check_kind
from faltung.pooling.sums import norm_dtype
from faltung.problem import dtypes as rules
from faltung.problem import geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    PerAxis = int | Sequence[int]
    Windows = list[tuple[int, int]]
    Cuts = dict[int, Windows]

# Windows of up to so many samples that lie side by side are pooled at once, larger ones one after the other.
FEW = 256


def global_pool(x: ArrayLike, kind: str = "max", axes: PerAxis | None = None, *, p: float = 2) -> np.ndarray:
    """Pool whole axes (all of them by default) to size 1: one window as large as the array.

    Kinds, dtypes and errors are those of `pool`; an axis of size 0 has no window, and is refused.

    >>> global_pool([[1.0, 5.0], [3.0, 0.0]], "mean", axes=-1)
    array([[3. ],
           [1.5]])
    """
    array = as_array(x)
    named = _named(axes, array.ndim)
    return adaptive_pool(array, (1,) * len(named), kind, named, p=p)


def adaptive_pool(
    x: ArrayLike,
    output_size: int | Sequence[int | None],
    kind: str = "mean",
    axes: PerAxis | None = None,
    *,
    p: float = 2,
) -> np.ndarray:
    """Pool to a given number of windows along each axis, which are nearly equal and cover it.

    Of n samples, window i of m holds those from floor(i·n/m) to before ceil((i+1)·n/m): neighbours share one where m
    does not divide n, and m may exceed n (as in torch). `output_size` has one entry per pooled axis, None keeping the
    axis; `axes` are the last ones by default, or those named, of which all may have one number. Kinds and dtypes are
    those of `pool`. Raises GeometryError for sizes below 1, empty axes and unknown kinds.

    >>> adaptive_pool([1.0, 2.0, 3.0, 4.0, 5.0], 2)
    array([2., 4.])
    """
    array = as_array(x)
    check_kind(kind, p)
    sizes = list(output_size) if geometry.is_sequence(output_size) else None  # type: ignore[arg-type]
    rank = np.size(axes) if axes is not None else 1 if sizes is None else len(sizes)
    named = _named(axes if axes is not None else tuple(range(-rank, 0)), array.ndim)
    wanted = _wanted(array.shape, named, [output_size] * rank if sizes is None else sizes)
    cuts = {axis: _cut(array.shape[axis], size) for axis, size in zip(named, wanted, strict=True)}
    even = all(array.shape[axis] % len(cuts[axis]) == 0 for axis in named)
    window = [array.shape[axis] // len(cuts[axis]) for axis in named]
    if even and (kind == "median" or math.prod(window) <= FEW):
        return Pooling(window, kind=kind, axes=named, p=p)(array)
    return _medians(array, cuts) if kind == "median" else _reduced(array, cuts, kind, p)


def unpool(y: ArrayLike, indices: ArrayLike, shape: PerAxis, axes: PerAxis | None = None) -> np.ndarray:
    """Put pooled values back where they came from, and zeros elsewhere.

    `indices` has the shape of `y` and comes from `pool(..., return_indices=True)`; `shape` gives the sizes of the
    pooled axes before pooling, and `axes` names these (the last ones by default). Where windows overlap, a sample that
    was chosen several times gets the last of its values in C order, and all are equal; index -1 puts nothing.
    Raises GeometryError where shapes do not fit, or an index lies outside.

    >>> from faltung.pooling import max_pool
    >>> unpool(*max_pool([1, 5, 2, 2, 9, 0], 2, return_indices=True), 6)
    array([0, 5, 2, 0, 9, 0])
    """
    values, at = as_array(y), as_array(indices)
    if values.shape != at.shape or at.dtype.kind not in "iu":
        msg = f"values of shape {values.shape} need integer indices of that shape, not {at.dtype} {at.shape}"
        raise GeometryError(msg)
    sizes = geometry.per_axis(shape, np.size(shape), "shape", least=0)
    named = geometry.normalize_axes(tuple(range(-len(sizes), 0)) if axes is None else axes, values.ndim, len(sizes))
    each = math.prod(sizes)
    if at.size and not -1 <= at.min() <= at.max() < each:
        msg = f"indices from {at.min()} to {at.max()} do not lie in the {each} samples of {sizes}; "
        raise GeometryError(msg + "pass the sizes of the pooled axes as they were before")
    order = sorted(range(len(named)), key=named.__getitem__)
    last = range(-len(named), 0)
    ascending = [named[i] for i in order]
    moved, places = np.moveaxis(values, ascending, last), np.moveaxis(at, ascending, last)
    carried = moved.shape[: values.ndim - len(named)]
    # The last place takes what is put nowhere.
    result = np.zeros((math.prod(carried), each + 1), values.dtype)
    lines = np.arange(len(result))[:, None]
    result[lines, places.reshape(len(result), -1)] = moved.reshape(len(result), -1)
    whole = result[:, :each].reshape(*carried, *(sizes[i] for i in order))
    return np.ascontiguousarray(np.moveaxis(whole, last, ascending))


def _named(axes: PerAxis | None, ndim: int) -> tuple[int, ...]:
    every = tuple(range(ndim)) if axes is None else axes
    return geometry.normalize_axes(every, ndim, np.size(every))


def _wanted(shape: tuple[int, ...], axes: tuple[int, ...], sizes: Sequence[Any]) -> tuple[int, ...]:
    if len(sizes) != len(axes):
        msg = f"output_size={tuple(sizes)} has {len(sizes)} entries for {len(axes)} pooled axes; give one for each"
        raise GeometryError(msg)
    kept = [shape[axis] if size is None else size for axis, size in zip(axes, sizes, strict=True)]
    for axis in axes:
        if shape[axis] == 0:
            msg = f"axis {axis} of the array of shape {shape} is empty; no window over it holds a sample"
            raise GeometryError(msg)
    return geometry.per_axis(kept, len(axes), "output_size", least=1)


def _cut(size: int, count: int) -> Windows:
    """Give the windows of an axis."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _reduced(array: np.ndarray, cuts: Cuts, kind: str, p: float) -> np.ndarray:
    """Pool windows of any sizes, axis after axis: of the kinds that allow it."""
    if kind in ("max", "min"):
        if rules.kind_of(array.dtype) == "complex":
            msg = f"{kind} pooling of {array.dtype}: complex numbers have no order; pool the modulus, np.abs(x)"
            raise DtypeError(msg)
        return _along(np.maximum if kind == "max" else np.minimum, array, cuts)
    if kind == "lp":
        values = np.abs(array.astype(np.complex128 if rules.kind_of(array.dtype) == "complex" else np.float64))
        with np.errstate(over="ignore", under="ignore"):
            norms = _along(np.maximum, values, cuts) if np.isinf(p) else _along(np.add, values**p, cuts) ** (1 / p)
            return norms.astype(norm_dtype(array.dtype), copy=False)
    dtypes = rules.resolve(array.dtype, np.dtype(np.int8 if kind == "sum" else np.float64), None)
    taps = math.prod(max(stop - start for start, stop in windows) for windows in cuts.values())
    if not rules.check_overflow(dtypes, taps, None) and array.size:
        rules.check_overflow(dtypes, taps, max(abs(int(array.max())), abs(int(array.min()))))
    total = _along(np.add, array.astype(dtypes.accumulate), cuts)
    if kind == "mean":
        for axis, windows in cuts.items():
            shape = [-1 if i == axis else 1 for i in range(array.ndim)]
            total /= np.array([stop - start for start, stop in windows], total.real.dtype).reshape(shape)
    return total.astype(dtypes.output, copy=False)


def _along(op: np.ufunc, array: np.ndarray, cuts: Cuts) -> np.ndarray:
    for axis, windows in cuts.items():
        before = (slice(None),) * axis
        parts = [
            op.reduce(array[(*before, slice(*window))], axis=axis, dtype=array.dtype, keepdims=True)
            for window in windows
        ]
        array = np.concatenate(parts, axis)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _medians(array: np.ndarray, cuts: Cuts) -> np.ndarray:
    shape = [len(cuts.get(axis, range(size))) for axis, size in enumerate(array.shape)]
    result = np.empty(shape, array.dtype.newbyteorder("="))
    for places in np.ndindex(*(len(windows) for windows in cuts.values())):
        part, target = [slice(None)] * array.ndim, [slice(None)] * array.ndim
        for (axis, windows), i in zip(cuts.items(), places, strict=True):
            part[axis], target[axis] = slice(*windows[i]), slice(i, i + 1)
        samples = array[tuple(part)]
        window = [samples.shape[axis] for axis in cuts]
        result[tuple(target)] = Pooling(window, kind="median", axes=tuple(cuts))(samples)
    return result
