"""Which input samples an output depends on: the receptive field, in closed form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from faltung.analysis.window import windows
from faltung.convolution import Convolution
from faltung.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faltung.analysis.chain import Chain

    Step: TypeAlias = "Convolution | Chain | ReceptiveField"


class Field(NamedTuple):
    """Along one axis, output o depends on the `size` coordinates from start + stride·o on, borders not folded."""

    size: int
    stride: int
    start: int

    def then(self, later: Field) -> Field:
        """Give the field of a later step, seen from the input of this one."""
        size = self.size + self.stride * (later.size - 1)
        return Field(size, self.stride * later.stride, self.start + self.stride * later.start)


class ReceptiveField(tuple[Field, ...]):
    """The receptive field of one output: a `Field` for each filtered axis.

    Coordinates below 0 or beyond the array are those that the boundary fills in.
    """

    __slots__ = ()

    @property
    def size(self) -> tuple[int, ...]:
        """Samples along each axis."""
        return tuple(field.size for field in self)

    @property
    def stride(self) -> tuple[int, ...]:
        """How far the field moves from one output to the next."""
        return tuple(field.stride for field in self)

    @property
    def start(self) -> tuple[int, ...]:
        """The first coordinate of output 0."""
        return tuple(field.start for field in self)

    def box(self, output: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Give the coordinates (start, stop) that an output depends on, along each axis.

        >>> receptive_field(Convolution([1, 2, 1], stride=2)).box([3])
        ((5, 8),)
        """
        if len(output) != len(self):
            msg = f"the output index {tuple(output)} has {len(output)} entries, but the field {len(self)} axes; "
            raise GeometryError(msg + "give one integer per filtered axis")
        starts = (f.start + f.stride * int(o) for f, o in zip(self, output, strict=True))
        return tuple((start, start + f.size) for f, start in zip(self, starts, strict=True))

    def __repr__(self) -> str:
        return f"ReceptiveField(size={self.size}, stride={self.stride}, start={self.start})"


def receptive_field(steps: Step | Iterable[Step]) -> ReceptiveField:
    """Give size, stride and start of the receptive field of a convolution, a chain, or steps in the order applied.

    Along each filtered axis, output o of step l depends on coordinates start + stride·o to start + stride·o + size - 1:
    size = 1 + Σ_l (span_l - 1)·Π_{i<l} stride_i and start = -Σ_l low_l·Π_{i<l} stride_i, where span is
    dilation·(k - 1) + 1 and low the padding before. Steps may be receptive fields themselves, to stand for other
    operations.
    Raises GeometryError where the steps filter different numbers of axes.
    Source: Araujo, Norris, Sim, "Computing receptive fields of convolutional neural networks" (2019).

    >>> layer = Convolution([1, 2, 1], stride=2)
    >>> receptive_field([layer, layer, layer])
    ReceptiveField(size=(15,), stride=(8,), start=(-7,))
    """
    total: list[Field] | None = None
    for fields in _fields(steps):
        if total is not None and len(total) != len(fields):
            msg = f"one step filters {len(total)} axes and a later one {len(fields)}; ask for each by itself"
            raise GeometryError(msg)
        total = list(fields) if total is None else [a.then(b) for a, b in zip(total, fields, strict=True)]
    if total is None:
        raise GeometryError("no step was given; a receptive field needs at least one convolution")
    return ReceptiveField(total)


def _fields(steps: Any) -> Iterator[Sequence[Field]]:
    if isinstance(steps, Convolution):
        yield [Field(window.span, window.stride, -window.low) for window in windows(steps)]
    elif isinstance(steps, ReceptiveField):
        yield steps
    elif isinstance(steps, Iterable):
        for step in steps:
            yield from _fields(step)
    else:
        msg = f"{steps!r} is no convolution, chain, receptive field or sequence of them"
        raise GeometryError(msg)
