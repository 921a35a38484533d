"""The layers of a network, each measured on its own input."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from faltung.errors import FaltungError, GeometryError
from faltung.symmetry.audit.advice import layer_advice
from faltung.symmetry.audit.decide import decided
from faltung.symmetry.audit.fields import Field
from faltung.symmetry.audit.measure import ElementError, element_error
from faltung.symmetry.elements import Element

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from faltung.symmetry.audit.measure import Trial
    from faltung.symmetry.elements import Array, Group

Known: TypeAlias = "dict[Hashable, tuple[Field, tuple[int, ...]]]"  # how the group acts on an output, and its shape


@dataclass(frozen=True)
class Settings:
    """What is known of a window operation; None where a layer has no such setting."""

    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    padding: tuple[tuple[int, int], ...] | None = None
    dilation: tuple[int, ...] | None = None
    rule: str = "zeros"

    def __str__(self) -> str:
        parts = []
        if self.kernel:
            parts.append("x".join(map(str, self.kernel)))
        if self.stride and max(self.stride) > 1:
            parts.append(f"stride {_same(self.stride)}")
        if self.padding and any(any(p) for p in self.padding):
            amounts = [p[0] if p[0] == p[1] else f"{p[0]}+{p[1]}" for p in self.padding]
            parts.append(f"padding {_same(amounts)} {self.rule}")
        if self.dilation and max(self.dilation) > 1:
            parts.append(f"dilation {_same(self.dilation)}")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Step:
    """A layer as it ran: its inputs, how to run it again, and keys that say whose outputs its inputs are."""

    name: str
    kind: str
    run: Callable[[list[Array]], Array]
    inputs: list[Array]
    input_keys: Sequence[Hashable]
    output_key: Hashable
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True)
class LayerError:
    """What one layer showed on its own input.

    ``max_error`` is its largest relative error over the elements, at ``worst``; ``note`` says why a layer was not
    measured. ``advice`` is what to do.
    """

    index: int
    name: str
    kind: str
    settings: str
    input_shape: tuple[int, ...]
    max_error: float | None
    worst: ElementError | None
    note: str
    advice: str

    @property
    def title(self) -> str:
        """The layer's place, name and settings in one line."""
        about = ", ".join(t for t in (self.kind, self.settings) if t)
        return f"layer {self.index} ({self.name}: {about})"


def audit_steps(
    steps: Sequence[Step], group: Group, source: Field, shape: tuple[int, ...], key: Hashable,
    tolerance: float | None, track: Callable[[Sequence[Step]], Iterable[Step]],
) -> list[LayerError]:  # fmt: skip
    """Measure every layer on the input that it got, moved by the group's elements in samples of that input's own grid.

    Permutations of channels that one layer's output was found to make are carried to the layers that read it.
    """
    known: Known = {key: (source, shape)}
    errors = []
    for index, step in enumerate(track(steps), 1):
        fields = [_field_of(x, k, known, source, len(shape)) for x, k in zip(step.inputs, step.input_keys, strict=True)]
        errors.append(_layer(index, step, fields, group, tolerance, known))
    return errors


def _layer(
    index: int, step: Step, fields: list[Field], group: Group, tolerance: float | None, known: Known
) -> LayerError:
    shape = step.inputs[0].shape if step.inputs else ()
    blank = LayerError(index, step.name, step.kind, str(step.settings), shape, None, None, "", "")
    if group.ndim and not any(f.axes for f in fields):
        return replace(blank, note="nothing moves here any more")
    try:
        fields = _scaled(step.inputs, fields)
        trial, _ = decided(step.run, step.inputs, fields, group, "auto", tolerance)
        own = replace(trial.result, strides=(1,) * len(trial.result.axes))
        known[step.output_key] = own, trial.output.shape
        worst, element = _worst(trial, group)
        if element.moves and element.on_lattice and not element.turns:
            worst = _known(worst, step)
    except FaltungError as error:
        return replace(blank, note=str(error))
    advice = layer_advice(step, trial, element, worst) if worst.cause != "exact" else ""
    return replace(blank, max_error=worst.relative, worst=worst, advice=advice)


def _worst(trial: Trial, group: Group) -> tuple[ElementError, Element]:
    """Measure all elements that fit the layer's grid, and divide the largest error; GeometryError if none fits."""
    found: list[tuple[float, Element]] = []
    for element in group.tried:
        try:
            assert isinstance(element, Element)  # layers are left out for given pairs
            found.append((element_error(trial, element, split=False)[0].relative, element))
        except GeometryError as error:
            refused = error
    if not found:
        raise refused
    worst = max(found, key=lambda pair: pair[0])[1]
    return element_error(trial, worst)[0], worst


def _known(worst: ElementError, step: Step) -> ElementError:
    """Use that a window operation can fail to follow whole shifts in two ways only: by its stride and by its boundary.

    On a grid no larger than the window, edges are everywhere, and measuring alone cannot tell.
    """
    if not (step.settings.kernel and worst.rest):
        return worst
    boundary = worst.boundary + worst.rest
    cause = "lattice" if worst.lattice > boundary else "boundary"
    return replace(worst, boundary=boundary, rest=0.0, cause=cause if worst.cause != "exact" else "exact")


def _field_of(x: Array, key: Hashable, known: Known, source: Field, rank: int) -> Field:
    """Return how the group acts on a layer's input: as its maker's output, else on the same axes as on the input.

    A function between layers (an activation) makes a new array, so the latest output of the same shape stands in.
    """
    if key in known:
        return known[key][0]
    extra = x.ndim - rank
    trailing = all(a >= rank - len(source.axes) for a in source.axes)
    axes = tuple(a + extra for a in source.axes)
    if (extra and not trailing) or extra not in (0, 1) or not axes or all(x.shape[a] == 1 for a in axes):
        return Field(values=source.values)
    alike = [f for f, shape in known.values() if shape == x.shape]
    return alike[-1] if alike else Field(axes, (1,) * len(axes), values=source.values)


def _scaled(inputs: list[Array], fields: list[Field]) -> list[Field]:
    """Give inputs on finer or coarser grids than the first their strides, where sizes are whole multiples."""
    first = next((f.sizes(x.shape) for x, f in zip(inputs, fields, strict=True) if f.axes), ())
    scaled = []
    for x, f in zip(inputs, fields, strict=True):
        strides = tuple(a / b for a, b in zip(first, f.sizes(x.shape), strict=True)) if f.axes else ()
        if any(s != 1 and not float(s).is_integer() and not float(1 / s).is_integer() for s in strides):
            msg = f"its inputs lie on grids of {first} and {f.sizes(x.shape)} samples, which have no common stride"
            raise GeometryError(msg)
        scaled.append(replace(f, strides=strides))
    return scaled


def _same(values: Sequence[Any]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))
