"""What a plan says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faltung.algorithms.task import Recipe
from faltung.plan.choice import tuned

if TYPE_CHECKING:
    from faltung.algorithms.task import Rejection
    from faltung.plan.plan import Plan


def explain(plan: Plan) -> str:
    """Describe problem, algorithm, predicted time, memory, error bound, and what spoke against the others."""
    recipe = plan.recipe
    lines = [
        *_problem(plan),
        ("algorithm", f"{recipe.algorithm}, predicted {_time(recipe.nanoseconds * len(plan.planes))} on one thread"),
        *(("structure", text) for text in recipe.structure),
        *plan.planes[0].method.describe(),
        ("workspace", f"at most {recipe.workspace:,} bytes for each thread"),
        ("error bound", plan.bounds.explain()),
        ("signature", plan.signature),
        *(("constants", f"measured by faltung tune ({name})") for name in [tuned(recipe)] if name),
        *((f"not {other.algorithm}", _against(other, recipe)) for other in plan.others),
    ]
    width = max(len(topic) for topic, _ in lines)
    return "\n".join(f"{topic:<{width}}  {text}" for topic, text in lines)


def _problem(plan: Plan) -> list[tuple[str, str]]:
    problem, dtypes = plan.problem, plan.problem.dtypes
    kernel = " x ".join(map(str, problem.kernel_shape)) or "scalar"
    bank = f", {problem.filters} filters in one pass" if problem.filters is not None else ""
    sides = ", ".join(f"axis {a}: {low}|{high}" for a, (low, high) in zip(problem.axes, problem.boundary, strict=True))
    lines = [
        ("formula", plan.formula),
        ("input", f"{problem.shape} {dtypes.input}, filtered along axes {problem.axes}"),
        ("kernel", f"{kernel}{bank}"),
        ("output", f"{problem.output_shape} {dtypes.output}"),
        ("boundary", sides or "none"),
        (
            "arithmetic",
            f"accumulates in {dtypes.accumulate}; {problem.macs:,} multiply-accumulates by definition",
        ),
    ]
    if len(plan.planes) > 1:
        lines.append(("complex", "real and imaginary parts are filtered one after the other"))
    elif dtypes.input.kind == "c":
        lines.append(("complex", "real and imaginary parts are filtered as a last axis of pairs"))
    return lines


def _against(other: Recipe | Rejection, chosen: Recipe) -> str:
    if not isinstance(other, Recipe):
        return other.reason
    return f"predicted {_time(other.nanoseconds)}, {other.nanoseconds / chosen.nanoseconds:.1f} times as long"


def _time(nanoseconds: float) -> str:
    """Write a time with its unit.

    >>> _time(142_340_000.0), _time(812.0), _time(5e10)
    ('140 ms', '0.81 µs', '50 s')
    """
    for unit, size in (("s", 1e9), ("ms", 1e6)):
        if nanoseconds >= size:
            return f"{float(f'{nanoseconds / size:.2g}'):g} {unit}"
    return f"{float(f'{nanoseconds / 1e3:.2g}'):g} µs"
