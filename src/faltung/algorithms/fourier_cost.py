"""What a tile costs, and which tile is best: a pure function of the problem and the instruction set."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from faltung.algorithms.fourier_tiles import Tiling
from faltung.compiler import isa as isas
from faltung.runtime import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faltung.algorithms.fourier_tiles import View
    from faltung.algorithms.task import Task

# Points of the largest tile, and how many lengths are tried along each axis.
LARGEST, LENGTHS = 1 << 23, {2: 7, 3: 5, 4: 4}
# Measured on Zen 4 over 290 problems (64² to 2048² samples, and as many in one and three dimensions): vector operations
# for one point and one level of both transforms, product and transposition included; levels that the factors of a
# bridge are worth; bytes of the second cache, and what each doubling beyond it adds.
LEVEL, BRIDGE, CACHE, BEYOND = 7.0, 3.0, 1 << 20, 0.2
# Nanoseconds of Python for a call, for a pair, and for a tile that is stored with strides.
CALL, PAIR, APART = 14e3, 9.4e3, 12e3
# What NumPy gathers, nanoseconds of a tile and of a byte: odd rules, and constants beside the zeros that fill a tile.
EDGE, EDGE_BYTE = 19e3, 0.18
# Bytes that are loaded and stored in a nanosecond: from memory, and where input and output stay in the last cache.
BYTES, NEAR, LAST_CACHE = 10.0, 19.0, 12 << 20


def best_tiling(task: Task, view: View, fits: Callable[[Tiling], bool]) -> Tiling | None:
    """Choose the tiling with the least predicted time of those that fit; of all if none does."""
    found = sorted(
        ((nanoseconds(task, tiling), tiling.shape, tiling) for tiling in _candidates(task, view)), key=lambda c: c[:2]
    )
    return next((tiling for *_, tiling in found if fits(tiling)), found[0][2] if found else None)


def _candidates(task: Task, view: View) -> Iterator[Tiling]:
    """Give tiles from the shortest lengths that hold the kernel to those that hold everything."""
    lanes = isas.host().vector_bytes // task.problem.dtypes.accumulate.itemsize
    if len(view.axes) == 1:
        yield from _lines(view, lanes)
        return
    choices = []
    for i, (axis, dense) in enumerate(zip(view.axes, view.dense, strict=True)):
        least = max(2 if i < len(view.axes) - 2 else lanes, axis.span)
        unit = lanes if i >= len(view.axes) - 2 else 2
        powers = [unit << k for k in range(24)]
        lengths = sorted(n for n in [*powers, *(3 * n for n in powers)] if n >= least)[: LENGTHS.get(len(view.axes), 2)]
        enough = next((k for k, n in enumerate(lengths) if n >= dense + axis.span - 1), len(lengths))
        lengths = lengths[: enough + 1]
        choices.append(lengths)
    yield from (Tiling(view, shape) for shape in itertools.product(*choices) if math.prod(shape) <= LARGEST)


def _lines(view: View, lanes: int) -> Iterator[Tiling]:
    """Give the tiles of a line, as rows and columns."""
    (dense,) = view.dense
    for bits in range(2 * (lanes.bit_length() - 1), LARGEST.bit_length()):
        for shape in ((1 << bits // 2, 1 << bits - bits // 2), (3 << bits // 2, 1 << bits - bits // 2)):
            tiling = Tiling(view, shape)
            if tiling.step[0] > 0:
                yield tiling
                if tiling.step[0] >= dense:
                    return


def nanoseconds(task: Task, tiling: Tiling) -> float:
    """Predict the time of one thread."""
    host, size, bank = machine.host(), task.problem.dtypes.accumulate.itemsize, len(task.kernels)
    levels = [math.log2(n) for n in tiling.shape]
    front, last = sum(levels[:-1]), levels[-1] + BRIDGE * tiling.bridged
    # The transform forth along the front axes is shared by a bank of kernels.
    worked = tiling.points * (front + bank * (2 * last + front)) / 2
    working = 2 * size * tiling.points * (2 + tiling.bridged)
    slower = 1 + BEYOND * max(0.0, math.log2(working / CACHE)) + max(0.0, math.log2(working / LAST_CACHE))
    compute = host.fourier * worked * LEVEL * slower / (host.vector_bytes / size * host.vector_ops)
    outputs = math.prod(task.problem.output_shape)
    moved = tiling.tiles * tiling.points * task.load.itemsize + outputs * task.problem.dtypes.output.itemsize
    if tiling.view.moved:
        moved *= 3
    held = math.prod(task.problem.shape) * task.load.itemsize + outputs * task.problem.dtypes.output.itemsize
    memory = host.memory_time * moved / (NEAR if held <= LAST_CACHE else BYTES)
    return host.python_time * _python(task, tiling) + tiling.pairs * compute + memory


def _python(task: Task, tiling: Tiling) -> float:
    """Predict what the interpreter and NumPy add: calls, and the tiles that no compiled copy loads or stores."""
    total = CALL + PAIR * tiling.pairs
    if any(axis.stride > 1 for axis in tiling.view.axes):
        total += APART * tiling.tiles
    rules = [rule for sides in tiling.view.sides for rule in sides]
    if any(rule.is_odd or (rule.is_constant and rule.value != 0) for rule in rules):
        inside = math.prod(max(0, n - 2) for n in tiling.count) * tiling.view.image_count
        total += (tiling.tiles - inside) * (EDGE + EDGE_BYTE * tiling.points * task.load.itemsize)
    return total
