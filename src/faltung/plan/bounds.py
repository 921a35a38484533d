"""The error bound of a whole plan: what an algorithm promises for real sums, and what is added around it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.task import gamma, unit_roundoff

if TYPE_CHECKING:
    from faltung.algorithms.task import Recipe
    from faltung.problem.dtypes import Dtypes

# Exact methods may differ from the definition by this much of ‖kernel‖₁ · max|x|, or by the rounding of so many taps.
DEFAULT_TOLERANCE = {4: 1e-4, 8: 1e-13}


@dataclass(frozen=True, slots=True)
class Bounds:
    """`error` bounds the error of any output, of the modulus where numbers are complex, as a multiple of max|x|.

    `expected` is the rms error for independent roundings and inputs of unit rms; `stored_as` is set where integers are
    stored, whose last rounding is not counted.
    """

    error: float
    expected: float
    stored_as: str | None = None

    def explain(self) -> str:
        """Say both in a line."""
        if self.stored_as is not None:
            return "exact" if self.error == 0 else f"{self.error:.1e} · max|x| before rounding to {self.stored_as}"
        return f"{self.error:.1e} · max|x| guaranteed, {self.expected:.1e} · rms(x) expected"


def default_tolerance(dtypes: Dtypes, taps: int) -> float:
    """Give the tolerance of exact methods, as a multiple of ‖kernel‖₁ · max|x|; integers have none to give."""
    unit = unit_roundoff(dtypes.accumulate)
    if unit == 0:
        return 0.0
    part = dtypes.accumulate.itemsize // (2 if dtypes.accumulate.kind == "c" else 1)
    return max(gamma(taps, unit), DEFAULT_TOLERANCE[part])


def bounds(dtypes: Dtypes, recipe: Recipe, norm1: float, growth: int, odd_axes: int) -> Bounds:
    """Complete an algorithm's bound for one real bank to that of the plan.

    max|x| counts boundary constants too. Odd rules extrapolate up to `growth` times that, in five roundings for each of
    `odd_axes`. Converting input and kernel to the accumulator's type may round each once. A complex number has two
    parts; where both input and kernel are complex, each part is a difference of two sums.
    """
    stored_as = str(dtypes.output) if dtypes.output.kind in "iu" else None
    unit = unit_roundoff(dtypes.accumulate)
    if unit == 0:
        return Bounds(0.0, 0.0, stored_as)
    converted = gamma(2 + 5 * odd_axes, unit)
    error = recipe.error * (1 + converted) + converted * norm1
    expected = recipe.expected
    if dtypes.accumulate.kind == "c":
        if dtypes.input.kind == "c" and dtypes.kernel.kind == "c":
            error, expected = 2 * error + 2 * unit * norm1, expected * math.sqrt(2)
        error, expected = error * math.sqrt(2), expected * math.sqrt(2)
    if dtypes.output.kind in "fc" and dtypes.output.itemsize < dtypes.accumulate.itemsize:
        error += float(np.finfo(dtypes.output).eps) / 2 * (norm1 + error)
    return Bounds(error * growth, expected, stored_as)
