"""Arrays of every kind: the cases promised, sizes and kernels, shapes drawn from a seed, every family once."""

from __future__ import annotations

import sys
from functools import partial
from itertools import product

import numpy as np

import faltung as ft
from benchmarks import limits
from benchmarks.case import VIEWS, Case
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, US, Call, Figure, Outcome, measure, race, ratio

SEED, DRAWN = 20_261_103, 40
RULES = ("zero", "constant:3", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric")
FAMILY_DTYPES = (
    ("float32", "float32"), ("float64", "float64"), ("uint8", "float32"), ("uint16", "float32"),
    ("uint8", "int32"), ("int64", "int64"), ("complex64", "complex64"),
)  # fmt: skip
FAMILY_SHAPES = (((60_001,), (9,)), ((257, 255), (5, 5)), ((41, 40, 39), (3, 3, 3)), ((17, 16, 15, 18), (3, 3, 3, 3)))


def run(threads: int, quick: bool) -> Outcome:
    """Measure all cases; with several threads, also how the gain from them compares with that of a matrix product."""
    if quick:
        return measured([*promised(), *sizes()[::8], *drawn()[::10], *families()[::101]], threads, quick)
    return measured([*promised(), *sizes(), *drawn(), *families()], threads, quick)


def run_promised(threads: int, quick: bool) -> Outcome:
    """Measure only the cases that have targets: a few minutes."""
    return measured(promised(), threads, quick)


def run_drawn(threads: int, quick: bool) -> Outcome:
    """Measure only the images drawn from the seed."""
    return measured(drawn(), threads, quick)


def measured(cases: list[Case], threads: int, quick: bool) -> Outcome:
    """Measure cases one by one, with progress on a terminal."""
    if quick:
        cases = [case.shrunk() for case in cases]
    results = []
    for number, case in enumerate(cases, 1):
        if sys.stderr.isatty():
            print(f"\r{number}/{len(cases)} {case.name:<100.100}", end="", file=sys.stderr, flush=True)
        results.append(measure(case, threads, QUICK_ROUNDS if quick else ROUNDS))
    figures = scaling(threads, quick) if threads > 1 else ()
    return Outcome(tuple(results), figures, tuple(r.name for r in results if not r.correct))


def promised() -> list[Case]:
    """List the cases that have targets."""
    square, least = (2048, 2048), {3: 1.5, 5: 1.4, 7: 1.5, 9: 1.5, 11: 1.35, 15: 2.0}
    cases = []
    for k, opencv in least.items():
        targets = {"opencv": opencv} | ({"sgemm": 0.75} if k >= 7 else {}) | ({"scipy.ndimage": 30} if k == 5 else {})
        cases.append(_case("promised", square, k, targets=targets))
    cases.append(_case("promised", (8192, 8192), 3, targets={"opencv": 1.5}))
    for k, opencv in {5: 4.0, 7: 5.0, 9: 3.0, 11: 2.0}.items():
        cases.append(_case("promised", square, k, dtype="uint8", targets={"opencv": opencv}))
    return [
        *cases,
        _image("promised", 5, targets={"opencv": 2.0}),
        _case("promised", square, 5, dtype="float64", weights="float64", targets={"scipy.ndimage": 12}),
        _case("promised", square, 5, weights="float64", targets={"scipy.ndimage": 30}),
        _case("promised", (128,) * 3, 3, targets={"scipy.ndimage": 25}),
        _case("promised", (32,) * 4, 3, targets={"scipy.ndimage": 15}),
        _case("promised", (10**6,), 101, boundary="zero", targets={"numpy": 4, "scipy.signal": 4}),
    ]


def sizes() -> list[Case]:
    """List arrays from 64² to 8192², kernels from 3 to 31, ranks from 1 to 4."""
    squares: list[tuple[tuple[int, ...], int]] = [((n, n), k) for n in (64, 256, 1024) for k in (3, 5, 9, 15, 31)]
    squares += [((4096, 4096), k) for k in (3, 7, 15)] + [((8192, 8192), k) for k in (5, 15)]
    others: list[tuple[tuple[int, ...], int]] = [((n,), k) for n in (4096, 10**6) for k in (3, 31)]
    others += [((64,) * 3, k) for k in (3, 5, 7)] + [((256,) * 3, k) for k in (3, 5)] + [((24,) * 4, k) for k in (3, 5)]
    cases = [_case("sizes", shape, k) for shape, k in squares + others]
    for dtype, k in product(("float64", "uint8", "uint16"), (3, 9, 15, 31)):
        weights = "float64" if dtype == "float64" else "float32"
        cases.append(_case("sizes", (1024, 1024), k, dtype=dtype, weights=weights))
    return cases + [_image("sizes", k) for k in (3, 9, 15)]


def drawn() -> list[Case]:
    """Draw images as people have them: odd widths, views of larger arrays, 300² to 5000²."""
    generator = np.random.default_rng(SEED)
    cases = []
    for _ in range(DRAWN):
        height, width = (int(n) for n in np.exp(generator.uniform(np.log(300), np.log(5000), 2)))
        dtype = str(generator.choice(["float32", "float64", "uint8", "uint16"], p=[0.5, 0.15, 0.2, 0.15]))
        view = str(generator.choice(["plain", "fortran", *VIEWS], p=[0.4, 0.1, 0.3, 0.1, 0.1]))
        boundary = str(generator.choice(["zero", "edge", "reflect", "symmetric"]))
        k = int(generator.choice(range(3, 32, 2), p=_falling(15)))
        weights = "float64" if dtype == "float64" else "float32"
        cases.append(_case("drawn", (height, width | 1), k, dtype=dtype, weights=weights, boundary=boundary, view=view))
    return cases


def families() -> list[Case]:
    """List every dtype x boundary x stride x dilation x rank once, at a modest size."""
    return [
        Case(
            group="families", shape=shape, kernel=kernel, dtype=dtype, weights=weights, boundary=rule, stride=stride,
            dilation=dilation, limits=False,
        )
        for (dtype, weights), rule, stride, dilation, (shape, kernel) in product(
            FAMILY_DTYPES, RULES, (1, 2), (1, 2), FAMILY_SHAPES
        )
    ]  # fmt: skip


def scaling(threads: int, quick: bool) -> tuple[Figure, ...]:
    """Compare our gain from threads with that of the matrix product, in the same rounds."""
    figures = []
    for k in (7, 15):
        x, kernel = _case("scaling", (256, 256) if quick else (2048, 2048), k).data()
        convolution, out = ft.Convolution(kernel, flip=False, boundary="reflect"), np.empty_like(x)
        calls: dict[str, Call] = {}
        for count in (1, threads):
            calls[f"{US} {count}"] = partial(convolution, x, out=out, threads=count)
            calls[f"sgemm {count}"] = limits.sgemm(count)
        seconds, _ = race(calls, QUICK_ROUNDS if quick else ROUNDS, pause=True)
        ours, theirs = (ratio(seconds[f"{who} 1"], seconds[f"{who} {threads}"]).median for who in (US, "sgemm"))
        name = f"gain from {threads} threads over that of sgemm, {k}x{k} float32"
        figures.append(Figure(name, ours / theirs, at_least=0.9, note=f"{ours:.2f}x against {theirs:.2f}x"))
    return tuple(figures)


def _case(group: str, shape: tuple[int, ...], k: int, **options: object) -> Case:
    return Case(group=group, shape=shape, kernel=(k,) * len(shape), **options)  # type: ignore[arg-type]


def _image(group: str, k: int, **options: object) -> Case:
    """Describe an interleaved RGB photograph, 8 bits in and out."""
    shape, kernel = (1280, 1920, 3), (k, k)
    return Case(group=group, shape=shape, kernel=kernel, dtype="uint8", rounded=True, axes=(0, 1), **options)  # type: ignore[arg-type]


def _falling(count: int) -> list[float]:
    """Weigh small kernels more: 1, 1/2, 1/3, ..."""
    weights = [1 / n for n in range(1, count + 1)]
    return [weight / sum(weights) for weight in weights]
