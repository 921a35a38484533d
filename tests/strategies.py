"""Convolution problems for property tests: `problems()` draws a `Case`, which the definition can answer.

A case is what a user may ask of `faltung.correlate` or `faltung.convolve`: any rank, shape, dtype, memory layout,
boundary and geometry, small enough for the definition to take milliseconds. The structure is drawn by hypothesis, the
samples from a seed. Integers are so small that no sum can overflow, and an output is empty only if an axis is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from faltung import definition
from layouts import LAYOUTS, lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    Array = np.ndarray[Any, Any]
    Draw = Any
    Pairs = list[tuple[Any, Any]]

INTEGERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
DTYPES = ("?", *INTEGERS, "f2", "f4", "f4", "f4", "f8", "f8", "c8", "c16")
NAMES = ("correlate", "convolve")

# Each rule in the words of numpy.pad, which is where the expected values come from.
NUMPY_PAD: dict[str, dict[str, Any]] = {
    "zero": {"mode": "constant"},
    "constant": {"mode": "constant", "constant_values": 7},
    "edge": {"mode": "edge"},
    "reflect": {"mode": "reflect"},
    "symmetric": {"mode": "symmetric"},
    "wrap": {"mode": "wrap"},
    "antireflect": {"mode": "reflect", "reflect_type": "odd"},
    "antisymmetric": {"mode": "symmetric", "reflect_type": "odd"},
}
RULES = ("zero", "constant", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric")
# Long last axes reach past two vectors of 16 lanes; by rank: the longest last axis, other axis, and kernel axis.
SIZES = {1: (180, 0, 40), 2: (70, 14, 9), 3: (44, 7, 5), 4: (40, 4, 3), 5: (36, 3, 3)}
PRODUCTS = 250_000
WEIGHT = 5


@dataclass(frozen=True, repr=False)
class Case:
    """A call of `name` ("correlate" or "convolve") with these arrays and the public API's keywords."""

    name: str
    x: Array
    kernel: Array
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        arrays = (f"{a.dtype.str} {a.shape} strides {a.strides}" for a in (self.x, self.kernel))
        return f"Case({self.name}, x: {', kernel: '.join(arrays)}, {self.kwargs})"

    def apply(self, library: ModuleType, **more: Any) -> Any:
        """Ask the library."""
        return getattr(library, self.name)(self.x, self.kernel, **self.kwargs, **more)

    def asked(self) -> dict[str, Any]:
        """Give the keywords as the definition calls them: its origin is the anchor, counted from 0."""
        asked = {name: value for name, value in self.kwargs.items() if name != "anchor"}
        anchor = self.kwargs.get("anchor")
        if anchor is not None:
            anchors = anchor if isinstance(anchor, tuple) else (anchor,) * self.kernel.ndim
            asked["origin"] = tuple(a % k for a, k in zip(anchors, self.kernel.shape, strict=True))
        return asked

    def definition(self, at: Sequence[Sequence[int]] | None = None) -> Array:
        """Give the exact answer, or its values at some output indices."""
        answer: Array = getattr(definition, self.name)(self.x, self.kernel, at=at, **self.asked())
        return answer

    def magnitude(self, at: Sequence[Sequence[int]] | None = None) -> Array:
        """Give Σ |x| |kernel| at every output."""
        return definition.magnitude(self.x, self.kernel, flip=self.name == "convolve", at=at, **self.asked())

    @property
    def sides(self) -> list[Any]:
        """The (low, high) rules of every filtered axis, as they were written; None for the default."""
        boundary = self.kwargs.get("boundary")
        entries = [boundary] * self.kernel.ndim if _is_one(boundary) else list(boundary)  # type: ignore[arg-type]
        return [(entry, entry) if _is_one(entry) else entry for entry in entries]


