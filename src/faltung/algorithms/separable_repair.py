"""What a product of factors gets wrong about infinities and huge numbers, and its recomputation as a plain sum.

A NaN goes through every pass to exactly the outputs whose window holds it. An Inf does so too, but terms of opposite
sign may turn it into NaN, a factor's rounding may turn a zero tap into one that is none, and a sum of two samples may
overflow where the weighted sum would not. Such outputs are not finite, which the passes note; those are done again.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.direct import Direct
from faltung.algorithms.fourier_repair import dilated
from faltung.problem.geometry import Axis
from faltung.problem.problem import Problem
from faltung.runtime import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.layout import Layout
    from faltung.algorithms.separable import Separable
    from faltung.algorithms.task import Task
    from faltung.runtime.regions import Box

# Sums of weighted samples stay finite below this fraction of the largest number, for the kernels that are factored.
SAFE = 2.0**-16


def safe(accumulate: np.dtype, magnitude: float) -> float:
    """Give the largest sample from which no pass can leave the range of its numbers."""
    return float(np.finfo(accumulate).max) * SAFE / max(1.0, magnitude) if accumulate.kind == "f" else math.inf


def needed(method: Separable, source: np.ndarray) -> bool:
    """Tell whether any window may hold a sample that large; one pass over the input."""
    rules = [rule for sides in method.task.problem.boundary for rule in sides]
    if any(rule.is_odd or not abs(rule.value) <= method.safe for rule in rules):
        return True
    if source.size == 0 or source.dtype.kind != "f":
        return False
    with np.errstate(invalid="ignore"):
        high, low = np.fmax.reduce(source, axis=None), np.fmin.reduce(source, axis=None)
    return bool(high > method.safe or low < -method.safe)


def redo(method: Separable, source: np.ndarray, out: np.ndarray, boxes: Sequence[tuple[int, Box]]) -> None:
    """Replace outputs that are not finite, and whose windows hold such a sample, by the plain sum of taps.

    Nothing but its window decides about an output, so it does not matter how the boxes were cut.
    """
    plan = method.layout
    for filter_, box in boxes:
        bad = _met(method, source, box)
        if not bad.any():
            continue
        lanes = (box[-1][0] * plan.inner, box[-1][1] * plan.inner)
        view = out[filter_][tuple(slice(*ends) for ends in (*box[:-1], lanes))]
        # Outputs of a narrower type do not tell what the sums were.
        whole = view.dtype == method.task.problem.dtypes.accumulate
        bad &= ~np.isfinite(view if whole else _sums(method, source, filter_, box))
        if bad.any():
            tight, inside = _bounding(box, bad, plan.inner)
            np.copyto(view[inside], _plain_sum(method.task, plan, source, filter_, tight), where=bad[inside])


def _met(method: Separable, source: np.ndarray, box: Box) -> np.ndarray:
    """Say which outputs of a box have a window that holds a sample too large for the passes."""
    plan = method.layout
    maps = [
        gather.coordinates(*axis.reads(*part), axis.size, sides)
        for axis, part, sides in zip(plan.axes, box, plan.sides, strict=True)
    ]
    pixels = source.reshape(*(axis.size for axis in plan.axes), plan.inner)
    block = gather.extended(pixels, maps).astype(method.task.problem.dtypes.accumulate)
    dense = dilated(np.abs(block) > method.safe, plan.axes)
    met = dense[tuple(slice(None, None, axis.stride) for axis in plan.axes)]
    lines: np.ndarray = met.reshape(*met.shape[:-2], -1)
    return lines


def _sums(method: Separable, source: np.ndarray, filter_: int, box: Box) -> np.ndarray:
    """Run the passes of one filter over a box once more, and give the sums themselves."""
    task, plan = method.task, method.layout
    small, cut = _boxed(task, plan, box)
    axes = small.array_axes()[: len(plan.axes)]
    dtypes = replace(small.dtypes, output=small.dtypes.accumulate)
    again = type(method)(
        replace(task, problem=replace(small, dtypes=dtypes), kernels=(task.kernels[filter_],)),
        replace(plan, axes=axes), method.active, [method.factors[filter_]],
    )  # fmt: skip
    result = np.empty(again.out_shape, dtypes.output)
    again.passes(_lines(source[cut].reshape(again.in_shape)), result[None], 1)
    return result


def _bounding(box: Box, bad: np.ndarray, inner: int) -> tuple[Box, tuple[slice, ...]]:
    """Give the smallest box that holds all bad outputs, and where it lies in the given one."""
    tight, inside = [], []
    for axis, (start, _) in enumerate(box):
        hit = np.flatnonzero(bad.any(axis=tuple(i for i in range(bad.ndim) if i != axis)))
        unit = inner if axis == len(box) - 1 else 1
        low, high = int(hit[0]) // unit, int(hit[-1]) // unit + 1
        tight.append((start + low, start + high))
        inside.append(slice(low * unit, high * unit))
    return tuple(tight), tuple(inside)


def _plain_sum(task: Task, plan: Layout, source: np.ndarray, filter_: int, box: Box) -> np.ndarray:
    """Compute one box of one output directly."""
    small, cut = _boxed(task, plan, box)
    kernel = task.kernels[filter_].reshape(small.kernel_shape)
    method = Direct(replace(task, problem=small, kernels=(kernel,), facts=(task.facts[filter_],)))
    result = np.empty((1, *method.out_shape), task.problem.dtypes.output)
    method.run(_lines(source[cut].reshape(method.in_shape)), result, 1)
    sizes = [stop - start for start, stop in box]
    return result.reshape(*sizes[:-1], sizes[-1] * plan.inner)


def _lines(source: np.ndarray) -> np.ndarray:
    return source if source.strides[-1] == source.itemsize else np.ascontiguousarray(source)


def _boxed(task: Task, plan: Layout, box: Box) -> tuple[Problem, tuple[slice, ...]]:
    """Give the same problem with shifted axes, for one box of the outputs, and the part of the input it is for."""
    shape, axes, geometry, boundary = [], [], [], []
    cut: list[slice] = []
    for i, ((start, stop), axis, sides) in enumerate(zip(box, plan.axes, plan.sides, strict=True)):
        unit = plan.inner if i == len(box) - 1 else 1
        if sides is None:
            shape.append(stop - start)
            cut.append(slice(start * unit, stop * unit))
            continue
        shape.append(axis.size)
        cut.append(slice(None))
        axes.append(i)
        low = axis.low - axis.stride * start
        geometry.append(Axis(axis.size, axis.taps, axis.stride, axis.dilation, low, stop - start))
        boundary.append(sides)
    if plan.inner > 1:
        shape.append(plan.inner)
    return Problem(tuple(shape), tuple(axes), tuple(geometry), tuple(boundary), task.problem.dtypes), tuple(cut)
