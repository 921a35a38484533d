"""The error of one element: how large it is, where it sits, and what causes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import FaltungError, GeometryError, ProblemError
from faltung.symmetry.audit.parts import divided, round_trip
from faltung.symmetry.audit.places import border_share, compared, depth_of, difference, largest, reach_of, wide
from faltung.symmetry.elements import Element, Given, Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from faltung.symmetry.audit.fields import Field
    from faltung.symmetry.elements import Array

ROUNDING = {2: 1e-2, 4: 2e-5, 8: 1e-11}  # relative errors that arithmetic alone explains, by bytes of a real number


@dataclass(frozen=True)
class ElementError:
    """What one element of the group showed.

    ``max`` and ``mean`` are absolute differences |f(g x) - g f(x)|, ``relative`` is max over the largest |output|,
    ``rms`` the ratio of root mean squares. ``unmoved`` is the relative error if the output were to stay: the invariance
    error. ``action`` says what g was on the output. ``lattice + boundary + floor + rest`` is ``relative``: what a shift
    of the input by less than a stride repairs, what sits near edges, what interpolation alone causes, and what is left;
    ``cause`` names the largest. ``where`` is the index of the largest difference, ``border_share`` the share of the
    squared error in the outer eighth of the grid, ``reach`` how many samples in from an edge (or from where the move
    took it) it extends.
    """

    name: str
    max: float
    mean: float
    relative: float
    rms: float
    unmoved: float
    action: str
    where: tuple[int, ...] = ()
    border_share: float | None = None
    reach: int | None = None
    lattice: float = 0.0
    boundary: float = 0.0
    floor: float = 0.0
    rest: float = 0.0
    cause: str = "exact"


@dataclass(frozen=True, eq=False)
class Trial:
    """A function under test, one or several inputs, and how the group acts on them and on the output."""

    run: Callable[[list[Array]], Array]
    inputs: list[Array]
    fields: list[Field]
    group: Group
    output: Array
    result: Field
    tolerance: float
    given: Callable[[Any, Array], Array] | None = None
    values: dict[Element | Given, Array] = dataclass_field(default_factory=dict)

    def moved_inputs(self, element: Element | Given) -> list[Array]:
        """Return the inputs as the element moves them."""
        if isinstance(element, Given):
            return [np.asarray(element.act_in(x)) for x in self.inputs]
        return [f.move(f.on_grid(element) if f.axes else element, x, self.group)
                for f, x in zip(self.fields, self.inputs, strict=True)]  # fmt: skip

    def moved_value(self, element: Element | Given) -> Array:
        """Return f(g x), computed once."""
        if element not in self.values:
            self.values[element] = self.value_of(self.moved_inputs(element), element.name)
        return self.values[element]

    def value_of(self, inputs: list[Array], what: str) -> Array:
        """Run the function on moved inputs; GeometryError or ProblemError if its output cannot be compared."""
        return self.comparable(self.run(inputs), f"for the input moved by {what}")

    def comparable(self, value: Array, when: str) -> Array:
        """Take an output that is finite and has the shape of f(x); GeometryError or ProblemError for others."""
        if value.shape != self.output.shape:
            msg = f"the output of shape {self.output.shape} became {value.shape} {when}; "
            raise GeometryError(msg + "outputs can only be compared if their shape depends on the input's shape alone")
        return finite(value, f"the output {when}")


def finite(value: Array, what: str) -> Array:
    """Refuse NaN and infinity, with ProblemError that says where the first one is."""
    bad = ~np.isfinite(value) if value.dtype.kind in "fc" else np.zeros(value.shape, bool)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        msg = f"{what} has {int(bad.sum())} of {value.size} values that are NaN or infinite, the first at {first}; "
        raise ProblemError(msg + "equivariance compares finite numbers: mask them, or give another input")
    return value


def rounding(dtype: np.dtype[Any]) -> float:
    """Return the relative error up to which a result counts as exact: 1e-11, for float32 2e-5, for float16 1e-2.

    >>> rounding(np.dtype("float32")), rounding(np.dtype("complex64")), rounding(np.dtype("uint8"))
    (2e-05, 2e-05, 1e-11)
    """
    width = dtype.itemsize // (2 if dtype.kind == "c" else 1)
    return ROUNDING.get(width, ROUNDING[8]) if dtype.kind in "fc" else ROUNDING[8]


def element_error(trial: Trial, element: Element | Given, *, split: bool = True) -> tuple[ElementError, Array]:
    """Measure one element, and return its error and the absolute differences (zero where nothing is compared)."""
    value, y = trial.moved_value(element), trial.output
    scale = max(largest(y), largest(value)) or 1.0
    tries = [
        (largest(off), i, off, action, candidate)
        for i, (action, candidate, expected) in enumerate(expectations(trial, element))
        for off in [difference(value, expected) * compared(trial, candidate)]
    ]
    if not tries:
        msg = f"{element.name} is too far for the output's grid of shape {y.shape}; give a larger input"
        raise GeometryError(msg)
    worst, _, off, action, candidate = min(tries, key=lambda t: t[:2])
    found = ElementError(
        element.name,
        max=worst,
        mean=float(off.mean()) if off.size else 0.0,
        relative=worst / scale,
        rms=_rms(off) / (_rms(y) or 1.0),
        unmoved=largest(difference(value, y)) / scale,
        action=action,
        where=tuple(int(i) for i in np.unravel_index(int(np.argmax(off)), off.shape)) if off.size else (),
    )
    wrong = found.relative > trial.tolerance
    if candidate is None or not isinstance(element, Element):
        floor = min(round_trip(trial, element, scale), found.relative) if split and wrong else 0.0
        found = replace(found, floor=floor, rest=(found.relative - floor) * wrong)
        return replace(found, cause=_cause(found, trial)), off
    depth = depth_of(trial, candidate)
    found = replace(found, border_share=border_share(off, depth), reach=reach_of(off, depth, trial.tolerance * scale))
    if split and wrong:
        found = divided(trial, element, candidate, off, depth, scale, found)
    return replace(found, cause=_cause(found, trial)), off


def expectations(trial: Trial, element: Element | Given) -> Iterator[tuple[str, Element | None, Array]]:
    """Yield what g f(x) may be: a name, the element in samples of the output, and the array.

    A shift that is no multiple of the stride has no place on the output's grid, so the samples next to it are tried,
    and the sub-pixel shift: the best one counts.
    """
    y, field, group = trial.output, trial.result, trial.group
    given = element.act_out if isinstance(element, Given) else None
    if trial.given is not None:
        given = partial(trial.given, element)
    if given is not None:
        expected = np.asarray(given(y))
        if expected.shape != y.shape:
            msg = f"g_out of {element.name} makes {expected.shape} of an output of shape {y.shape}; it must keep it"
            raise GeometryError(msg)
        yield "given", None, expected
    elif isinstance(element, Element) and not field.axes:
        yield field.kind, None, field.move(element, y, group)
    elif isinstance(element, Element):
        for name, candidate in _on_output_grid(field, element, group):
            try:
                yield name, candidate, field.move(candidate, y, group)
            except FaltungError:
                # A neighbour that lies beyond a small grid, or integers between samples: the others are tried.
                continue


def _on_output_grid(field: Field, element: Element, group: Group) -> list[tuple[str, Element]]:
    exact = field.on_grid(element)
    if not exact.permutes_axes or exact.on_lattice or not all(float(t).is_integer() for t in element.shift):
        return [(f"{field.kind}", exact)]
    neighbours = product(*[{float(np.floor(t)), float(np.ceil(t))} for t in exact.shift])
    near = [(f"{field.kind}, shifted by {_numbers(t)}", replace(exact, shift=t)) for t in sorted(neighbours)]
    return [*near, (f"{field.kind}, shifted by {_numbers(exact.shift)}", exact)]


def _rms(array: Array) -> float:
    return float(np.sqrt(np.mean(np.abs(array.astype(wide(array))) ** 2))) if array.size else 0.0


def _cause(found: ElementError, trial: Trial) -> str:
    if found.relative <= trial.tolerance:
        # What has lost samples is never called exact.
        return "floor" if trial.group.semigroup else "exact"
    parts = {"lattice": found.lattice, "boundary": found.boundary, "floor": found.floor, "rest": found.rest}
    return max(parts, key=lambda name: parts[name])


def _numbers(values: Sequence[float]) -> str:
    return f"({', '.join(f'{v:g}' for v in values)})"
