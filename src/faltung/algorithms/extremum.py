"""The largest or smallest sample of every window, in a time that hardly depends on the window's size.

As van Herk (1992) and Gil and Werman (1993) showed, an extremum needs a few comparisons for each sample, whatever the
window: here windows that may overlap are put together to longer ones, axis by axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from faltung.algorithms.layout import layout
from faltung.algorithms.window_sum import describe
from faltung.algorithms.window_tiles import Windows
from faltung.algorithms.window_work import Arithmetic, worked, works
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.errors import DtypeError
from faltung.problem.boundary import Rule
from faltung.runtime import gather

if TYPE_CHECKING:
    from faltung.problem.boundary import Sides
    from faltung.problem.problem import Problem

Kind = Literal["max", "min"]


class Extremum:
    """The maximum or minimum over the window of a problem, whose taps are the samples that count.

    `problem` gives the array's shape, the geometry of the window along each filtered axis (taps, stride, dilation, any
    padding), the boundary rules and, as `dtypes.input`, the type of input and output: an integer of 8 to 64 bits,
    float32 or float64. `neutral` gives the rules for windows that leave out what lies beyond the edges. The result is
    exact; a window that holds a NaN gives NaN, and 0.0 is larger than -0.0 (without a compiler: equal).

    >>> from faltung.problem.dtypes import Dtypes
    >>> from faltung.problem.geometry import resolve
    >>> from faltung.problem.problem import Problem
    >>> f8 = np.dtype(float)
    >>> problem = Problem((5,), (0,), resolve((5,), (3,)), (neutral("max", f8),), Dtypes(f8, f8, f8, f8))
    >>> out = np.empty(5)
    >>> Extremum(problem, "max").run(np.array([1.0, 5, 2, np.nan, 0]), out)
    >>> out
    array([ 5.,  5., nan, nan, nan])
    """

    def __init__(self, problem: Problem, kind: Kind) -> None:
        self.problem, self.kind = problem, kind
        self.dtype = problem.dtypes.input
        self.plan = layout(problem)
        element = Element.of(self.dtype)
        levels = Element("i", element.bits) if element.kind == "f" else element
        count = len(worked(self.plan))
        self._works = works(self.plan, kind, [levels] * count, element)
        self._windows: Windows | None = None
        if compiled.available():
            arithmetic = Arithmetic(kind, element, element)
            self._windows = Windows(self.plan, self._works, [arithmetic], self.dtype, self.dtype)

    def run(self, source: np.ndarray, out: np.ndarray, threads: int = 1) -> None:
        """Fill `out`, C-contiguous of the problem's output shape, from an array of its shape; both of its dtype."""
        if self._windows is None:
            out[...] = self._by_numpy(source)
            return
        lines = source.reshape(self._windows.in_shape)
        if lines.strides[-1] != lines.itemsize:
            lines = np.ascontiguousarray(lines)
        self._windows.run(lines, out.reshape(1, *self._windows.out_shape), threads)

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works."""
        return [
            ("method", f"{self.kind}imum of windows put together from shorter ones"),
            *describe(self.plan, self._works),
        ]

    def _by_numpy(self, source: np.ndarray) -> np.ndarray:
        """Build the same windows without a compiler."""
        op = np.maximum if self.kind == "max" else np.minimum
        plan = self.plan
        pixels = source.reshape(*(axis.size for axis in plan.axes), plan.inner)
        maps = [
            gather.coordinates(*axis.reads(0, axis.out), axis.size, sides)
            for axis, sides in zip(plan.axes, plan.sides, strict=True)
        ]
        level = gather.extended(pixels, maps)
        for i, axis in enumerate(plan.axes):
            level = np.moveaxis(level, i, 0)
            length = 1
            while length < axis.taps:
                step = min(length, axis.taps - length)
                level = op(level[: len(level) - step * axis.dilation], level[step * axis.dilation :])
                length += step
            level = np.moveaxis(level[: axis.stride * (axis.out - 1) + 1 : axis.stride], 0, i)
        return level.reshape(self.problem.map_shape)


def neutral(kind: Kind, dtype: np.dtype) -> Sides:
    """Give the boundary rules of an axis beyond whose edges nothing counts: the lowest (or highest) value of the type.

    Raises DtypeError for minima of uint64, whose highest value is no boundary constant.

    >>> [str(rule) for rule in neutral("max", np.dtype(np.uint8))]
    ['constant:0', 'constant:0']
    """
    low, high = (-np.inf, np.inf) if dtype.kind == "f" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if kind == "min" and high >= 2**63 and dtype.kind == "u":
        msg = "minima of uint64 cannot leave out what lies beyond the edges; convert to int64, or name a boundary rule"
        raise DtypeError(msg)
    rule = Rule("constant", low if kind == "max" else high)
    return rule, rule
