"""The arithmetic of padding, stride, dilation and transposition: every position of the kernel, as frames."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

from faltung.errors import GeometryError
from faltung.plot.canvas import Canvas
from faltung.plot.style import BLUE, GREEN, INK, ORANGE, WHITE, index_text, tint
from faltung.problem import geometry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure

    PerAxis: TypeAlias = int | Sequence[int]
    Point: TypeAlias = tuple[float, float]

FRAMES = 9  # of a strip
MOST = 256  # of an animation
CELLS = 24  # along an axis
ROW = (-0.42, 0.5)  # where the next row of a plane lies: planes are seen from above and from the side
LIFT = 1.2  # from the output to the input, in cells


@dataclass(frozen=True)
class Arithmetic:
    """One axis: what the kernel slides over, and how.

    For a transposed convolution that is the input with `gap` - 1 zeros between its samples, and the stride is 1.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    low: int
    high: int
    gap: int
    out: int

    @property
    def length(self) -> int:
        """Cells of the plane that the kernel slides over."""
        return self.low + self.gap * (self.size - 1) + 1 + self.high

    def kind(self, cell: int) -> str:
        """Tell a sample of the input from an inserted zero and from padding."""
        at = cell - self.low
        if not 0 <= at <= self.gap * (self.size - 1):
            return "padding"
        return "sample" if at % self.gap == 0 else "zero"


