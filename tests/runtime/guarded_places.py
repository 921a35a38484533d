"""Extrema with indices, run by themselves between guard pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.place_nest import FIELDS, PlaceNest

if TYPE_CHECKING:
    from guards import Guards


def run_places(nest: PlaceNest, guards: Guards) -> int:
    """Run a nest over every tail up to two registers, at two positions with taps of their own."""
    lanes, dtype = nest.lanes(isas.host()), np.dtype(f"{nest.element.kind}{nest.element.bytes}")
    widths = range(1, 2 * lanes + 2)
    for width in widths:
        samples = (7 * np.arange(2 * width + 1) % 50).astype(dtype)
        source = guards.array(len(samples), dtype, samples)
        values, indices = guards.array((2, width), dtype), guards.array((2, width), np.int64)
        # The first position has taps 0 and width + 1, the second tap 1 alone.
        taps = guards.array((3, 2), np.int64, [[0, 0], [dtype.itemsize * (width + 1), width + 1], [dtype.itemsize, 1]])
        positions = guards.array(
            (2, 6), np.int64, [[0, 0, 0, 100, 0, 2], [0, width * dtype.itemsize, 8 * width, 200, 32, 1]]
        )
        block = {
            "positions": 2, "position_table": positions.ctypes.data, "tap_table": taps.ctypes.data,
            "index_out": indices.ctypes.data, "width": width, "lane_step": 1,
        }  # fmt: skip
        p = guards.array(len(FIELDS), np.int64, [block[name] for name in FIELDS])
        kernels.get(nest)(p.ctypes.data, source.ctypes.data, values.ctypes.data)
        first, later = samples[:width], samples[width + 1 :]
        wins = later > first if nest.op == "max" else later < first
        assert values.tolist() == [np.where(wins, later, first).tolist(), samples[1 : width + 1].tolist()]
        at = np.arange(width)
        assert indices.tolist() == [(100 + at + wins * (width + 1)).tolist(), (201 + at).tolist()]
        guards.check_and_reuse()
    return len(widths)
