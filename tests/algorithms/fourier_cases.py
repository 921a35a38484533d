"""Tasks for the tests of the Fourier method, made as the planner makes them, and run without it."""

from __future__ import annotations

from typing import Any

import numpy as np

import faltung as ft
from faltung.algorithms import fourier
from faltung.algorithms.fourier_bound import SAFETY, expected
from faltung.algorithms.fourier_tiles import Tiling, view
from faltung.algorithms.fourier_work import Fourier
from faltung.algorithms.task import Recipe, Task, unit_roundoff
from faltung.plan import planner
from faltung.problem.kernel import facts

Array = np.ndarray[Any, Any]


def task(kernel: Array | list[Array], shape: tuple[int, ...], dtype: str, out: Any = None, **options: Any) -> Task:
    """Describe correlating an array of this shape and dtype with a kernel or a bank of them."""
    convolution = ft.Convolution(kernel, flip=False, **options)
    problem, kernels = convolution._problem(shape, np.dtype(dtype), out)
    bank = planner._real_bank(kernels)
    part = planner._components(problem, len(bank), planner._store_dtype(problem.dtypes))[0]
    tolerance = planner.default_tolerance(problem.dtypes, kernels[0].size)
    found = tuple(facts(one) for one in bank)
    return Task(part, planner._load_dtype(part), tuple(bank), found, tolerance)


def method(asked: Task, shape: tuple[int, ...] | None = None) -> Fourier:
    """Prepare the tile that is proposed, or a given one."""
    if shape is None:
        answer = fourier.propose(asked)
        assert isinstance(answer, Recipe), answer
        prepared: Any = answer.prepare()
        return prepared
    tiling, unit = Tiling(view(asked.problem), shape), unit_roundoff(asked.problem.dtypes.accumulate)
    norms = [(float(np.abs(k).sum()), float(np.sqrt((k.astype(float) ** 2).sum()))) for k in asked.kernels]
    dwarf = max(SAFETY * expected(tiling.points, n2, unit) / (asked.tolerance * n1) for n1, n2 in norms)
    return Fourier(asked, tiling, dwarf)


def run(asked: Task, x: Array, shape: tuple[int, ...] | None = None, threads: int = 1) -> Array:
    """Filter an array: the result has the bank first."""
    prepared = method(asked, shape)
    out = np.empty((len(asked.kernels), *prepared.out_shape), asked.problem.dtypes.output)
    prepared.run(x.astype(asked.load), out, threads)
    return out