def bound(case: Case, accumulate: Any, output: Any = None, at: Any = None) -> Any:
    """Bound |result - definition| for sums in the dtype `accumulate`, rounded to `output` (by default the same).

    gamma_n · Σ |x| |kernel| with n = taps + 2 (a chain of fma, and both factors rounded to the accumulator), five more
    for every axis with an odd rule, whose samples are sums themselves; complex sums take twice as many terms, and a
    modulus is at most √2 times a part's error. Integers are exact. Higham, Accuracy and Stability, section 3.1.
    """
    accumulate = np.dtype(accumulate)
    output = accumulate if output is None else np.dtype(output)
    scale = np.asarray(case.magnitude(at), np.longdouble)
    if accumulate.kind not in "fc":
        return np.zeros_like(scale)
    odd = sum(any(_name(rule).startswith("anti") for rule in pair) for pair in case.sides)
    parts = 2 if accumulate.kind == "c" else 1
    steps = (parts * case.kernel.size + 2 + 5 * odd) * np.finfo(accumulate).eps / 2
    error = scale * (steps / (1 - steps)) * (np.sqrt(np.longdouble(2)) if parts == 2 else 1)
    tiny = (case.kernel.size + 2) * np.longdouble(np.finfo(accumulate).smallest_subnormal)
    if output.kind in "fc":
        error = error + (scale + error) * (np.finfo(output).eps / 2)
        tiny += np.longdouble(np.finfo(output).smallest_subnormal)
    return error + tiny


