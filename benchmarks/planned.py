"""Where another algorithm than the plain sum pays: large kernels, Gaussians, boxes, long signals, volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.arrays import measured
from benchmarks.case import Case

if TYPE_CHECKING:
    from benchmarks.harness import Outcome

SQUARE = (2048, 2048)


def run_large_kernels(threads: int, quick: bool) -> Outcome:
    return measured(large_kernels(), threads, quick)


def run_gaussian(threads: int, quick: bool) -> Outcome:
    return measured(gaussian(), threads, quick)


def run_box(threads: int, quick: bool) -> Outcome:
    return measured(box(), threads, quick)


def run_signals(threads: int, quick: bool) -> Outcome:
    return measured(signals(), threads, quick)


def run_volumes(threads: int, quick: bool) -> Outcome:
    return measured(volumes(), threads, quick)


def large_kernels() -> list[Case]:
    """List random kernels on an image, and a Gaussian that comes without its name."""
    targets = {21: (1.8, 1.2), 31: (2.0, 2.0), 63: (2.0, 2.0)}
    cases = []
    for k in (13, 15, 21, 31, 63):
        for dtype, least in zip(("float32", "float64"), targets.get(k, (None, None)), strict=True):
            wanted = {"opencv": least, "scipy.signal": 6.0} if least else {}
            cases.append(_case("large kernels", SQUARE, k, dtype=dtype, weights=dtype, targets=wanted))
    # Sampled beforehand, so that no peer knows what it is: the same sum of taps for everybody.
    return [*cases, _case("large kernels", SQUARE, 31, design="gaussian:3.75", targets={"opencv": 6.0})]


def gaussian() -> list[Case]:
    """List Gaussians of every size, of which the peers know the sigma."""
    cases = []
    for sigma, least in ((1, 2.0), (2, 2.5), (5, 4.0), (10, 4.0)):
        wanted = {"opencv.GaussianBlur": least, "scipy.gaussian_filter": 20.0}
        cases.append(_case("gaussian", SQUARE, 8 * sigma + 1, design=f"gaussian:{sigma}", targets=wanted))
    cases.append(_case("gaussian", SQUARE, 17, design="gaussian:2", dtype="float64", weights="float64"))
    cases.append(_case("gaussian", SQUARE, 17, design="gaussian:2", dtype="uint8"))
    return [*cases, _case("gaussian", (128,) * 3, 17, design="gaussian:2")]


def box() -> list[Case]:
    """List means over windows."""
    wanted = {"opencv.boxFilter": 2.0, "scipy.uniform_filter": 15.0}
    cases = [_case("box", SQUARE, k, design="box", targets=wanted if k == 31 else {}) for k in (3, 7, 15, 31, 63)]
    cases.append(_case("box", SQUARE, 31, design="box", dtype="float64", weights="float64"))
    cases.append(_case("box", SQUARE, 31, design="box", dtype="uint8"))
    return [*cases, _case("box", (128,) * 3, 9, design="box")]


def signals() -> list[Case]:
    """List long lines."""
    least = {4097: {"scipy.signal": 2.0}, 65_537: {"scipy.signal": 2.0}}
    return [_case("signals", (10**6,), k, boundary="zero", targets=least.get(k, {})) for k in (101, 1025, 4097, 65_537)]


def volumes() -> list[Case]:
    """List random kernels in three dimensions."""
    return [_case("volumes", (128,) * 3, k, targets={"scipy.signal": 2.0} if k == 15 else {}) for k in (5, 9, 15)]


def _case(group: str, shape: tuple[int, ...], k: int, **options: object) -> Case:
    return Case(group=group, shape=shape, kernel=(k,) * len(shape), **options)  # type: ignore[arg-type]
