"""Poolings for property tests: `cases()` draws one, which its definition answers, window by window."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from faltung.pooling import Pooling
from layouts import LAYOUTS, lay_out

KINDS = ("max", "min", "mean", "sum", "lp", "median")
RULES = ("zero", "constant:2", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric")
DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f4", "f8", "f8", "c8", "c16")
SIZES = {1: 60, 2: 14, 3: 7, 4: 4}


def extended(x, low, high, rules):
    """Give the array with its padding, the indices of its samples (-1: none), and the padding's own places."""
    at = np.arange(x.size).reshape(x.shape)
    for axis, (before, after, rule) in enumerate(zip(low, high, rules, strict=True)):
        pairs = [(0, 0)] * x.ndim
        pairs[axis] = (before, after)
        if rule is None or rule.startswith(("zero", "constant")):
            value = 0 if rule in (None, "zero") else int(rule.partition(":")[2])
            x, at = np.pad(x, pairs, constant_values=value), np.pad(at, pairs, constant_values=-1)
        elif rule.startswith("anti"):
            x = np.pad(x, pairs, rule.removeprefix("anti"), reflect_type="odd")
            at = np.pad(at, pairs, constant_values=-1)
        else:
            x, at = np.pad(x, pairs, rule), np.pad(at, pairs, rule)
    return x, at


@dataclass(frozen=True)
class Case:
    """An array and the description of a pooling, one entry per axis of the array; carried axes have a window of 1."""

    x: Any
    kind: str
    window: tuple[int, ...]
    stride: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    dilation: tuple[int, ...]
    rules: tuple[str | None, ...]
    axes: tuple[int, ...]
    ceil_mode: bool
    count_padding: bool
    p: float

    def pooling(self):
        def along(values):
            return tuple(values[a] for a in self.axes)

        rules = along(self.rules)
        return Pooling(
            along(self.window), kind=self.kind, stride=along(self.stride), dilation=along(self.dilation), axes=self.axes,
            padding=list(zip(along(self.low), along(self.high), strict=True)), boundary=None if None in rules else rules,
            ceil_mode=self.ceil_mode, count_padding=self.count_padding, p=self.p,
        )  # fmt: skip

    def sizes(self):
        """Count the outputs, as torch does."""
        found = []
        for n, k, s, a, b, d in zip(
            self.x.shape, self.window, self.stride, self.low, self.high, self.dilation, strict=True
        ):
            total = n + a + b - d * (k - 1) - 1
            out = total // s + 1
            if self.ceil_mode and total % s and out * s < n + a:
                out += 1
            found.append(out)
        return found

    def windows(self):
        """Give each output's index, the samples of its window, their indices, and the places it counts."""
        wide = self.x.astype({"f": np.float64, "c": np.complex128}.get(self.x.dtype.kind, np.int64))
        whole, at = extended(wide, self.low, self.high, self.rules)
        for o in itertools.product(*map(range, self.sizes())):
            lines = [
                [c for c in (s * i + d * t for t in range(k)) if c < n]
                for i, s, d, k, n in zip(o, self.stride, self.dilation, self.window, whole.shape, strict=True)
            ]
            yield o, whole[np.ix_(*lines)].ravel(), at[np.ix_(*lines)].ravel()

    def definition(self):
        """Give values, and the index of each sample that was chosen."""
        ignores = None in tuple(self.rules[a] for a in self.axes)
        shape = self.sizes()
        values = np.zeros(shape, np.result_type(self.x.dtype, "f8") if self.kind == "mean" else object)
        chosen = np.zeros(shape, np.int64)
        for o, samples, at in self.windows():
            counted = samples[at >= 0] if ignores else samples
            places = at[at >= 0] if ignores else at
            if self.kind in ("max", "min", "median"):
                if counted.size == 0:
                    return None, None
                order = np.argsort(-counted if self.kind == "max" else counted, kind="stable")
                best = order[len(order) // 2 if self.kind == "median" else 0]
                best = np.flatnonzero(counted == counted[best])[0]
                values[o], chosen[o] = counted[best], places[best]
            elif self.kind == "sum":
                values[o] = samples.sum()
            elif self.kind == "mean":
                count = len(samples) if self.count_padding else (at >= 0).sum()
                if count == 0:
                    return None, None
                values[o] = samples.sum(dtype=values.dtype) / count
            else:
                values[o] = (np.abs(samples.astype(np.result_type(samples, "f8"))) ** self.p).sum() ** (1 / self.p)
        return values, chosen

    def in_pooled_axes(self, chosen):
        """Turn flat indices of the array into those of its pooled axes."""
        where = np.unravel_index(np.maximum(chosen, 0), self.x.shape)
        axes = sorted(self.axes)
        flat = np.ravel_multi_index([where[a] for a in axes], [self.x.shape[a] for a in axes])
        return np.where(chosen < 0, -1, flat)


@st.composite
def cases(draw, kinds=KINDS, dtypes=DTYPES, rules=(None, None, *RULES)):
    rank = draw(st.integers(1, 4))
    shape = [draw(st.integers(1, SIZES[rank])) for _ in range(rank)]
    axes = draw(st.one_of(st.just(list(range(rank))), st.lists(st.sampled_from(range(rank)), min_size=1, unique=True)))
    kind, dtype = draw(st.sampled_from(kinds)), np.dtype(draw(st.sampled_from(dtypes)))
    if kind in ("max", "min", "median") and dtype.kind == "c":
        dtype = np.dtype("f8")
    chosen = [draw(st.sampled_from(rules)) for _ in axes]
    plain = draw(st.booleans()) or None in chosen
    every = {name: [1] * rank for name in ("window", "stride", "dilation")} | {"low": [0] * rank, "high": [0] * rank}
    per_axis: list[str | None] = ["zero"] * rank
    largest = {1: 12, 2: 5, 3: 4, 4: 3}[rank]
    for axis, rule in zip(axes, chosen, strict=True):
        per_axis[axis] = chosen[0] if plain else rule
        every["window"][axis] = draw(st.integers(1, largest))
        every["dilation"][axis] = draw(st.integers(1, 3))
        every["stride"][axis] = draw(st.integers(1, 4))
        span = (every["window"][axis] - 1) * every["dilation"][axis] + 1
        low, high = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        every["low"][axis], every["high"][axis] = low, high + max(0, span - shape[axis] - low - high)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(0, 2, shape) if dtype.kind == "b" else rng.integers(0 if dtype.kind == "u" else -9, 20, shape)
    if dtype.kind in "fc" and draw(st.booleans()):
        x = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype.kind == "c" else 0)
    if dtype.kind == "b":
        per_axis = [None if rule is None else rule.replace("constant:2", "zero") for rule in per_axis]
    ignores = None in (per_axis[a] for a in axes)
    if ignores:
        for axis in axes:
            per_axis[axis] = None
    if any(rule and rule.startswith("anti") for rule in per_axis) and dtype.kind in "bu":
        # Extrapolation leaves the type: numpy.pad would wrap.
        per_axis = ["edge" if rule and rule.startswith("anti") else rule for rule in per_axis]
    return Case(
        lay_out(x.astype(dtype), draw(st.sampled_from(LAYOUTS)), rng), kind, *(tuple(every[n]) for n in ("window", "stride", "low", "high", "dilation")),
        tuple(per_axis), tuple(axes), draw(st.booleans()), draw(st.booleans()) or not ignores, draw(st.sampled_from([1.0, 2.0, 3.0, 0.5])),
    )  # fmt: skip
