"""Separable and low-rank kernels: one short sum of taps along each axis instead of one long one over all.

The kernel is a tensor train of cores (see `factors`), exactly for integers, to rounding for floats: it is no
approximation that the precision contract would have to know of. Only where the caller names a tolerance may the train
be cut to lower ranks; what it then leaves out is measured and counts in the bound. The passes of a box of outputs
follow each other in the second-level cache (see `separable_steps`), so nothing of the size of the array is written
between them.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms import separable_cost, separable_repair
from faltung.algorithms.factors import Factors, factorise
from faltung.algorithms.layout import Layout, layout
from faltung.algorithms.parts import part_layout
from faltung.algorithms.separable_axes import Core, Rows
from faltung.algorithms.separable_steps import Binder, Step
from faltung.algorithms.steps import STREAM_BYTES
from faltung.algorithms.task import Recipe, Rejection, gamma, unit_roundoff
from faltung.compiler import isa as isas
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.runtime import regions, workspace
from faltung.runtime import threads as pool
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.algorithms.task import Task
    from faltung.problem.kernel import KernelFacts
    from faltung.problem.problem import Problem

NAME = "separable"
# A kernel may be missed by so many roundings of its own values; doubles lose more in the singular value decomposition.
ALLOWED = {4: 4, 8: 64}
# Of a tolerance that the caller names, so much may be left out of the kernel; the rest is for the roundings.
LEFT_OUT = 0.9
BOUND_KEPT = 16
# A thread is worth waking for about this many nanoseconds of work.
THREAD = 500_000


def propose(task: Task) -> Recipe | Rejection:
    """Offer the passes, if every kernel of the bank is a product of few enough factors."""
    if not compiled.available():
        return Rejection(NAME, "nothing is compiled here (llvmlite is missing, or FALTUNG_JIT=0)")
    plan = layout(task.problem)
    active = [i for i, sides in enumerate(plan.sides) if sides is not None]
    if not active:
        return Rejection(NAME, "no axis has more than one tap")
    if 0 in plan.array_shape(out=True) or 0 in plan.array_shape(out=False):
        return Rejection(NAME, "the array is empty")
    if not all(found.finite for found in task.facts):
        return Rejection(NAME, "the kernel holds NaN or Inf")
    taps = [plan.axes[i].taps for i in active]
    # A higher rank takes more multiplications than the plain sum.
    most = max(1, math.prod(taps) // sum(taps))
    unit = unit_roundoff(task.problem.dtypes.accumulate)
    found = [
        _factors(task, kernel.reshape(taps), float(facts.norm1), most)
        for kernel, facts in zip(task.kernels, task.facts, strict=True)
    ]
    if any(one is None for one in found):
        return Rejection(NAME, _no_factors(task))
    factors = [one for one in found if one is not None]
    if any(one.rank > 1 and one.products > math.prod(taps) for one in factors):
        return Rejection(NAME, _no_factors(task))
    return Recipe(
        algorithm=NAME,
        nanoseconds=separable_cost.nanoseconds(task, plan, active, factors),
        workspace=separable_cost.workspace(task, plan, active, factors),
        error=max(_error(one, unit) for one in factors),
        expected=max(_expected(one, unit) for one in factors),
        arithmetic=(NAME, isas.host().has_fma, tuple(one.ranks for one in factors)),
        prepare=lambda: Separable(task, plan, active, factors),
        structure=[
            _structure(one, _left_out(task, one, facts)) for one, facts in zip(factors, task.facts, strict=True)
        ],
        relative=all(
            one.rank == 1 and not _left_out(task, one, facts) for one, facts in zip(factors, task.facts, strict=True)
        ),
    )


def _factors(task: Task, kernel: np.ndarray, norm1: float, most: int) -> Factors | None:
    accumulate = task.problem.dtypes.accumulate
    allowed = ALLOWED[accumulate.itemsize] * unit_roundoff(accumulate)
    if task.approximate:
        allowed = max(allowed, LEFT_OUT * task.tolerance)
    return factorise(kernel, accumulate, allowed * norm1, most)


def _no_factors(task: Task) -> str:
    which = "the kernel" if len(task.kernels) == 1 else "a kernel of the bank"
    if task.problem.dtypes.accumulate.kind in "iu":
        return f"{which} is no outer product of integer lines"
    return f"{which} is no sum of a few outer products"


def _error(factors: Factors, unit: float) -> float:
    """Bound |result - exact| / max|x|.

    Every pass sums the products of a core with numbers that are wrong by what was before: with n_i terms in pass i (and
    one rounding more where pairs are added first) the result is Σ K̃(1 + θ), |θ| <= γ(Σ(n_i + 1)), over the product K̃
    of the cores, whose absolute values sum to at most ‖|G1|···|Gd|‖₁ (Higham 2002, lemmas 3.1 and 3.3). K̃ itself
    misses K by the residual.
    """
    roundings = sum(core.shape[0] * core.shape[1] + 2 for core in factors.cores)
    return gamma(roundings, unit) * factors.magnitude + factors.residual


def _expected(factors: Factors, unit: float) -> float:
    """Estimate the rms error of independent roundings: each pass adds noise that all later cores average."""
    total = 0.0
    for i in range(len(factors.cores)):
        core = factors.cores[i].astype(float)
        total += (core.shape[0] * core.shape[1] / 2 + 1) * _norm2(factors) ** 2
    return unit * math.sqrt(total) + factors.residual / math.sqrt(math.prod(c.shape[1] for c in factors.cores))


def _norm2(factors: Factors) -> float:
    carried = np.ones((1, 1))
    for core in factors.cores:
        wide = core.astype(float)
        carried = np.einsum("ab,atc,btd->cd", carried, wide, wide)
    return math.sqrt(max(0.0, float(carried[0, 0])))


def _left_out(task: Task, factors: Factors, facts: KernelFacts) -> float:
    """Give the share of ‖kernel‖₁ that is left out beyond roundings of the kernel's values; 0 if there is none."""
    accumulate, norm1 = task.problem.dtypes.accumulate, float(facts.norm1)
    exact = ALLOWED.get(accumulate.itemsize, 0) * unit_roundoff(accumulate) * norm1
    return factors.residual / norm1 if factors.residual > exact else 0.0


