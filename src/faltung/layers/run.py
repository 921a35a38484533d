"""Running a layer whose weights change from call to call, and its adjoint phase by phase.

What a plan decides for a layer does not depend on the weights, so it is kept by its `Problem`, and a call packs the
weights it was given.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.errors import BoundaryError
from faltung.layers.activation import NOTHING, After, check, finish
from faltung.layers.description import ZERO
from faltung.plan.planner import plan as make_plan
from faltung.problem.boundary import axis_map
from faltung.problem.dtypes import resolve
from faltung.problem.geometry import Axis
from faltung.problem.kernel import norm1
from faltung.problem.problem import Problem
from faltung.runtime.kept import Kept
from faltung.runtime.scatter import scatter

if TYPE_CHECKING:
    from faltung.plan.plan import Plan
    from faltung.problem.boundary import AxisMap, Sides

PLANS_KEPT = 128
_plans: Kept[Problem, Plan] = Kept(PLANS_KEPT)
_adjoints: Kept[Any, Adjoint] = Kept(PLANS_KEPT)


def run_layer(
    problem: Problem, weight: np.ndarray, x: np.ndarray, threads: int | None, after: After = NOTHING
) -> np.ndarray:
    """Run the layer that the problem describes; x has its shape and dtype.

    `weight` is (groups, C_out/groups, C_in/groups, *window), any strides. Raises what `activation.check` raises.
    """
    channels, outs = problem.channels, tuple(axis.out for axis in problem.geometry)
    if after is not NOTHING:
        assert channels is not None
        check(after, channels.outputs, outs, problem.dtypes.output)
    plan = _plans.get(problem)
    if plan is None:
        plan = layer_plan(problem, weight)
        if plan.takes_weights:
            _plans.keep(problem, plan)
    if plan.takes_weights:
        plan = plan.with_weights(weight)
        if after is not NOTHING and (after.bias is None or after.bias.ndim == 1):
            fused = plan.finished(*after)
            if fused is not None:
                return fused.run(x, None, threads)
    return finish(plan.run(x, None, threads), after, len(outs))


def layer_plan(problem: Problem, weight: np.ndarray) -> Plan:
    """Plan the layer for these weights, as `run_layer` does."""
    kernels = weight.reshape(-1, *weight.shape[2:])
    return make_plan(problem, list(kernels), norm1(kernels), "y[o, j] = Σ x[c, stride·j + dilation·l] k[o, c, l]")


class Phase(NamedTuple):
    """Every stride-th sample from `start` along one axis, and how they are summed with some `taps` of the kernel.

    `axis` is None where no tap reaches these samples.
    """

    start: int
    taps: slice
    axis: Axis | None


class Step(NamedTuple):
    """One phase of every axis: the layer of stride 1 that gives these samples, its taps, and where they go."""

    problem: Problem
    taps: tuple[Any, ...]
    where: tuple[Any, ...]


class Adjoint(NamedTuple):
    """How the adjoint of a layer is computed: shape and dtype of all that is spread, its steps, and how it is folded.

    `folds` is None where nothing is; `fills` says that one step gives every sample.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    steps: tuple[Step, ...]
    folds: tuple[AxisMap | None, ...] | None
    fills: bool


def run_transposed(forward: Problem, weight: np.ndarray, y: np.ndarray, threads: int | None) -> np.ndarray:
    """Apply the adjoint of a layer to y, of the shape of its output.

    Raises BoundaryError where the layer reads a constant other than 0.
    """
    channels = forward.channels
    assert channels is not None
    key = (forward, y.shape, y.dtype, weight.dtype)
    adjoint = _adjoints.get(key)
    if adjoint is None:
        adjoint = _adjoint(*key)
        _adjoints.keep(key, adjoint)
    exchanged = _exchanged(weight, channels.groups)
    if adjoint.fills:
        return run_layer(adjoint.steps[0].problem, exchanged[adjoint.steps[0].taps], y, threads)
    whole = np.zeros(adjoint.shape, adjoint.dtype)
    for step in adjoint.steps:
        whole[step.where] = run_layer(step.problem, exchanged[step.taps], y, threads)
    if adjoint.folds is None:
        return whole
    return scatter(whole, [*[None] * (channels.axis + 1), *adjoint.folds], forward.shape, overwrite=True)


