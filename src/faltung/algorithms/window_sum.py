"""Sums over windows of equal taps, in a time that hardly depends on the window's size.

Axis by axis, shorter windows are put together to longer ones, as in doubling 1, 2, 4, ...; nothing outside a window
ever enters its sum, so NaN, Inf and huge values stay where they belong, and every output is the same tree of additions.
Sums of 8- and 16-bit integers are integers as long as these hold them. The tap multiplies the sum at the end; where it
is smaller than 1, samples are first multiplied by a power of two, so that no sum overflows that a sum of products
would not.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.layout import Layout, layout
from faltung.algorithms.parts import part_layout
from faltung.algorithms.task import Recipe, Rejection, gamma, unit_roundoff
from faltung.algorithms.window_tiles import Windows, first_tile, scratch_bytes
from faltung.algorithms.window_work import Arithmetic, Work, extent, nanoseconds, worked, works
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.runtime import machine

if TYPE_CHECKING:
    from faltung.algorithms.task import Task
    from faltung.problem.problem import Problem
    from faltung.runtime.regions import Box

# Integers in which sums are kept, the narrowest first.
SUMS = tuple(np.dtype(name) for name in ("i2", "u2", "i4"))
# Measured on Zen 4 over 300 problems: nanoseconds of a call, of each filter, of a byte read or written, of one that the
# caches do not hold; of a sample gathered one by one, of a stage at a position of the outer axes; and the share of a
# stage's price that a single line takes.
CALL, EACH_FILTER, BYTE, FAR_BYTE, CACHED = 6_800.0, 2_000.0, 0.009, 0.026, 6 << 20
GATHERED, POSITION, LINE = 0.5, 100.0, 0.6


def propose(task: Task) -> Recipe | Rejection:
    """Offer window sums for kernels whose taps are all equal."""
    reason = _reason(task)
    if reason is not None:
        return Rejection("window_sum", reason)
    plan, accumulate = layout(task.problem), task.problem.dtypes.accumulate
    stages = _works(task, plan)
    floats = sum(work.chain.additions for work in stages if work.element.kind == "f")
    # The sum is multiplied, and converted before that if it is an integer.
    roundings = floats + 2
    unit, norm1 = unit_roundoff(accumulate), max(float(facts.norm1) for facts in task.facts)
    norm2 = norm1 / math.sqrt(task.kernels[0].size)
    tile = first_tile(plan, stages)
    return Recipe(
        algorithm="window_sum",
        nanoseconds=_nanoseconds(task, plan, stages),
        workspace=scratch_bytes(plan, stages, tile) * 5 // 4 + (64 << 10),
        error=gamma(roundings, unit) * norm1,
        expected=unit * math.sqrt(roundings) * norm2,
        arithmetic=("window_sum", *((work.axis, work.element.name, work.chain.stages) for work in stages)),
        prepare=lambda: WindowSum(task, plan, stages),
        structure=("every tap is the same",),
        relative=True,
    )


def _reason(task: Task) -> str | None:
    """Say why window sums do not serve a task."""
    if not compiled.available():
        return "nothing is compiled here (llvmlite is missing, or FALTUNG_JIT=0)"
    if task.problem.channels is not None:
        return "it is for filters, and this is a layer with channels"
    if not all(facts.constant for facts in task.facts):
        return "the taps are not all equal"
    if task.kernels[0].size < 2:
        return "the kernel has a single tap"
    dtype = task.problem.dtypes.accumulate
    for kernel in task.kernels:
        tap = abs(kernel.flat[0].astype(dtype))
        if dtype.kind == "f" and not np.finfo(dtype).tiny <= tap <= np.finfo(dtype).max:
            return f"its tap {kernel.flat[0]} is zero, subnormal or not finite in {dtype}"
    return None


def _works(task: Task, plan: Layout) -> tuple[Work, ...]:
    return works(plan, "add", _elements(task, plan), Element.of(task.load))


def _elements(task: Task, plan: Layout) -> list[Element]:
    """Choose the type of the sums along each axis: the narrowest integers that hold them, or the accumulator's."""
    accumulate, load = task.problem.dtypes.accumulate, task.load
    if load.kind not in "iu" or load == accumulate:
        return [Element.of(accumulate)] * len(worked(plan))
    low, high, taps, found = int(np.iinfo(load).min), int(np.iinfo(load).max), 1, []
    for axis in worked(plan):
        taps *= plan.axes[axis].taps
        holding = [t for t in SUMS if np.iinfo(t).min <= low * taps and high * taps <= np.iinfo(t).max]
        found.append(Element.of(holding[0] if holding else accumulate))
    return found


