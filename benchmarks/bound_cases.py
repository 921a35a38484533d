"""Problems whose errors are compared with their bounds: every algorithm is forced on them, against the definition.

Where an array is small all its outputs are checked; elsewhere those at which the algorithms differ most, and some more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import faltung as ft
from faltung.plan.choice import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.case import Array

SEED = 20_261_124
SIZES = {1: (4, 3000), 2: (4, 90), 3: (3, 20)}
KERNELS = {1: (2, 129), 2: (1, 21), 3: (1, 7)}
# Up to so many products the definition is worked out everywhere.
EVERYWHERE, POINTS = 40_000, 6


@dataclass(frozen=True)
class Drawn:
    """A correlation in mode "same" with its data; the name says how they were made."""

    name: str
    x: Array
    kernel: Array
    asked: Mapping[str, Any]


def problem(number: int) -> Drawn:
    """Draw a problem of rank 1 to 3 in float32 or float64; the same number always gives the same."""
    generator = np.random.default_rng([SEED, number])
    rank = int(generator.choice([1, 2, 3], p=[0.3, 0.5, 0.2]))
    dtype = np.dtype(generator.choice(["float32", "float64"]))
    shape = [_log(generator, *SIZES[rank]) for _ in range(rank)]
    sizes = [_log(generator, *KERNELS[rank]) for _ in range(rank)]
    design, data = (str(generator.choice(list(names))) for names in (DESIGNS, DATA))
    rule = str(generator.choice(["zero", "constant:0.7", "edge", "reflect", "symmetric", "wrap", "antireflect"]))
    asked = {"boundary": rule, "stride": int(generator.choice([1, 2], p=[0.9, 0.1]))}
    asked["dilation"] = int(generator.choice([1, 2], p=[0.9, 0.1]))
    kernel = DESIGNS[design](generator, sizes).astype(dtype)
    x = DATA[data](generator, shape, kernel, dtype).astype(dtype)
    name = f"{dtype} {shape} {design} kernel {sizes}, {data} data, {asked}"
    return Drawn(name, x, kernel, asked)


def _log(generator: np.random.Generator, low: int, high: int) -> int:
    return round(float(np.exp(generator.uniform(np.log(low), np.log(high)))))


def _outer(lines: list[Array]) -> Array:
    product = lines[0]
    for line in lines[1:]:
        product = np.multiply.outer(product, line)
    return product


def _bell(size: int) -> Array:
    at = np.arange(size) - (size - 1) / 2
    return np.exp(-((at / (size / 5)) ** 2) / 2)


DESIGNS: dict[str, Callable[[np.random.Generator, list[int]], Array]] = {
    "random": lambda generator, sizes: generator.standard_normal(sizes),
    "positive": lambda generator, sizes: generator.random(sizes),
    "centred": lambda generator, sizes: (lambda k: k - k.mean())(generator.standard_normal(sizes)),
    "separable": lambda generator, sizes: _outer([generator.standard_normal(n) for n in sizes]),
    "gaussian": lambda generator, sizes: _outer([_bell(n) for n in sizes]),
    "box": lambda generator, sizes: np.full(sizes, generator.random() + 0.01),
    "spread": lambda generator, sizes: generator.choice([-1, 1], sizes) * 10.0 ** generator.uniform(-6, 1, sizes),
}


def _decades(generator: np.random.Generator, shape: list[int], dtype: np.dtype[Any]) -> Array:
    most = 12 if dtype.itemsize == 4 else 100
    return generator.choice([-1, 1], shape) * 10.0 ** generator.uniform(-most, most, shape)


def _aligned(generator: np.random.Generator, shape: list[int], kernel: Array) -> Array:
    """Repeat the signs of the kernel: at some output all products are positive, and of like size."""
    signs = np.where(kernel < 0, -1.0, 1.0) * (1 + generator.random())
    repeats = [-(-n // k) for n, k in zip(shape, kernel.shape, strict=True)]
    return np.tile(signs, repeats)[tuple(slice(n) for n in shape)]


def _spike(generator: np.random.Generator, shape: list[int]) -> Array:
    x = generator.standard_normal(shape) * 1e-5
    x[tuple(generator.integers(0, shape))] = 1 + generator.random()
    return x


DATA: dict[str, Callable[[np.random.Generator, list[int], Array, np.dtype[Any]], Array]] = {
    "random": lambda generator, shape, kernel, dtype: generator.standard_normal(shape),
    # The products of a smooth kernel's sides nearly cancel, and so do those with a large mean where taps sum to 0.
    "cancelling": lambda generator, shape, kernel, dtype: 1000 + generator.standard_normal(shape),
    "alternating": lambda generator, shape, kernel, dtype: (
        (-1.0) ** np.indices(shape).sum(0) * (1 + generator.random())
    ),
    "decades": lambda generator, shape, kernel, dtype: _decades(generator, shape, dtype),
    "constant": lambda generator, shape, kernel, dtype: np.full(shape, 1 + generator.random()),
    "aligned": lambda generator, shape, kernel, dtype: _aligned(generator, shape, kernel),
    "spike": lambda generator, shape, kernel, dtype: _spike(generator, shape),
}


@dataclass(frozen=True)
class Share:
    """The measured error of an algorithm over its bound."""

    algorithm: str
    share: float
    name: str


def shares(drawn: Drawn) -> list[Share]:
    """Run all algorithms that serve a problem, and compare their errors with their bounds."""
    c, plans = ft.Convolution(drawn.kernel, flip=False, **drawn.asked), {}
    for name in ALGORITHMS:
        try:
            plans[name] = c.plan(drawn.x.shape, drawn.x.dtype, algorithm=name)
        except ft.errors.PlanError:
            continue
    results = {name: plan(drawn.x, threads=1) for name, plan in plans.items()}
    at = _points(drawn, results)
    exact = ft.definition.correlate(drawn.x, drawn.kernel, at=at, **drawn.asked).astype(np.longdouble)
    _, _, constant = drawn.asked["boundary"].partition(":")
    largest = max(float(np.abs(drawn.x).max()), float(constant or 0))
    found = []
    for name, result in results.items():
        sampled = result if at is None else result[tuple(np.array(at).T)]
        error = float(np.abs(sampled - exact).max())
        bound = plans[name].error_bound * largest
        found.append(Share(name, error / bound if bound else 0.0 if error == 0 else np.inf, drawn.name))
    return found


def _points(drawn: Drawn, results: Mapping[str, Array]) -> list[tuple[int, ...]] | None:
    """Choose outputs: the corners, those where the algorithms differ most, some at random; None for all."""
    if drawn.x.size * drawn.kernel.size <= EVERYWHERE:
        return None
    values = np.array(list(results.values()))
    shape, generator = values.shape[1:], np.random.default_rng(0)
    chosen = {tuple(0 for _ in shape), tuple(n - 1 for n in shape)}
    chosen |= {tuple(map(int, generator.integers(0, shape))) for _ in range(POINTS)}
    with np.errstate(over="ignore"):
        for differences in np.abs(values - values[0]) if len(values) > 1 else ():
            chosen.add(tuple(map(int, np.unravel_index(int(np.argmax(differences)), shape))))
    return sorted(chosen)
