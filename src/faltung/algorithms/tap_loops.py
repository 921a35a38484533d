"""Parameter blocks of the tap nest: how one box of a layout is cut into tiles, tables and packed weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms.layout import Layout, kernel_shape
from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.tap_nest import FIELDS, TapNest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.compiler.elements import Element
    from faltung.runtime.regions import Box

# Kernels with so few taps for each plane take a narrow tile.
SMALL_PLANE = 9


class Types(NamedTuple):
    """Element types of a nest."""

    load: Element
    accumulate: Element
    store: Element
    stream: bool = False


class Form(NamedTuple):
    """How weights are packed: (taps in the table, tap columns, tap rows); `fold` is the row length of folded lanes."""

    table: int
    columns: int
    rows: int
    fold: int = 0


class Call(NamedTuple):
    """One call of a compiled kernel: parameters, and byte offsets of its input and output."""

    kernel: Callable[..., None]
    parameters: int
    form: Form
    source: int
    target: int
    keep: tuple[np.ndarray, ...]


def lanes(types: Types) -> int:
    """Give the lanes of one register of accumulators here."""
    return isas.host().vector_bytes // types.accumulate.bytes


def pack(kernel: np.ndarray, form: Form) -> np.ndarray:
    """Pack a flat kernel (in C order) as [table, column, row], as the nest reads it; a stack one by one.

    >>> pack(np.arange(6), Form(1, 3, 2)).ravel().tolist()
    [0, 3, 1, 4, 2, 5]
    """
    stack = kernel.shape[:-1]
    if form.fold:
        padded = np.zeros((*stack, form.table, form.rows * form.fold), kernel.dtype)
        flat = kernel.reshape(*stack, form.table, -1)
        padded[..., : flat.shape[-1]] = flat
        return np.ascontiguousarray(padded.reshape(*stack, form.table, form.rows, form.fold).swapaxes(-2, -1))
    return np.ascontiguousarray(kernel.reshape(*stack, form.table, form.rows, form.columns).swapaxes(-2, -1))


class Frame(NamedTuple):
    """Where a box's input lies: bytes per step of each merged axis, the coordinate at offset 0, and the taps' offsets.

    `taps` are the lane taps' byte offsets; equally spaced unless the lanes were deinterleaved.
    """

    strides: tuple[int, ...]
    origin: tuple[int, ...]
    taps: np.ndarray
    lane_start: int


class Work(NamedTuple):
    """A box to compute: its input's frame, its output's strides and the output coordinate at offset 0."""

    plan: Layout
    types: Types
    box: Box
    frame: Frame
    out_strides: Sequence[int]
    out_origin: Sequence[int]
    width: int
    """Lanes of the box in elements, or of one whole register where the box is narrower."""


def calls(work: Work) -> list[Call]:
    """Cut a box into calls; its lanes fill at least one register."""
    plan, types, frame, width = work.plan, work.types, work.frame, work.width
    if plan.row is None:
        return _folded_calls(work)
    row = plan.axes[plan.row]
    start, stop = work.box[plan.row]
    outer, row_taps, lane_taps = kernel_shape(plan)
    tile = (
        isas.host().rows if stop - start >= isas.host().rows else 1,
        vectors(types, width, widest(types, plan)),
    )
    in_table, columns, step = _lane_taps(plan, frame)
    # Lane taps in the table come after the row taps in the kernel's order, so these must be there too.
    shared = plan.shared and not in_table
    form = Form(
        outer * (1 if shared else row_taps) * (lane_taps if in_table else 1),
        columns,
        row_taps if shared else 1,
    )
    taps = _tap_table(plan, frame, with_row=not shared, with_lane=in_table)
    values = {
        "height": stop - start, "width": width,
        "in_row": frame.strides[plan.row] * row.stride, "out_row": work.out_strides[plan.row],
        "step": step, "tap_rows": form.rows, "tap_columns": columns, "last_columns": columns,
    }  # fmt: skip
    return [_call(work, tile, form, taps, values)]


def _folded_calls(work: Work) -> list[Call]:
    """Lay a line out as rows of `fold` lanes, so that taps j and j + fold share their loads."""
    plan, types, frame, width = work.plan, work.types, work.frame, work.width
    rows, wide = isas.host().fold
    wide = vectors(types, width, wide)
    while wide > 1 and width < rows * wide * lanes(types):
        wide -= 1
    fold = wide * lanes(types)
    height = width // fold
    tile = (rows if height >= rows else 1, wide)
    in_table, columns, step = _lane_taps(plan, frame)
    outer, _, lane_taps = kernel_shape(plan)
    regular = not in_table and step == types.load.bytes
    if regular and lane_taps > fold:
        tap_rows = -(-lane_taps // fold)
        form = Form(outer, fold, tap_rows, fold)
        last = lane_taps - (tap_rows - 1) * fold
    else:
        form = Form(outer * (lane_taps if in_table else 1), columns, 1)
        last = columns
    taps = _tap_table(plan, frame, with_row=False, with_lane=in_table)
    values = {
        "height": height, "width": fold,
        "in_row": fold * types.load.bytes, "out_row": fold * types.store.bytes,
        "step": step, "tap_rows": form.rows, "tap_columns": form.columns, "last_columns": last,
    }  # fmt: skip
    result = [_call(work, tile, form, taps, values)]
    if height * fold < width:
        # The rest is the last tile moved back to end at the edge.
        values = {**values, "height": tile[0]}
        back = width - tile[0] * fold
        result.append(_call(work, tile, form, taps, values, back))
    return result


def _call(
    work: Work, tile: tuple[int, int], form: Form, taps: np.ndarray, values: dict[str, int], lane_shift: int = 0
) -> Call:
    positions, source, target = _positions(work)
    if work.plan.untied is not None:
        positions[:, 2] *= form.table * form.columns * form.rows * work.types.accumulate.bytes
    block = {
        **values, "positions": len(positions), "position_table": positions.ctypes.data,
        "taps": len(taps), "tap_table": taps.ctypes.data,
    }  # fmt: skip
    parameters = np.array([block[name] for name in FIELDS], np.int64)
    return Call(
        _kernel(work.types, tile, form, ragged=values["last_columns"] != form.columns),
        parameters.ctypes.data,
        form,
        source + lane_shift * work.types.load.bytes,
        target + lane_shift * work.types.store.bytes,
        (parameters, positions, taps),
    )


def _kernel(types: Types, tile: tuple[int, int], form: Form, *, ragged: bool) -> Callable[..., None]:
    rows, vectors = tile
    tap_rows = form.rows if form.rows < rows or form.rows == 1 else None
    unroll = isas.host().unroll
    tap_columns = form.columns if form.columns <= unroll else None
    if tap_columns and form.rows <= unroll:
        tap_rows = form.rows
    return kernels.get(
        TapNest(types.load, types.accumulate, types.store, rows, vectors, tap_rows, tap_columns, ragged, types.stream)
    )


def _lane_taps(plan: Layout, frame: Frame) -> tuple[bool, int, int]:
    """Say whether lane taps go to the table, else how many columns there are and their step in bytes."""
    steps = np.diff(frame.taps)
    if len(steps) and (steps != steps[0]).any():
        return True, 1, 0
    return False, len(frame.taps), int(steps[0]) if len(steps) else 0


def _tap_table(plan: Layout, frame: Frame, *, with_row: bool, with_lane: bool) -> np.ndarray:
    """List byte offsets of all taps that are not rows or columns of the nest, in the kernel's order."""
    offsets = np.zeros(1, np.int64)
    for i, axis in enumerate(plan.axes[:-1]):
        if i == plan.row and not with_row:
            continue
        along = np.arange(axis.taps) * (axis.dilation * frame.strides[i])
        offsets = (offsets[:, None] + along[None, :]).ravel()
    if with_lane:
        offsets = (offsets[:, None] + frame.taps[None, :]).ravel()
    elif len(frame.taps):
        offsets = offsets + frame.taps[0]
    return offsets.astype(np.int64)


