"""The choice among algorithms: all are asked, the fastest that keeps to tolerance and memory is taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from faltung.algorithms import direct, numpy_taps
from faltung.algorithms.task import Recipe, Rejection
from faltung.errors import PlanError
from faltung.runtime import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.task import Task

# Sums of taps as the definition has them: nothing is more precise.
PLAIN = ("direct", "numpy", "layer", "banks")
LAYERS = ("direct", "layer", "banks")
ALGORITHMS = ("direct", "separable", "window_sum", "fourier", "numpy", "layer", "banks")
# A sum of so few taps, or so short a one (in nanoseconds), is done before another algorithm has looked at the kernel.
FEW_TAPS, SHORT = 9, 25_000.0
# That all taps are equal is known already; but a transform takes milliseconds to plan and to prepare.
SHORT_FOR = {"window_sum": 15_000.0, "fourier": 100_000.0}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller demands of the method: its name, the error it may make, the scratch memory it may take.

    `tolerance` is a multiple of ‖kernel‖₁ · max|x|, None for that of exact methods; `max_memory` is in bytes.
    """

    algorithm: str | None = None
    tolerance: float | None = None
    max_memory: int | None = None


NO_WISHES = Wishes()
FOR_LAYERS = "it is for layers"
TUNED = "tuned"


def propose(name: str, task: Task) -> Recipe | Rejection:
    """Ask one algorithm; those that are seldom wanted are loaded when they are."""
    plain = {"direct": direct.propose, "numpy": numpy_taps.propose}
    if name in plain:
        return plain[name](task)
    answer: Recipe | Rejection = import_module(f"faltung.algorithms.{name}").propose(task)
    return answer


def ask(task: Task, wishes: Wishes) -> list[Recipe | Rejection]:
    """Ask every algorithm that the task may be for, and the one that is wished for."""
    direct_answer = propose("direct", task)
    answers: list[Recipe | Rejection] = []
    for name in ALGORITHMS:
        reason = _out_of_place(name, task)
        if reason == FOR_LAYERS and name != wishes.algorithm:
            continue
        if reason is None and name not in PLAIN and name != wishes.algorithm and _quick(name, direct_answer, task):
            reason = "the plain sum is done before this is prepared"
        if reason is not None:
            answers.append(Rejection(name, reason))
        else:
            answers.append(direct_answer if name == "direct" else propose(name, task))
    return answers


def _out_of_place(name: str, task: Task) -> str | None:
    """Tell algorithms for layers from those for filters."""
    if task.problem.channels is not None:
        return None if name in LAYERS else "it is for filters, and this is a layer"
    if name == "window_sum" and not all(found.constant for found in task.facts):
        return "the taps are not all equal"
    return FOR_LAYERS if name in ("layer", "banks") else None


def _quick(name: str, plain: Recipe | Rejection, task: Task) -> bool:
    """Whether the plain sum is so short that another algorithm's preparation would not pay for many calls."""
    if not isinstance(plain, Recipe):
        return False
    few = task.kernels[0].size <= FEW_TAPS and name != "window_sum"
    return few or plain.nanoseconds < SHORT_FOR.get(name, SHORT)


def choose(
    answers: Sequence[Recipe | Rejection], task: Task, wishes: Wishes
) -> tuple[Recipe, tuple[Recipe | Rejection, ...]]:
    """Take the fastest recipe that keeps to tolerance and memory; give the others with what spoke against them."""
    judged = [_judge(answer, task, wishes) for answer in answers]
    fitting = [answer for answer in judged if isinstance(answer, Recipe)]
    if wishes.algorithm is not None:
        names = [answer.algorithm for answer in answers]
        if wishes.algorithm not in names:
            msg = f"unknown algorithm {wishes.algorithm!r}; there are {', '.join(map(repr, names))}, or None to choose"
            raise PlanError(msg)
        forced = judged[names.index(wishes.algorithm)]
        if isinstance(forced, Rejection):
            msg = f"algorithm={wishes.algorithm!r} does not serve this problem: {forced.reason}"
            raise PlanError(msg)
        fitting = [forced]
    if not fitting:
        reasons = "; ".join(
            f"{answer.algorithm}: {answer.reason}" for answer in judged if isinstance(answer, Rejection)
        )
        msg = f"no algorithm serves this problem as asked ({reasons}); allow a larger max_memory or tolerance"
        raise PlanError(msg)
    chosen = min(fitting, key=lambda recipe: recipe.nanoseconds)
    return _recorded(chosen), tuple(answer for answer in judged if answer is not chosen)


def _recorded(recipe: Recipe) -> Recipe:
    """Note in the arithmetic, which the signature names, by which measured constants a recipe was chosen."""
    measured = machine.host().tuned
    return recipe if measured is None else replace(recipe, arithmetic=(*recipe.arithmetic, TUNED, measured))


def tuned(recipe: Recipe) -> str | None:
    """Name the measured constants that a recipe was chosen by; None for those that are shipped."""
    return str(recipe.arithmetic[-1]) if recipe.arithmetic[-2:-1] == (TUNED,) else None


def proposed(recipe: Recipe) -> tuple[Any, ...]:
    """Give the arithmetic as the algorithm proposed it, without the note of measured constants."""
    return recipe.arithmetic[:-2] if tuned(recipe) else recipe.arithmetic


def _judge(answer: Recipe | Rejection, task: Task, wishes: Wishes) -> Recipe | Rejection:
    """Reject a recipe that is not precise enough or takes too much memory; plain sums of taps are always precise."""
    if isinstance(answer, Rejection):
        return answer
    if wishes.max_memory is not None and answer.workspace > wishes.max_memory:
        reason = f"it needs {answer.workspace:,} bytes of scratch for each thread, max_memory is {wishes.max_memory:,}"
        return Rejection(answer.algorithm, reason)
    plain = answer.algorithm in PLAIN
    if plain and not task.approximate:
        return answer
    norm1 = max(float(found.norm1) for found in task.facts)
    if not answer.error <= task.tolerance * norm1 and not (answer.error == 0 and task.tolerance == 0):
        reason = f"its error bound is {answer.error / norm1 if norm1 else answer.error:.1e} of ‖kernel‖₁ · max|x|, "
        return Rejection(answer.algorithm, f"{reason}{task.tolerance:.1e} is allowed")
    return answer
