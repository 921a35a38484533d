"""Tasks made as the planner makes them, and the separable method run on them directly."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

import faltung as ft
from faltung.algorithms import separable_cost
from faltung.algorithms.task import Recipe, Task
from faltung.plan import planner
from faltung.problem.kernel import facts

Array = np.ndarray[Any, Any]


def outer(*lines: Any) -> Array:
    """Multiply lines out."""
    return reduce(np.multiply.outer, [np.asarray(line) for line in lines])


def problem(
    shape: tuple[int, ...], kernel: Any, dtype: str, seed: int, *, out_dtype: str | None = None, **options: Any
) -> tuple[Task, Array]:
    """Give the task of a correlation, and random data for it."""
    convolution = ft.Convolution(kernel, flip=False, **options)
    asked, kernels = convolution._problem(shape, np.dtype(dtype), out_dtype)
    real = planner._components(asked, len(kernels), planner._store_dtype(asked.dtypes))[0]
    task = Task(real, planner._load_dtype(real), tuple(kernels), tuple(facts(k) for k in kernels), 1e-4)
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 99, shape) if dtype[0] in "iu" else rng.standard_normal(shape)
    return task, x.astype(dtype)


def solve(
    recipe: Recipe, task: Task, x: Array, threads: int = 1, block: int = 1 << 20, lanes: int = 8192, shift: int = 0
) -> Array:
    """Run a recipe with boxes of a chosen size, to memory `shift` bytes beyond a cache line."""
    kept = separable_cost.BLOCK_BYTES, separable_cost.MOST_LANES
    separable_cost.BLOCK_BYTES, separable_cost.MOST_LANES = block, lanes
    try:
        method = recipe.prepare()
        dtype, shape = task.problem.dtypes.output, (len(task.kernels), *method.out_shape)
        raw = np.zeros(int(np.prod(shape)) * dtype.itemsize + 128, np.uint8)
        start = -raw.ctypes.data % 64 + shift
        out = raw[start : raw.size - 128 + start].view(dtype).reshape(shape)
        method.run(np.ascontiguousarray(x.astype(task.load)).reshape(method.in_shape), out, threads)
    finally:
        separable_cost.BLOCK_BYTES, separable_cost.MOST_LANES = kept
    return out.reshape(len(task.kernels), *task.problem.map_shape)
