"""Write docs/other_libraries.md: which convolution each function of other libraries is, found out by `identify`.

Run `python docs/make_other_libraries.py`, with --check to compare only. Needs the extras `test` and `bench`, and torch.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.convolution as astropy
import cv2
import dask.array as da
import numpy as np
import skimage
import torch
from dask_image import ndfilters
from rich.progress import track
from scipy import ndimage, signal
from torch import nn

from faltung.errors import FaltungError
from faltung.problem.boundary import FOREIGN
from faltung.symmetry import Identification, identify
from faltung.symmetry.black_box.dtypes import TRIED

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parent / "other_libraries.md"
LINE = np.array([1.0, 2, 4, 8, -3])  # no symmetry, so that turning it round shows
EVEN = LINE[:4]
IMAGE = np.array([[1.0, 2, 4, 0, 3], [8, -3, 5, 1, 2], [7, 6, -9, 2, 1], [5, 1, 0, -2, 4], [2, 9, 3, -7, 6]])
SIZE = (24, 25)
PACKAGES = ("numpy", "scipy", "opencv-python-headless", "torch", "scikit-image", "astropy", "dask-image")


@dataclass(frozen=True)
class Case:
    """A call as it is written, what does it, and what its library says that it does."""

    library: str
    call: str
    f: Callable[[Any], Any]
    shape: tuple[int, ...] = SIZE
    kernel: np.ndarray | None = None
    dtype: Any = None
    promised: str | None = None  # the rule that the library's own name for the boundary stands for
    dtypes: tuple[str, ...] = TRIED


def weighted(x: np.ndarray, mode: str) -> np.ndarray:
    """Correlate by SciPy's filter for functions of windows."""
    return ndimage.vectorized_filter(x, lambda v, axis: (v * IMAGE).sum(axis), size=IMAGE.shape, mode=mode)


def numpy_cases() -> list[Case]:
    line = partial(Case, "NumPy", shape=(32,))
    cases = [line(f'convolve(x, k, "{m}")', partial(_second, np.convolve, LINE, m), kernel=LINE) for m in MODES]
    cases += [line(f'correlate(x, k, "{m}")', partial(_second, np.correlate, LINE, m), kernel=LINE) for m in MODES]
    cases.append(line('convolve(x, even k, "same")', partial(_second, np.convolve, EVEN, "same"), kernel=EVEN))
    cases.append(line('correlate(x, even k, "same")', partial(_second, np.correlate, EVEN, "same"), kernel=EVEN))
    cases += [line(f"{f.__name__}(x)", f) for f in (np.gradient, np.diff, np.cumsum, np.sort)]
    return [*cases, line("roll(x, 2)", lambda x: np.roll(x, 2))]


MODES = ("same", "full", "valid")
NAMES = ("convolve", "correlate")


def _second(f: Callable[..., Any], k: np.ndarray, mode: str, x: np.ndarray) -> Any:
    return f(x, k, mode)


def ndimage_cases() -> list[Case]:
    case, names = partial(Case, "scipy.ndimage"), FOREIGN["ndimage"]
    cases = []
    for mode, rule in names.items():
        given = {"kernel": IMAGE, "promised": rule}
        cases.append(
            case(f'correlate(x, k, mode="{mode}")', partial(ndimage.correlate, weights=IMAGE, mode=mode), **given)
        )
        cases.append(case(f'vectorized_filter(x, sum of k, mode="{mode}")', partial(weighted, mode=mode), **given))
    cases.append(case("convolve(x, k)", partial(ndimage.convolve, weights=IMAGE), kernel=IMAGE, promised="symmetric"))
    shifted = {"origin": (2, -1)}
    cases.append(
        case("correlate(x, k, origin=(2, -1))", partial(ndimage.correlate, weights=IMAGE, **shifted), kernel=IMAGE)
    )
    cases.append(
        case("convolve(x, k, origin=(2, -1))", partial(ndimage.convolve, weights=IMAGE, **shifted), kernel=IMAGE)
    )
    names = ("correlate1d", "convolve1d")
    cases += [case(f"{n}(x, even k)", partial(getattr(ndimage, n), weights=EVEN), kernel=EVEN) for n in names]
    cases.append(case("generic_filter(x, sum, 3)", lambda x: ndimage.generic_filter(x, np.sum, 3), shape=(16, 16)))
    for name, more in NDIMAGE.items():
        asked = ", ".join(str(v) for v in more)
        cases.append(case(f"{name}(x{', ' if asked else ''}{asked})", partial(_after, getattr(ndimage, name), more)))
    return cases


