"""Find the rule beyond each edge: predict with every rule, and keep those that agree with what was observed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from faltung.problem.boundary import Rule, axis_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.problem.boundary import Sides
    from faltung.symmetry.black_box.probing import AxisProbe, BlackBox
    from faltung.symmetry.elements import Array

# Where few samples beyond the edge are read, several rules agree: the first of these is reported, the others beside it.
CANDIDATES = ("zero", "symmetric", "reflect", "edge", "wrap", "antireflect", "antisymmetric")
UNREAD, UNKNOWN = "valid", "unknown"
FAR, ROUNDING = 100, 1e-13  # errors beyond so many times the least, and beyond rounding, are those of a wrong rule
ZERO = (Rule("zero"), Rule("zero"))


def predict(x: Array, kernel: Array, axes: Sequence[AxisProbe], sides: Sequence[Sides | None]) -> Array:
    """Return ``y[j] = Σ k[t] x[stride·j + first + t]``, beyond the edges by each axis' two rules.

    Axes without rules (None) are computed in their interior only. Written out, tap by tap, on purpose: it is what the
    function under test is measured with, and shares nothing with the library's fast paths but the rules.
    """
    outputs = [a.interior if s is None else slice(0, a.out) for a, s in zip(axes, sides, strict=True)]
    starts = []
    for i, (a, rules) in enumerate(zip(axes, sides, strict=True)):
        start = a.stride * outputs[i].start + a.first
        stop = a.stride * (outputs[i].stop - 1) + a.last + 1
        starts.append(start)
        x = _extend(x, i, start, stop, rules or ZERO)
    counts = [o.stop - o.start for o in outputs]
    y = np.zeros(counts, np.result_type(x, kernel, np.float64))
    for tap in product(*(range(n) for n in kernel.shape)):
        if kernel[tap] != 0:
            at = (slice(t, t + a.stride * (n - 1) + 1, a.stride) for t, a, n in zip(tap, axes, counts, strict=True))
            y += kernel[tap] * x[tuple(at)]
    return y


def _extend(x: Array, axis: int, start: int, stop: int, sides: Sides) -> Array:
    n = x.shape[axis]
    source = axis_map(start, stop, n, sides)
    column = (slice(None),) + (None,) * (x.ndim - 1)
    x = np.moveaxis(x, axis, 0)
    y = x[source.index]
    if source.sign is not None and source.first is not None and source.last is not None:
        y = source.sign[column] * y + source.first[column] * x[0] + source.last[column] * x[-1]
    y[source.index < 0] = 0
    if source.fill is not None:
        y = y.astype(np.result_type(y, source.fill))
        y[source.index < 0] = source.fill[source.index < 0][column]
    return np.moveaxis(y, 0, axis)


@dataclass(frozen=True)
class Side:
    """The rules that agree with one side, best first; none if `difference` tells how the nearest one fails."""

    rules: tuple[str, ...]
    difference: str = ""

    @property
    def name(self) -> str:
        """The rule to report."""
        return self.rules[0] if self.rules else UNKNOWN


def find_rules(box: BlackBox, kernel: Array, axes: Sequence[AxisProbe]) -> list[tuple[Side, Side]]:
    """Find the rules of both sides of each axis, each by the outputs that read beyond that side and no other."""
    x = box.random()
    y = box(x)
    return [(_find(box, kernel, axes, i, 0, x, y), _find(box, kernel, axes, i, 1, x, y)) for i in range(len(axes))]


def _find(box: BlackBox, kernel: Array, axes: Sequence[AxisProbe], i: int, side: int, x: Array, y: Array) -> Side:
    axis = axes[i]
    if (axis.high if side else axis.low) <= 0:
        return Side((UNREAD,))
    strip = slice(axis.interior.stop, axis.out) if side else slice(0, axis.interior.start)
    place = tuple(strip if k == i else a.interior for k, a in enumerate(axes))
    observed, scale = y[place], float(np.abs(y).max())
    errors = {}
    for name in CANDIDATES:
        sides: list[Sides | None] = [None] * len(axes)
        sides[i] = (Rule(name), Rule(name))
        expected = predict(x, kernel, axes, sides)[tuple(strip if k == i else slice(None) for k in range(len(axes)))]
        errors[name] = (np.abs(observed - expected), expected)
    # Where the outer taps are tiny, wrong rules come near too; the right one comes as near as rounding lets it.
    off = {name: float(error.max(initial=0)) / scale for name, (error, _) in errors.items()}
    limit = min(box.tolerance, max(FAR * min(off.values()), ROUNDING))
    agree = tuple(name for name, error in off.items() if error <= limit)
    if agree:
        return Side(agree)
    best = min(errors, key=lambda name: float(errors[name][0].max()))
    error, expected = errors[best]
    at = tuple(int(k) for k in np.argwhere(error > box.tolerance * scale)[0])
    index = tuple(k + p.start for k, p in zip(at, place, strict=True))
    text = f"axis {i}, {'high' if side else 'low'} side: no rule agrees; f is {observed[at]:.6g} at {index}, "
    return Side((), f"{text}and the nearest rule, {best}, gives {expected[at]:.6g}")


def common(found: list[tuple[Side, Side]]) -> list[tuple[Side, Side]]:
    """Where several rules agree, report one that agrees with all sides, if there is one."""
    sets = [set(s.rules) for pair in found for s in pair if s.rules and s.rules != (UNREAD,)]
    shared = set.intersection(*sets) if sets else set()
    best = next((name for name in CANDIDATES if name in shared), None)

    def reorder(s: Side) -> Side:
        if best is None or best not in s.rules:
            return s
        return Side((best, *(r for r in s.rules if r != best)), s.difference)

    return [(reorder(a), reorder(b)) for a, b in found]