def _positions(work: Work) -> tuple[np.ndarray, int, int]:
    """List (input, output) offsets and the kernel of the outer axes' positions, and those of the box's first output."""
    plan, box, frame, out_strides = work.plan, work.box, work.frame, work.out_strides
    table: np.ndarray = np.zeros((1, 3), np.int64)
    source = target = 0
    for i, (axis, (start, stop)) in enumerate(zip(plan.axes, box, strict=True)):
        lane = i == len(box) - 1
        first = 0 if lane else (axis.stride * start - axis.low - frame.origin[i]) * frame.strides[i]
        source += first
        target += (start - work.out_origin[i]) * out_strides[i]
        if i in plan.outer:
            steps = np.arange(stop - start)[:, None] * [axis.stride * frame.strides[i], out_strides[i], 0]
            if i == 0 and plan.untied is not None:
                steps[:, 2] = plan.untied.of(np.arange(start, stop))
            table = (table[:, None, :] + steps[None, :, :]).reshape(-1, 3)
    return np.ascontiguousarray(table), source + frame.lane_start, target


def widest(types: Types, plan: Layout) -> int:
    """Give the most registers of a row that pay.

    Few taps for each input row finish too soon for a wide tile (measured: 3x3 and 3x3x3 run a quarter faster with two).
    """
    _, row_taps, lane_taps = kernel_shape(plan)
    return min(isas.host().vectors, 2) if row_taps * lane_taps <= SMALL_PLANE else isas.host().vectors


def vectors(types: Types, width: int, most: int) -> int:
    """Choose the registers of a row: the most, unless a narrower tile computes fewer lanes twice."""
    lane = lanes(types)
    choices = [v for v in sorted({most, min(2, most), 1}, reverse=True) if v * lane <= width]
    if types.stream:  # a tile moved back from the edge would not be aligned
        choices = [v for v in choices if width % (v * lane) == 0]

    def cost(v: int) -> float:
        # A narrow tile also loads more coefficients for each product.
        return -(-width // (v * lane)) * v * (1 + 0.25 / v)

    return min(choices, key=cost)
