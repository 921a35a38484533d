"""Reading a box of the extended array: the one place where boundaries become data.

A box of input coordinates, which may reach beyond the array on any side, is copied to contiguous scratch memory.
Rules that only move samples, and at most one constant, are two tables of byte offsets for a compiled copy; odd rules
and several constants go through NumPy, axis by axis as numpy.pad does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.compiler import kernels
from faltung.compiler.copy_nest import CONSTANT_ROW, FIELDS, CopyNest
from faltung.problem.boundary import AxisMap, axis_map

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.problem.boundary import Sides


def coordinates(start: int, stop: int, size: int, sides: Sides | None) -> AxisMap:
    """Map the coordinates range(start, stop) of an axis; a carried axis (`sides` None) is never extended."""
    if sides is None:
        return AxisMap(np.arange(start, stop, dtype=np.int64), None, None, None, None)
    return axis_map(start, stop, size, sides)


def pick(chosen: AxisMap, order: np.ndarray) -> AxisMap:
    """Take some of the coordinates, in the order given."""
    parts = (chosen.fill, chosen.sign, chosen.first, chosen.last)
    return AxisMap(chosen.index[order], *(None if part is None else part[order] for part in parts))


def extended(source: np.ndarray, maps: Sequence[AxisMap]) -> np.ndarray:
    """Give the extended array at the mapped coordinates, axis by axis, with NumPy.

    Odd rules compute in the source's dtype, which the caller has made wide enough.
    """
    return _extend(source, [_line(chosen, source.dtype) for chosen in maps])


class _Line(NamedTuple):
    """How an axis is extended: the longest run of plain samples, and what must be worked out for the others."""

    size: int
    first: int
    run: int
    start: int
    others: np.ndarray
    places: np.ndarray
    odd: np.ndarray
    sign: np.ndarray
    edges: tuple[tuple[int, np.ndarray, np.ndarray], ...]
    outside: np.ndarray
    fill: np.ndarray


def _line(chosen: AxisMap, dtype: np.dtype) -> _Line:
    nothing = np.zeros(0, np.int64)
    odd = np.zeros(len(chosen.index), bool)
    if chosen.sign is not None and chosen.first is not None and chosen.last is not None:
        odd = (chosen.index >= 0) & ((chosen.sign < 0) | (chosen.first != 0) | (chosen.last != 0))
    first, run = contiguous_run(np.where(odd, -1, chosen.index))
    others = np.r_[0:first, first + run : len(chosen.index)]
    at = np.flatnonzero(odd[others])
    rest, edges, sign = pick(chosen, others), [], nothing
    if len(at) and rest.sign is not None and rest.first is not None and rest.last is not None:
        sign = rest.sign[at].astype(dtype)
        for edge, factor in ((0, rest.first[at]), (-1, rest.last[at])):
            # An edge that does not count must not count as 0 · Inf either.
            counts = np.flatnonzero(factor)
            edges.append((edge, counts, factor[counts].astype(dtype)))
    outside = np.flatnonzero(rest.index < 0)
    fill = nothing if rest.fill is None else rest.fill[outside].astype(dtype)
    start = int(chosen.index[first]) if run else 0
    places = np.maximum(rest.index, 0)
    return _Line(len(chosen.index), first, run, start, others, places, at, sign, tuple(edges), outside, fill)


@np.errstate(invalid="ignore", over="ignore")
def _extend(source: np.ndarray, plan: Sequence[_Line]) -> np.ndarray:
    for axis, line in enumerate(plan):
        if line.run == line.size == source.shape[axis]:
            continue
        sizes = list(source.shape)
        sizes[axis] = line.size
        result = np.empty(sizes, source.dtype)
        lines, taken = np.moveaxis(source, axis, 0), np.moveaxis(result, axis, 0)
        taken[line.first : line.first + line.run] = lines[line.start : line.start + line.run]
        if line.run == 0:
            taken[...] = _others(lines, line)
        elif len(line.others):
            taken[line.others] = _others(lines, line)
        source = result
    return source


def _others(lines: np.ndarray, line: _Line) -> np.ndarray:
    """Work out the lines of an axis that are no plain copy."""
    shape = (-1,) + (1,) * (lines.ndim - 1)
    values: np.ndarray = np.zeros((len(line.places), *lines.shape[1:]), lines.dtype)
    if len(lines):
        values = lines[line.places]
    if len(line.odd):
        total = line.sign.reshape(shape) * values[line.odd]
        for edge, counts, factor in line.edges:
            total[counts] += factor.reshape(shape) * lines[edge]
        values[line.odd] = total
    if len(line.fill):
        values[line.outside] = line.fill.reshape(shape)
    return values


class Gather(NamedTuple):
    """A prepared copy into scratch rows: run(source array, source address, scratch address).

    A compiled one is `copy`(`parameters`, source address, scratch address).
    """

    run: Callable[[np.ndarray, int, int], None]
    copy: Callable[..., None] | None = None
    parameters: int = 0
    keep: tuple[Any, ...] = ()


def prepare(
    maps: Sequence[AxisMap],
    strides: Sequence[int],
    shape: Sequence[int],
    dtype: np.dtype,
    inner: int,
    pitch: int,
) -> Gather:
    """Prepare the copy of the box that `maps` describe; the last map counts pixels of `inner` elements.

    `strides` and `shape` are the source's, in bytes and elements (its last axis in elements, not pixels).
    """
    constant, itemsize = _one_constant(maps), dtype.itemsize
    if constant is None or not kernels.available():
        return _prepare_numpy(maps, shape, dtype, inner, pitch)
    rows = np.zeros(1, np.int64)
    inside = np.ones(1, bool)
    for chosen, stride in zip(maps[:-1], strides[:-1], strict=True):
        rows = (rows[:, None] + (np.maximum(chosen.index, 0) * stride)[None, :]).ravel()
        inside = (inside[:, None] & (chosen.index >= 0)[None, :]).ravel()
    lane = maps[-1].index
    if not (lane >= 0).any():
        inside[:] = False
    rows[~inside] = CONSTANT_ROW
    first, run = contiguous_run(lane)
    low, high = (_columns(part, itemsize, inner) for part in (lane[:first], lane[first + run :]))
    some = int(lane[lane >= 0][0]) if (lane >= 0).any() else 0
    middle = (int(lane[first]) if run else some) * inner * itemsize
    return _prepare_compiled(rows, low, middle, run * inner, high, pitch, np.array([constant]).astype(dtype))


def _prepare_compiled(
    rows: np.ndarray, low: np.ndarray, middle: int, run: int, high: np.ndarray, pitch: int, fill: np.ndarray
) -> Gather:
    values = {
        "rows": len(rows), "row_table": rows.ctypes.data, "low": len(low), "low_table": low.ctypes.data,
        "middle": middle, "run": run, "high": len(high), "high_table": high.ctypes.data,
        "out_row": pitch, "fill": fill.ctypes.data,
    }  # fmt: skip
    parameters = np.array([values[name] for name in FIELDS], np.int64)
    address = parameters.ctypes.data
    copy = kernels.get(CopyNest(fill.itemsize))

    def run_copy(source: np.ndarray, source_address: int, scratch: int) -> None:
        copy(address, source_address, scratch)

    return Gather(run_copy, copy, address, (parameters, rows, low, high, fill))


def _prepare_numpy(maps: Sequence[AxisMap], shape: Sequence[int], dtype: np.dtype, inner: int, pitch: int) -> Gather:
    import ctypes

    pixels = (*shape[:-1], shape[-1] // inner, inner)
    plan = [_line(chosen, dtype) for chosen in maps]

    def run(source: np.ndarray, source_address: int, scratch: int) -> None:
        box = _extend(source.reshape(pixels), plan)
        rows = box.reshape(-1, box.shape[-2] * inner)
        width = rows.shape[1] * rows.itemsize
        raw = (ctypes.c_uint8 * (pitch * len(rows))).from_address(scratch)
        target = np.ctypeslib.as_array(raw).reshape(len(rows), pitch)
        target[:, :width] = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), width)

    return Gather(run)


def _one_constant(maps: Sequence[AxisMap]) -> complex | None:
    """Give the only constant that is read (0 if none is), or None if there are several or an odd rule is met."""
    values: set[complex] = set()
    for chosen in maps:
        if chosen.sign is not None:
            return None
        if chosen.fill is not None:
            values.update(np.unique(chosen.fill[chosen.index < 0]).tolist())
    if len(values) > 1:
        return None
    return values.pop() if values else 0


def contiguous_run(index: np.ndarray) -> tuple[int, int]:
    """Find the longest run of consecutive samples: (first position, length)."""
    if len(index) == 0:
        return 0, 0
    breaks = np.flatnonzero((np.diff(index) != 1) | (index[:-1] < 0)) + 1
    edges = np.concatenate(([0], breaks, [len(index)]))
    lengths = np.diff(edges)
    best = int(np.argmax(np.where(index[edges[:-1]] < 0, 0, lengths)))
    return (int(edges[best]), int(lengths[best])) if index[edges[best]] >= 0 else (0, 0)


def _columns(index: np.ndarray, itemsize: int, inner: int) -> np.ndarray:
    pixels = index[:, None] * inner + np.arange(inner)
    return np.where(index[:, None] < 0, -1, pixels * itemsize).ravel().astype(np.int64)
