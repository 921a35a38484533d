"""Which input coordinates each output reads: sizes, padding, stride, dilation, anchor."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

MODES = ("same", "full", "valid")


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: output o and tap t of the (already flipped) kernel read coordinate stride*o + dilation*t - low.

    >>> axis = Axis(size=10, taps=3, stride=1, dilation=2, low=2, out=10)
    >>> axis.span, axis.interior, axis.reads(0, 10)
    (5, (2, 8), (-2, 12))
    """

    size: int
    taps: int
    stride: int
    dilation: int
    low: int
    out: int

    @property
    def span(self) -> int:
        """Coordinates from the first tap to the last, both counted."""
        return self.dilation * (self.taps - 1) + 1

    @property
    def interior(self) -> tuple[int, int]:
        """The outputs [lo, hi) all of whose taps lie inside the array; lo == hi if there are none."""
        first = -(-self.low // self.stride)
        stop = (self.size - self.span + self.low) // self.stride + 1
        lo = min(max(first, 0), self.out)
        return lo, max(min(stop, self.out), lo)

    def reads(self, o_lo: int, o_hi: int) -> tuple[int, int]:
        """Give the coordinates [start, stop) read by the outputs [o_lo, o_hi); empty for no outputs."""
        start = self.stride * o_lo - self.low
        return start, start + (self.stride * (o_hi - o_lo - 1) + self.span if o_hi > o_lo else 0)


def resolve(
    shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    mode: str = "same",
    padding: Any = None,
    stride: Any = 1,
    dilation: Any = 1,
    anchor: Any = None,
    flip: bool = False,
) -> tuple[Axis, ...]:
    """Work out the geometry of the filtered axes.

    `shape` has one size per filtered axis, `kernel_shape` one extent for each. `mode` is "same" (size n; the tap at
    `anchor`, an index into the kernel as given, k//2 by default, sits on the output), "full" (n + d*(k-1), and 0 for
    n = 0) or "valid" (n - d*(k-1)); a stride s keeps every s-th of these outputs. `padding` replaces the mode: an int,
    one per axis, or one (low, high) pair per axis, with floor((n + low + high - d*(k-1) - 1) / s) + 1 outputs.
    `flip` says that the kernel will be reversed, which mirrors the anchor.
    Raises GeometryError for anything that is no such integer, does not match the axes or leaves no output of a
    non-empty axis. Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016).

    >>> resolve((10,), (3,), padding=1, stride=2)
    (Axis(size=10, taps=3, stride=2, dilation=1, low=1, out=5),)
    >>> resolve((10,), (4,), flip=True)[0].low
    1
    """
    shape, kernel_shape = _checked(shape, kernel_shape)
    _check_mode(mode, padding)
    ndim = len(shape)
    strides = per_axis(stride, ndim, "stride", least=1)
    dilations = per_axis(dilation, ndim, "dilation", least=1)
    pads = [None] * ndim if padding is None else pairs(padding, ndim)
    anchors = _anchors(anchor, kernel_shape, "padding" if padding is not None else mode)
    axes = []
    for i, (n, k, s, d) in enumerate(zip(shape, kernel_shape, strides, dilations, strict=True)):
        before = k - 1 - anchors[i] if flip else anchors[i]
        low, high = pads[i] or _named(mode, d * (k - 1), d * before)
        dense = n + low + high - d * (k - 1)
        if dense < 1 and n > 0:
            raise GeometryError(_too_large(i, n, k, d, pads[i]))
        nothing = n == 0 and (dense < 1 or padding is None)
        axes.append(Axis(n, k, s, d, low, 0 if nothing else -(-dense // s)))
    return tuple(axes)


def normalize_axes(axes: int | Sequence[int] | None, ndim: int, kernel_ndim: int) -> tuple[int, ...]:
    """Give the filtered axes as non-negative integers, in the order of the kernel's axes.

    None means all axes, in order, and needs a kernel of the array's rank; negative axes count from the end.
    Raises GeometryError for a wrong number of axes, duplicates and axes that do not exist.

    >>> normalize_axes((-2, -1), 4, 2)
    (2, 3)
    """
    if axes is None:
        if kernel_ndim != ndim:
            raise GeometryError(_which_axes(ndim, kernel_ndim))
        return tuple(range(ndim))
    given = [integer(a, "axes") for a in (axes if is_sequence(axes) else [axes])]  # type: ignore[union-attr]
    for axis in given:
        if not -ndim <= axis < ndim:
            msg = f"axes={axes!r}: there is no axis {axis} in an array with {ndim} axes"
            raise GeometryError(f"{msg}; use {-ndim} to {ndim - 1}" if ndim else msg)
    result = tuple(axis % ndim for axis in given)
    if len(set(result)) < len(result):
        msg = f"axes={axes!r} names an axis twice (they are {result}); name each axis once"
        raise GeometryError(msg)
    if len(result) != kernel_ndim:
        msg = f"axes={axes!r} names {len(result)} axes, but the kernel has {kernel_ndim}; "
        raise GeometryError(msg + "name one axis of the array per axis of the kernel")
    return result


def output_shape(shape: Sequence[int], axes: Sequence[int], geometry: Sequence[Axis]) -> tuple[int, ...]:
    """Give the shape of the result: that of the array, with the filtered axes replaced by their outputs.

    >>> output_shape((8, 10, 3), (1,), resolve((10,), (3,), mode="valid"))
    (8, 8, 3)
    """
    sizes = [int(n) for n in shape]
    for axis, one in zip(axes, geometry, strict=True):
        sizes[axis] = one.out
    return tuple(sizes)


def is_sequence(value: object) -> bool:
    """Tell a value per axis from one for all."""
    return isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def integer(value: Any, name: str) -> int:
    """Take an int or a NumPy integer, and nothing that would have to be rounded; GeometryError otherwise.

    >>> integer(3, "stride")
    3
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)
    except TypeError:
        msg = f"{name} must be made of integers, got {value!r} ({type(value).__name__}); give an int"
        raise GeometryError(msg) from None


def per_axis(value: Any, ndim: int, name: str, least: int | None) -> tuple[int, ...]:
    """Give one integer per axis, each at least `least` where that is given; GeometryError otherwise.

    >>> per_axis(2, 3, "stride", least=1)
    (2, 2, 2)
    """
    values = [integer(v, name) for v in value] if is_sequence(value) else [integer(value, name)] * ndim
    if len(values) != ndim:
        msg = f"{name}={value!r} has {len(values)} entries for {ndim} filtered axes; give one integer, or one per axis"
        raise GeometryError(msg)
    for axis, v in enumerate(values):
        if least is not None and v < least:
            msg = f"{name} {v} on axis {axis}: expected an integer >= {least}"
            raise GeometryError(msg)
    return tuple(values)


def _checked(shape: Sequence[int], kernel_shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = tuple(integer(n, "the array's shape") for n in shape)
    kernel_shape = tuple(integer(k, "the kernel's shape") for k in kernel_shape)
    if len(shape) != len(kernel_shape):
        msg = f"the kernel of shape {kernel_shape} has {len(kernel_shape)} axes, but {len(shape)} axes "
        msg += f"of the array, of sizes {shape}, are filtered; name as many as the kernel has with axes="
        raise GeometryError(msg)
    for axis, (n, k) in enumerate(zip(shape, kernel_shape, strict=True)):
        if k < 1:
            msg = f"axis {axis} of the kernel of shape {kernel_shape} is empty; every axis needs at least one tap"
            raise GeometryError(msg)
        if n < 0:
            msg = f"the array's shape {shape} has a negative size on axis {axis}; sizes are >= 0"
            raise GeometryError(msg)
    return shape, kernel_shape


def _check_mode(mode: str, padding: Any) -> None:
    if mode not in MODES:
        msg = f"unknown mode {mode!r}; the modes are {', '.join(map(repr, MODES))}"
        raise GeometryError(msg)
    if padding is not None and mode != "same":
        msg = f"mode={mode!r} and padding={padding!r} were both given, but a mode is a named padding; give one of them"
        raise GeometryError(msg)


def pairs(padding: Any, ndim: int) -> list[tuple[int, int]]:
    """Give the samples added before and after each axis, from an int, one per axis, or a pair per axis.

    >>> pairs([1, 2], 2)
    [(1, 1), (2, 2)]
    """
    if is_sequence(padding) and len(padding) != ndim:
        msg = f"padding={padding!r} has {len(padding)} entries for {ndim} filtered axes; "
        raise GeometryError(
            msg + "give one integer, one per axis, or one (low, high) pair per axis: padding=[(1, 2), ...]"
        )
    if not is_sequence(padding) or not any(is_sequence(entry) for entry in padding):
        return [(p, p) for p in per_axis(padding, ndim, "padding", least=0)]
    found = []
    for axis, entry in enumerate(padding):
        if not is_sequence(entry) or len(entry) != 2:
            msg = f"padding={padding!r}: expected a (low, high) pair for axis {axis}, got {entry!r}"
            raise GeometryError(msg)
        low, high = (integer(p, "padding") for p in entry)
        if min(low, high) < 0:
            msg = f"padding {min(low, high)} on axis {axis}: expected an integer >= 0"
            raise GeometryError(msg)
        found.append((low, high))
    return found


def _anchors(anchor: Any, kernel_shape: Sequence[int], mode: str) -> list[int]:
    if anchor is None:
        return [k // 2 for k in kernel_shape]
    if mode != "same":
        asked = "padding=" if mode == "padding" else f"mode={mode!r}"
        msg = f"anchor={anchor!r} with {asked}: only mode='same' has an anchor; "
        raise GeometryError(msg + "leave it out, or shift the result by unequal padding=[(low, high), ...]")
    given = per_axis(anchor, len(kernel_shape), "anchor", None)
    anchors = []
    for axis, (a, k) in enumerate(zip(given, kernel_shape, strict=True)):
        if not -k <= a < k:
            msg = f"anchor {a} on axis {axis} lies outside the kernel, which has {k} taps there; use {-k} to {k - 1}"
            raise GeometryError(msg)
        anchors.append(a % k)
    return anchors


def _named(mode: str, reach: int, before: int) -> tuple[int, int]:
    """Give the padding a mode stands for; `before` of the `reach` lies before the anchor."""
    if mode == "valid":
        return 0, 0
    return (before, reach - before) if mode == "same" else (reach, reach)


def _too_large(axis: int, n: int, k: int, d: int, pads: tuple[int, int] | None) -> str:
    span = d * (k - 1) + 1
    kernel = f"the kernel spans {span} samples of axis {axis} ({k} taps, dilation {d})"
    if pads is None:
        return f"{kernel}, but the array has {n}, so mode='valid' leaves no output; use mode='same' or a smaller kernel"
    low, high = pads
    total = low + n + high
    text = f"{kernel}, but the padded array has {low} + {n} + {high} = {total}"
    return f"{text}; pad by {span - total} more, or use a smaller kernel"


def _which_axes(ndim: int, kernel_ndim: int) -> str:
    text = f"the kernel has {kernel_ndim} axes and the array has {ndim}"
    if kernel_ndim > ndim:
        return f"{text}; give the kernel at most {ndim} axes, or the array at least {kernel_ndim}"
    last = tuple(range(-kernel_ndim, 0))
    first = tuple(range(kernel_ndim))
    return f"{text}; say which axes it runs along: axes={last} for the last, axes={first} for the first"
