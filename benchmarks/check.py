"""Is it right? Answers against the definition, at sampled positions."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

import faltung as ft

if TYPE_CHECKING:
    from benchmarks.case import Array, Case


def positions(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Choose outputs to check: all corners, two on every face, some inside."""
    generator = np.random.default_rng(0)
    chosen = set(product(*({0, n - 1} for n in shape)))
    inside = [tuple(map(int, generator.integers(0, shape))) for _ in range(12 + 4 * len(shape))]
    for i, point in enumerate(inside[: 4 * len(shape)]):
        axis, side = divmod(i % (2 * len(shape)), 2)
        chosen.add((*point[:axis], (0, shape[axis] - 1)[side], *point[axis + 1 :]))
    return sorted(chosen | set(inside[4 * len(shape) :]))


class Check:
    """The definition at sampled positions, and the error of an answer there.

    Floats: the largest error over ‖kernel‖₁ · max|x|. Integers: the largest error, which is half of one where a
    float sum was rounded.
    """

    def __init__(self, case: Case, x: Array, kernel: Array, out: Array) -> None:
        self.at = positions(out.shape)
        exact = ft.definition.correlate(x, kernel, at=self.at, **case.asked)
        self.exact = exact.astype(np.clongdouble if exact.dtype.kind == "c" else np.longdouble)
        self.scale, self.tolerance = 1.0, 0.51 if case.rounded else 0.0
        if out.dtype.kind in "iu":
            information = np.iinfo(out.dtype)
            self.exact = np.clip(self.exact, information.min, information.max)
        else:
            self.scale = float(np.abs(kernel.astype(complex)).sum() * np.abs(x).max())
            # That of exact methods.
            self.tolerance = 1e-4 if np.finfo(out.dtype).bits == 32 else 1e-13

    def __call__(self, answer: Any) -> tuple[float, bool]:
        sampled = np.array([np.asarray(answer)[index] for index in self.at])
        error = float(np.abs(sampled - self.exact).max()) / self.scale
        return error, error <= self.tolerance
