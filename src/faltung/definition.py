"""The formulas, executed as they are written: the oracle of every test, and the text to read first.

    C[j]     = Σ_l I[j + l] conj(K[l])      cross-correlation: `correlate`
    (I*K)[j] = Σ_l I[l] K[j - l]            convolution: `convolve`; with l for j - l it sums I[j - l] K[l]

j and l have one entry per axis: C[j,k] = Σ_lm I[j+l, k+m] K[l,m] for images. The kernel's indices l count from
`-origin`: origin 0 is the textbook sum, and the default k//2 lies in the kernel's middle. A dilation d reads
I[j ± d·l], a stride s keeps every s-th j, and beyond its edges I is what `extend` says.

Integers are summed exactly; floats in long double, or as exact fractions where long double is no wider than double.
Nothing here is fast, and nothing is shared with the rest of the library: the rules are repeated on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from faltung.errors import BoundaryError, GeometryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Unpack

    from numpy.typing import ArrayLike

    Array = np.ndarray[Any, Any]
    Index = Sequence[int]
    Points = Iterable[Index] | None
    Number = Callable[[Any], Array]
    Rule = tuple[str, Any]

RULES = ("zero", "constant", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric")
WIDE = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant


class Asked(TypedDict, total=False):
    """The keywords; whatever is per axis has one entry for each axis of the kernel, or one value for all."""

    origin: int | Sequence[int] | None  # index of the kernel's entry called 0; None: k//2
    mode: str  # "same": every j in the array; "full": all whose window meets it; "valid": all whose window lies in it
    padding: Any  # instead of a mode: all whose window lies in the array and so many samples, or (low, high), around it
    boundary: Any  # see `extend`; None: symmetric for "same", zero for "full" and for padding
    stride: int | Sequence[int]
    dilation: int | Sequence[int]
    axes: int | Sequence[int] | None  # the axes filtered, in the kernel's order; others are carried along; None: all


def correlate(x: ArrayLike, kernel: ArrayLike, *, at: Points = None, **asked: Unpack[Asked]) -> Array:
    """Correlate as the note defines it: C[j] = Σ_l I[j + l] conj(K[l]), l counted from `-origin`.

    Keywords are those of `Asked`; given `at`, a sequence of output indices, only these outputs are computed, into a 1-D
    array. Integers and bools give int64, or Python ints in an object array where int64 is too small; floats give long
    double (or Fraction), complex numbers pairs of these. NaN and Inf go where the sum takes them: 0·NaN is NaN.
    Raises GeometryError or BoundaryError for what has no meaning.

    >>> correlate([1, 2, 4, 8], [1, 0, -1], origin=0, mode="valid")
    array([-3, -6])
    >>> correlate([[1, 2], [3, 4]], [[1, 1]], boundary="zero", at=[(0, 1), (1, 0)])
    array([3, 3])
    """
    x, kernel = np.asarray(x), np.conj(kernel)
    return _at(at, x, *_read(x.shape, kernel, +1, **asked))


def convolve(x: ArrayLike, kernel: ArrayLike, *, at: Points = None, **asked: Unpack[Asked]) -> Array:
    """Convolve as the note defines it: (I*K)[j] = Σ_l I[l] K[j - l], the kernel's indices counted from `-origin`.

    All else is as in `correlate`, but that a complex kernel is not conjugated.

    >>> convolve([1, 2, 4, 8], [1, 0, -1], origin=0, boundary="zero")
    array([1, 2, 3, 6])
    """
    x, kernel = np.asarray(x), np.asarray(kernel)
    return _at(at, x, *_read(x.shape, kernel, -1, **asked))


def magnitude(
    x: ArrayLike, kernel: ArrayLike, *, flip: bool = False, at: Points = None, **asked: Unpack[Asked]
) -> Array:
    """Sum the magnitudes, Σ |I| |K|, of `correlate`, or of `convolve` with `flip`: the scale of its rounding errors.

    Keywords are those of `Asked`. An odd boundary rule counts as 2·|edge| + |x|: its difference is rounded too.

    >>> magnitude([1, -2, 4], [1, -1], mode="valid")
    array([3, 6])
    """
    given = np.asarray(x), np.asarray(kernel)
    x, kernel = (np.abs(a.astype(np.clongdouble) if a.dtype.kind == "c" else _arithmetic(a)(a)) for a in given)
    weights, axes = _read(x.shape, kernel, -1 if flip else +1, **asked)
    absolute = [replace(axis, rules=[(name, abs(v)) for name, v in axis.rules], odd=+1) for axis in axes]
    return _at(at, x, weights, absolute)


def extend(x: ArrayLike, index: Index, boundary: Any = None) -> Any:
    """Give the extended array at any index, one integer per axis.

    `boundary` is a name of `RULES`, "constant" with its value ("constant:5" or ("constant", 5)), or a sequence with one
    entry per axis, each a rule or a (low, high) pair of rules; None means symmetric. The rules are numpy.pad's, the odd
    ones its reflect_type="odd", for any overhang. Extension goes axis by axis: where two constants meet, the later axis
    decides. Each rule of a pair extends its side as if it ruled both. A single sample reflects to itself.
    Raises BoundaryError for an unknown rule or an empty axis, GeometryError for a wrong length.

    >>> [int(extend([1, 2, 4], [i], "antireflect")) for i in range(-2, 5)]
    [-2, 0, 1, 2, 4, 6, 7]
    """
    x = np.asarray(x)
    if len(index) != x.ndim:
        msg = f"the index {tuple(index)} has {len(index)} entries, the array {x.ndim} axes; give one per axis"
        raise GeometryError(msg)
    rules = _read_boundary("symmetric" if boundary is None else boundary, x.ndim)
    axes = [_Axis(range(i, i + 1), [0], sides) for i, sides in zip(index, rules, strict=True)]
    return _sum(x, np.ones([1] * x.ndim, int), axes).ravel()[0]


# The sum


@dataclass(frozen=True, slots=True)
class _Axis:
    """An axis of the array: the outputs j, the offset ±d·l of every tap, and the (low, high) rules beyond the ends."""

    positions: Sequence[int]
    offsets: Sequence[int]
    rules: Sequence[Rule]
    odd: int = -1


def _sum_of_taps(x: Array, kernel: Array, axes: Sequence[_Axis], number: Number) -> Array:
    extended, reads = x, []
    for i, axis in enumerate(axes):
        j = axis.positions
        reads.append(range(j[0] + min(axis.offsets), j[-1] + max(axis.offsets) + 1) if j else range(0))
        extended = _extend_axis(extended, i, reads[i], axis, number)
    extended, weights = number(extended), number(kernel)
    total = np.zeros([len(axis.positions) for axis in axes], extended.dtype)
    for tap in np.ndindex(kernel.shape):
        window = zip(axes, tap, reads, strict=True)
        samples = np.ix_(*([j + axis.offsets[m] - read.start for j in axis.positions] for axis, m, read in window))
        total += weights[tap] * extended[samples]
    return total


def _extend_axis(x: Array, i: int, coordinates: range, axis: _Axis, number: Number) -> Array:
    lines = np.moveaxis(x, i, 0)
    extended = np.empty((len(coordinates), *lines.shape[1:]), number(0).dtype)
    for position, coordinate in enumerate(coordinates):
        extended[position, ...] = _line(lines, coordinate, axis, number)
    return np.moveaxis(extended, 0, i)


def _line(lines: Array, i: int, axis: _Axis, number: Number) -> Array:
    """Give line i of an axis: inside it is there; outside, the rule of that side walks until it is inside."""
    n = len(lines)
    if 0 <= i < n:
        return number(lines[i])
    name, value = axis.rules[0] if i < 0 else axis.rules[1]
    if name in ("zero", "constant"):
        return number(value)
    if n == 0:
        msg = f"the boundary rule {name!r} cannot extend an axis of length 0; use 'zero' or 'constant:<value>'"
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
        else:
            i = 2 * edge - i + (outward if name.endswith("symmetric") else 0)
    line = number(lines[i])
    if name.startswith("anti"):
        for edge in reversed(mirrors):
            line = 2 * number(lines[edge]) + axis.odd * line
    return line


# The numbers


def _at(at: Points, x: Array, kernel: Array, axes: Sequence[_Axis]) -> Array:
    if at is None:
        return _sum(x, kernel, axes)
    sums = [np.zeros(0, int)]
    for index in at:
        point = [replace(axis, positions=[axis.positions[i]]) for i, axis in zip(index, axes, strict=True)]
        sums.append(_sum(x, kernel, point).ravel())
    return np.concatenate(sums)


def _sum(x: Array, kernel: Array, axes: Sequence[_Axis]) -> Array:
    """Sum real and imaginary parts by themselves: a real number has no 0i, which an Inf would turn into NaN."""
    values = [value for axis in axes for _, value in axis.rules]
    parts = (np.real, np.imag) if any(map(np.iscomplexobj, (x, *values))) else (np.real,)
    weights = (kernel.real, kernel.imag) if np.iscomplexobj(kernel) else (kernel,)
    sums: list[list[Array]] = [[], [], []]
    with np.errstate(all="ignore"):
        for p, part in enumerate(parts):
            ruled = [replace(axis, rules=[(name, part(value)) for name, value in axis.rules]) for axis in axes]
            number = _arithmetic(x, kernel, *values)
            for q, weight in enumerate(weights):
                sums[p + q].append(_sum_of_taps(part(x), weight, ruled, number))
        if len(parts) == len(weights) == 1:
            total = sums[0][0]
            small = total.dtype == object and all(isinstance(v, int) and -(2**63) <= v < 2**63 for v in total.flat)
            return total.astype(np.int64) if small else total
        result = np.empty(sums[0][0].shape, np.clongdouble)
        result.real, result.imag = sum(sums[0]) - sum(sums[2]), sum(sums[1])
    return result


def _arithmetic(*values: Any) -> Number:
    """Choose the numbers to sum: Python ints, else long doubles or, where they are no wider, fractions."""
    arrays = [np.asarray(value) for value in values]
    if all(array.dtype.kind in "biuO" for array in arrays):
        return lambda value: np.asarray(value).astype(object)
    if WIDE or not all(np.isfinite(array.astype(complex)).all() for array in arrays):
        return lambda value: np.asarray(value).astype(np.longdouble)
    fraction = np.frompyfunc(Fraction, 1, 1)
    return lambda value: np.asarray(fraction(np.asarray(value).astype(object)), object)


# What was asked


def _read(
    shape: Index, kernel: Array, sign: int, *, origin: Any = None, mode: str = "same", padding: Any = None,
    boundary: Any = None, stride: Any = 1, dilation: Any = 1, axes: Any = None,
) -> tuple[Array, list[_Axis]]:  # fmt: skip
    """Give the kernel as many axes as the array has, and describe each of them."""
    filtered = normalize_axis_tuple(range(len(shape)) if axes is None else axes, len(shape), "axes")
    if len(filtered) != kernel.ndim:
        msg = f"the kernel has {kernel.ndim} axes, but {len(filtered)} are filtered; name one axis for each with axes="
        raise GeometryError(msg)
    origins = [k // 2 for k in kernel.shape] if origin is None else _per_axis(origin, kernel.ndim, "origin")
    default = "symmetric" if mode == "same" and padding is None else "zero"
    rules = _read_boundary(default if boundary is None else boundary, kernel.ndim)
    strides, dilations = _per_axis(stride, kernel.ndim, "stride"), _per_axis(dilation, kernel.ndim, "dilation")
    if min([*strides, *dilations, *kernel.shape], default=1) < 1:
        msg = f"stride {stride}, dilation {dilation}, kernel of shape {kernel.shape}: each must be at least 1"
        raise GeometryError(msg)
    described = [_Axis(range(n), [0], [("zero", 0)] * 2) for n in shape]
    for i, axis in enumerate(filtered):
        offsets = [sign * dilations[i] * (m - origins[i]) for m in range(kernel.shape[i])]
        outputs = _outputs(shape[axis], min(offsets), max(offsets), mode, _per_axis(padding, kernel.ndim, "padding")[i])
        described[axis] = _Axis(outputs[:: strides[i]], offsets, rules[i])
    order = sorted(range(kernel.ndim), key=filtered.__getitem__)
    return kernel.transpose(order).reshape([len(axis.offsets) for axis in described]), described


def _outputs(n: int, lowest: int, highest: int, mode: str, padding: Any) -> range:
    """Give the outputs j whose windows, from j + lowest to j + highest, are where the mode wants them."""
    if padding is not None:
        low, high = (padding, padding) if np.ndim(padding) == 0 else padding
        return range(-low - lowest, n + high - highest)
    full = range(-highest, n - lowest) if n else range(0)
    modes = {"same": range(n), "full": full, "valid": range(-lowest, n - highest)}
    if mode not in modes:
        msg = f"unknown mode {mode!r}; the modes are 'same', 'full' and 'valid'"
        raise GeometryError(msg)
    return modes[mode]


def _per_axis(value: Any, ndim: int, name: str) -> list[Any]:
    values = list(value) if isinstance(value, (tuple, list)) else [value] * ndim
    if len(values) != ndim:
        msg = f"{name}={value!r} has {len(values)} entries, the kernel {ndim} axes; give one for all or one per axis"
        raise GeometryError(msg)
    return values


def _read_boundary(boundary: Any, ndim: int) -> list[tuple[Rule, Rule]]:
    entries = _per_axis([boundary] * ndim if _is_rule(boundary) else boundary, ndim, "boundary")
    pairs = [(entry, entry) if _is_rule(entry) else entry for entry in entries]
    return [(_read_rule(low), _read_rule(high)) for low, high in pairs]


def _is_rule(entry: Any) -> bool:
    """Tell one rule, such as "edge" and ("constant", 5), from several."""
    return isinstance(entry, str) or (entry[:1] == ("constant",) and not isinstance(entry[1], (str, tuple, list)))


def _read_rule(entry: Any) -> Rule:
    name, value = entry.partition(":")[::2] if isinstance(entry, str) else entry
    if name not in RULES:
        msg = f"unknown boundary {entry!r}; the rules are {', '.join(RULES)}"
        raise BoundaryError(msg)
    if not isinstance(value, str):
        return name, value
    kind: Any = complex if value.endswith("j") else float if value.strip("+-0123456789") else int
    return name, kind(value or "0")
