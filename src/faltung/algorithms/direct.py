"""The direct sum of taps: every output is one chain of multiply-adds in the kernel's C order.

The interior is read straight from the caller's array; borders, strided lanes and small arrays are gathered first and
then run through the same kernels, so that an output's bits never depend on where it lies.
"""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms import tap_loops
from faltung.algorithms.layout import Layout, layout
from faltung.algorithms.steps import BLOCK_BYTES, SMALL_BYTES, Binder, Short, Step, c_strides
from faltung.algorithms.task import Recipe, Rejection, gamma, unit_roundoff
from faltung.compiler import isa as isas
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.runtime import machine, workspace
from faltung.runtime import threads as pool
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.algorithms.tap_loops import Form
    from faltung.algorithms.task import Task

# A thread is worth waking for about this many multiply-accumulates.
MACS_PER_THREAD = 1 << 21
BOUND_KEPT = 16
# Measured on Zen 4 over 600 problems, 10^4 to 10^6 samples in one to three dimensions, as all that follows: nanoseconds
# of any call, of one that has borders, of each filter; of a byte read or written; of a sample gathered for a stride.
CALL, BORDERS, EACH_FILTER, BYTE, GATHERED = 4000.0, 4500.0, 800.0, 0.016, 0.53
# Sums and memory go on at the same time: of the shorter of the two so much remains.
HIDDEN = 0.1
# Rows share the samples they load, so do the taps of a folded line: what the loads cost if there is but one to share.
UNSHARED, UNSHARED_FOLDED = 0.87, 1.47


def propose(task: Task) -> Recipe | Rejection:
    """Offer the sum of taps, which serves every task where something is compiled."""
    if not compiled.available():
        return Rejection("direct", "nothing is compiled here (llvmlite is missing, or FALTUNG_JIT=0)")
    problem, accumulate = task.problem, task.problem.dtypes.accumulate
    if problem.channels is not None and not _depthwise(task):
        return Rejection("direct", "it is for filters and depthwise layers, and this one mixes channels")
    taps = task.kernels[0].size
    unit, norm1 = unit_roundoff(accumulate), max(float(facts.norm1) for facts in task.facts)
    norm2 = max(float(np.sqrt((k.astype(float) ** 2).sum())) for k in task.kernels)
    return Recipe(
        algorithm="direct",
        nanoseconds=_nanoseconds(task),
        workspace=min(2 * BLOCK_BYTES, task.load.itemsize * 2 * math.prod(problem.shape) + 4096),
        error=gamma(taps + (not isas.host().has_fma), unit) * norm1,
        expected=unit * math.sqrt(taps / 2 + 1) * norm2,
        arithmetic=("direct", isas.host().has_fma),
        prepare=lambda: Direct(task),
        relative=True,
    )


def _depthwise(task: Task) -> bool:
    """Whether a layer gives each channel a kernel of its own, and the channels are neither lanes nor rows."""
    problem, channels = task.problem, task.problem.channels
    assert channels is not None
    one_to_one = problem.shape[channels.axis] == channels.groups == channels.outputs == len(task.kernels)
    return one_to_one and len(layout(problem).axes) > 1


