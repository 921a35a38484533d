"""How a window of n equal samples is built from a few levels of shorter windows, none reaching beyond it.

Level 0 is the line itself; a level of length m holds, at every place, the sum (or extremum) of the m samples from there
on. A stage makes the next level: a group of equally spaced windows of one level, combined as a tree, and then single
extra windows one after the other. Windows of a sum never overlap; those of an extremum may. Doubling is the chain 1,
2, 4, ...; larger groups write less, so the cheapest chain is searched for. The tree of additions is the chain's
alone, and the same for every output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# Groups are compiled, so they are bounded.
MOST_GROUPED = 8
# Shorter windows are searched through thoroughly.
SEARCHED = 128
# Stages of more windows are never the cheapest.
MOST_PARTS = 16


class Part(NamedTuple):
    """One window: its level, the run of samples it lies in, and its first sample there."""

    level: int
    run: int
    offset: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A group of `count` windows of a level, `spacing` apart from the start of run 0 on, and extra ones."""

    level: int
    count: int
    spacing: int
    extras: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """All windows."""
        return (*(Part(self.level, 0, i * self.spacing) for i in range(self.count)), *self.extras)


@dataclass(frozen=True, slots=True)
class Chain:
    """Stage i makes level i + 1, the last one the window; `cost` is in the units of `Price`.

    `sizes` are the lengths of all levels (those of several runs count as one), `depths` the most additions that any of
    their samples has gone through.
    """

    stages: tuple[Stage, ...] = ()
    cost: float = 0.0
    sizes: tuple[int, ...] = (1,)
    depths: tuple[int, ...] = (0,)

    @property
    def additions(self) -> int:
        """The most additions that a sample goes through."""
        return self.depths[-1]


class Price(NamedTuple):
    """Nanoseconds of a stage for each register it writes: `stage` and what each window after the first adds.

    `near` holds for groups that span at most `reach` samples, `far` for the others, `extra` for single windows.
    `dense` is the stride: so many times as long are the levels before the last one.
    """

    stage: float
    near: float
    far: float
    extra: float
    reach: float = math.inf
    dense: int = 1


def chain(lengths: tuple[int, ...], price: Price, *, overlap: bool, once: bool) -> Chain:
    """Give the cheapest chain for the window made of one run of samples for each length; lengths differ by at most 1.

    `once` says that only the first stage may read level 0 (it lies elsewhere, and may have to be converted).

    >>> found = chain((31,), Price(1.2, 0.15, 0.15, 0.45), overlap=False, once=False)
    >>> [len(stage.parts) for stage in found.stages], found.additions
    ([5, 7], 7)
    """
    copied = _window(lengths, price, overlap, False)
    if copied is None:
        msg = f"runs of {lengths} samples differ too much for one chain"
        raise ValueError(msg)
    if not once:
        return copied
    plain, copy = _window(lengths, price, overlap, True), price.dense * price.stage
    if plain is not None and plain.cost <= copied.cost + copy:
        return plain
    stages = [
        Stage(s.level + 1, s.count, s.spacing, tuple(Part(p.level + 1, p.run, p.offset) for p in s.extras))
        for s in copied.stages
    ]
    return Chain((Stage(0, 1, 1), *stages), copied.cost + copy, (1, *copied.sizes), (0, *copied.depths))


@cache
def _window(lengths: tuple[int, ...], price: Price, overlap: bool, once: bool) -> Chain | None:
    best = _last(lengths, price, Chain(), overlap, once)
    longest = max(lengths)
    # Long windows need many stages anyway; which of them come first matters little.
    parts, less = (range(2, MOST_GROUPED + 1), 3) if longest <= SEARCHED else ((5, MOST_GROUPED), 2)
    for m in sorted({-(-longest // k) - i for k in parts for i in range(less)}):
        if not 2 <= m <= min(lengths):
            continue
        levels = _window((m,), price._replace(dense=1), overlap, once)
        if levels is None or (best is not None and price.dense * levels.cost + price.stage >= best.cost):
            continue
        found = _last(lengths, price, levels, overlap, once)
        if found is not None and (best is None or found.cost < best.cost):
            best = found
    return best


def _last(lengths: tuple[int, ...], price: Price, before: Chain, overlap: bool, once: bool) -> Chain | None:
    """Add the last stage to given levels; None if it would have to read level 0 once more, or very often."""
    sizes, depths = before.sizes, before.depths
    if max(lengths) > MOST_PARTS * sizes[-1]:
        return None
    usable = range(1 if once and before.stages else 0, len(sizes))
    parts: list[Part] = []
    for run, length in enumerate(lengths):
        found = _cover(run, length, sizes) if overlap else _tile(run, length, sizes, usable)
        if found is None:
            return None
        parts += found
    stage = _grouped(parts, sizes, depths)
    each = price.near if (stage.count - 1) * stage.spacing <= price.reach else price.far
    cost = price.dense * before.cost + price.stage + each * (stage.count - 1) + price.extra * len(stage.extras)
    # A group of k is a tree of ceil(log2 k) levels, extras are added one by one.
    more = len(stage.extras)
    ends = [depths[stage.level] + math.ceil(math.log2(stage.count)) + more]
    ends += [depths[part.level] + more - i for i, part in enumerate(stage.extras)]
    return Chain((*before.stages, stage), cost, (*sizes, max(lengths)), (*depths, max(ends)))


def _tile(run: int, length: int, sizes: Sequence[int], usable: range) -> list[Part] | None:
    """Tile a run with as long windows as there are; None if the shortest do not fill it."""
    parts, start = [], 0
    for level in reversed(usable):
        while length - start >= sizes[level]:
            parts.append(Part(level, run, start))
            start += sizes[level]
    return parts if start == length else None


def _cover(run: int, length: int, sizes: Sequence[int]) -> list[Part]:
    """Cover a run with windows of the last level, the last of them moved back to its end."""
    last, size = len(sizes) - 1, sizes[-1]
    return [Part(last, run, min(start, length - size)) for start in range(0, length, size)]


def _grouped(parts: list[Part], sizes: Sequence[int], depths: Sequence[int]) -> Stage:
    """Group the windows of run 0 and one level as far as they are equally spaced."""
    level, spacing, count = parts[0].level, sizes[parts[0].level], 1
    if len(parts) > 1 and parts[1].level == level and parts[1].run == 0:
        spacing = parts[1].offset
    while count < min(len(parts), MOST_GROUPED) and parts[count] == Part(level, 0, count * spacing):
        count += 1
    # The more additions a window has behind it, the fewer should follow.
    extras = sorted(parts[count:], key=lambda part: depths[part.level])
    return Stage(level, count, spacing, tuple(extras))
