"""The error bound of a sum of taps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from faltung.problem.dtypes import Dtypes


@dataclass(frozen=True, slots=True)
class Bounds:
    """Rounding of `taps` chained multiply-adds, as multiples of max|x| (the largest norm of a bank's kernels).

    max|x| counts boundary constants too. Odd rules extrapolate up to `growth` times that, in five roundings for each
    of `odd_axes`.
    """

    dtypes: Dtypes
    taps: int
    norm1: float
    norm2: float
    growth: int = 1
    odd_axes: int = 0

    @property
    def _unit(self) -> float:
        return 0.0 if self.dtypes.accumulate.kind == "i" else float(np.finfo(self.dtypes.accumulate).eps) / 2

    @property
    def error(self) -> float:
        """The guaranteed bound, of the modulus where numbers are complex."""
        if self._unit == 0:
            return 0.0
        # Converting input and kernel to the accumulator may round each once, and without fused multiply-adds a
        # product rounds too; complex sums have twice the terms in each of two parts.
        parts = 2 if self.dtypes.accumulate.kind == "c" else 1
        terms = parts * self.taps + 3 + 5 * self.odd_axes
        gamma = terms * self._unit / (1 - terms * self._unit)
        out = 0.0
        if self.dtypes.output.kind in "fc" and self.dtypes.output.itemsize < self.dtypes.accumulate.itemsize:
            out = float(np.finfo(self.dtypes.output).eps) / 2 * (1 + gamma)
        return (gamma * math.sqrt(parts) + out) * float(self.norm1) * self.growth

    @property
    def expected(self) -> float:
        """The rms error expected for independent roundings and inputs of unit rms: u · sqrt(K/2) · ‖kernel‖₂."""
        return self._unit * math.sqrt(self.taps / 2 + 1) * self.norm2

    def explain(self) -> str:
        """Say both in a line."""
        if self.dtypes.output.kind in "iu":
            return "exact" if self._unit == 0 else f"{self.error:.1e} · max|x| before rounding to {self.dtypes.output}"
        return f"{self.error:.1e} · max|x| guaranteed, {self.expected:.1e} · rms(x) expected"
