"""Tiles through the Fourier transform (overlap-save): the cost of an output grows with the logarithm of the kernel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.algorithms import fourier_bound, fourier_cost
from faltung.algorithms.fourier_tables import is_wide, stage_lists
from faltung.algorithms.fourier_tiles import Tiling, view
from faltung.algorithms.fourier_work import Fourier, scratch_bytes
from faltung.algorithms.task import Recipe, Rejection, unit_roundoff
from faltung.compiler import isa as isas
from faltung.compiler import kernels as compiled

if TYPE_CHECKING:
    from faltung.algorithms.task import Task

# Kernels beyond these sizes would leave the range in which their spectra are numbers with all their digits.
MAGNITUDES = {4: (1e-20, 1e20), 8: (1e-200, 1e200)}


def propose(task: Task) -> Recipe | Rejection:
    """Offer the tiled Fourier method for sums in floating point."""
    reason = _unfit(task)
    if reason is not None:
        return Rejection("fourier", reason)
    allowed = task.tolerance * max(float(facts.norm1) for facts in task.facts)
    tiling = fourier_cost.best_tiling(task, view(task.problem), lambda tiling: max(_errors(task, tiling)) <= allowed)
    if tiling is None:
        return Rejection("fourier", f"the kernel needs a tile of more than {fourier_cost.LARGEST:,} points")
    return _recipe(task, tiling)


def repeat(task: Task, arithmetic: tuple[Any, ...]) -> Recipe | Rejection:
    """Give the recipe for a task whose tile was chosen before, perhaps elsewhere."""
    reason = _unfit(task)
    return (
        Rejection("fourier", reason) if reason is not None else _recipe(task, Tiling(view(task.problem), arithmetic[2]))
    )


def _recipe(task: Task, tiling: Tiling) -> Recipe:
    unit, errors = unit_roundoff(task.problem.dtypes.accumulate), _errors(task, tiling)
    expected = [fourier_bound.expected(tiling.points, _norm2(kernel), unit) for kernel in task.kernels]
    allowed = [task.tolerance * float(facts.norm1) for facts in task.facts]
    dwarf = max(fourier_bound.SAFETY * e / a if a else 1.0 for e, a in zip(expected, allowed, strict=True))
    return Recipe(
        algorithm="fourier",
        nanoseconds=fourier_cost.nanoseconds(task, tiling),
        workspace=_workspace(task, tiling),
        error=max(errors),
        expected=max(expected),
        arithmetic=("fourier", isas.host().name, tiling.shape, tuple(stage_lists(tiling.shape)), task.tolerance),
        prepare=lambda: Fourier(task, tiling, dwarf),
    )


def _errors(task: Task, tiling: Tiling) -> list[float]:
    """Bound the error for each kernel."""
    accumulate = task.problem.dtypes.accumulate
    how: dict[str, Any] = {"bridged": tiling.bridged, "fused": isas.host().has_fma}
    how |= {"filled": tiling.filled, "alone": tiling.tiles == 1, "wide": is_wide(tiling.points, accumulate)}
    unit, lists = unit_roundoff(accumulate), stage_lists(tiling.shape)
    return [
        fourier_bound.guaranteed(lists, float(facts.norm1), _norm2(kernel), unit, **how)
        for facts, kernel in zip(task.facts, task.kernels, strict=True)
    ]


def _unfit(task: Task) -> str | None:
    """Say why a task cannot be done so, if it cannot."""
    problem = task.problem
    if not compiled.available():
        return "nothing is compiled here (llvmlite is missing, or FALTUNG_JIT=0)"
    if problem.dtypes.accumulate.kind != "f":
        return "sums of integers are exact, a Fourier transform is not"
    if not all(facts.finite for facts in task.facts):
        return "the kernel is not finite"
    low, high = MAGNITUDES[problem.dtypes.accumulate.itemsize]
    if not all(low <= facts.norm_max <= high for facts in task.facts):
        return f"the kernel's largest tap lies outside {low:g} to {high:g}"
    if not any(axis.taps > 1 for axis in problem.geometry):
        return "the kernel has one tap"
    if 0 in problem.output_shape or 0 in problem.shape:
        return "there is nothing to compute"
    return None


def _norm2(kernel: np.ndarray) -> float:
    return float(np.sqrt((kernel.astype(np.float64) ** 2).sum()))


def _workspace(task: Task, tiling: Tiling) -> int:
    scratch = scratch_bytes(tiling, task.problem.dtypes.accumulate, task.load, len(task.kernels))[2]
    if tiling.view.moved:
        scratch += math.prod(task.problem.shape) * task.load.itemsize
        scratch += math.prod(task.problem.output_shape) * task.problem.dtypes.output.itemsize
    return scratch
