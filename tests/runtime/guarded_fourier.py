"""The nests of the Fourier method, run by themselves between guard pages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.compiler import fourier_nest, kernels, load_nest, store_nest
from faltung.compiler import isa as isas
from faltung.compiler.fourier_nest import AxisNest, LastNest
from faltung.compiler.fourier_stages import twiddles
from faltung.compiler.load_nest import LoadNest
from faltung.compiler.store_nest import StoreNest

if TYPE_CHECKING:
    from guards import Guards

FOURIER_NESTS = (AxisNest, LastNest, LoadNest, StoreNest)


def run_fourier(nest: Any, guards: Guards) -> int:
    """Run one of these nests over several shapes; give their number."""
    if isinstance(nest, StoreNest):
        lanes = isas.host().vector_bytes // nest.element.bytes
        for width in range(1, 2 * lanes + 3):
            _store(nest, guards, width)
            guards.check_and_reuse()
        return 2 * lanes + 2
    run = {AxisNest: _axis, LastNest: _last, LoadNest: _load}[type(nest)]
    for count in (1, 2, 3):
        run(nest, guards, count)
        guards.check_and_reuse()
    return 3


def _dtype(element: Any) -> np.dtype[Any]:
    return np.dtype(f"{element.kind}{element.bytes}")


def _block(guards: Guards, fields: tuple[str, ...], values: dict[str, int]) -> int:
    block: int = guards.array(len(fields), np.int64, [values[name] for name in fields]).ctypes.data
    return block


def _tile(guards: Guards, nest: Any, count: int, room: int) -> Any:
    """Give a tile (two planes) with room for panels right behind it."""
    isa, dtype = isas.host(), _dtype(nest.element)
    tile = guards.array(2 * count + 2 * room * isa.vector_bytes // dtype.itemsize, dtype, 0)
    tile[: 2 * count] = 1
    return tile


def _parameters(guards: Guards, nest: Any, table: Any, pitch: int, plane: int, **further: int) -> int:
    factors = twiddles(nest.stages, _dtype(nest.element))
    held = guards.array(factors.shape, factors.dtype, factors)
    places = guards.array((len(table), 2), np.int64, [[place, place] for place in table])
    values = {
        "panels": len(table), "panel_table": places.ctypes.data, "pitch": pitch, "plane": plane, "buffer": 2 * plane,
        "twiddles": held.ctypes.data, "spectrum": 0, "bridge": 0, **further,
    }  # fmt: skip
    return _block(guards, fourier_nest.FIELDS, values)


def _axis(nest: AxisNest, guards: Guards, count: int) -> None:
    """Transform constants: all is in the first row of each of two panels."""
    size, width = math.prod(nest.stages), count * isas.host().vector_bytes
    plane = 2 * size * width
    tile = _tile(guards, nest, plane // nest.element.bytes, size)
    block = _parameters(guards, nest, [0, size * width], width, plane, vectors=count)
    kernels.get(nest)(block, tile.ctypes.data, tile.ctypes.data)
    got = tile[: 2 * plane // nest.element.bytes].reshape(2, 2, size, -1)
    assert np.allclose(got[:, :, 0], size, rtol=1e-5)
    assert np.abs(got[:, :, 1:]).max(initial=0) < 1e-3


def _last(nest: LastNest, guards: Guards, count: int) -> None:
    """Multiply by one, with factors of one: everything comes back, as many times as there are points."""
    isa, size, dtype = isas.host(), math.prod(nest.stages), _dtype(nest.element)
    lanes = isa.vector_bytes // dtype.itemsize
    panel = lanes * size * dtype.itemsize
    tile = _tile(guards, nest, count * lanes * size, size)
    ones = guards.array((count, size, 2, lanes), dtype, 0)
    ones[:, :, 0] = 1
    block = _parameters(
        guards, nest, [panel * i for i in range(count)], size * dtype.itemsize, count * panel,
        vectors=size // lanes, spectrum=ones.ctypes.data, bridge=ones.ctypes.data,
    )  # fmt: skip
    kernels.get(nest)(block, tile.ctypes.data, tile.ctypes.data)
    assert np.allclose(tile[: 2 * count * lanes * size], size, rtol=1e-4)


def _load(nest: LoadNest, guards: Guards, count: int) -> None:
    """Load rows in opposite order; the block in front is the darkest that counts."""
    dtype, source_dtype = _dtype(nest.element), _dtype(nest.load)
    lanes, rows = isas.host().vector_bytes // dtype.itemsize, 2
    width, blocks = count * lanes, 3
    values = 2 + np.arange(blocks * rows * width).reshape(blocks * rows, width) % 90
    values[2:4] = 1
    source = guards.array(values.shape, source_dtype, values)
    tile = guards.array(values.shape, dtype, 0)
    order = np.arange(blocks * rows)[::-1]
    table = guards.array(
        (len(order), 2), np.int64, [[i * source.strides[0], j * tile.strides[0]] for j, i in enumerate(order)]
    )
    masks = guards.array(blocks, np.int64, [0, -1, 0]), guards.array(width, f"i{dtype.itemsize}", 0)
    found, room = guards.array(2, np.int64, 0), guards.array(width, dtype, 0)
    block = _block(guards, load_nest.FIELDS, {
        "blocks": blocks, "rows": rows, "vectors": count, "row_table": table.ctypes.data,
        "row_mask": masks[0].ctypes.data, "lane_mask": masks[1].ctypes.data,
    })  # fmt: skip
    places = guards.array(3, np.int64, [tile.ctypes.data, found.ctypes.data, room.ctypes.data])
    kernels.get(nest)(block, source.ctypes.data, places.ctypes.data)
    assert (tile == values[order]).all()
    darkest = values[order].reshape(blocks, rows, -1, nest.group).max(axis=(1, 3))[[0, 2]].min()
    got = found.view(dtype)[:: 8 // dtype.itemsize]
    assert got.tolist() == [values.max(), darkest]


def _store(nest: StoreNest, guards: Guards, width: int) -> None:
    """Store rows apart from each other, shorter and longer than a register."""
    dtype, stored = _dtype(nest.element), _dtype(nest.store)
    lanes = isas.host().vector_bytes // dtype.itemsize
    values = np.arange(3 * (width + lanes)).reshape(3, -1) % 99
    source = guards.array((3, max(width, lanes)), dtype, values[:, : max(width, lanes)])
    out = guards.array(3 * width + 2, stored, 0)
    table = guards.array(
        (3, 2), np.int64, [[i * source.strides[0], i * (width + 1) * stored.itemsize] for i in range(3)]
    )
    block = _block(guards, store_nest.FIELDS, {"rows": 3, "row_table": table.ctypes.data, "width": width})
    kernels.get(nest)(block, source.ctypes.data, out.ctypes.data)
    want = np.zeros((3, width + 1), stored)
    want[:, :width] = values[:, :width]
    assert (out == want.ravel()[:-1]).all()
