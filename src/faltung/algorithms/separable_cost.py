"""What the passes of a separable filter cost: boxes that fit the cache, scratch memory, and predicted time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms.separable_axes import Core, Rows
from faltung.compiler import isa as isas
from faltung.compiler.pass_nest import GROUP_BYTES, sweep_rows
from faltung.compiler.sweep import EVEN, ODD
from faltung.runtime import machine, regions
from faltung.runtime import workspace as workspaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.factors import Factors
    from faltung.algorithms.layout import Layout
    from faltung.algorithms.task import Task
    from faltung.runtime.regions import Box


class Overhead(NamedTuple):
    """Vector operations of a register beside its products: it is packed, begun for every long line, and stored."""

    pack: float
    begin: float
    tile: float


# Measured on Zen 4 over arrays of 64² to 2048² and 64³ to 128³ with 3 to 81 taps, as all that follows.
ROWS, LANES = Overhead(2.6, 2.5, 3.6), Overhead(6.0, 2.5, 7.4)
# Vector operations of a tap by itself, of one whose sample is paired with another's, and to begin a long line of pairs.
TAP, PAIRED_TAP, PAIRS = 0.9, 0.54, 3.0
# Nanoseconds of any call, of a box and of each of its passes; of a byte in cache, and of one beyond.
CALL, BOX, PASS, BYTE, FAR_BYTE, CACHE = 2000.0, 700.0, 1000.0, 0.013, 0.015, 2 << 20

# What the passes hand on stays in the second-level cache.
BLOCK_BYTES = 1 << 20
# Packed rows stay in the first: a part of it in so many.
PACKED_SHARE = 40
# Lanes are cut so that the transposed buffer of one group of lines stays there too.
MOST_LANES = 8192


def boxes(plan: Layout, active: Sequence[int], itemsize: int, threads: int) -> list[Box]:
    """Cut the output into boxes; their number, for one thread or several, does not change any result."""
    sizes = _box_sizes(plan, active, itemsize, threads)
    whole: list[Box] = [tuple((0, axis.out) for axis in plan.axes)]
    for axis, size in enumerate(sizes):
        parts = -(-plan.axes[axis].out // size)
        multiple = sweep_rows(isas.host()) if axis == active[0] and axis < len(sizes) - 1 else 1
        whole = [piece for box in whole for piece in regions.split(box, axis, parts, multiple)]
    return whole


def _box_sizes(plan: Layout, active: Sequence[int], itemsize: int, threads: int) -> list[int]:
    sizes = [axis.out for axis in plan.axes]
    lanes = max(1, MOST_LANES // plan.inner // plan.axes[-1].stride)
    sizes[-1] = -(-sizes[-1] // -(-sizes[-1] // lanes))
    pieces = 1 if threads <= 1 else 4 * threads
    while block_bytes(plan, active, sizes, itemsize) > BLOCK_BYTES or _count(plan, sizes) < pieces:
        costs = {axis: _halving(plan, active, sizes, axis) for axis in range(len(sizes) - 1)}
        costs = {axis: cost for axis, cost in costs.items() if math.isfinite(cost)}
        if not costs:
            break
        axis = min(costs, key=lambda i: costs[i])
        sizes[axis] = -(-sizes[axis] // 2)
    return sizes


def _count(plan: Layout, sizes: list[int]) -> int:
    return math.prod(-(-axis.out // size) for axis, size in zip(plan.axes, sizes, strict=True))


def _halving(plan: Layout, active: Sequence[int], sizes: list[int], axis: int) -> float:
    """Give what is computed again, or only read again on the first axis, if boxes are halved along an axis."""
    one, size = plan.axes[axis], sizes[axis]
    least = 2 * sweep_rows(isas.host()) if axis in active else 2
    if size < least:
        return math.inf
    again = (one.span - 1) / (one.stride * size / 2)
    return again / 3 if axis == active[0] else again


def _held(plan: Layout, active: Sequence[int], sizes: Sequence[int], after: int) -> list[int]:
    """Give the extents of what lies in scratch after that many passes."""
    done = active[:after]
    held = []
    for i, (axis, size) in enumerate(zip(plan.axes, sizes, strict=True)):
        needed = min(axis.size, axis.stride * (size - 1) + axis.span) if i in active and i not in done else size
        held.append(needed)
    return held


def block_bytes(plan: Layout, active: Sequence[int], sizes: Sequence[int], itemsize: int) -> int:
    """Give the bytes that one plane of a box takes between its passes."""
    if len(active) == 1:
        # Nothing lies between passes; but the packed rows of one register should stay in the first-level cache.
        first = plan.axes[active[0]]
        packed = (first.stride * sizes[active[0]] + 2 * first.span) * GROUP_BYTES
        return packed * PACKED_SHARE if active[0] < len(sizes) - 1 else 0
    return math.prod(_held(plan, active, sizes, 1)) * plan.inner * itemsize


def workspace(task: Task, plan: Layout, active: Sequence[int], factors: Sequence[Factors]) -> int:
    """Bound the scratch bytes of a thread: a gathered box, what lies between passes, and packed rows."""
    itemsize, line = task.problem.dtypes.accumulate.itemsize, 2 * workspaces.ALIGNMENT
    sizes = _box_sizes(plan, active, itemsize, 1)
    read = [axis.stride * (size - 1) + axis.span for axis, size in zip(plan.axes, sizes, strict=True)]
    gathered = math.prod(read[:-1]) * (read[-1] * plan.inner * task.load.itemsize + line)
    held = [max(pair) for pair in zip(sizes, read, strict=True)]
    held[active[0]] = sizes[active[0]]
    plane = math.prod(held[:-1]) * (held[-1] * plan.inner * itemsize + line)
    ranks = max((rank for one in factors for rank in one.ranks), default=1)
    between = (2 if ranks > 1 else 1) * ranks * plane if len(active) > 1 else 0
    return gathered + between + max(_packed_bytes(plan, i, sizes, read, ranks) for i in active)


def _packed_bytes(plan: Layout, axis: int, sizes: Sequence[int], read: Sequence[int], ranks: int) -> int:
    rows, inner = Rows.of(plan, axis), plan.inner if axis == len(sizes) - 1 else 1
    register = isas.host().vector_bytes
    most = max(sweep_rows(isas.host()), register)
    needed = max(rows.needed(sizes[axis] * inner, plan.axes[axis].taps, most), read[axis] * inner) + 1
    return ranks * needed * max(GROUP_BYTES, register) + 8 * register * (4 + most * rows.chains)


def nanoseconds(task: Task, plan: Layout, active: Sequence[int], factors: Sequence[Factors]) -> float:
    """Predict the time of one thread."""
    host, dtypes = machine.host(), task.problem.dtypes
    accumulate = dtypes.accumulate
    lanes = host.vector_bytes // accumulate.itemsize
    product = host.product(accumulate.kind, accumulate.itemsize)
    sizes = _box_sizes(plan, active, accumulate.itemsize, 1)
    outputs = math.prod(plan.array_shape(out=True))
    moved = math.prod(plan.array_shape(out=False)) * task.load.itemsize
    moved += outputs * dtypes.output.itemsize
    memory = host.memory_time * (BYTE * moved + FAR_BYTE * max(0, moved - CACHE))
    total = CALL * host.python_time + len(factors) * memory
    for one in factors:
        total += _count(plan, sizes) * (BOX + PASS * len(active)) * host.python_time
        for i, core in enumerate(one.cores):
            registers = _registers(plan, active, sizes, i, lanes) * _count(plan, sizes)
            cost = host.separable * _register_cost(plan, active[i], sizes, core, product)
            total += registers * cost / host.vector_ops
    return total


def _registers(plan: Layout, active: Sequence[int], sizes: Sequence[int], i: int, lanes: int) -> float:
    """Count the registers of one map that a pass computes in a box, those beyond its edges too."""
    held = _held(plan, active, sizes, i + 1)
    width, last = held[-1] * plan.inner, len(plan.axes) - 1
    lines = math.prod(held[:-1])
    if active[i] == last:
        return -(-lines // lanes) * max(width, lanes)
    return lines * -(-width // lanes)


def _register_cost(plan: Layout, axis: int, sizes: Sequence[int], core: np.ndarray, product: float) -> float:
    """Give the instructions that one register of outputs waits for, in vector operations."""
    planes, taps, maps = core.shape
    rows, one = Rows.of(plan, axis), plan.axes[axis]
    packed_core = Core.of(core, paired=rows.paired)
    modes = packed_core.modes
    paired = float(np.mean((modes == EVEN) | (modes == ODD)))
    along = LANES if axis == len(plan.axes) - 1 else ROWS
    per_plane = taps * product * (TAP + paired * (PAIRED_TAP - TAP))
    if packed_core.known is None:
        per_plane += along.begin + paired * PAIRS
    packed = (one.stride * sizes[axis] + one.span - one.stride) / sizes[axis]
    return float(maps * (planes * per_plane + along.tile) + planes * packed * along.pack)
