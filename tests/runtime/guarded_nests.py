"""Every kind of nest, run by itself between guard pages: `run_nest` takes it over every tail up to two registers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from guarded_fourier import run_fourier
from guarded_gradient import GRADIENTS, run_gradient
from guarded_pass import run_pass
from guarded_places import run_places
from guarded_windows import run_sequence, run_windows

from faltung.compiler import kernels
from faltung.compiler.copy_nest import CONSTANT_ROW, CopyNest
from faltung.compiler.copy_nest import FIELDS as COPY_FIELDS
from faltung.compiler.fourier_nest import AxisNest, LastNest
from faltung.compiler.layer_nest import FIELDS as LAYER_FIELDS
from faltung.compiler.layer_nest import LayerNest
from faltung.compiler.load_nest import LoadNest
from faltung.compiler.pass_nest import PassNest
from faltung.compiler.place_nest import PlaceNest
from faltung.compiler.sequence_nest import SequenceNest
from faltung.compiler.store_nest import StoreNest
from faltung.compiler.tap_nest import FIELDS, TapNest
from faltung.compiler.window_nest import WindowNest

if TYPE_CHECKING:
    from guards import Guards


def run_nest(nest: Any, guards: Guards) -> int:
    """Run a nest over every tail up to two registers; a nest of another kind has no test yet and fails."""
    from faltung.compiler import isa as isas

    count = 0
    if isinstance(nest, LayerNest):
        for turn, pixels in enumerate(range(nest.pixels, 3 * nest.pixels + 1)):
            run_layer(nest, guards, pixels, turn)
            guards.check_and_reuse()
            count += 1
        return count
    if isinstance(nest, CopyNest):
        for run in range(2 * isas.host().vector_bytes // nest.size + 2):
            run_copy(nest, guards, run, run)
            guards.check_and_reuse()
            count += 1
        return count
    if isinstance(nest, PassNest):
        lanes = isas.host().vector_bytes // nest.accumulate.bytes
        for turn, width in enumerate(range(1, 2 * lanes + 2)):
            for outputs in (1, 7, lanes, 2 * lanes + 3):
                run_pass(nest, guards, width, outputs, turn)
                guards.check_and_reuse()
                count += 1
        return count
    if isinstance(nest, WindowNest):
        return run_windows(nest, guards)
    if isinstance(nest, SequenceNest):
        return run_sequence(guards)
    if isinstance(nest, (AxisNest, LastNest, LoadNest, StoreNest)):
        return run_fourier(nest, guards)
    if isinstance(nest, PlaceNest):
        return run_places(nest, guards)
    if isinstance(nest, GRADIENTS):
        return run_gradient(nest, guards)
    assert isinstance(nest, TapNest), f"{nest} is of a kind that this test does not know"
    lanes = nest.lanes(isas.host())
    tile = nest.vectors * lanes
    for turn, width in enumerate([tile, 2 * tile, 3 * tile] if nest.stream else range(tile, tile + 2 * lanes + 2)):
        run_taps(nest, guards, width, nest.rows + turn % (nest.rows + 1), turn)
        guards.check_and_reuse()
        count += 1
    return count


def run_layer(nest: LayerNest, guards: Guards, pixels: int, turn: int) -> None:
    """Sum ones over the taps, two images and two blocks of channels, the last block with some or all channels."""
    width, taps = nest.vectors * nest.lanes, 1 + turn % 5
    channels, load, store = 1 + (7 * turn) % width, nest.load.bytes, nest.store.bytes
    source = guards.array(2 * (pixels + taps), _dtype(nest.load), 1)
    weights = guards.array(2 * (1 + taps) * width, _dtype(nest.accumulate), 1)
    out = guards.array((2, width + channels, pixels), _dtype(nest.store), 0)
    offsets = [[0, 0], [(pixels + taps) * load, out.strides[0]]]
    tables = [
        guards.array(np.shape(values), np.int64, values)
        for values in (offsets, np.arange(pixels) * load, np.arange(taps) * load)
    ]
    values = {
        "images": 2, "image_table": tables[0].ctypes.data, "blocks": 2, "block": width * pixels * store,
        "channel": pixels * store, "channels": channels, "count": pixels, "pixel_table": tables[1].ctypes.data,
        "taps": taps, "tap_table": tables[2].ctypes.data,
    }  # fmt: skip
    block = guards.array(len(LAYER_FIELDS), np.int64, [values[name] for name in LAYER_FIELDS])
    kernels.get(nest)(block.ctypes.data, source.ctypes.data, out.ctypes.data, weights.ctypes.data)
    total = taps + nest.biased
    share = {"silu": 1 / (1 + math.exp(-total)), "gelu": (1 + math.erf(total / math.sqrt(2))) / 2}.get(
        nest.activation, 1
    )
    expected = min(total, 6) if nest.activation == "relu6" else total * share
    np.testing.assert_allclose(out, expected, rtol=0 if share == 1 else 1e-6)


def run_taps(nest: TapNest, guards: Guards, width: int, height: int, turn: int) -> None:
    """Sum ones: every output is the number of its taps, whatever their places."""
    rows = nest.tap_rows or nest.rows + turn % 3
    columns = nest.tap_columns or 2 + turn % 4
    last = 1 + turn % columns if nest.ragged else columns
    load, store = nest.load.bytes, nest.store.bytes
    step = load * (1 + turn % 2)
    # Folded lines overlap; other rows have a gap which is not theirs to write.
    in_row = load * width if nest.ragged else load * (width - 1) + step * (columns - 1) + load
    out_row = store * (width if nest.stream else width + turn % 4)
    reach = [
        (height - 1 + i) * in_row + (n - 1) * step + load * width for i, n in ((rows - 1, last), (rows - 2, columns))
    ]
    plane, out_plane = max(reach[: 2 if rows > 1 else 1]), out_row * height
    tables = (
        guards.array(2, np.int64, [0, 3 * load]),
        guards.array((2, 3), np.int64, [[0, 0, 0], [5 * load, out_plane, 0]]),
    )
    source = guards.array((plane + 8 * load) // load, _dtype(nest.load), 1)
    weights = guards.array(2 * rows * columns, _dtype(nest.accumulate), 1)
    out = guards.array(out_plane * 2 // store - (out_row // store - width), _dtype(nest.store), 0)
    values = {
        "positions": 2, "position_table": tables[1].ctypes.data, "taps": 2, "tap_table": tables[0].ctypes.data,
        "height": height, "width": width, "in_row": in_row, "out_row": out_row, "step": step, "tap_rows": rows,
        "tap_columns": columns, "last_columns": last,
    }  # fmt: skip
    block = guards.array(len(FIELDS), np.int64, [values[name] for name in FIELDS])
    kernels.get(nest)(block.ctypes.data, source.ctypes.data, out.ctypes.data, weights.ctypes.data)
    want = np.zeros((2 * height, out_row // store), out.dtype)
    want[:, :width] = 2 * ((rows - 1) * columns + last)
    assert (out == want.ravel()[: out.size]).all()


def run_copy(nest: CopyNest, guards: Guards, run: int, turn: int) -> None:
    low, high, fill = [3, -1, 0][: turn % 4], [-1, 1, 2, 0][: turn % 5], 77
    dtype, width = np.dtype(f"u{nest.size}"), max(run, 4)
    source = guards.array((2, width), dtype, np.arange(2 * width).reshape(2, width) % 70)
    shifts = [source.strides[0], CONSTANT_ROW, 0]
    tables = {"row_table": shifts, "low_table": low, "high_table": high}
    held = {
        name: guards.array(len(t), np.int64, [c * nest.size if c >= 0 and name != "row_table" else c for c in t])
        for name, t in tables.items()
    }
    out = guards.array((3, len(low) + run + len(high)), dtype, 0)
    filling = guards.array(1, dtype, fill)
    values = {
        "rows": 3, "low": len(low), "middle": 0, "run": run, "high": len(high), "out_row": out.strides[0],
        "fill": filling.ctypes.data, **{name: table.ctypes.data for name, table in held.items()},
    }  # fmt: skip
    block = guards.array(len(COPY_FIELDS), np.int64, [values[name] for name in COPY_FIELDS])
    kernels.get(nest)(block.ctypes.data, source.ctypes.data, out.ctypes.data)
    for got, row in zip(out, (source[1], None, source[0]), strict=True):
        columns = [*low, *range(run), *high]
        assert got.tolist() == [fill if row is None or c < 0 else int(row[c]) for c in columns]


def _dtype(element: Any) -> np.dtype[Any]:
    return np.dtype(f"{element.kind}{element.bytes}")
