"""The formulas, executed as they are written: the oracle of every test, and the text to read first.

    C[j]     = Σ_l I[j + l] conj(K[l])      cross-correlation: `correlate`
    (I*K)[j] = Σ_l I[l] K[j - l]            convolution: `convolve`, computed as Σ_l I[j - l] K[l]

j and l have one entry per axis, C[j,k] = Σ_lm I[j+l, k+m] K[l,m] for images; the kernel's indices l count from
`-origin`, so that origin 0 is the textbook sum and the default, k//2, sits in the kernel's middle. With a dilation d
the sums read I[j ± d·l]; with a stride s every s-th j is kept. Beyond its edges I is what `extend` says.

Integers are summed exactly; floats in long double, or as exact fractions where long double is no wider than double.
Nothing here is fast, and nothing is shared with the rest of the library: the rules are repeated on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import BoundaryError, DtypeError, GeometryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike

    Array = np.ndarray[Any, Any]
    PerAxis = int | Sequence[int]
    Rule = tuple[str, Any]

RULES = ("zero", "constant", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric")
WIDE = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant


def correlate(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    origin: PerAxis | None = None,
    mode: str = "same",
    padding: Any = None,
    boundary: Any = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    axes: PerAxis | None = None,
    at: Iterable[Sequence[int]] | None = None,
) -> Array:
    """Correlate as the note defines it: C[j] = Σ_l I[j + l] conj(K[l]), l counted from `-origin`.

    The kernel has one axis for each of `axes` (all by default); other axes are carried along. The outputs j are those
    inside the array ("same"), whose window meets it ("full"), whose window lies in it ("valid"), or whose window lies in
    the array with `padding` samples added: an int, one per axis, or a (low, high) pair per axis; of these, every
    `stride`-th. Given `at`, a sequence of output indices, only these are computed, into a 1-D array.
    `boundary` is as in `extend`; None means symmetric for "same", zero for "full" and for padding.
    Integers and bools give int64, or Python ints in an object array where int64 is too small; floats long double (or
    Fraction), complex the pair of these. NaN and Inf go where the sum takes them: 0·NaN is NaN.
    Raises GeometryError, BoundaryError or DtypeError for what has no meaning.

    >>> correlate([1, 2, 4, 8], [1, 0, -1], origin=0, mode="valid")
    array([-3, -6])
    >>> correlate([[1, 2], [3, 4]], [[1, 1]], boundary="zero", at=[(0, 1), (1, 0)])
    array([3, 3])
    """
    x, kernel = _array(x), np.conj(_array(kernel))
    axes_, weights = _pose(x.shape, kernel, +1, origin, mode, padding, boundary, stride, dilation, axes)
    return _evaluate(x, weights, axes_, at)


def convolve(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    origin: PerAxis | None = None,
    mode: str = "same",
    padding: Any = None,
    boundary: Any = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    axes: PerAxis | None = None,
    at: Iterable[Sequence[int]] | None = None,
) -> Array:
    """Convolve as the note defines it: (I*K)[j] = Σ_l I[l] K[j - l], the kernel's indices counted from `-origin`.

    All else is as in `correlate`, but that a complex kernel is not conjugated.

    >>> convolve([1, 2, 4, 8], [1, 0, -1], origin=0, boundary="zero")
    array([1, 2, 3, 6])
    """
    x, kernel = _array(x), _array(kernel)
    axes_, weights = _pose(x.shape, kernel, -1, origin, mode, padding, boundary, stride, dilation, axes)
    return _evaluate(x, weights, axes_, at)


def magnitude(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    origin: PerAxis | None = None,
    mode: str = "same",
    padding: Any = None,
    boundary: Any = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    axes: PerAxis | None = None,
    at: Iterable[Sequence[int]] | None = None,
    flip: bool = False,
) -> Array:
    """Sum the magnitudes, Σ |I| |K|, of `correlate`, or of `convolve` with `flip`: the scale of its rounding errors.

    An odd boundary rule counts as 2·|edge| + |x|, because its difference is rounded too.

    >>> magnitude([1, -2, 4], [1, -1], mode="valid")
    array([3, 6])
    """
    x, kernel = _array(x), _array(kernel)
    sign = -1 if flip else +1
    axes_, weights = _pose(x.shape, kernel, sign, origin, mode, padding, boundary, stride, dilation, axes)
    absolute = [replace(axis, rules=tuple((name, abs(v)) for name, v in axis.rules), odd=+1) for axis in axes_]
    return _evaluate(_absolute(x), _absolute(weights), absolute, at)


def extend(x: ArrayLike, index: Sequence[int], boundary: Any = None) -> Any:
    """Give the extended array at any index, one integer per axis.

    `boundary` is a name of `RULES` ("constant" with its value: "constant:5" or ("constant", 5)), or a sequence with one
    entry per axis, each a rule or a (low, high) pair; None means symmetric. The rules are those of numpy.pad, the odd
    ones its reflect_type="odd". Extension goes axis by axis: where two constants meet, the later axis has the word.
    Of a pair, each rule extends its side as if it ruled both. A single sample reflects to itself.
    Raises BoundaryError for an unknown rule and for an empty axis, GeometryError for an index of the wrong length.

    >>> [int(extend([1, 2, 4], [i], "antireflect")) for i in range(-2, 5)]
    [-2, 0, 1, 2, 4, 6, 7]
    """
    x = _array(x)
    if len(index) != x.ndim:
        raise GeometryError(
            f"index {tuple(index)} has {len(index)} entries, the array {x.ndim} axes; give one per axis"
        )
    sides = _read_boundary("symmetric" if boundary is None else boundary, x.ndim)
    axes = [_Axis(range(i, i + 1), (0,), rules) for i, rules in zip(index, sides, strict=True)]
    return _evaluate(x, np.ones((1,) * x.ndim, int), axes, None)[(0,) * x.ndim]


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of the array: the outputs j, the offset ±d·l of every tap from j, and the rules beyond both ends."""

    positions: range
    offsets: Sequence[int]
    rules: tuple[Rule, ...]
    odd: int = -1