def _nanoseconds(task: Task) -> float:
    problem, host = task.problem, machine.host()
    accumulate, plan = problem.dtypes.accumulate, layout(task.problem)
    lanes = host.vector_bytes // accumulate.itemsize
    row = plan.axes[plan.row] if plan.shared and plan.row is not None else None
    unshared = UNSHARED / (max(1, min(row.taps, row.out)) if row is not None else 1)
    if plan.row is None:  # folded lines share the loads of distant taps
        unshared = UNSHARED_FOLDED / max(1.0, plan.lane.taps / lanes)
    cost = host.product(accumulate.kind, accumulate.itemsize) * (1 + unshared)
    # Lanes that hold no output cost as much as others; so does each call for a kernel of a bank.
    width = plan.lane.out * plan.inner
    cost *= -(-width // lanes) * lanes / max(width, 1) if plan.row is not None else 1
    loaded = math.prod(problem.shape) * task.load.itemsize
    sums = problem.macs * cost / (lanes * host.vector_ops)
    memory = BYTE * host.memory_time * (loaded + math.prod(problem.output_shape) * problem.dtypes.output.itemsize)
    calls = CALL + EACH_FILTER * (problem.filters or 1) + (BORDERS if loaded > SMALL_BYTES else 0)
    work = max(sums, memory) + HIDDEN * min(sums, memory)
    return calls * host.python_time + work + GATHERED * _gathered(plan, task.load.itemsize)


def _gathered(plan: Layout, itemsize: int) -> int:
    """Count the samples that are put in order for strided lanes, block by block: what blocks share is read again."""
    if plan.lane.stride == 1:
        return 0

    def read(sizes: Sequence[int]) -> int:
        spans = (axis.stride * (n - 1) + axis.span for axis, n in zip(plan.axes, sizes, strict=True))
        return plan.inner * math.prod(spans)

    whole = [axis.out for axis in plan.axes]
    sizes = list(whole)
    while read(sizes) * itemsize > BLOCK_BYTES and max(sizes) > 1:
        axis = next(i for i, n in enumerate(sizes) if n > 1)
        sizes[axis] = -(-sizes[axis] // 2)
    return read(sizes) * math.prod(-(-n // size) for n, size in zip(whole, sizes, strict=True) if size)


class Direct:
    """The compiled direct method for one task, bound to strides on first use and then reused."""

    def __init__(self, task: Task) -> None:
        problem = self.problem = task.problem
        self.layout: Layout = layout(problem)
        dtypes = problem.dtypes
        self.load_dtype, self.out_dtype = task.load, dtypes.output
        self.types = tap_loops.Types(Element.of(task.load), Element.of(dtypes.accumulate), Element.of(dtypes.output))
        # The kernels of the bank are packed once for every form in which a step asks for them.
        flat = [np.ascontiguousarray(k, dtypes.accumulate).ravel() for k in task.kernels]
        self.weights = Weights(flat if problem.channels is None else [np.stack(flat)])
        self.in_shape = self.layout.array_shape(out=False)
        self.out_shape = self.layout.array_shape(out=True)
        self._bound: Kept[tuple[object, ...], list[Step]] = Kept(BOUND_KEPT)

    def run(self, source: np.ndarray, out: np.ndarray, threads: int) -> None:
        """Fill `out`, C-contiguous (filters, *out_shape), from the input.

        Strides of the source are free as long as a line is contiguous.
        """
        if out.size == 0:
            return
        count, weights = min(threads, 1 + self.problem.macs // MACS_PER_THREAD), self.weights
        source_address = source.__array_interface__["data"][0]
        out_address = out.__array_interface__["data"][0]
        steps = self._steps(source.strides, count, len(weights.kernels), out_address % workspace.ALIGNMENT)
        map_bytes = out.nbytes // len(weights.kernels)
        job = partial(self._execute, source, source_address, out, out_address, map_bytes, weights)
        pool.run([partial(job, step) for step in steps], count)

    def shortcut(self) -> Callable[[np.ndarray, np.ndarray], None] | None:
        """Give a quick way from a C-contiguous input to a C-contiguous output, if one gathered call does everything.

        Preparing a call as `run` does would take longer than the call itself.
        """
        strides, weights = c_strides(self.in_shape, self.load_dtype.itemsize), self.weights
        steps = self._steps(strides, 1, len(weights.kernels), 0)
        if len(steps) != 1 or len(weights.kernels) != 1 or len(steps[0].calls) != 1:
            return None
        step, call = steps[0], steps[0].calls[0]
        prepared, short = step.gather, step.short
        if prepared is None or prepared.copy is None:
            return None
        copy, table, kernel, parameters = prepared.copy, prepared.parameters, call.kernel, call.parameters
        size, source, target = step.scratch_bytes, call.source, call.target
        packed, borrow = weights.address(0, call.form), workspace.borrow

        def run(x: np.ndarray, out: np.ndarray, _tables: object = (step, weights)) -> None:
            scratch, _held = borrow(size)
            copy(table, x.__array_interface__["data"][0], scratch)
            kernel(parameters, scratch + source, out.__array_interface__["data"][0] + target, packed)

        def run_short(x: np.ndarray, out: np.ndarray) -> None:
            rows = np.empty(rows_shape, out.dtype)
            run(x, rows)
            out.reshape(kept_shape)[...] = rows[..., : kept_shape[-1]]

        if short is None:
            return run
        _, rows_shape, kept_shape = *short[:2], self.out_shape
        return run_short

    def reweighed(self, weight: np.ndarray) -> Direct:
        """Give the same method for other weights: (channels, 1, 1, ...) if it is depthwise, else (1, filters, ...)."""
        other = copy.copy(self)
        flat = weight.reshape(*weight.shape[:2], -1).astype(self.problem.dtypes.accumulate, copy=False)
        other.weights = Weights(list(flat[0]) if self.problem.channels is None else [flat[:, 0]])
        return other

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, for `Plan.explain`."""
        isa, plan = isas.host(), self.layout
        lanes = f"axis of {plan.lane.out} outputs" + (f" x {plan.inner} interleaved" if plan.inner > 1 else "")
        if plan.row is None:
            rows = "the lane axis folded"
        else:
            rows = f"axis of {plan.axes[plan.row].out} outputs{', sharing loads' if plan.shared else ''}"
        tile = f"{isa.rows} rows x {isa.vectors} vectors of {tap_loops.lanes(self.types)} lanes"
        whole = self._steps(c_strides(self.in_shape, self.load_dtype.itemsize), 1, 1, 0)
        scratch = max((step.scratch_bytes for step in whole), default=0)
        read = sum(step.gather is not None for step in whole)
        return [
            ("method", "compiled sum of taps, every tap of the box counts"),
            ("order", "one chain of multiply-adds per output, in the kernel's C order"),
            ("instructions", f"{isa.name}{', fused multiply-add' if isa.has_fma else ''}"),
            ("tile", tile),
            ("lanes, rows", f"{lanes}; {rows}"),
            ("steps", f"{len(whole) - read} read the input in place, {read} through gathered tiles"),
            ("memory", f"{scratch:,} bytes of scratch for each thread"),
        ]

    def _execute(
        self,
        source: np.ndarray,
        source_address: int,
        out: np.ndarray,
        out_address: int,
        map_bytes: int,
        weights: Weights,
        step: Step,
    ) -> None:
        if step.gather is not None:
            scratch, _held = workspace.borrow(step.scratch_bytes)
            step.gather.run(source, source_address, scratch)
            source_address = scratch
        for filter_ in range(len(weights.kernels)):
            target = out_address + filter_ * map_bytes
            if step.short is not None:
                self._execute_short(step, step.short, source_address, out, filter_, weights)
                continue
            for call in step.calls:
                call.kernel(
                    call.parameters,
                    source_address + call.source,
                    target + call.target,
                    weights.address(filter_, call.form),
                )

    def _execute_short(
        self, step: Step, short: Short, source_address: int, out: np.ndarray, filter_: int, weights: Weights
    ) -> None:
        """Run into scratch rows of one full register, and keep the part that exists."""
        size, shape, where = short
        rows = np.empty(size, self.out_dtype)
        for call in step.calls:
            call.kernel(
                call.parameters,
                source_address + call.source,
                rows.ctypes.data + call.target,
                weights.address(filter_, call.form),
            )
        out[filter_][where] = rows.reshape(shape)[..., : where[-1].stop - where[-1].start]

    def _steps(self, strides: Sequence[int], count: int, filters: int, phase: int) -> list[Step]:
        key = (*strides, count, filters, phase)
        steps = self._bound.get(key)
        if steps is None:
            binder = Binder(self.layout, self.types, self.load_dtype, tuple(strides), phase, filters)
            steps = binder.steps(count)
            self._bound.keep(key, steps)
        return steps


class Weights:
    """Kernels, packed once for every form."""

    def __init__(self, kernels: list[np.ndarray]) -> None:
        self.kernels = kernels
        self._packed: dict[tuple[int, Form], tuple[np.ndarray, int]] = {}

    def address(self, index: int, form: Form) -> int:
        """Give the address of one kernel's packed weights."""
        found = self._packed.get((index, form))
        if found is None:
            packed = tap_loops.pack(self.kernels[index], form)
            # Two threads may pack at once; all must go on with the array that stays.
            found = self._packed.setdefault((index, form), (packed, packed.ctypes.data))
        return found[1]