def arithmetic(
    size: PerAxis = 5,
    kernel: PerAxis = 3,
    *,
    stride: PerAxis = 1,
    padding: Any = 0,
    dilation: PerAxis = 1,
    transposed: bool = False,
    output_padding: PerAxis = 0,
    frames: int = FRAMES,
) -> Figure:
    """Draw which samples each output of a convolution sees, as a strip of up to 9 frames.

    An int is for both axes of a plane, (5,) is one axis. `padding` is as in `Convolution`: an int, one per axis, or a
    (low, high) pair per axis. With `transposed`, the arguments are those of the convolution that is transposed: zeros
    between the samples, and padding up to dilation·(kernel - 1) around them. Of more positions than `frames`, some
    are left out evenly; `arithmetic_frames` gives all. Blue is the input, white what is added, orange what the taps
    meet, green the output; the formula below is that of the size of the first axis.
    Raises GeometryError where no output is left, and for planes of more than 24 cells along an axis.
    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).

    >>> figure = arithmetic(5, 3, stride=2, padding=1)
    >>> print([text.get_text() for text in figure.axes[0].texts][-1])
    input 5 × 5, kernel 3 × 3, stride 2, padding 1
    ⌊(5 + 1 + 1 − 1·(3 − 1) − 1) / 2⌋ + 1 = 3
    """
    axes = resolve(size, kernel, stride, padding, dilation, transposed, output_padding)
    places = list(product(*(range(axis.out) for axis in axes)))
    if frames < 1:
        msg = f"frames={frames}: a strip has at least 1"
        raise GeometryError(msg)
    if len(places) > frames:
        places = [places[i * (len(places) - 1) // max(frames - 1, 1)] for i in range(frames)]
    canvas = Canvas(cell_inches=0.5)
    across, down = _extent(axes)
    columns = min(len(places), 3 if len(axes) > 1 else 2 if across < 14 else 1)
    for i, place in enumerate(places):
        _draw(canvas, axes, place, (i % columns * (across + 1.0), i // columns * (down + 1.7)))
    width = columns * (across + 1.0) - 1.0
    bottom = -(-len(places) // columns) * (down + 1.7) - 0.2
    _write_facts(canvas, axes, (width / 2, bottom), transposed)
    return canvas.finish()


def arithmetic_frames(
    size: PerAxis = 5,
    kernel: PerAxis = 3,
    *,
    stride: PerAxis = 1,
    padding: Any = 0,
    dilation: PerAxis = 1,
    transposed: bool = False,
    output_padding: PerAxis = 0,
) -> list[Figure]:
    """Draw every position of the kernel on a figure of its own, for `save` to make a moving picture of them.

    The arguments and errors are those of `arithmetic`; at most 256 positions.

    >>> len(arithmetic_frames((5,), 3, stride=2))
    2
    """
    axes = resolve(size, kernel, stride, padding, dilation, transposed, output_padding)
    places = list(product(*(range(axis.out) for axis in axes)))
    if len(places) > MOST:
        msg = f"an animation has up to {MOST} positions, and this one {len(places)}; draw a smaller size"
        raise GeometryError(msg)
    return [figure for place in places for figure in _frame(axes, place, transposed)]


def _frame(axes: tuple[Arithmetic, ...], place: tuple[int, ...], transposed: bool) -> Iterator[Figure]:
    canvas = Canvas(cell_inches=0.6)
    across, down = _extent(axes)
    _draw(canvas, axes, place, (0, 0))
    _write_facts(canvas, axes, (across / 2, down + 1.0), transposed)
    yield canvas.finish()


def resolve(
    size: PerAxis, kernel: PerAxis, stride: PerAxis, padding: Any, dilation: PerAxis, transposed: bool,
    output_padding: PerAxis = 0,
) -> tuple[Arithmetic, ...]:  # fmt: skip
    """Work out each axis; see `arithmetic`."""
    ndim = len(size) if geometry.is_sequence(size) else 2  # type: ignore[arg-type]
    if not 1 <= ndim <= 2:
        msg = f"size={size!r} has {ndim} axes; a picture shows 1 or 2"
        raise GeometryError(msg)
    sizes = geometry.per_axis(size, ndim, "size", least=1)
    kernels = geometry.per_axis(kernel, ndim, "kernel", least=1)
    strides = geometry.per_axis(stride, ndim, "stride", least=1)
    dilations = geometry.per_axis(dilation, ndim, "dilation", least=1)
    extra = geometry.per_axis(output_padding, ndim, "output_padding", least=0)
    # An array that has an output for every kernel tells what the padding means.
    large = [d * (k - 1) + 1 for d, k in zip(dilations, kernels, strict=True)]
    low = geometry.resolve(large, kernels, padding=padding, dilation=dilations)
    axes = []
    for i, (n, k, s, d) in enumerate(zip(sizes, kernels, strides, dilations, strict=True)):
        ends = low[i].low, low[i].out - 1 - low[i].low
        axes.append(
            _transposed(i, n, k, s, d, ends, extra[i]) if transposed else _direct(i, n, k, s, d, ends, extra[i])
        )
        if axes[-1].length > CELLS:
            msg = f"axis {i} has {axes[-1].length} cells with what is added; a picture shows at most {CELLS}"
            raise GeometryError(msg)
    return tuple(axes)


def _direct(i: int, n: int, k: int, s: int, d: int, ends: tuple[int, int], extra: int) -> Arithmetic:
    if extra:
        msg = f"output_padding={extra} on axis {i}: only a transposed convolution has one; leave it out"
        raise GeometryError(msg)
    out = geometry.resolve((n,), (k,), padding=[ends], stride=s, dilation=d)[0].out
    return Arithmetic(n, k, s, d, *ends, 1, out)


def _transposed(i: int, n: int, k: int, s: int, d: int, ends: tuple[int, int], extra: int) -> Arithmetic:
    reach = d * (k - 1)
    low, high = reach - ends[0], reach - ends[1] + extra
    out = s * (n - 1) + 1 + low + high - reach
    if min(low, high) < 0 or out < 1 or extra >= max(s, d):
        msg = (
            f"axis {i}: padding {ends} and output_padding {extra} with a reach of dilation·(kernel - 1) = {reach}; "
            f"a picture of the transposed convolution needs padding of at most {reach}, and output_padding below "
            "stride or dilation"
        )
        raise GeometryError(msg)
    return Arithmetic(n, k, 1, d, low, high, s, out)


def _extent(axes: tuple[Arithmetic, ...]) -> tuple[float, float]:
    """Return width and height of a frame."""
    rows, columns = _rows(axes).length, axes[-1].length
    outs, across = _rows(axes).out, axes[-1].out
    width = max(columns - ROW[0] * rows, across - ROW[0] * outs)
    return width, ROW[1] * (rows + outs) + LIFT


def _rows(axes: tuple[Arithmetic, ...]) -> Arithmetic:
    return axes[0] if len(axes) > 1 else Arithmetic(1, 1, 1, 1, 0, 0, 1, 1)


def _draw(canvas: Canvas, axes: tuple[Arithmetic, ...], place: tuple[int, ...], corner: Point) -> None:
    """Draw the output above the input, and the kernel between them."""
    down, across = _rows(axes), axes[-1]
    at = place if len(axes) > 1 else (0, *place)
    width, _ = _extent(axes)
    above = _Plane(corner[0] + (width - across.out + ROW[0] * down.out) / 2 - ROW[0] * down.out, corner[1])
    below = _Plane(corner[0] + (width - across.length + ROW[0] * down.length) / 2 - ROW[0] * down.length,
                   corner[1] + ROW[1] * down.out + LIFT)  # fmt: skip
    taps = [
        {axis.stride * o + axis.dilation * t for t in range(axis.kernel)}
        for axis, o in zip((down, across), at, strict=True)
    ]
    for j, i in product(range(down.length), range(across.length)):
        kinds = {down.kind(j), across.kind(i)}
        kind = "padding" if "padding" in kinds else "zero" if "zero" in kinds else "sample"
        fill = tint(BLUE, 0.35) if kind == "sample" else WHITE
        if j in taps[0] and i in taps[1]:
            fill = ORANGE if kind == "sample" else tint(ORANGE, 0.55)
        canvas.polygon(below.box(j, i), fill=fill, dashed=kind == "padding", width=1.0, order=1)
    for j, i in product(range(down.out), range(across.out)):
        canvas.polygon(above.box(j, i), fill=tint(GREEN, 0.0 if (j, i) == at else 0.65), order=2.5)
    window = below.box(min(taps[0]), min(taps[1]), max(taps[0]) - min(taps[0]) + 1, max(taps[1]) - min(taps[1]) + 1)
    for start, end in zip(window, above.box(*at), strict=True):
        canvas.line([start, end], colour=INK, width=0.9, order=2)
    canvas.polygon(window, edge=INK, width=2.2, order=2.2)
    canvas.polygon(above.box(*at), edge=INK, width=2.2, order=3)
    middle = corner[0] + width / 2
    canvas.write(middle, corner[1] + ROW[1] * (down.out + down.length) + LIFT + 0.12, f"y{index_text(place)}",
                 along="top", size=12)  # fmt: skip


class _Plane:
    """A grid seen from above and from the side, with its corner at a point."""

    def __init__(self, left: float, top: float) -> None:
        self._left, self._top = left, top

    def box(self, row: int, column: int, rows: int = 1, columns: int = 1) -> list[Point]:
        corners = [(row, column), (row, column + columns), (row + rows, column + columns), (row + rows, column)]
        return [(self._left + x + ROW[0] * y, self._top + ROW[1] * y) for y, x in corners]


def _write_facts(canvas: Canvas, axes: tuple[Arithmetic, ...], at: Point, transposed: bool) -> None:
    """Write the parameters, and the size of the output along the first axis."""
    first = axes[0]
    size, kernel = (" × ".join(str(getattr(axis, name)) for axis in axes) for name in ("size", "kernel"))
    facts = [f"{'transposed, ' if transposed else ''}input {size}", f"kernel {kernel}"]
    pads = [axis.low if axis.low == axis.high else (axis.low, axis.high) for axis in axes]
    for name, values, plain in (
        ("stride", [axis.gap if transposed else axis.stride for axis in axes], 1),
        ("dilation", [axis.dilation for axis in axes], 1),
        ("zeros around it" if transposed else "padding", pads, 0),
    ):
        facts += [] if set(values) == {plain} else [f"{name} {_one(values)}"]
    if transposed:
        padded = f"{first.low} + {first.gap}·({first.size} − 1) + 1 + {first.high}"
        formula = f"{padded} − {first.dilation}·({first.kernel} − 1) = {first.out}"
    else:
        inside = f"{first.size} + {first.low} + {first.high} − {first.dilation}·({first.kernel} − 1) − 1"
        formula = f"⌊({inside}) / {first.stride}⌋ + 1 = {first.out}"
    canvas.write(*at, f"{', '.join(facts)}\n{formula}", along="top")


def _one(values: Sequence[Any]) -> str:
    """Write what holds for all axes once."""
    return str(values[0] if len(set(values)) == 1 else tuple(values))