NDIMAGE: dict[str, tuple[Any, ...]] = {
    "uniform_filter": (4,),
    "uniform_filter1d": (3,),
    "gaussian_filter": (1,),
    "gaussian_filter1d": (1,),
    "sobel": (),
    "prewitt": (),
    "laplace": (),
    "gaussian_laplace": (1,),
    "gaussian_gradient_magnitude": (1,),
    "median_filter": (3,),
    "maximum_filter": (3,),
    "spline_filter": (),
}


def _after(f: Callable[..., Any], more: tuple[Any, ...], x: np.ndarray) -> Any:
    return f(x, *more)


def signal_cases() -> list[Case]:
    line, image = partial(Case, "scipy.signal", shape=(32,)), partial(Case, "scipy.signal")
    cases = []
    for names, title, k in (
        (("convolve", "correlate", "fftconvolve", "oaconvolve"), "k", LINE),
        (NAMES, "even k", EVEN),
    ):
        given = [(n, partial(_second, getattr(signal, n), k, "same")) for n in names]
        cases += [line(f'{n}(x, {title}, "same")', f, kernel=k) for n, f in given]
    for boundary, rule in FOREIGN["signal"].items():
        for name in ("convolve2d", "correlate2d"):
            f = partial(getattr(signal, name), in2=IMAGE, mode="same", boundary=boundary)
            cases.append(image(f'{name}(x, k, "same", "{boundary}")', f, kernel=IMAGE, promised=rule))
    cases.append(image("sepfir2d(x, k, k)", lambda x: signal.sepfir2d(x, LINE, LINE), shape=(32, 32)))
    cases.append(line("lfilter(k, 1, x)", lambda x: signal.lfilter(LINE, 1, x), kernel=LINE))
    cases.append(line("filtfilt(k, 1, x, padlen=5)", lambda x: signal.filtfilt(EVEN, 1, x, padlen=5), shape=(48,)))
    cases.append(line("upfirdn(k, x, down=2)", lambda x: signal.upfirdn(LINE, x, down=2), kernel=LINE))
    cases.append(line('decimate(x, 2, ftype="fir")', lambda x: signal.decimate(x, 2, ftype="fir"), shape=(256,)))
    smooth = partial(signal.savgol_filter, window_length=5, polyorder=2)
    modes = ("mirror", "nearest", "wrap", "constant", "interp")
    cases += [line(f'savgol_filter(x, 5, 2, mode="{mode}")', partial(smooth, mode=mode)) for mode in modes]
    return [
        *cases,
        line("medfilt(x)", signal.medfilt),
        image("wiener(x)", signal.wiener),
        line("detrend(x)", signal.detrend),
    ]