@st.composite
def problems(
    draw: Draw,
    max_rank: int = 5,
    dtypes: Sequence[str] = DTYPES,
    kernel_dtypes: Sequence[str] = DTYPES,
    names: Sequence[str] = NAMES,
    layouts: Sequence[str] = LAYOUTS,
    boundaries: Sequence[str] = RULES,
) -> Case:
    """Draw a case; the sequences are what to choose from."""
    shape, axes, dtype, kernel_dtype, wide = _arrays(draw, max_rank, dtypes, kernel_dtypes)
    geometry, kernel_shape, pads = _geometry(draw, shape, axes)
    sizes = [shape[a] for a in axes]
    reach = [d * (k - 1) + max(p) for d, k, p in zip(geometry["dilation"], kernel_shape, pads, strict=True)]
    largest, limit = _scale(dtype, kernel_dtype, wide)
    pairs = _pairs(draw, len(axes), boundaries, _constants(dtype, kernel_dtype))
    pairs = _tame(pairs, sizes, reach, limit / (prod(kernel_shape) * WEIGHT * largest))
    if "padding" in geometry:
        # Where an empty axis is padded there are outputs, but no sample to fold back to.
        pairs = [pair if n else ("zero", "zero") for pair, n in zip(pairs, sizes, strict=True)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    decades = draw(st.booleans())
    x = lay_out(_samples(rng, shape, dtype, largest, decades, dtype), draw(st.sampled_from(layouts)), rng)
    kernel = _samples(rng, kernel_shape, kernel_dtype, WEIGHT, decades, dtype)
    kernel = lay_out(kernel, draw(st.sampled_from(layouts)), rng)
    kwargs = _spell(draw, geometry) | _spell_axes(draw, axes, len(shape)) | _spell_boundary(draw, pairs)
    return Case(draw(st.sampled_from(names)), x, kernel, kwargs)


def _arrays(draw: Draw, max_rank: int, dtypes: Sequence[str], kernel_dtypes: Sequence[str]) -> tuple[Any, ...]:
    rank = draw(st.sampled_from([rank for rank in (1, 1, 2, 2, 2, 3, 3, 4, 5) if rank <= max_rank]))
    longest, other, _ = SIZES[rank]
    short = st.sampled_from([*range(1, other + 1), *range(1, 4), 0] if other else [1])
    last = st.one_of(
        st.integers(1, 8),
        st.sampled_from([0, 1, 15, 16, 17, 31, 32, 33]),
        st.integers(20, longest),
        st.integers(34, longest),
    )
    shape = (*(draw(short) for _ in range(rank - 1)), draw(last))
    every = list(range(rank))
    axes = draw(st.one_of(st.just(every), st.lists(st.sampled_from(every), min_size=1, unique=True)))
    return shape, axes, draw(st.sampled_from(dtypes)), draw(st.sampled_from(kernel_dtypes)), draw(st.booleans())


def _geometry(draw: Draw, shape: Sequence[int], axes: list[int]) -> tuple[dict[str, Any], list[int], list[Any]]:
    """Draw stride, dilation, mode or padding, anchor, the kernel's shape, and the samples added on every side."""
    most = SIZES[len(shape)][2]
    mode = draw(st.sampled_from(["same", "same", "full", "valid", "padding"]))
    plain = draw(st.booleans())
    taps, geometry = [], {"stride": [1] * len(axes), "dilation": [1] * len(axes)}
    for i, axis in enumerate(axes):
        taps.append(draw(st.integers(1, most)))
        if not plain:
            geometry["stride"][i] = draw(st.sampled_from([1, 1, 2, 3]))
            geometry["dilation"][i] = draw(st.sampled_from([1, 1, 2, 3]))
        if mode == "valid" and shape[axis]:
            taps[i] = min(taps[i], shape[axis])
            geometry["dilation"][i] = min(geometry["dilation"][i], (shape[axis] - 1) // max(taps[i] - 1, 1) or 1)
    reach = _shrink(taps, geometry["dilation"], [shape[axis] for axis in axes], prod(max(n, 1) for n in shape))
    pads = [(r, r) for r in reach]
    if mode == "padding":
        pads = _padding(draw, [shape[axis] for axis in axes], reach)
        return {**geometry, "padding": pads}, taps, pads
    if mode == "same" and draw(st.booleans()):
        return {**geometry, "anchor": [draw(st.integers(-k, k - 1)) for k in taps]}, taps, pads
    return {**geometry, "mode": mode}, taps, pads


def _shrink(taps: list[int], dilation: list[int], sizes: list[int], samples: int) -> list[int]:
    """Take taps away, in place, until the definition is quick; give the reach of every axis, d·(k - 1)."""
    while True:
        reach = [d * (k - 1) for d, k in zip(dilation, taps, strict=True)]
        extended = samples * prod((max(n, 1) + r) / max(n, 1) for n, r in zip(sizes, reach, strict=True))
        if prod(taps) * extended <= PRODUCTS or max(taps) == 1:
            return reach
        taps[taps.index(max(taps))] -= 1


def _padding(draw: Draw, sizes: list[int], reach: list[int]) -> list[tuple[int, int]]:
    pads = []
    for n, r in zip(sizes, reach, strict=True):
        low, high = draw(st.integers(0, r + 2)), draw(st.integers(0, r + 2))
        pads.append((low, max(high, r + 1 - n - low)))
    form = draw(st.sampled_from(["sides", "axes", "all"]))
    if form == "sides":
        return pads
    most = [max(pair) for pair in pads]
    return [(p, p) for p in (most if form == "axes" else [max(most)] * len(most))]


def _constants(dtype: str, kernel_dtype: str) -> st.SearchStrategy[Any]:
    """Integers where the sum is one of integers, complex numbers only where the array is complex."""
    whole = st.integers(-20, 20)
    if dtype[0] in "?iu" and kernel_dtype[0] in "?iu":
        return whole
    real = st.one_of(whole, st.sampled_from([0.5, -2.25, 0.1]))
    return st.one_of(real, st.just(1 - 2j)) if dtype[0] == "c" else real


def _pairs(draw: Draw, ndim: int, names: Sequence[str], constants: st.SearchStrategy[Any]) -> Pairs:
    def rule() -> Any:
        name = draw(st.sampled_from(names))
        if name != "constant":
            return name
        value = draw(constants)
        return ("constant", value) if isinstance(value, complex) or draw(st.booleans()) else f"constant:{value}"

    form = draw(st.sampled_from(["all", "axes", "sides", "sides"]))
    if form == "all":
        return [(rule(),) * 2] * ndim
    return [(rule(),) * 2 if form == "axes" else (rule(), rule()) for _ in range(ndim)]


def _tame(pairs: Pairs, sizes: list[int], reach: list[int], growth: float) -> Pairs:
    """Make odd rules even where their extrapolation, at most |x| times 4·periods + 5 per axis, might overflow."""
    for pair, n, r in zip(pairs, sizes, reach, strict=True):
        if any(_name(rule).startswith("anti") for rule in pair):
            growth /= 4 * (r // max(n - 1, 1)) + 5
    if growth >= 1:
        return pairs
    return [(_even(low), _even(high)) for low, high in pairs]


def _scale(dtype: str, kernel_dtype: str, wide: bool) -> tuple[int, float]:
    """Give the largest |sample|, and what no partial sum may exceed."""
    if dtype == "f2":
        return 20, 6e4
    if dtype[0] not in "iu":
        return 1 if dtype == "?" else 20, 2**31 if kernel_dtype[0] in "?iu" and dtype == "?" else float("inf")
    most = min(int(np.iinfo(dtype).max), 2**31 - 1) if wide else 20
    if kernel_dtype[0] not in "?iu":
        return most, float("inf")
    return most, 2**31 if int(dtype[1]) <= 2 else 2**63


def _samples(rng: np.random.Generator, shape: Any, dtype: str, largest: int, decades: bool, input_dtype: str) -> Any:
    if dtype == "?":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype[0] in "iu":
        return rng.integers(0 if dtype[0] == "u" else -largest, largest + 1, shape).astype(dtype)
    top = 0 if input_dtype == "f2" else 3

    def real() -> Any:
        if not decades:
            return rng.integers(-largest, largest + 1, shape).astype(float)
        return rng.choice([-1.0, 1.0, 1.0, 0.0], shape, p=[0.4, 0.3, 0.2, 0.1]) * 10 ** rng.uniform(-3, top, shape)

    return (real() + 1j * real() if dtype[0] == "c" else real()).astype(dtype)


def _spell(draw: Draw, geometry: dict[str, Any]) -> dict[str, Any]:
    """Write per-axis numbers as a tuple, or as one number where they are equal; leave out some defaults."""
    kwargs: dict[str, Any] = {"mode": geometry["mode"]} if geometry.get("mode", "same") != "same" else {}
    for name, values in geometry.items():
        if name == "mode" or (set(values) == {1} and name in ("stride", "dilation") and draw(st.booleans())):
            continue
        if name == "padding" and all(low == high for low, high in values) and draw(st.booleans()):
            values = [low for low, _ in values]
        one = isinstance(values[0], int) and len(set(values)) == 1 and draw(st.booleans())
        kwargs[name] = values[0] if one else tuple(values)
    return kwargs


def _spell_axes(draw: Draw, axes: list[int], ndim: int) -> dict[str, Any]:
    if axes == list(range(ndim)) and draw(st.booleans()):
        return {}
    written = tuple(a - ndim if draw(st.booleans()) else a for a in axes)
    return {"axes": written[0] if len(written) == 1 and draw(st.booleans()) else written}


def _spell_boundary(draw: Draw, pairs: Pairs) -> dict[str, Any]:
    """Write one rule for all, or one entry per axis; now and then leave the boundary to its default."""
    if draw(st.integers(0, 7)) == 7:
        return {}
    entries = [low if low == high else (low, high) for low, high in pairs]
    if all(entry == entries[0] for entry in entries) and _is_one(entries[0]) and draw(st.booleans()):
        return {"boundary": entries[0]}
    return {"boundary": entries if draw(st.booleans()) else tuple(entries)}


def _is_one(entry: Any) -> bool:
    return (
        entry is None or isinstance(entry, str) or (entry[0] == "constant" and not isinstance(entry[1], (str, tuple)))
    )


def _name(rule: Any) -> str:
    return "" if rule is None else rule.partition(":")[0] if isinstance(rule, str) else rule[0]


def _even(rule: Any) -> Any:
    return rule.removeprefix("anti") if isinstance(rule, str) else rule