def _adjoint(forward: Problem, shape: tuple[int, ...], dtype: np.dtype, kernel: np.dtype) -> Adjoint:
    """Sort out the phases of a layer's strides.

    Of each axis, the samples of one phase are sums over every stride-th tap: a layer of stride 1.
    """
    channels = forward.channels
    assert channels is not None
    folds = tuple(_folded(axis, sides) for axis, sides in zip(forward.geometry, forward.boundary, strict=True))
    # A folded axis is computed over all that the layer reads, any other one over the array alone.
    spans = [
        (0, axis.size) if m is None else (-axis.low, len(m.index))
        for axis, m in zip(forward.geometry, folds, strict=True)
    ]
    inputs = forward.shape[channels.axis]
    dtypes, to = resolve(dtype, kernel, None), replace(channels, outputs=inputs)
    whole = (*shape[: channels.axis], inputs, *(n for _, n in spans))
    steps = []
    for parts in product(*(_phases(axis, *span) for axis, span in zip(forward.geometry, spans, strict=True))):
        axes = tuple(part.axis for part in parts if part.axis is not None)
        if len(axes) < len(parts):
            continue
        problem = Problem(shape, forward.axes, axes, (ZERO,) * len(axes), dtypes, None, to)
        places = (slice(p.start, None, a.stride) for p, a in zip(parts, forward.geometry, strict=True))
        steps.append(Step(problem, (..., *(part.taps for part in parts)), (..., *places)))
    plain = all(m is None for m in folds)
    fills = plain and len(steps) == 1 and steps[0].problem.map_shape == whole
    return Adjoint(whole, dtypes.output, tuple(steps), None if plain else folds, fills)


def _folded(axis: Axis, sides: Sides) -> AxisMap | None:
    """Say where an axis is folded back to; None where what falls beyond the array is dropped."""
    start, stop = axis.reads(0, axis.out)
    if start >= 0 and stop <= axis.size:
        return None
    found = axis_map(start, stop, axis.size, sides)
    if found.fill is not None and (found.fill != 0).any():
        msg = f"the layer is extended by the constant {found.fill[found.fill != 0][0]}, so the operation is affine and "
        raise BoundaryError(msg + "has no adjoint; use boundary='zero', and add the response to the constant yourself")
    inside = (found.index >= 0).sum() <= axis.size
    return None if inside and all(rule.is_constant for rule in sides) else found


def _phases(axis: Axis, start: int, count: int) -> list[Phase]:
    """Sort the samples start, start + 1, … that a layer reads by their place in its stride.

    Sample j = start + m·stride + r is read as tap t of output i where stride·i + dilation·t - low = j.
    """
    step = axis.stride // math.gcd(axis.stride, axis.dilation)
    found = []
    for r in range(min(axis.stride, count)):
        outs, place = -(-(count - r) // axis.stride), start + r + axis.low
        hits = (t for t in range(min(step, axis.taps)) if (place - axis.dilation * t) % axis.stride == 0)
        first = next(hits, None)
        if first is None:
            found.append(Phase(r, slice(0), None))
            continue
        taps = -(-(axis.taps - first) // step)
        dilation = axis.dilation * step // axis.stride
        # Output m reads i = m + at - dilation·u for tap first + step·u; counted from the last tap, u descends.
        at = (place - axis.dilation * first) // axis.stride
        low = dilation * (taps - 1) - at
        descending = slice(first + step * (taps - 1), first - 1 if first else None, -step)
        found.append(Phase(r, descending, Axis(axis.out, taps, 1, dilation, low, outs)))
    return found


def grouped(weight: np.ndarray, groups: int) -> np.ndarray:
    """See the weights (C_out, C_in/groups, *window) of a layer as (groups, C_out/groups, C_in/groups, *window)."""
    return weight.reshape(groups, len(weight) // groups, *weight.shape[1:])


def _exchanged(weight: np.ndarray, groups: int) -> np.ndarray:
    """Let inputs and outputs change places in every group."""
    return grouped(weight, groups).swapaxes(1, 2)
