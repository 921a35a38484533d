"""From a problem and its kernels to a plan: complex numbers become real tasks, and a recipe is chosen for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.task import Recipe, Rejection, Task
from faltung.errors import BoundaryError, PlanError
from faltung.plan.bounds import bounds, default_tolerance
from faltung.plan.choice import NO_WISHES, Wishes, ask, choose, propose
from faltung.plan.plan import Plan, Plane
from faltung.problem.boundary import Rule, axis_map
from faltung.problem.kernel import facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.problem.boundary import Sides
    from faltung.problem.dtypes import Dtypes
    from faltung.problem.problem import Problem


def plan(
    problem: Problem, kernels: Sequence[np.ndarray], norm1: float, formula: str, wishes: Wishes = NO_WISHES
) -> Plan:
    """Plan a problem for kernels already flipped and conjugated as the operation wants; `norm1` is their largest."""
    _check_constants(problem)
    store = _store_dtype(problem.dtypes)
    bank = _real_bank(kernels)
    found = tuple(facts(kernel) for kernel in bank)
    odd_axes = sum(any(rule.is_odd for rule in sides) for sides in problem.boundary)
    exact = default_tolerance(problem.dtypes, kernels[0].size)
    allowed = exact if wishes.tolerance is None else float(wishes.tolerance)
    tasks = [
        Task(component, _load_dtype(component), tuple(bank), found, allowed, wishes.tolerance is not None)
        for component in _components(problem, len(bank), store)
    ]
    chosen, others = choose(ask(tasks[0], wishes), tasks[0], wishes)
    layers = 1 if problem.channels is None else problem.channels.outputs
    recipes = [chosen, *(_again(task, chosen.algorithm) for task in tasks[1:])]
    planes = [Plane(recipe.prepare(), len(bank) // layers, task) for task, recipe in zip(tasks, recipes, strict=True)]
    growth = _growth(problem)
    return Plan(
        problem, planes, store, bounds(problem.dtypes, chosen, norm1, growth, odd_axes), formula,
        recipe=chosen, others=others, reach=_reach(problem, norm1, growth),
    )  # fmt: skip


def _again(task: Task, algorithm: str) -> Recipe:
    """Propose once more, for the other part of a complex input: only constants beyond the edges differ."""
    answer = propose(algorithm, task)
    if isinstance(answer, Rejection):
        msg = f"algorithm {algorithm!r} serves only one part of these complex numbers: {answer.reason}"
        raise PlanError(msg)
    return answer


def _components(problem: Problem, filters: int, store: np.dtype) -> list[Problem]:
    """Give the real problems that make up a complex one; a real one is its own."""
    dtypes = replace(problem.dtypes, accumulate=_real_component(problem.dtypes.accumulate), output=store)
    bank = None if problem.channels is not None else filters
    first = replace(problem, filters=bank, boundary=_component_boundary(problem.boundary, False), dtypes=dtypes)
    if problem.dtypes.input.kind != "c":
        return [first]
    if any(rule.name == "constant" for sides in problem.boundary for rule in sides):
        # The constant's parts differ, so the parts of the input are filtered one after the other.
        return [first, replace(first, boundary=_component_boundary(problem.boundary, True))]
    return [replace(first, shape=(*problem.shape, 2))]


def _reach(problem: Problem, norm1: float, growth: int) -> int:
    """Bound |sums| / max|x| of an integer problem, for the exclusion of overflow."""
    return int(norm1) * growth if problem.dtypes.accumulate.kind == "i" else 0


def _real_component(dtype: np.dtype) -> np.dtype:
    """Give the dtype of a complex number's parts; any other dtype as it is, in native byte order."""
    if dtype.kind == "c":
        return np.dtype(f"f{dtype.itemsize // 2}")
    return dtype.newbyteorder("=")


def _store_dtype(dtypes: Dtypes) -> np.dtype:
    """Give what the kernels store: the output itself, or the accumulator where the output is not a machine type."""
    output = _real_component(dtypes.output)
    if output.kind in "iu" or (output.kind == "f" and output.itemsize in (4, 8)):
        return output
    return _real_component(dtypes.accumulate)


def _load_dtype(problem: Problem) -> np.dtype:
    """Give what the kernels load: the input itself, unless it or its extension needs a wider type."""
    part, accumulate = _real_component(problem.dtypes.input), problem.dtypes.accumulate
    if part.kind == "b":
        part = np.dtype(np.uint8)
    if part.kind not in "iuf" or (part.itemsize == 2 and part.kind == "f"):
        return accumulate
    if part.kind == "u" and part.itemsize == 8 and accumulate.kind == "i":
        return accumulate
    rules = [rule for sides in problem.boundary for rule in sides]
    if any(rule.is_odd for rule in rules):
        return accumulate
    for rule in rules:
        if rule.is_constant and np.asarray(rule.value).astype(part).item() != rule.value and rule.value == rule.value:
            return accumulate
    return part


def _real_bank(kernels: Sequence[np.ndarray]) -> list[np.ndarray]:
    if any(kernel.dtype.kind == "c" for kernel in kernels):
        return [kernel.real for kernel in kernels] + [kernel.imag for kernel in kernels]
    return list(kernels)


def _component_boundary(boundary: tuple[Sides, ...], imaginary: bool) -> tuple[Sides, ...]:
    def part(rule: Rule) -> Rule:
        if rule.name != "constant":
            return rule
        value = complex(rule.value)
        return replace(rule, value=value.imag if imaginary else _plain(rule.value))

    return tuple((part(low), part(high)) for low, high in boundary)


def _plain(value: complex) -> float:
    return value.real if isinstance(value, complex) else value


def _check_constants(problem: Problem) -> None:
    """Refuse constants that the arithmetic cannot hold."""
    accumulate = problem.dtypes.accumulate
    for rule in (rule for sides in problem.boundary for rule in sides if rule.name == "constant"):
        if accumulate.kind != "c" and isinstance(rule.value, complex) and rule.value.imag:
            msg = f"the boundary constant {rule.value} is complex, but sums are {accumulate}; give a real one"
            raise BoundaryError(msg)
        if problem.dtypes.input.kind != "c" and accumulate.kind == "c" and complex(rule.value).imag:
            msg = (
                f"the boundary constant {rule.value} is complex, but the input is {problem.dtypes.input}; "
                "convert the input to complex first, or give a real constant"
            )
            raise BoundaryError(msg)
        if accumulate.kind == "i" and (
            rule.value != int(rule.value.real) or abs(int(rule.value.real)) > np.iinfo(accumulate).max
        ):
            msg = (
                f"the boundary constant {rule.value} is no {accumulate}, in which this integer problem is computed; "
                "give an integer, or ask for dtype=float"
            )
            raise BoundaryError(msg)


def _growth(problem: Problem) -> int:
    """Bound max|extended x| / max|x|: odd rules extrapolate, axis by axis."""
    growth = 1
    for axis, sides in zip(problem.geometry, problem.boundary, strict=True):
        if axis.out and axis.size and any(rule.is_odd for rule in sides):
            found = axis_map(*axis.reads(0, axis.out), axis.size, sides)
            if found.sign is not None and found.first is not None and found.last is not None:
                growth *= int((abs(found.sign) + abs(found.first) + abs(found.last)).max())
    return growth
