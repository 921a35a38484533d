"""Data with holes: missing samples against astropy, templates against OpenCV and scikit-image, and what NaN costs."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

import faltung as ft
from benchmarks import templates
from benchmarks.check import positions
from benchmarks.contest import Contest
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, Call, Figure, Outcome, race, ratio
from benchmarks.limits import limited
from benchmarks.progress import track
from benchmarks.work import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.case import Array

SIDE, QUICK_SIDE, SHARE, WEIGHED_SIZE = 2048, 200, 0.05, 9
DESIGNS = ("gaussian", "random")
# One kernel for each algorithm that keeps NaN in its place.
SPOILED = (("direct", "random", 9), ("separable", "gaussian", 31), ("window_sum", "box", 31), ("fourier", "random", 31))


def run(threads: int, quick: bool) -> Outcome:
    """Measure missing samples, templates, and the time that NaN adds."""
    rounds, side = (QUICK_ROUNDS, QUICK_SIDE) if quick else (ROUNDS, SIDE)
    contests = [
        partial(weighed, threads, side, *how) for how in product(("float32", "float64"), DESIGNS, ("nan", "mask"))
    ]
    contests += [partial(templates.contest, threads, *sizes) for sizes in templates.sizes(quick)]
    results = tuple(make().measure(threads, rounds) for make in track(contests, "holes"))
    figures = tuple(spoiled(side, *how, threads=threads, rounds=rounds) for how in SPOILED)
    return Outcome(results, figures, tuple(result.name for result in results if not result.correct))


def kernel_of(design: str, size: int, generator: np.random.Generator) -> Array:
    """Give a square kernel of positive taps with sum 1."""
    if design == "random":
        kernel: Array = generator.random((size, size))
    else:
        at = np.arange(size) - (size - 1) / 2
        line = np.exp(-((at / (size / 6)) ** 2) / 2)
        kernel = np.outer(line, line) if design == "gaussian" else np.ones((size, size))
    return kernel / kernel.sum()


def weighed(threads: int, side: int, dtype: str, design: str, how: str) -> Contest:
    """Filter a picture of which a part is missing, as NaN or by a mask."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((side, side)).astype(dtype)
    there = generator.random(x.shape) >= SHARE
    kernel = kernel_of(design, WEIGHED_SIZE, generator).astype(dtype)
    filled = np.where(there, x, 0)
    if how == "nan":
        x = np.where(there, x, np.nan)
    c = ft.Convolution(kernel, flip=False, boundary="edge")
    missing = {"nan": "ignore"} if how == "nan" else {"mask": there}
    at = positions(x.shape)
    sums, weights = (ft.definition.correlate(a, kernel, at=at, boundary="edge") for a in (filled, there.astype(int)))
    return Contest(
        group="missing samples",
        name=f"{dtype} {side}x{side}, {SHARE:.0%} missing ({how}), {design} {WEIGHED_SIZE}x{WEIGHED_SIZE}",
        ours=lambda: c(x, threads=threads, **missing),
        rivals=[*_astropy(x, there, kernel, how), *_two_sums(filled, there, kernel)],
        at=at,
        exact=sums / weights * kernel.astype(np.longdouble).sum(),
        scale=float(np.abs(filled).max()),
        tolerance=1e-4 if dtype == "float32" else 1e-13,
        targets={"astropy": 20.0} if how == "nan" else {},
    )


def _astropy(x: Array, there: Array, kernel: Array, how: str) -> Iterator[Peer]:
    if not find_spec("astropy"):
        return
    from astropy.convolution import convolve

    mask = None if how == "nan" else ~there
    flipped, total = np.ascontiguousarray(kernel[::-1, ::-1]), kernel.sum(dtype=np.float64)

    def call() -> Array:
        # It divides by the sum of the taps, ours keeps it.
        return convolve(x, flipped, boundary="extend", mask=mask, normalize_kernel=True) * total

    yield Peer("astropy", "convolve, boundary 'extend', nan_treatment 'interpolate'; it computes in float64", call)


def _two_sums(filled: Array, there: Array, kernel: Array) -> Iterator[Peer]:
    if not find_spec("cv2"):
        return
    import cv2

    weights, total = there.astype(filled.dtype), kernel.sum()

    def call() -> Array:
        sums, shares = (cv2.filter2D(a, -1, kernel, borderType=cv2.BORDER_REPLICATE) for a in (filled, weights))
        return np.divide(sums, shares / total, out=sums)

    yield Peer("opencv, two sums", "filter2D of samples already filled with 0 and of the mask, divided by NumPy", call)


def spoiled(side: int, algorithm: str, design: str, size: int, *, threads: int, rounds: int) -> Figure:
    """Compare the time of a picture with NaN with that of the same one without."""
    generator = np.random.default_rng(0)
    x, kernel = generator.standard_normal((side, side), np.float32), kernel_of(design, size, generator)
    with_nan = np.where(generator.random(x.shape) < SHARE, np.float32("nan"), x)
    c = ft.Convolution(kernel, flip=False)
    plan = c.plan(x.shape, x.dtype, algorithm=algorithm)
    out = np.empty_like(x)
    calls: dict[str, Call] = {
        "whole": lambda: plan.run(x, out, threads),
        "spoiled": lambda: plan.run(with_nan, out, threads),
    }
    with limited(threads):
        seconds, _ = race(calls, rounds)
    spread = ratio(seconds["spoiled"], seconds["whole"])
    name = f"{algorithm}, {design} {size}x{size} on {side}²: time with {SHARE:.0%} NaN over that without"
    note = f"[{spread.low:.2f}, {spread.high:.2f}], {spread.rounds} rounds"
    return Figure(name, spread.median, "x", at_most=2.0, note=note)
