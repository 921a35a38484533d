"""`equivariance`: measure f(g x) = g f(x) for any function, element by element and layer by layer."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.symmetry.audit.advice import advice
from faltung.symmetry.audit.decide import check_group, decided
from faltung.symmetry.audit.fields import input_field
from faltung.symmetry.audit.measure import element_error
from faltung.symmetry.audit.places import difference, largest
from faltung.symmetry.audit.report import Report
from faltung.symmetry.audit.steps import Settings, audit_steps
from faltung.symmetry.audit.targets import target
from faltung.symmetry.elements import Element

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from faltung.symmetry.audit.measure import ElementError, Trial
    from faltung.symmetry.audit.steps import LayerError
    from faltung.symmetry.audit.targets import Target
    from faltung.symmetry.elements import Given, Group

PATIENCE = 0.5  # seconds before a bar appears
CROPS = 4  # smaller sizes that are tried where the lattice is to blame


def equivariance(
    f: Any,
    x: Any,
    group: Group,
    output: Any = "auto",
    *,
    input: str = "field",  # noqa: A002  it stands beside output
    axes: Sequence[int] | None = None,
    layers: bool = True,
    tolerance: float | None = None,
) -> Report:
    """Measure how far ``f(g x)`` is from ``g f(x)`` for every element g of a group that is not the identity.

    f is a function from an array to an array (NumPy, or torch if x is a tensor), a torch module (in eval mode
    meanwhile), or the path of an ONNX file. x is one real input: the group moves its last axes, or ``axes``; axes
    before them are carried (channels, a batch). ``input="regular"`` says that the axis before the moving ones holds a
    regular representation, len(group) channels a field.

    ``output`` is the action on the output: "auto" decides from its shape and by trying, and says so in
    ``report.decision``: the same axes on a grid of measured stride, with the channels permuted if that is what the
    elements do to them (regular and other permutation representations), or none (invariance). "field", "regular" and
    "invariant" decide for it; a callable (element, array) -> array is the action itself.

    Errors are relative to the largest output, so that 1e-7 (float32) or 1e-16 (float64) is rounding; those at most
    ``tolerance`` (1e-11, 2e-5 for float32, 1e-2 for float16) count as exact. Beyond it an error is divided into what
    the lattice, the boundary, interpolation and the rest contribute. ``layers=False`` leaves out the layers of torch
    modules and ONNX graphs, each of which is measured on its own input. Long work shows a bar on a terminal.

    Raises:
        ProblemError: f is not callable or gives no single array; NaN or infinite outputs; no such action.
        GeometryError: the group does not act on the grid, the input is too small for it, or the output's shape changes.
        DtypeError: integers would have to be interpolated.
        FileError: an ONNX file that cannot be read.

    >>> import numpy as np
    >>> from faltung.symmetry import rotations90
    >>> x = np.random.default_rng(0).standard_normal((32, 32))
    >>> report = equivariance(lambda x: x[::2, ::2], x, rotations90())
    >>> report.max_error > 0.1, report.worst.cause
    (True, 'lattice')
    >>> print(report.advice)
    stride 2 on size 32 leaves the output's grid off centre; exact on size 31 (tried), or use polyphase_pool
    """
    check_group(group)
    with target(f, x) as subject, _bar() as track:
        source = input_field(subject.x.shape, group, axes, input)
        trial, decision = decided(subject.run, [subject.x], [source], group, output, tolerance)
        noise = _noise(subject, trial)
        elements, worst, error_map = [], group.tried[0], None
        for element in track("elements", group.tried):
            found, off = element_error(trial, element)
            trial.values.pop(element, None)
            if error_map is None or found.relative > max(e.relative for e in elements):
                worst, error_map = element, off
            elements.append(found)
        found_layers: list[LayerError] = []
        if layers and subject.layers is not None and all(isinstance(e, Element) for e in group.elements):
            found_layers = audit_steps(
                subject.layers(), group, source, subject.x.shape, "input", tolerance, partial(track, "layers")
            )
        largest_error = max(elements, key=lambda e: e.relative)
        return Report(
            subject.name, group.name, subject.x.shape, trial.output.shape, decision, trial.tolerance, noise,
            tuple(elements), tuple(found_layers), _advice(trial, worst, largest_error), np.asarray(error_map),
            trial.result.axes,
        )  # fmt: skip


def _noise(subject: Target, trial: Trial) -> float:
    """Return how far a second run on the same input is from the first: a random function shows here."""
    again = trial.comparable(subject.run([subject.x]), "in a second run on the same input")
    return largest(difference(again, trial.output)) / (largest(trial.output) or 1.0)


def _advice(trial: Trial, element: Element | Given, worst: ElementError) -> str:
    if worst.cause == "exact":
        return ""
    if not isinstance(element, Element) or trial.given is not None:
        return "the pair of actions does not commute with it"
    sizes = trial.fields[0].sizes(trial.inputs[0].shape)
    text = advice(worst, element, trial, sizes, "", Settings())
    if worst.cause == "lattice" and element.turns:
        size = _size_that_works(trial, element, worst)
        if size:
            text = text.replace("choose a size on which the strided grid is centred", f"exact on size {size} (tried)")
    return text


def _size_that_works(trial: Trial, element: Element, worst: ElementError) -> str:
    """Crop the input by a few samples, and return the first size on which the error is gone."""
    x, here = trial.inputs[0], trial.fields[0]
    for less in range(1, CROPS + 1):
        index: list[Any] = [slice(None)] * x.ndim
        for a in here.axes:
            index[a] = slice(0, x.shape[a] - less)
        try:
            smaller, _ = decided(trial.run, [x[tuple(index)]], [here], trial.group, "auto", trial.tolerance)
            found, _ = element_error(smaller, element, split=False)
        # A model of fixed size raises whatever its library does; then nothing is learned.
        except Exception:
            continue
        if found.relative <= max(trial.tolerance, worst.relative / 1000):
            return " x ".join(sorted({str(x.shape[a] - less) for a in here.axes}))
    return ""


@contextmanager
def _bar() -> Iterator[Callable[[str, Sequence[Any]], Iterable[Any]]]:
    """Give a function that goes through items, with a bar on the terminal's error stream."""
    if not sys.stderr.isatty():
        yield lambda _, items: items
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        yield lambda what, items: bar.track(items, description=what, update_period=PATIENCE)
