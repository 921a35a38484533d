"""Window nests and the sequence that calls them, run by themselves between guard pages."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.elements import Element
from faltung.compiler.sequence_nest import CALL, GROUP, SequenceNest
from faltung.compiler.window_nest import FIELDS, WindowNest, reach

if TYPE_CHECKING:
    from guards import Guards

F4 = Element("f", 32)


def run_window(nest: WindowNest, guards: Guards, width: int, height: int, turn: int) -> None:
    """Combine ones: the sum counts the windows' samples, scaled where that is asked for."""
    lanes, load, store = nest.lanes(isas.host()), nest.load.bytes, nest.store.bytes
    spacing, extras = 1 + turn % 3, [] if nest.line else [3, 1][: turn % 3]
    block = lanes * (1 if nest.form == "rows" else nest.size)
    lines, in_row = height, (width + turn % 5) * load
    more = -(-reach(nest.line) // lanes) * lanes * load
    if nest.form == "rows":
        height = lines = max(height, nest.size * spacing)
        more = 0
    last = (lines - 1) * in_row + width * load
    far = (nest.count - 1) * spacing * (in_row if nest.form == "rows" else load) if nest.count else more
    shifts = [2 * load, *(2 * load + i * load for i in extras)]
    source = guards.array((max(shifts[0] + far, *shifts) + last + 7 * load) // load, _dtype(nest.load), 1)
    out_row = store * (width if nest.stream else width + turn % 4)
    out = guards.array((height * out_row) // store - (out_row // store - width), _dtype(nest.store), 0)
    if nest.stream and out.ctypes.data % 64:
        return
    factor = 0.5 if nest.before else 1.0
    positions = guards.array((2, 2), np.int64, [[0, 0], [7 * load, 0]])
    bits = np.zeros(3, np.int64)
    for i, (element, value) in enumerate(
        ((nest.element, factor), (nest.element, factor), (nest.after or nest.element, 3))
    ):
        bits[i : i + 1].view(np.uint8)[: element.bytes] = np.array([value], _dtype(element)).view(np.uint8)
    tables = guards.array(len(shifts), np.int64, shifts), guards.array(len(shifts), np.int64, bits[1])
    values = {
        "positions": 2, "position_table": positions.ctypes.data, "height": height, "width": width, "in_row": in_row,
        "out_row": out_row, "spacing": spacing if nest.form == "rows" else spacing * load, "shifts": len(shifts),
        "shift_table": tables[0].ctypes.data, "factor_table": tables[1].ctypes.data, "before": bits[0], "after": bits[2],
    }  # fmt: skip
    p = guards.array(len(FIELDS), np.int64, [values[name] for name in FIELDS])
    kernels.get(nest)(p.ctypes.data, source.ctypes.data, out.ctypes.data)
    sizes = [1]
    for level, count, _, others in nest.line:
        sizes.append(sizes[level] * count + sum(sizes[other] for other, _ in others))
    samples = (sizes[-1] if nest.line else nest.count) * factor + len(extras) * (factor if nest.extras else 1)
    want: Any = samples * (3 if nest.after else 1)
    if nest.op != "add":  # extrema of floats compare the integers of their bits, which an intermediate level keeps
        one = np.ones(1, _dtype(nest.load))
        want = one[0] if nest.load.kind == nest.store.kind else one.view(_dtype(nest.store))[0]
    rows = np.full(height * out_row // store, np.nan)
    rows[: out.size] = out
    assert (rows.reshape(height, -1)[:, :width] == want).all()
    assert block <= width


def _dtype(element: Any) -> np.dtype[Any]:
    return np.dtype(f"{element.kind}{element.bytes}")


def run_windows(nest: WindowNest, guards: Guards) -> int:
    """Run a nest over every tail up to two registers."""
    lanes = nest.lanes(isas.host())
    least = lanes * (1 if nest.form == "rows" else nest.size)
    widths = [least, 2 * least] if nest.stream else range(least, least + 2 * lanes + 2)
    for turn, width in enumerate(widths):
        run_window(nest, guards, width, 1 + turn % 3, turn)
        guards.check_and_reuse()
    return len(widths)


def run_sequence(guards: Guards) -> int:
    """Let a sequence call a window kernel for two groups that share their calls."""
    nest = WindowNest("add", F4, F4, F4, "apart", 2, 1)
    lanes = nest.lanes(isas.host())
    source = guards.array(3 * lanes + 1, np.float32, np.arange(3 * lanes + 1))
    out = guards.array(2 * lanes, np.float32, 0)
    tables = [guards.array(n, np.int64, 0) for n in (2, 1, 1)]
    values = {
        "positions": 1, "position_table": tables[0].ctypes.data, "height": 1, "width": lanes, "in_row": 0, "out_row": 0,
        "spacing": 4, "shifts": 1, "shift_table": tables[1].ctypes.data, "factor_table": tables[2].ctypes.data,
        "before": 0, "after": 0,
    }  # fmt: skip
    p = guards.array(len(FIELDS), np.int64, [values[name] for name in FIELDS])
    entry = ctypes.cast(kernels.get(nest), ctypes.c_void_p).value
    call = guards.array(len(CALL), np.int64, [entry, p.ctypes.data, 0, 0, 2, 0])
    groups = guards.array(
        (2, len(GROUP)), np.int64,
        [[1, call.ctypes.data, 0, 0, 0, 0, 1, 4 * lanes], [1, call.ctypes.data, 0, 8 * lanes, 0, 0, 1, 0]],
    )  # fmt: skip
    block = guards.array(2, np.int64, [2, groups.ctypes.data])
    bases = guards.array(2, np.int64, [source.ctypes.data, out.ctypes.data])
    kernels.get(SequenceNest())(block.ctypes.data, bases.ctypes.data, 0)
    want = [2 * i + 1 for i in (*range(2 * lanes, 3 * lanes), *range(lanes))]
    assert out.tolist() == want
    guards.check_and_reuse()
    return 1