def opencv_cases() -> list[Case]:
    case, names = partial(Case, "OpenCV"), FOREIGN["cv2"]
    cases = []
    for mode in ("reflect", "reflect_101", "replicate", "constant"):
        f = partial(cv2.filter2D, ddepth=-1, kernel=IMAGE, borderType=getattr(cv2, f"BORDER_{mode.upper()}"))
        cases.append(case(f"filter2D(x, -1, k, BORDER_{mode.upper()})", f, kernel=IMAGE, promised=names[mode]))
    cases.append(
        case("filter2D(x, -1, even k)", lambda x: cv2.filter2D(x, -1, IMAGE[:2, :2].copy()), kernel=IMAGE[:2, :2])
    )
    cases.append(case("sepFilter2D(x, -1, k, k)", lambda x: cv2.sepFilter2D(x, -1, LINE, LINE)))
    cases.append(case("GaussianBlur(x, (5, 5), 1)", lambda x: cv2.GaussianBlur(x, (5, 5), 1)))
    cases.append(case("blur(x, (4, 3))", lambda x: cv2.blur(x, (4, 3))))
    cases.append(
        case("boxFilter(x, -1, (3, 3), normalize=False)", lambda x: cv2.boxFilter(x, -1, (3, 3), normalize=False))
    )
    cases.append(case("Sobel(x, -1, 1, 0)", lambda x: cv2.Sobel(x, -1, 1, 0)))
    cases.append(case("Scharr(x, -1, 0, 1)", lambda x: cv2.Scharr(x, -1, 0, 1)))
    # OpenCV 5.0's Laplacian writes beyond its memory when it is given float16.
    for more in ({}, {"ksize": 3}):
        asked = "".join(f", {name}={v}" for name, v in more.items())
        few = tuple(name for name in TRIED if name != "float16")
        cases.append(case(f"Laplacian(x, -1{asked})", partial(cv2.Laplacian, ddepth=-1, **more), dtypes=few))
    cases.append(case("pyrDown(x)", cv2.pyrDown, shape=(24, 24)))
    area = partial(cv2.resize, dsize=None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cases.append(case("resize(x, half, INTER_AREA)", area, shape=(24, 24)))
    linear = partial(cv2.resize, dsize=None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR)
    cases.append(case("resize(x, half, INTER_LINEAR)", linear, shape=(24, 24)))
    cases.append(case("medianBlur(x, 3)", lambda x: cv2.medianBlur(x, 3), dtype=np.float32))
    cases.append(case("bilateralFilter(x, 5, 1, 1)", lambda x: cv2.bilateralFilter(x, 5, 1, 1), dtype=np.float32))
    return [*cases, case("dilate(x, 3x3)", lambda x: cv2.dilate(x, np.ones((3, 3), np.uint8)))]


def torch_cases() -> list[Case]:
    case = partial(Case, "torch.nn", shape=(1, 1, *SIZE))
    cases = []
    for mode, rule in FOREIGN["torch"].items():
        if mode == "constant":
            continue
        f = convolution(padding=2, padding_mode=mode)
        cases.append(case(f'Conv2d(1, 1, 5, padding=2, padding_mode="{mode}")', f, kernel=IMAGE, promised=rule))
    cases.append(case("Conv2d(1, 1, 5)", convolution(), kernel=IMAGE))
    cases.append(case("Conv2d(1, 1, 5, stride=2, padding=2)", convolution(stride=2, padding=2), kernel=IMAGE))
    cases.append(case("Conv2d(1, 1, 5, dilation=2, padding=4)", convolution(dilation=2, padding=4), kernel=None))
    cases.append(case("AvgPool2d(2)", nn.AvgPool2d(2)))
    cases.append(case("AvgPool2d(3, 1, 1)", nn.AvgPool2d(3, 1, 1)))
    cases.append(case("AvgPool2d(3, 1, 1, count_include_pad=False)", nn.AvgPool2d(3, 1, 1, count_include_pad=False)))
    cases.append(case("MaxPool2d(2)", nn.MaxPool2d(2)))
    half = partial(nn.functional.interpolate, scale_factor=0.5, mode="bilinear", antialias=True)
    as_tensor = partial(_on_tensors, half)
    return [*cases, case('interpolate(x, 1/2, "bilinear", antialias)', as_tensor, shape=(1, 1, 32, 32))]


def convolution(**asked: Any) -> nn.Conv2d:
    layer = nn.Conv2d(1, 1, 5, bias=False, dtype=torch.float64, **asked)
    layer.weight.data[0, 0] = torch.from_numpy(IMAGE)
    return layer


def _on_tensors(f: Callable[..., Any], x: np.ndarray) -> Any:
    return f(torch.from_numpy(x))


def skimage_cases() -> list[Case]:
    case, filters, transform = partial(Case, "scikit-image"), skimage.filters, skimage.transform
    cases = [case(f"filters.{name}(x)", getattr(filters, name)) for name in ("gaussian", "laplace", "sobel", "median")]
    names = ("sobel_h", "sobel_v", "prewitt_h", "scharr_v", "farid_h", "roberts_pos_diag")
    cases += [case(f"filters.{name}(x)", getattr(filters, name)) for name in names]
    cases.append(
        case("filters.difference_of_gaussians(x, 1)", lambda x: filters.difference_of_gaussians(x, 1), shape=(60, 60))
    )
    cases.append(case("filters.unsharp_mask(x)", partial(filters.unsharp_mask, preserve_range=True)))
    cases.append(
        case("transform.downscale_local_mean(x, 2)", lambda x: transform.downscale_local_mean(x, 2), shape=(24, 24))
    )
    reduce = partial(transform.pyramid_reduce, preserve_range=True)
    return [*cases, case("transform.pyramid_reduce(x)", reduce, shape=(48, 48))]


def astropy_cases() -> list[Case]:
    case = partial(Case, "astropy.convolution", kernel=IMAGE)
    asked = {"normalize_kernel": False}
    cases = []
    for boundary, rule in [*FOREIGN["astropy"].items(), (None, None)]:
        f = partial(astropy.convolve, kernel=IMAGE, boundary=boundary, **asked)
        cases.append(case(f"convolve(x, k, {boundary!r})", f, promised=rule))
    for boundary in ("fill", "wrap"):
        f = partial(astropy.convolve_fft, kernel=IMAGE, boundary=boundary, **asked)
        cases.append(case(f"convolve_fft(x, k, {boundary!r})", f, promised=FOREIGN["astropy"][boundary]))
    return cases


def dask_cases() -> list[Case]:
    case = partial(Case, "dask-image")
    cases = []
    for name in ("correlate", "convolve"):
        f = partial(_in_chunks, partial(getattr(ndfilters, name), weights=IMAGE))
        cases.append(case(f"ndfilters.{name}(x, k)", f, kernel=IMAGE, promised="symmetric"))
    for mode in ("nearest", "wrap", "mirror"):
        f = partial(_in_chunks, partial(ndfilters.correlate, weights=IMAGE, mode=mode))
        rule = FOREIGN["ndimage"][mode]
        cases.append(case(f'ndfilters.correlate(x, k, mode="{mode}")', f, kernel=IMAGE, promised=rule))
    for name, more in {"gaussian_filter": (1,), "uniform_filter": (3,), "sobel": (), "laplace": ()}.items():
        f = partial(_in_chunks, partial(_after, getattr(ndfilters, name), more))
        cases.append(case(f"ndfilters.{name}(x{''.join(f', {v}' for v in more)})", f))
    return cases


def _in_chunks(f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    return np.asarray(f(da.from_array(x, chunks=(12, 25))))


def cases() -> list[Case]:
    groups = (
        numpy_cases,
        ndimage_cases,
        signal_cases,
        opencv_cases,
        torch_cases,
        skimage_cases,
        astropy_cases,
        dask_cases,
    )
    return [case for group in groups for case in group()]


def found(case: Case) -> Identification | str:
    try:
        return identify(case.f, case.shape, kernel=case.kernel, dtype=case.dtype, dtypes=case.dtypes)
    except FaltungError as error:
        return str(error)


def row(case: Case, result: Identification | str) -> str:
    if isinstance(result, str) or result.kernel is None:
        said = result if isinstance(result, str) else result.difference
        return f"| `{case.call}` | no | | | | {said.replace('|', ' ')} |"
    k = result.kernel
    kernel = " x ".join(map(str, k.shape))
    if result.flip is not None:
        kernel += ", turned" if result.flip else ", as given"
    steps = [f"{n} {shown(v)}" for n, v in (("stride", result.stride), ("dilation", result.dilation)) if set(v) != {1}]
    rules = "; ".join(dict.fromkeys(sides(*pair) for pair in result.boundary))
    others = sorted({name for pair in result.others for side in pair for name in side})
    rules += f" (or {', '.join(others)})" if others else ""
    note = result.difference.partition("; axis")[0] or "; ".join(dtypes(result))
    cells = [
        f"`{case.call}`",
        "yes" if result.is_convolution else "inside",
        ", ".join([kernel, *steps]),
        shown(result.anchor),
    ]
    return "| " + " | ".join([*cells, rules, note.replace("|", " ")]) + " |"


def dtypes(result: Identification) -> list[str]:
    rules = result.dtypes or {}
    return [f"{name} → {rule}" for name, rule in rules.items() if name in ("uint8", "float32") and name != rule]


def shown(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else str(values).replace(" ", "")


def sides(low: str, high: str) -> str:
    return low if low == high else f"{low}, {high}"


def surprises(results: list[tuple[Case, Identification | str]]) -> list[str]:
    """List what differs from the promise of a name, and what has one name and is two things."""
    lines = []
    for case, result in results:
        if case.promised is None or isinstance(result, str):
            continue
        got = {name for pair in result.boundary for name in pair}
        agree = [
            case.promised in (rule, *more)
            for pair in zip(result.boundary, result.others, strict=True)
            for rule, more in zip(*pair, strict=True)
        ]
        if not all(agree):
            said = f"is `{'`, `'.join(sorted(got))}`" if result.kernel is not None else result.difference
            lines.append(f"- {case.library} `{case.call}`: its name stands for `{case.promised}`, it {said}.")
    return lines


def page() -> str:
    results = [(case, found(case)) for case in track(cases(), "identifying", disable=not sys.stderr.isatty())]
    good = sum(not isinstance(r, str) and r.is_convolution for _, r in results)
    text = [HEAD.format(count=len(results), good=good, versions=versions())]
    text += ["## Names that promise something else", "", *surprises(results), ""]
    for library in dict.fromkeys(case.library for case, _ in results):
        text += [f"## {library}", "", *TABLE, *(row(c, r) for c, r in results if c.library == library), ""]
    return "\n".join(text)


def versions() -> str:
    return ", ".join(f"{p} {version(p)}" for p in PACKAGES)


TABLE = ["| call | convolution | kernel | anchor | beyond the edges | what else |", "|---|---|---|---|---|---|"]
HEAD = """# What other libraries' filters are

Written by `docs/make_other_libraries.py`, which asks `faltung.symmetry.identify` about {count} calls and knows nothing
of them but how they are made. {good} are convolutions with one rule beyond each edge; for all others the first thing is
named that no convolution does. Found with
{versions}.

The kernel `k` that is given has no symmetry, so it shows whether it is *turned* round (convolution) or taken *as given*
(correlation). The anchor is the tap that lies on the output's own sample. Rules have NumPy's names: `reflect` leaves
the edge sample out, `symmetric` repeats it, `edge` repeats nothing but it, `valid` reads nothing beyond. `uint8 →` says
what becomes of random bytes.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    text = page()
    if parser.parse_args().check:
        return int(text != PAGE.read_text())
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