def _structure(factors: Factors, left_out: float) -> str:
    lines = " x ".join(str(core.shape[1]) for core in factors.cores)
    but = f", leaving out {left_out:.1e} of ‖kernel‖₁" if left_out else ""
    if factors.rank == 1:
        return f"outer product of lines of {lines} taps{but}"
    return f"sum of products of lines of {lines} taps, ranks {', '.join(map(str, factors.ranks))}{but}"


class Separable:
    """The passes for one task, bound to strides on first use and then reused."""

    def __init__(self, task: Task, plan: Layout, active: list[int], factors: list[Factors]) -> None:
        self.task, self.layout, self.active, self.factors = task, plan, active, factors
        dtypes = task.problem.dtypes
        self.nanoseconds = separable_cost.nanoseconds(task, plan, active, factors)
        self.load_dtype, self.out_dtype = task.load, dtypes.output
        self.in_shape = plan.array_shape(out=False)
        self.out_shape = plan.array_shape(out=True)
        self._types = (Element.of(task.load), Element.of(dtypes.accumulate), Element.of(dtypes.output))
        self._cores = [
            [Core.of(core, paired=Rows.of(plan, axis).paired) for core, axis in zip(one.cores, active, strict=True)]
            for one in factors
        ]
        self.safe = separable_repair.safe(dtypes.accumulate, max(one.magnitude for one in factors))
        self._bound: Kept[tuple[object, ...], list[tuple[int, Step]]] = Kept(BOUND_KEPT)

    def run(self, source: np.ndarray, out: np.ndarray, threads: int) -> None:
        """Fill `out`, C-contiguous (filters, *out_shape), from the input, a line of which is contiguous."""
        spoiled = self.passes(source, out, threads)
        if spoiled and separable_repair.needed(self, source):
            separable_repair.redo(self, source, out, spoiled)

    def passes(self, source: np.ndarray, out: np.ndarray, threads: int) -> list[tuple[int, regions.Box]]:
        """Run the passes, and name the boxes of filters' outputs that are not all finite."""
        source_address = source.__array_interface__["data"][0]
        out_address = out.__array_interface__["data"][0]
        threads = min(threads, 1 + int(self.nanoseconds) // THREAD)
        steps = self._steps(source.strides, threads, out_address % workspace.ALIGNMENT)
        map_bytes = out.nbytes // len(self.factors)
        spoiled: list[tuple[int, regions.Box]] = []
        job = partial(self._execute, source, source_address, out_address, map_bytes, spoiled)
        pool.run([partial(job, filter_, step) for filter_, step in steps], threads)
        return spoiled

    def part(self, problem: Problem) -> Separable:
        """Give the same passes for a part of the problem (see `parts`)."""
        task = replace(self.task, problem=problem)
        return Separable(task, part_layout(self.task.problem, problem), self.active, self.factors)

    def shortcut(self) -> Callable[[np.ndarray, np.ndarray], None] | None:
        """There is no quicker way for small arrays."""
        return None

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, for `Plan.explain`."""
        isa = isas.host()
        pairs = sum(bool((core.modes % 3 > 0).all()) for cores in self._cores for core in cores)
        total = sum(len(cores) for cores in self._cores)
        boxes = separable_cost.boxes(self.layout, self.active, self._types[1].bytes, 1)
        return [
            ("method", f"{len(self.active)} passes over each box, one along every filtered axis, fused in cache"),
            ("order", "one chain of multiply-adds per output and pass, the samples of equal weights added first"),
            ("paired taps", f"in {pairs} of {total} factors, which halves the multiplications"),
            ("instructions", f"{isa.name}{', fused multiply-add' if isa.has_fma else ''}"),
            ("boxes", f"{len(boxes)} of at most {' x '.join(str(b - a) for a, b in boxes[0])} outputs"),
        ]

    def _execute(
        self, source: np.ndarray, source_address: int, out_address: int, map_bytes: int,
        spoiled: list[tuple[int, regions.Box]], filter_: int, step: Step,
    ) -> None:  # fmt: skip
        scratch, _held = workspace.borrow(step.scratch_bytes)
        work = scratch + step.work
        if step.gather is not None:
            step.gather.run(source, source_address, scratch)
        target = out_address + filter_ * map_bytes
        for one in step.passes:
            one.kernel(
                one.parameters,
                (scratch if one.source_in_scratch else source_address) + one.source,
                (scratch if one.target_in_scratch else target) + one.target,
                work,
            )
        if step.note and ctypes.string_at(work + step.note, len(step.finite)) != step.finite:
            spoiled.append((filter_, step.box))

    def _steps(self, strides: Sequence[int], threads: int, phase: int) -> list[tuple[int, Step]]:
        key = (*strides, threads, phase)
        steps = self._bound.get(key)
        if steps is None:
            binder = Binder(self.layout, self.active, self._types, self.load_dtype, tuple(strides))
            boxes = separable_cost.boxes(self.layout, self.active, self._types[1].bytes, threads)
            steps = [
                (f, binder.step(box, self._cores[f], stream=self._may_stream(), phase=phase))
                for box, f in product(boxes, range(len(self.factors)))
            ]
            self._bound.keep(key, steps)
        return steps

    def _may_stream(self) -> bool:
        """Store past the caches what leaves them anyway, where all lines lie alike on cache lines."""
        line, map_bytes = (n * self.out_dtype.itemsize for n in (self.out_shape[-1], math.prod(self.out_shape)))
        return map_bytes > STREAM_BYTES and line % workspace.ALIGNMENT == 0
