"""The calls that make one tile of window sums or extrema: axis by axis in scratch memory, the outermost first."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.algorithms.steps import c_strides
from faltung.algorithms.window_chain import Stage
from faltung.algorithms.window_work import extent, lane_runs, phase_extent
from faltung.compiler import isa as isas
from faltung.compiler import kernels
from faltung.compiler.window_nest import FIELDS, Line, WindowNest, reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from faltung.algorithms.layout import Layout
    from faltung.algorithms.window_chain import Part
    from faltung.algorithms.window_work import Arithmetic, Work
    from faltung.compiler.elements import Element

# Registers of a block of lanes, and rows of a tile.
VECTORS, ROWS = (8, 4, 2, 1), 8
# Registers over which a window of lanes may reach that one kernel makes.
LINE_REGISTERS = 2
# So far beyond an array a register may reach from its last place.
SLACK = 1024
INPUT, SCRATCH, OUTPUT = range(3)


class Area(NamedTuple):
    """Where an array lies: its base, its first byte there, and its strides in bytes (of lanes: from pixel to pixel)."""

    base: int
    start: int
    strides: tuple[int, ...]


class Frame(NamedTuple):
    """What a program is made for: the outputs of a tile along each axis, and the strides of its input and output.

    `front` bytes of the scratch memory hold the gathered input; with 0 it is read in place. `stream` stores the output
    past the caches: its lines start on cache lines and hold whole registers.
    """

    tile: tuple[int, ...]
    in_strides: tuple[int, ...]
    out_strides: tuple[int, ...]
    front: int = 0
    stream: bool = False


class Program:
    """The calls for all tiles of one frame, as a table for `SequenceNest`."""

    def __init__(self, plan: Layout, works: Sequence[Work], arithmetic: Arithmetic, frame: Frame) -> None:
        self._plan, self._works, self._arithmetic, self._frame = plan, works, arithmetic, frame
        self._lane, self._keep = len(plan.axes) - 1, list[np.ndarray]()
        self._vector_bytes = isas.host().vector_bytes
        self._most_lanes = self._vector_bytes // min(work.element.bytes for work in works)
        self._scratch = _Scratch(frame.front)
        calls = self._calls()
        self.calls, self.address, self.scratch_bytes = len(calls), self._table(calls), self._scratch.used

    def _calls(self) -> list[tuple[int, ...]]:
        # The extents of the tile while the axes are worked off: of the input at first, of the output at last.
        counts = [extent(self._plan, i, n) for i, n in enumerate(self._frame.tile)]
        calls, area = [], Area(SCRATCH if self._frame.front else INPUT, 0, self._frame.in_strides)
        for work in self._works:
            levels, needed = [area], self._needed(work)
            line = self._line(work, work.chain.stages, in_place=area.base == INPUT)
            for level, stage in enumerate(() if line else work.chain.stages[:-1], 1):
                made = self._area(work.element, counts)
                counts[work.axis], whole = needed[level], counts[work.axis]
                calls.append(self._call(work, stage, levels, made, counts))
                counts[work.axis] = whole
                levels.append(made)
            counts[work.axis] = self._frame.tile[work.axis]
            following = self._following(work)
            area = self._area(following.element, counts) if following else Area(OUTPUT, 0, self._frame.out_strides)
            calls.append(self._call(work, work.chain.stages[-1], levels, area, counts, line))
            self._scratch.give_back(level.start for level in levels if level.base == SCRATCH)
        return calls

    def _following(self, work: Work) -> Work | None:
        index = self._works.index(work) + 1
        return self._works[index] if index < len(self._works) else None

    def _needed(self, work: Work) -> list[int]:
        """Give how much of each level later stages read."""
        stages, places = work.chain.stages, self._places(work)
        needed = [0] * len(stages) + [work.stride * (self._frame.tile[work.axis] - 1) + 1]
        for level in range(len(stages), 0, -1):
            stage = stages[level - 1]
            for part in stage.parts:
                reach = needed[level] + _shift(work, part, places if stage is stages[-1] else None)
                needed[part.level] = max(needed[part.level], reach)
        return needed

    def _places(self, work: Work) -> tuple[int, ...]:
        """Give the first place of each run of the window."""
        if work.axis != self._lane:
            return (0,)
        lane = self._plan.lane
        apart = phase_extent(lane, self._frame.tile[self._lane])
        return tuple(i * apart + first for i, first in enumerate(lane_runs(lane)[2]))

    def _call(
        self, work: Work, stage: Stage, levels: list[Area], target: Area, counts: Sequence[int], line: Line = ()
    ) -> tuple[int, ...]:
        """Write down a stage; or, with a line, all stages of the lanes at once."""
        final = stage is work.chain.stages[-1]
        if line:
            stage = Stage(0, 1, 1)
        source = levels[stage.level]
        places, along = self._places(work) if final else None, source.strides[work.axis]
        parts = (stage.parts[0], *stage.extras)
        shifts = [levels[p.level].start - source.start + along * _shift(work, p, places) for p in parts]
        steps = list(source.strides)
        if final:
            steps[work.axis] *= work.stride
        loops, height = self._loops(work, steps, target.strides, counts)
        width = counts[self._lane] * self._plan.inner
        group = Stage(0, stage.count, stage.spacing)
        line = line or self._line(work, (group,), in_place=source.base == INPUT)
        nest = self._nest(work, stage, line, height, width, final=final)
        spacing, what = stage.spacing * work.step, self._arithmetic
        before = what.before if work is self._works[0] and what.before is not None else 1.0
        scales = [_bits(before if part.level == 0 else 1.0, nest.element) for part in parts]
        values = {
            **loops,
            # Scratch lines are never narrower than a register.
            "width": max(width, nest.lanes(isas.host())),
            "spacing": spacing if nest.form == "rows" else spacing * along,
            "shifts": len(shifts), "shift_table": self._table(shifts), "factor_table": self._table(scales),
            "before": scales[0], "after": _bits(what.after[1], nest.after) if what.after and nest.after else 0,
        }  # fmt: skip
        block = self._table([values[name] for name in FIELDS])
        return entry(kernels.get(nest)), block, source.base, source.start, target.base, target.start

    def _loops(
        self, work: Work, steps: Sequence[int], out_steps: Sequence[int], counts: Sequence[int]
    ) -> tuple[dict[str, int], int]:
        """Make rows of the worked axis (of the lanes: of the one before), and a table of all other positions."""
        row = work.axis if work.axis < self._lane else self._lane - 1
        table: np.ndarray = np.zeros((1, 2), np.int64)
        for i in range(self._lane):
            if i != row:
                entries = np.arange(counts[i])[:, None] * [steps[i], out_steps[i]]
                table = (table[:, None, :] + entries[None, :, :]).reshape(-1, 2)
        height, in_row, out_row = (counts[row], steps[row], out_steps[row]) if self._lane else (1, 0, 0)
        loops = {"positions": len(table), "position_table": self._table(table)}
        return {**loops, "height": height, "in_row": in_row, "out_row": out_row}, height

    def _table(self, values: Any) -> int:
        """Keep 64-bit integers, and give their address."""
        table = np.ascontiguousarray(values, np.int64)
        self._keep.append(table)
        return table.ctypes.data

    def _line(self, work: Work, stages: Sequence[Stage], *, in_place: bool) -> Line:
        """Give stages of the lanes that one kernel goes through; none if it cannot, or if they reach too far."""
        if work.axis != self._lane or self._plan.inner > 1 or in_place:
            return ()
        if any(part.run for stage in stages for part in stage.parts):
            return ()
        line = tuple(
            (s.level, s.count, s.spacing * work.step, tuple((p.level, p.offset * work.step) for p in s.extras))
            for s in stages
        )
        return line if 0 < reach(line) <= LINE_REGISTERS * self._vector_bytes // work.element.bytes else ()

    def _nest(self, work: Work, stage: Stage, line: Line, height: int, width: int, *, final: bool) -> WindowNest:
        what, following = self._arithmetic, self._following(work)
        last = final and following is None
        store = what.store if last else following.element if final and following else work.element
        lanes, spacing = self._vector_bytes // work.element.bytes, stage.spacing * work.step
        more = -(-reach(line) // lanes)
        stream = last and self._frame.stream
        fitting = [v for v in VECTORS if v * lanes <= width and not (stream and width % (v * lanes))] or [1]
        size = min(fitting, key=lambda v: -(-width // (v * lanes)) * (v + more) * (1 + 0.25 / v))
        form = "lanes" if line else "apart"
        if stage.count > 1 and work.axis < self._lane and height >= ROWS * spacing and not (final and work.stride > 1):
            form, size = "rows", ROWS
        first, scaled = work is self._works[0], what.before is not None
        return WindowNest(
            what.op, what.load if first and stage.level == 0 else work.element, work.element, store,
            form, 0 if line else stage.count, size, line,
            first and scaled and stage.level == 0,
            first and scaled and any(part.level == 0 for part in stage.extras),
            what.after[0] if what.after and last else None,
            stream,
        )  # fmt: skip

    def _area(self, element: Element, counts: Sequence[int]) -> Area:
        """Take scratch memory for an array."""
        pitch = line_bytes(max(counts[self._lane] * self._plan.inner, self._most_lanes) * element.bytes)
        start = self._scratch.take(math.prod(counts[: self._lane]) * pitch + SLACK)
        return Area(SCRATCH, start, pixel_strides(counts, pitch, self._plan.inner * element.bytes))


class _Scratch:
    """Places in scratch memory; what is given back is taken again."""

    def __init__(self, used: int) -> None:
        self.used = used
        self._sizes = {0: used}
        self._free: set[int] = set()

    def take(self, size: int) -> int:
        fitting = [start for start in sorted(self._free) if self._sizes[start] >= size]
        if fitting:
            self._free.remove(fitting[0])
            return fitting[0]
        start, self.used = self.used, self.used + -(-size // 64) * 64
        self._sizes[start] = self.used - start
        return start

    def give_back(self, starts: Iterable[int]) -> None:
        self._free.update(starts)


def entry(kernel: Any) -> int:
    """Give the address of a compiled kernel."""
    return ctypes.cast(kernel, ctypes.c_void_p).value or 0


def line_bytes(used: int) -> int:
    """Give the bytes from a line of scratch memory to the next.

    Lines a power of two apart would share a few sets of the cache.
    """
    pitch = -(-used // 64) * 64
    return pitch + 64 * (pitch % 1024 == 0)


def pixel_strides(counts: Sequence[int], pitch: int, pixel: int) -> tuple[int, ...]:
    """Give the strides of rows of `pitch` bytes, one after the other, and of a pixel.

    >>> pixel_strides((5, 3, 9), 64, 4)
    (192, 64, 4)
    """
    return (*(step * pitch for step in c_strides((*counts[:-1], 1), 1)[:-1]), pixel)


def _shift(work: Work, part: Part, places: Sequence[int] | None) -> int:
    """Give the place of a window; only the last stage puts runs together, levels before it are made everywhere."""
    return (places[part.run] if places else 0) + work.step * part.offset


def _bits(value: float, element: Element) -> int:
    """Give the 64-bit integer that starts with a number's bytes."""
    raw = np.zeros(8, np.uint8)
    raw[: element.bytes] = np.array([value], f"{element.kind}{element.bytes}").view(np.uint8)
    return int(raw.view(np.int64)[0])
