"""Which action of the group is right on an output: decided from its shape and from what it does, and said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import FaltungError, ProblemError
from faltung.symmetry.audit.fields import Field, channel_axes, explicit, output_field, stride_candidates
from faltung.symmetry.audit.measure import Trial, element_error, finite, rounding
from faltung.symmetry.audit.places import broadcast, difference, grid_depth, largest, middle, wide
from faltung.symmetry.elements import Element, Group, linear

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.symmetry.audit.fields import Matrix
    from faltung.symmetry.elements import Array

CHANNELS = 512  # to which permutations of channels are looked for
CLEAR = 0.1  # a permutation of channels counts if its error is below this share of the error without it


def decided(
    run: Callable[[list[Array]], Array], inputs: list[Array], fields: list[Field], group: Group, output: Any,
    tolerance: float | None,
) -> tuple[Trial, str]:  # fmt: skip
    """Run the function once, choose the action on its output, and return the trial with what was decided, in words."""
    y = finite(run(inputs), "f(x)")
    limit = rounding(y.dtype) if tolerance is None else tolerance
    main = next((k for k, f in enumerate(fields) if f.axes), 0)
    trial = Trial(run, inputs, fields, group, y, output_field(y.shape, inputs[main].shape, fields[main]), limit)
    if callable(output):
        return replace(trial, result=Field(), given=output), "given by the caller"
    if not all(isinstance(e, Element) for e in group.elements):
        return trial, "given with the pairs"
    trial = replace(trial, result=_with_measured_strides(trial, main))
    if output != "auto":
        result = explicit(str(output), trial.result, y.shape, group)
        return replace(trial, result=result), f"{result.kind}, as asked"
    trial = replace(trial, result=_with_values(trial))
    permutations, axes = _permutations(trial)
    result = replace(trial.result, permutations=permutations, channels=axes)
    return replace(trial, result=result), _words(trial, result, main)


def _words(trial: Trial, result: Field, main: int) -> str:
    y, n = trial.output.shape, trial.inputs[main].shape
    why = f"output {y} of input {n}"
    stay = ", values stay" if result.values == "stay" else ""
    if not trial.group.ndim:
        return f"{why}: values {'stay (invariant)' if stay else 'change as those of the input'}"
    if not result.axes and trial.group.ndim and not result.permutations:
        return f"{why}: no grid is left, so it is to stay (invariant)"
    return f"{why}: {result.kind}{stay}"


def _with_measured_strides(trial: Trial, main: int) -> Field:
    """Try the strides that the ratio of sizes allows: the one under which a shift is best followed, away from edges."""
    field, x, here = trial.result, trial.inputs[main], trial.fields[main]
    if not field.axes:
        return field
    strides: list[float] = []
    for k, axis in enumerate(field.axes):
        candidates = stride_candidates(x.shape[here.axes[k]] / trial.output.shape[axis])
        found = [(_follows(trial, k, s), i, s) for i, s in enumerate(candidates)] if len(candidates) > 1 else []
        strides.append(min(found)[2] if found else candidates[0])
    return replace(field, strides=tuple(strides))


def _follows(trial: Trial, k: int, stride: float) -> float:
    """Return the error for a shift by one stride along moving axis k."""
    ndim = len(trial.result.axes)
    shift = tuple(float(max(1.0, stride)) if i == k else 0.0 for i in range(ndim))
    step = replace(linear(f"shift by stride {stride:g}", np.eye(ndim, dtype=int)), shift=shift)
    strides = tuple(stride if i == k else 1.0 for i in range(ndim))
    group = Group("shifts", ndim, (step,), "wrap", "fourier")
    probe = replace(trial, group=group, result=replace(trial.result, strides=strides), values={})
    try:
        moved = probe.moved_value(step)
        expected = probe.result.move(probe.result.on_grid(step), trial.output, group)
    except FaltungError:
        return np.inf
    depth = np.minimum(*[broadcast(d, trial.result, moved.ndim) for d in _depths(probe, step)])
    return largest(difference(moved, expected) * (depth >= middle(depth)))


def _depths(probe: Trial, step: Element) -> tuple[Array, Array]:
    here = grid_depth(probe.result.sizes(probe.output.shape))
    whole = [round(t) for t in probe.result.on_grid(step).shift]
    return here, np.roll(here, whole, range(here.ndim))


def _with_values(trial: Trial) -> Field:
    """For actions on values, choose whether the output's values change too, or stay: the smaller error."""
    changing = [e for e in trial.group.tried if isinstance(e, Element) and (e.gain != 1 or e.offset)]
    if not changing:
        return trial.result
    choices = [trial.result, replace(trial.result, values="stay")]
    errors = [max(element_error(replace(trial, result=c), e, split=False)[0].relative for e in changing)
              for c in choices]  # fmt: skip
    return choices[int(np.argmin(errors))]


def _permutations(trial: Trial) -> tuple[dict[Matrix, Array], tuple[int, ...]]:
    """Find, for rotations and the like, the permutation of channels that each element makes: regular representations.

    The channels of f(g x) are matched to those of g f(x) (Hungarian algorithm) on the middle of the grid; the match
    counts where it is far better than leaving the channels in order.
    """
    y, axes = trial.output, channel_axes(trial.result, trial.output.shape)
    count = int(np.prod([y.shape[a] for a in axes])) if axes else 1
    turning = [e for e in trial.group.tried if isinstance(e, Element) and e.turns and e.on_lattice]
    if not turning or not 2 <= count <= CHANNELS or trial.group.semigroup:
        return {}, ()
    found: dict[Matrix, Array] = {}
    plain = True
    for element in turning:
        moved = trial.result.move(trial.result.on_grid(element), y, trial.group) if trial.result.axes else y
        order, in_order, matched = _matched(trial, trial.moved_value(element), moved, axes)
        scale = largest(y) ** 2 or 1.0
        if in_order > trial.tolerance**2 * scale and matched <= CLEAR**2 * in_order:
            plain = False
        found[element.matrix] = order
    return ({}, ()) if plain else (found, axes)


def _matched(trial: Trial, value: Array, moved: Array, axes: tuple[int, ...]) -> tuple[Array, float, float]:
    """Return the best permutation, and the mean squared errors without and with it."""
    from scipy.optimize import linear_sum_assignment

    weight: Array = np.ones((1,) * value.ndim)
    if trial.result.axes:
        depth = broadcast(grid_depth(trial.result.sizes(value.shape)), trial.result, value.ndim)
        weight = (depth >= middle(depth)).astype(float)
    a, b = (np.moveaxis(v.astype(wide(v)) * weight, axes, range(len(axes))) for v in (value, moved))
    count = int(np.prod(a.shape[: len(axes)]))
    a, b = a.reshape(count, -1), b.reshape(count, -1)
    squares = np.sum(np.abs(a) ** 2, 1)[:, None] + np.sum(np.abs(b) ** 2, 1) - 2 * (a @ b.conj().T).real
    order = linear_sum_assignment(squares)[1]
    samples = max(a.size, 1)
    return order, float(np.sum(np.abs(a - b) ** 2)) / samples, float(np.sum(np.abs(a - b[order]) ** 2)) / samples


def check_group(group: Any) -> Group:
    """Take a group, and say what one is otherwise, with ProblemError."""
    if isinstance(group, Group):
        if group.tried:
            return group
        msg = f"{group.name} has no element but the identity, so that there is nothing to measure"
        raise ProblemError(msg)
    msg = f"group={group!r} is not a group; give one of faltung.symmetry, such as shifts(), dihedral() or pairs(...)"
    raise ProblemError(msg)
