"""One pass of a separable filter between guard pages: ones are summed, so every output is the number of its taps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.pass_nest import CONSTANT, FIELDS, PassNest, Work, group
from faltung.compiler.sweep import APART, EVEN, GENERAL, ODD

if TYPE_CHECKING:
    from guards import Guards

# Chains, buffer rows from tap to tap and from output to output.
STEPS = ((1, 1, 1), (3, 3, 3), (1, 2, 1), (2, 2, 4))


def run_pass(nest: PassNest, guards: Guards, width: int, outputs: int, turn: int) -> None:
    """Run one pass over `width` lanes (or lines), for `outputs` along its axis."""
    isa = isas.host()
    at, register = Work.of(isa, nest), isa.vector_bytes
    chains, tap, out_step = STEPS[turn % (4 if nest.known is None else 2)]
    outputs = -(-outputs // chains) * chains
    taps, planes, maps = 1 + turn % 6, 1 + turn % 2, 1 + turn // 2 % 2
    mode = (GENERAL, EVEN, ODD)[turn % 3] if tap == out_step else APART
    if nest.known is not None:
        (taps, mode), planes, maps = nest.known, 1, 1
    reach = (outputs // chains - 1) * out_step + chains + tap * (taps - 1)
    blocks = -(-(outputs // chains) // (at.block if nest.lanes else at.rows)) * (at.block if nest.lanes else at.rows)
    rows = max(reach, chains + out_step * blocks + tap * (taps + 1))
    # Along rows `reach` rows of `width` lanes are read, along the lanes `width` lines of as many columns.
    shape = (planes, width, reach) if nest.lanes else (planes, reach, width)
    source = guards.array(shape, _dtype(nest.load), 1)
    out = guards.array((maps, width, outputs) if nest.lanes else (maps, outputs, width), _dtype(nest.store), 9)
    held: dict[str, Any] = {
        "weights": guards.array(maps * planes * taps, _dtype(nest.accumulate), 1),
        "modes": guards.array(maps * planes, np.int64, mode),
        "fills": guards.array(planes, _dtype(nest.load), 1),
    }
    values = dict.fromkeys(FIELDS, 0) | {
        "planes": planes, "in_plane": source.strides[0], "maps": maps, "out_map": out.strides[0], "taps": taps,
        "chains": chains, "tap_step": tap * register, "out_step": out_step * register, "outputs": outputs,
        "buffer": at.buffer(chains), "block_bytes": rows * register,
        "stream": int(all(stride % 64 == 0 for stride in out.strides[:2])),
    }  # fmt: skip
    if nest.lanes:
        lines = [(i * source.strides[1], i * out.strides[1]) for i in range(width)]
        # The outermost columns are a constant and a copy.
        beyond = 1 if reach > 2 else 0
        table = [[0, CONSTANT], [(reach - 1) * register, register]][: 2 * beyond]
        values |= {"width": reach - 2 * beyond, "extent": beyond, "copies": len(table), "plane_bytes": rows * register}
    else:
        lines, table = [(0, 0)], [i * source.strides[1] if i % 3 else CONSTANT for i in range(reach)]
        values |= {
            "width": width,
            "extent": reach,
            "out_row": out.strides[1],
            "plane_bytes": rows * register * group(isa),
        }
    held["line_table"] = guards.array(np.shape(lines), np.int64, lines)
    held["table"] = guards.array(np.shape(table), np.int64, table)
    values |= {"lines": len(lines), **{name: array.ctypes.data for name, array in held.items()}}
    size = values["buffer"] + planes * values["plane_bytes"]
    work = guards.array(size // register * register, np.uint8, 0)
    block = guards.array(len(FIELDS), np.int64, [values[name] for name in FIELDS])
    # Work memory starts on a register: the guard must let it.
    assert work.ctypes.data % register == 0
    kernels.get(nest)(block.ctypes.data, source.ctypes.data, out.ctypes.data, work.ctypes.data)
    want = planes * (taps % 2 if mode == ODD else taps)
    assert (out == want).all()


def _dtype(element: Any) -> np.dtype[Any]:
    return np.dtype(f"{element.kind}{element.bytes}")