def _nanoseconds(task: Task, plan: Layout, stages: tuple[Work, ...]) -> float:
    """Predict the time of one thread: the stages on tiles with their overlaps, and the memory moved."""
    problem, host, tile = task.problem, machine.host(), first_tile(plan, stages)
    moved = math.prod(problem.shape) * task.load.itemsize
    moved += math.prod(problem.map_shape) * problem.dtypes.output.itemsize
    memory = host.memory_time * (BYTE * moved + FAR_BYTE * max(0, moved - CACHED))
    worked_out = host.window_sum * nanoseconds(plan, stages, tile) * (LINE if len(plan.axes) == 1 else 1)
    each = EACH_FILTER * host.python_time + worked_out + _apart(plan, stages, tile) + memory
    return CALL * host.python_time + len(task.kernels) * each


def _apart(plan: Layout, stages: tuple[Work, ...], tile: Box) -> float:
    """Predict what goes sample by sample (strided lanes, lines' borders) or position by position (outer axes)."""
    outputs = [stop - start for start, stop in tile]
    counts = [-(-axis.out // size) if size else 0 for axis, size in zip(plan.axes, outputs, strict=True)]
    extents = [count * extent(plan, i, n) for i, (count, n) in enumerate(zip(counts, outputs, strict=True))]
    lane = extents[-1] if plan.lane.stride > 1 else plan.lane.span - 1
    positions = math.prod(extents[:-2]) * counts[-1] * counts[-2] if len(extents) > 2 else 0
    calls = positions * sum(len(work.chain.stages) for work in stages)
    return GATHERED * math.prod(extents[:-1]) * lane * plan.inner + POSITION * calls


class WindowSum(Windows):
    """The compiled window sums of one task."""

    def __init__(self, task: Task, plan: Layout, stages: tuple[Work, ...]) -> None:
        accumulate, output = task.problem.dtypes.accumulate, task.problem.dtypes.output
        arithmetics = []
        for kernel in task.kernels:
            tap = kernel.flat[0].astype(accumulate).item()
            before = None
            if stages[0].element.kind == "f" and abs(tap) < 1:
                # The largest power of two that is not above the tap.
                before = 2.0 ** (math.frexp(tap)[1] - 1)
                tap /= before
            arithmetics.append(
                Arithmetic("add", Element.of(task.load), Element.of(output), before, (Element.of(accumulate), tap))
            )
        super().__init__(plan, stages, arithmetics, task.load, output)
        self.task, self.load_dtype = task, task.load

    def part(self, problem: Problem) -> WindowSum:
        """Give the same sums for a part of the problem (see `parts`)."""
        whole = self.task.problem
        task = replace(self.task, problem=problem)
        return WindowSum(task, part_layout(whole, problem), self.works)

    def shortcut(self) -> None:
        """Give none: small windows are summed directly."""

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, for `Plan.explain`."""
        return [
            ("method", "window sums: shorter windows put together, none reaching beyond its window"),
            *describe(self.plan, self.works),
        ]


def describe(plan: Layout, stages: tuple[Work, ...]) -> list[tuple[str, str]]:
    """Say how the windows are built, for `Plan.explain`."""
    lines = []
    for work in stages:
        sizes, texts = [1], []
        for stage in work.chain.stages:
            sizes.append(max(part.offset + sizes[part.level] for part in stage.parts))
            extra = f" + {len(stage.extras)} more" if stage.extras else ""
            texts.append(f"{sizes[-1]} = {stage.count} of {sizes[stage.level]}{extra}")
        name = "lanes" if work.axis == len(plan.axes) - 1 else f"axis of {plan.axes[work.axis].out} outputs"
        lines.append((name, f"windows of {', '.join(texts)}, as {work.element.name}"))
    tile = " x ".join(str(stop - start) for start, stop in first_tile(plan, stages))
    lines.append(("tile", f"{tile} outputs, {scratch_bytes(plan, stages, first_tile(plan, stages)):,} bytes of levels"))
    return lines