# The sum


def _sum_of_taps(x: Array, kernel: Array, axes: Sequence[_Axis], number: Callable[[Array], Array]) -> Array:
    reads = [range(0)] * len(axes)
    for i, axis in enumerate(axes):
        if axis.positions:
            reads[i] = range(axis.positions[0] + min(axis.offsets), axis.positions[-1] + max(axis.offsets) + 1)
    extended = number(x) if x.ndim == 0 else x
    for i, (axis, coordinates) in enumerate(zip(axes, reads, strict=True)):
        extended = _extend_axis(extended, i, coordinates, axis, number)
    weights = number(kernel)
    total = np.zeros([len(axis.positions) for axis in axes], weights.dtype)
    for tap in np.ndindex(kernel.shape):
        windows = zip(axes, tap, reads, strict=True)
        samples = np.ix_(*([j + a.offsets[m] - read.start for j in a.positions] for a, m, read in windows))
        total += weights[tap] * extended[samples]
    return total


def _extend_axis(x: Array, i: int, coordinates: range, axis: _Axis, number: Callable[[Array], Array]) -> Array:
    lines = np.moveaxis(x, i, 0)
    shape, dtype = (len(coordinates), *lines.shape[1:]), number(np.zeros(0, int)).dtype
    result = np.empty(shape, dtype)
    for position, coordinate in enumerate(coordinates):
        result[position] = _sample(lines, coordinate, axis, number)
    return np.moveaxis(result, 0, i)


def _sample(lines: Array, i: int, axis: _Axis, number: Callable[[Array], Array]) -> Any:
    """Give line i of an axis: inside it is there; outside, the rule of that side walks until it is inside."""
    n = len(lines)
    if 0 <= i < n:
        return number(lines[i])
    name, value = axis.rules[0] if i < 0 else axis.rules[1]
    if name in ("zero", "constant"):
        return number(np.asarray(value))
    if n == 0:
        msg = f"the boundary rule {name!r} cannot extend an axis of length 0, which has no sample; use 'zero' or 'constant'"
        raise BoundaryError(msg)
    if n == 1 and name.endswith("reflect"):
        name = "edge"
    mirrors = []
    while not 0 <= i < n:
        edge, outward = (0, -1) if i < 0 else (n - 1, +1)
        mirrors.append(edge)
        if name == "edge":
            i = edge
        elif name == "wrap":
            i -= outward * n
        elif name.endswith("reflect"):
            i = 2 * edge - i
        else:
            i = 2 * edge + outward - i
    sample = number(lines[i])
    if name.startswith("anti"):
        for edge in reversed(mirrors):
            sample = 2 * number(lines[edge]) + axis.odd * sample
    return sample


# The numbers


def _array(values: ArrayLike) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "biufcO":
        msg = f"an array of {array.dtype} has no sums of products; give bools, integers, floats or complex numbers"
        raise DtypeError(msg)
    return array


