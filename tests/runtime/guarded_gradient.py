"""The nests of a layer's gradient by its weights, run by themselves between guard pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.compiler import gradient_nest, gradient_rows, kernels, pack_nest
from faltung.compiler.gradient_nest import GradientNest
from faltung.compiler.gradient_rows import GradientRowNest
from faltung.compiler.pack_nest import PackNest

if TYPE_CHECKING:
    from guards import Guards

GRADIENTS = (GradientNest, GradientRowNest, PackNest)


def run_gradient(nest: Any, guards: Guards) -> int:
    """Run a nest over every tail up to two registers."""
    if isinstance(nest, GradientNest):
        turns, run = range(1, 12), run_channels
    elif isinstance(nest, GradientRowNest):
        turns, run = range(nest.lanes, 3 * nest.lanes + 2), run_rows  # type: ignore[assignment]
    else:
        turns, run = range(1, 2 * nest.lanes + 2), run_pack  # type: ignore[assignment]
    for turn in turns:
        run(nest, guards, turn)
        guards.check_and_reuse()
    return len(turns)


def run_channels(nest: GradientNest, guards: Guards, pixels: int) -> None:
    """Two tiles of channels, two blocks of entries: every sum of ones is the number of pixels, added to what was."""
    dtype, item = _dtype(nest.element), nest.element.bytes
    entries, width = 2 * nest.entries, nest.vectors * nest.lanes
    source = guards.array((2, pixels + entries - 1), dtype, 1)
    gradient = guards.array((2, pixels, width), dtype, 1)
    out = guards.array((2, entries, width), dtype, 1)
    places = np.array([[0, 0, 0], [source.strides[0], gradient.strides[0], out.strides[0]]])
    tables = [guards.array(t.shape, np.int64, t) for t in (places, np.arange(entries) * item, np.arange(pixels) * item)]
    values = {
        "tiles": 2, "tile_table": tables[0].ctypes.data, "blocks": 2, "entry_table": tables[1].ctypes.data,
        "pixels": pixels, "pixel_table": tables[2].ctypes.data,
    }  # fmt: skip
    block = guards.array(len(values), np.int64, [values[name] for name in gradient_nest.FIELDS])
    kernels.get(nest)(block.ctypes.data, source.ctypes.data, out.ctypes.data, gradient.ctypes.data)
    assert (out == pixels + 1).all()


def run_rows(nest: GradientRowNest, guards: Guards, width: int) -> None:
    """Two pairs of channels, two positions and tiles: the lanes of every sum of ones add up to the number of pixels."""
    dtype, item, lanes = _dtype(nest.element), nest.element.bytes, nest.lanes
    height = max(1, nest.rows - 1) + width % 3
    source = guards.array((2, 2, height + nest.rows - 1, nest.step * width + nest.taps), dtype, 1)
    gradient = guards.array((2, 2, height, width), dtype, 1)
    out = guards.array((2, 2, nest.rows, nest.taps, lanes), dtype, 1)
    whole, rest = divmod(width, lanes)
    mask = np.where(width - lanes + np.arange(lanes) < whole * lanes, 0, -1)
    tables = [
        np.array([[0, 0, 0], [source.strides[0], gradient.strides[0], out.strides[0]]]),
        np.arange(nest.taps) * item + np.array([[0], [item]]),
        np.array([[0, 0], [source.strides[1], gradient.strides[1]]]),
    ]
    held = [guards.array(table.shape, np.int64, table) for table in tables]
    bits = guards.array(lanes, f"i{item}", mask)
    values = {
        "pairs": 2, "pair_table": held[0].ctypes.data, "tiles": 2, "tap_table": held[1].ctypes.data, "positions": 2,
        "position_table": held[2].ctypes.data, "height": height, "in_row": source.strides[2],
        "gradient_row": gradient.strides[2], "blocks": whole, "edges": int(rest > 0), "edge": (width - lanes) * item,
        "mask": bits.ctypes.data,
    }  # fmt: skip
    block = guards.array(len(values), np.int64, [values[name] for name in gradient_rows.FIELDS])
    kernels.get(nest)(block.ctypes.data, source.ctypes.data, out.ctypes.data, gradient.ctypes.data)
    assert (out.sum(axis=-1) == 2 * height * width + lanes).all()


def run_pack(nest: PackNest, guards: Guards, columns: int) -> None:
    """A whole band and one of fewer rows, the last of which is repeated."""
    dtype, lanes = _dtype(nest.element), nest.lanes
    rows = lanes + 1 + columns % lanes
    source = guards.array((rows, columns), dtype, np.arange(rows * columns).reshape(rows, columns) % 120)
    out = guards.array((columns, 2 * lanes), dtype, 0)
    bands = [[0, 0, lanes], [lanes * source.strides[0], lanes * nest.element.bytes, rows - lanes]]
    table = guards.array((2, 3), np.int64, bands)
    values = {
        "bands": 2, "band_table": table.ctypes.data, "row": source.strides[0], "columns": columns,
        "pitch": out.strides[0], "wide": sum((at + count - 1) * columns + lanes <= rows * columns for at, count in
                                             ((0, lanes), (lanes, rows - lanes))),
    }  # fmt: skip
    block = guards.array(len(values), np.int64, [values[name] for name in pack_nest.FIELDS])
    kernels.get(nest)(block.ctypes.data, source.ctypes.data, out.ctypes.data)
    assert (out == source[np.minimum(np.arange(2 * lanes), rows - 1)].T).all()


def _dtype(element: Any) -> np.dtype[Any]:
    return np.dtype(f"{element.kind}{element.bytes}")
