"""One axis of a separable filter: its core packed for a pass, how buffer rows are read, and what a box needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.compiler.sweep import APART, EVEN, GENERAL, ODD

if TYPE_CHECKING:
    from faltung.algorithms.layout import Layout
    from faltung.problem.boundary import AxisMap

# Interleaved outputs along the lanes up to which samples slide through registers; beyond, every product loads its own.
MOST_CHAINS = 64
# Taps of a line that is written out; 25 gain nothing more (measured).
MOST_KNOWN = 17


@dataclass(frozen=True, slots=True, eq=False)
class Core:
    """One factor, packed for its pass: weights as [map, plane, tap], and for each line how its taps pair."""

    weights: np.ndarray
    modes: np.ndarray

    @property
    def known(self) -> tuple[int, int] | None:
        """The taps and the mode of a short single line, which are then compiled in."""
        short = self.weights.size == self.weights.shape[2] <= MOST_KNOWN and self.weights.dtype.kind == "f"
        return (self.weights.size, int(self.modes[0, 0])) if short and self.modes[0, 0] != APART else None

    @classmethod
    def of(cls, core: np.ndarray, *, paired: bool) -> Core:
        """Pack a core of shape (rank before, taps, rank after); `paired` where neighbouring outputs share samples."""
        lines = np.ascontiguousarray(core.transpose(2, 0, 1))
        modes = np.full(lines.shape[:2], GENERAL if paired else APART, np.int64)
        if paired:
            mirror = lines[..., ::-1]
            modes[(lines == -mirror).all(-1)] = ODD
            modes[(lines == mirror).all(-1)] = EVEN
        return cls(lines, modes)


@dataclass(frozen=True, slots=True)
class Rows:
    """How buffer rows are read: in interleaved chains, with so many rows from tap to tap and from output to output."""

    chains: int
    tap: int
    out: int

    @classmethod
    def of(cls, plan: Layout, axis: int) -> Rows:
        """Choose for an axis of the layout."""
        inner = plan.inner if axis == len(plan.axes) - 1 else 1
        one = plan.axes[axis]
        if one.stride > 1:
            return cls(inner, one.dilation * inner, one.stride * inner)
        chains = one.dilation * inner
        return cls(chains, chains, chains) if chains <= MOST_CHAINS else cls(1, chains, 1)

    @property
    def paired(self) -> bool:
        """Whether the next output of a chain reads, at one tap, what this one reads at the next tap."""
        return self.tap == self.out

    def needed(self, outputs: int, taps: int, block: int) -> int:
        """Count the buffer rows that may be touched: blocks are computed whole, and windows run one tap ahead."""
        of_a_chain = -(-outputs // self.chains)
        whole = -(-of_a_chain // block) * block
        return self.chains + self.out * whole + self.tap * (taps + 1)


class Extent(NamedTuple):
    """What a box needs of an axis: outputs, extended coordinates, and the samples [low, high) these come from."""

    start: int
    stop: int
    first: int
    map: AxisMap
    low: int
    high: int
