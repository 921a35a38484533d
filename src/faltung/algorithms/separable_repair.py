"""What a product of factors gets wrong about infinities and huge numbers, and its recomputation as a plain sum.

A NaN goes through every pass to exactly the outputs whose window holds it. An Inf does so too, but terms of opposite
sign may turn it into NaN, a factor's rounding may turn a zero tap into one that is none, and a sum of two samples may
overflow where the weighted sum would not. Such outputs are not finite, which the passes note; those are done again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.direct import Direct
from faltung.problem.geometry import Axis
from faltung.problem.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.layout import Layout
    from faltung.algorithms.task import Task
    from faltung.problem.boundary import Sides
    from faltung.runtime.regions import Box

# Sums of weighted samples stay finite below this fraction of the largest number, for the kernels that are factored.
SAFE = 2.0**-16


def needed(source: np.ndarray, accumulate: np.dtype, magnitude: float, constants: Sequence[float]) -> bool:
    """Tell whether outputs that are not finite may come from anything but a NaN; one pass over the input."""
    if source.dtype.kind != "f" and not constants:
        return False
    limit = float(np.finfo(accumulate).max) * SAFE / max(1.0, magnitude)
    if any(abs(value) > limit for value in constants):
        return True
    if source.size == 0 or source.dtype.kind != "f":
        return False
    with np.errstate(invalid="ignore"):
        high, low = np.fmax.reduce(source, axis=None), np.fmin.reduce(source, axis=None)
    return bool(high > limit or low < -limit)


def redo(task: Task, plan: Layout, source: np.ndarray, out: np.ndarray, boxes: Sequence[tuple[int, Box]]) -> None:
    """Replace what is not finite in these boxes of the filters' outputs by the plain sum of taps."""
    for filter_, box in boxes:
        lanes = (box[-1][0] * plan.inner, box[-1][1] * plan.inner)
        view = out[filter_][tuple(slice(*ends) for ends in (*box[:-1], lanes))]
        bad = ~np.isfinite(view) if view.dtype.kind == "f" else np.ones(view.shape, bool)
        if not bad.any():
            continue
        tight, inside = _bounding(box, bad, plan.inner)
        np.copyto(view[inside], _plain_sum(task, plan, source, filter_, tight), where=bad[inside])


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
    """Compute one box of one output directly: the same problem with shifted axes."""
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
    small = Problem(tuple(shape), tuple(axes), tuple(geometry), _sides(boundary), task.problem.dtypes)
    kernel = task.kernels[filter_].reshape(small.kernel_shape)
    method = Direct(replace(task, problem=small, kernels=(kernel,), facts=(task.facts[filter_],)))
    result = np.empty((1, *method.out_shape), task.problem.dtypes.output)
    method.run(source[tuple(cut)].reshape(method.in_shape), result, 1)
    sizes = [stop - start for start, stop in box]
    return result.reshape(*sizes[:-1], sizes[-1] * plan.inner)


def _sides(boundary: list[Sides]) -> tuple[Sides, ...]:
    return tuple(boundary)