def _arithmetic(*arrays: Array) -> Callable[[Array], Array]:
    """Choose the numbers to compute in: Python ints, or else long doubles, or else fractions where all are finite."""
    if all(array.dtype.kind in "biuO" for array in arrays):
        return _integers
    if WIDE or not all(np.isfinite(array.astype(float)).all() for array in arrays):
        return lambda values: np.asarray(values).astype(np.longdouble)
    return _fractions


def _integers(values: Array) -> Array:
    values = np.asarray(values)
    # A Python bool would not add up to itself: True + True is 2, but abs(True) and -True are other types again.
    return (values.astype(np.int8) if values.dtype.kind == "b" else values).astype(object)


def _fractions(values: Array) -> Array:
    values = np.asarray(values)
    return (
        values
        if values.dtype.kind == "O"
        else np.asarray(np.frompyfunc(Fraction, 1, 1)(values.astype(float).astype(object)), object)
    )


def _absolute(values: Array) -> Array:
    if values.dtype.kind == "c":
        return np.abs(values.astype(np.clongdouble))
    return np.abs(_arithmetic(values)(values))


def _evaluate(x: Array, kernel: Array, axes: Sequence[_Axis], at: Iterable[Sequence[int]] | None) -> Array:
    """Sum real and imaginary parts by themselves: a real number has no 0i that an Inf would turn into NaN."""
    points = None if at is None else [_point(index, axes) for index in at]
    complex_x = x.dtype.kind == "c" or any(np.iscomplexobj(value) for axis in axes for _, value in axis.rules)
    complex_kernel = kernel.dtype.kind == "c"
    if not complex_x and not complex_kernel:
        return _tidy(_real_sums(x, kernel, axes, points))
    sums: list[Any] = [0, 0, 0]
    for p, part in enumerate((np.real, np.imag) if complex_x else (np.real,)):
        ruled = [replace(axis, rules=tuple((name, part(value)) for name, value in axis.rules)) for axis in axes]
        for q, weights in enumerate((kernel.real, kernel.imag) if complex_kernel else (kernel,)):
            sums[p + q] = sums[p + q] + _real_sums(part(x), weights, ruled, points)
    result = np.empty(np.shape(sums[0]), np.clongdouble)
    with np.errstate(all="ignore"):
        result.real, result.imag = sums[0] - sums[2], sums[1]
    return result


def _real_sums(x: Array, kernel: Array, axes: Sequence[_Axis], points: list[Sequence[_Axis]] | None) -> Array:
    number = _arithmetic(x, kernel, *(np.asarray(value) for axis in axes for _, value in axis.rules))
    with np.errstate(all="ignore"):
        if points is None:
            return _sum_of_taps(x, kernel, axes, number)
        result = np.empty(len(points), number(kernel).dtype)
        for i, point in enumerate(points):
            chosen = [replace(axis, positions=one) for axis, one in zip(axes, point, strict=True)]
            result[i] = _sum_of_taps(x, kernel, chosen, number).ravel()[0]
        return result


def _point(index: Sequence[int], axes: Sequence[_Axis]) -> list[range]:
    shape = tuple(len(axis.positions) for axis in axes)
    if len(index) != len(shape) or not all(0 <= i < n for i, n in zip(index, shape, strict=True)):
        raise GeometryError(f"at: {tuple(index)} is no index into an output of shape {shape}; count each axis from 0")
    return [axis.positions[i : i + 1] for i, axis in zip(index, axes, strict=True)]


def _tidy(total: Array) -> Array:
    """Give Python ints as int64 where all of them fit."""
    fits = total.dtype.kind == "O" and all(isinstance(v, int) and -(2**63) <= v < 2**63 for v in total.flat)
    return total.astype(np.int64) if fits else total


# What was asked


