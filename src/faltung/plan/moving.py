"""Plans that leave their process: what is carried along, and how the same arithmetic is found again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.algorithms.task import Recipe, Rejection
from faltung.errors import PlanError
from faltung.plan.choice import propose, proposed
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.task import Method, Task
    from faltung.plan.plan import Plan

PLANS_KEPT = 32
_restored: Kept[str, Plan] = Kept(PLANS_KEPT)


def token(plan: Plan) -> str:
    """Name problem, kernels and arithmetic: plans with equal tokens give equal bits for equal inputs."""
    found = hashlib.sha256(repr((plan.problem, plan.recipe.algorithm, plan.recipe.arithmetic)).encode())
    for plane in plan.planes:
        task = plane.task
        found.update(repr((task.problem, task.load, task.tolerance, task.approximate)).encode())
        for kernel in task.kernels:
            found.update(repr((kernel.dtype.str, kernel.shape)).encode() + np.ascontiguousarray(kernel).tobytes())
    return found.hexdigest()


def reduced(plan: Plan) -> tuple[Any, ...]:
    """Say how to pickle a plan: everything that was decided, and nothing that was compiled."""
    planes = [(plane.maps, plane.task) for plane in plan.planes]
    rest = (plan.problem, plan.store, plan.bounds, plan.formula, plan.reach)
    answers = [_bare(answer) for answer in (plan.recipe, *plan.others)]
    return restore, (plan.token, planes, rest, answers)


def restore(
    name: str, planes: Sequence[tuple[int, Task]], rest: tuple[Any, ...], answers: Sequence[Recipe | Rejection]
) -> Plan:
    """Make the plan again, or find it: nothing is chosen anew, the method alone is prepared.

    Raises PlanError where this machine or its compiler has other instructions, which would give other bits.
    """
    found = _restored.get(name)
    if found is not None:
        return found
    # Imported here, for plans know how they are pickled.
    from faltung.plan.plan import Plan, Plane

    recipe, *others = answers
    assert isinstance(recipe, Recipe)
    recipes = [_again(task, recipe) for _, task in planes]
    made = [Plane(one.prepare(), maps, task) for one, (maps, task) in zip(recipes, planes, strict=True)]
    problem, store, bounds, formula, reach = rest
    plan = Plan(problem, made, store, bounds, formula, recipe=recipes[0], others=others, reach=reach)
    _restored.keep(name, plan)
    return plan


def _again(task: Task, recipe: Recipe) -> Recipe:
    wanted = proposed(recipe)
    if wanted[0] == "fourier":
        # A tile is chosen by predicted times, which may be others here (see `machine`).
        from faltung.algorithms.fourier import repeat

        answer = repeat(task, wanted)
    else:
        answer = propose(recipe.algorithm, task)
    if isinstance(answer, Recipe) and answer.arithmetic == wanted:
        return replace(answer, arithmetic=recipe.arithmetic)
    here = answer.reason if isinstance(answer, Rejection) else f"it is {answer.arithmetic} here"
    msg = f"this plan was made for the arithmetic {recipe.arithmetic}, which cannot be repeated here ({here}); "
    raise PlanError(msg + "use workers with the same instruction set, faltung version and FALTUNG_* settings")


def _bare(answer: Recipe | Rejection) -> Recipe | Rejection:
    return replace(answer, prepare=_unprepared) if isinstance(answer, Recipe) else answer


def _unprepared() -> Method:
    """Stand for the method of a recipe that was not chosen."""
    msg = "this recipe came with a plan from another process, and was not chosen; plan with algorithm= to prepare it"
    raise PlanError(msg)