def _pose(
    shape: Sequence[int], kernel: Array, sign: int, origin: Any, mode: str, padding: Any, boundary: Any,
    stride: Any, dilation: Any, axes: Any,
) -> tuple[list[_Axis], Array]:  # fmt: skip
    """Describe every axis of the array, and give the kernel as many axes as the array."""
    filtered = _read_axes(axes, len(shape), kernel.ndim)
    origins = [k // 2 for k in kernel.shape] if origin is None else _per_axis(origin, kernel.ndim, "origin")
    pads = _read_padding(padding, kernel.ndim)
    default = "symmetric" if mode == "same" and padding is None else "zero"
    rules = _read_boundary(default if boundary is None else boundary, kernel.ndim)
    strides, dilations = (_per_axis(v, kernel.ndim, n, 1) for v, n in ((stride, "stride"), (dilation, "dilation")))
    result = [_Axis(range(n), (0,), (("zero", 0),) * 2) for n in shape]
    for i, axis in enumerate(filtered):
        if kernel.shape[i] == 0:
            raise GeometryError(f"the kernel of shape {kernel.shape} has no entries; give every axis at least one")
        offsets = [sign * dilations[i] * (m - origins[i]) for m in range(kernel.shape[i])]
        positions = _outputs(shape[axis], min(offsets), max(offsets), mode, pads[i])
        result[axis] = _Axis(positions[:: strides[i]], offsets, rules[i])
    order = sorted(range(kernel.ndim), key=filtered.__getitem__)
    sizes = [len(axis.offsets) for axis in result]
    return result, kernel.transpose(order).reshape(sizes)


def _outputs(n: int, lowest: int, highest: int, mode: str, pads: tuple[int, int] | None) -> range:
    """Give the outputs j; their windows read from j + lowest to j + highest."""
    if pads is not None:
        return range(-pads[0] - lowest, n + pads[1] - highest)
    if mode == "same":
        return range(n)
    if mode == "valid":
        return range(-lowest, n - highest)
    if mode == "full":
        return range(-highest, n - lowest) if n else range(0)
    raise GeometryError(f"unknown mode {mode!r}; the modes are 'same', 'full' and 'valid'")


def _per_axis(value: Any, ndim: int, name: str, least: int | None = None) -> list[int]:
    values = [value] * ndim if np.ndim(value) == 0 else list(value)
    if len(values) != ndim:
        raise GeometryError(
            f"{name}={value!r} has {len(values)} entries, the kernel {ndim} axes; give one for all or one per axis"
        )
    for v in values:
        if least is not None and v < least:
            raise GeometryError(f"{name}={value!r}: expected integers >= {least}")
    return [int(v) for v in values]


def _read_axes(axes: Any, ndim: int, kernel_ndim: int) -> list[int]:
    given = list(range(ndim)) if axes is None else [axes] if np.ndim(axes) == 0 else list(axes)
    filtered = [axis + ndim if axis < 0 else axis for axis in given]
    if len(filtered) != kernel_ndim:
        raise GeometryError(
            f"the kernel has {kernel_ndim} axes and {len(filtered)} are filtered (axes={axes!r}); name one for each"
        )
    if len(set(filtered)) < len(filtered) or not all(0 <= axis < ndim for axis in filtered):
        raise GeometryError(f"axes={axes!r} must be different axes of an array of {ndim}; use {-ndim} to {ndim - 1}")
    return filtered


def _read_padding(padding: Any, ndim: int) -> list[tuple[int, int] | None]:
    if padding is None:
        return [None] * ndim
    entries = [padding] * ndim if np.ndim(padding) == 0 else list(padding)
    if len(entries) != ndim:
        raise GeometryError(
            f"padding={padding!r} has {len(entries)} entries, the kernel {ndim} axes; give one for all or one per axis"
        )
    return [(e, e) if np.ndim(e) == 0 else (e[0], e[1]) for e in entries]


def _read_boundary(boundary: Any, ndim: int) -> list[tuple[Rule, Rule]]:
    if _is_rule(boundary):
        return [(_read_rule(boundary),) * 2] * ndim
    if not isinstance(boundary, (tuple, list)) or len(boundary) != ndim:
        msg = f"boundary={boundary!r}: expected one rule, or one entry for each of {ndim} axes, a rule or a (low, high) pair"
        raise BoundaryError(msg)
    pairs = [(entry, entry) if _is_rule(entry) else entry for entry in boundary]
    return [(_read_rule(low), _read_rule(high)) for low, high in pairs]


def _is_rule(entry: Any) -> bool:
    return isinstance(entry, str) or (
        len(entry) == 2 and isinstance(entry[0], str) and not isinstance(entry[1], (str, tuple, list))
    )


def _read_rule(entry: Any) -> Rule:
    """Read "edge", "constant:5" or ("constant", 5)."""
    name, _, text = entry.partition(":") if isinstance(entry, str) else (entry[0], "", "")
    value: Any = entry[1] if not isinstance(entry, str) else 0
    for kind in (complex, float, int) if text else ():
        try:
            value = kind(text)
        except ValueError:
            break
    if name not in RULES:
        raise BoundaryError(f"unknown boundary {entry!r}; the rules are {', '.join(RULES)}")
    return name, value
