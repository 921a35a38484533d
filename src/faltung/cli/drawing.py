"""What ``faltung draw`` does: read the options, draw, write, and say what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import faltung as ft
from faltung import plot
from faltung.errors import GeometryError, ProblemError
from faltung.filters import custom, parse
from faltung.plot import saving

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

EXAMPLE = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9, 5, 0, 2, 8, 8)
SIDE = 1024  # pixels of an image beyond which only every nth is drawn


@dataclass(frozen=True)
class Options:
    """How the filter is applied, as text."""

    boundary: str | None
    stride: int
    dilation: int
    padding: int | None
    mode: str
    convolve: bool


@dataclass(frozen=True)
class Motion:
    """How the arithmetic is drawn."""

    transposed: bool
    moving: bool
    seconds: float = 0.8


def kernel(text: str, ndim: int, output: Path, *, force: bool) -> str:
    """Draw a kernel."""
    return _written(lambda: plot.kernel(_filter(text, ndim)), output, force)


def sliding(
    text: str, ndim: int, options: Options, given: tuple[Path | None, str, str | None], output: Path, *, force: bool
) -> str:
    """Draw the sliding operation; `given` is a file or None, the size of an example, and the output looked at."""
    source, size, at = given

    def draw() -> Figure:
        c = _convolution(text, ndim, options)
        x = _grey(source) if source else _example(_integers("--size", size), len(c.window))
        return plot.sliding(x, c, None if at is None else _integers("--at", at))

    return _written(draw, output, force)


def feature_map(text: str, options: Options, source: Path, output: Path, *, force: bool) -> str:
    """Draw an image and its feature map."""
    return _written(lambda: plot.feature_map(_smaller(_grey(source)), _convolution(text, 2, options)), output, force)


def layer(channels: tuple[int, int], window: str, groups: int, output: Path, *, bias: bool, force: bool) -> str:
    """Draw a layer."""
    size = _integers("--kernel", window)
    return _written(lambda: plot.layer(*channels, _one(size), groups=groups, bias=bias), output, force)


def units(text: str, options: Options, n: int, output: Path, *, force: bool) -> str:
    """Draw units and edges."""
    return _written(lambda: plot.units(_convolution(text, 1, options), n), output, force)


def matrix(text: str, options: Options, shape: str, output: Path, *, force: bool) -> str:
    """Draw a matrix."""
    sizes = _integers("--shape", shape)
    return _written(lambda: plot.matrix(_convolution(text, len(sizes), options), sizes), output, force)


def arithmetic(texts: dict[str, str], how: Motion, output: Path, *, force: bool) -> str:
    """Draw the arithmetic of convolution, moving in a GIF."""
    given: dict[str, Any] = {name: _one(_integers(f"--{name}", text)) for name, text in texts.items()}
    # "7," is one axis, as a tuple of one is.
    if texts["size"].endswith(","):
        given["size"] = _integers("--size", texts["size"])
    if how.moving or output.suffix.lower() == ".gif":
        return _written(
            lambda: plot.arithmetic_frames(**given, transposed=how.transposed), output, force, seconds=how.seconds
        )
    return _written(lambda: plot.arithmetic(**given, transposed=how.transposed), output, force)


def boundary(rules: str | None, source: Path | None, output: Path, *, force: bool) -> str:
    """Draw boundary rules."""
    wanted = None if rules is None else [rule.strip() for rule in rules.split(",")]
    return _written(lambda: plot.boundary(wanted, None if source is None else _smaller(_array(source))), output, force)


def response(text: str, ndim: int, output: Path, *, force: bool) -> str:
    """Draw a frequency response."""

    def draw() -> Figure:
        found = _filter(text, ndim)
        spectrum = ft.Convolution(found, flip=False).spectrum()
        return plot.response(spectrum.frequencies, spectrum.magnitude, spectrum.phase)

    return _written(draw, output, force)


def _written(
    draw: Callable[[], Figure | list[Figure]], output: Path, force: bool, *, seconds: float = Motion.seconds
) -> str:
    saving.check(output, 1, force=force)
    drawn = draw()
    plot.save(drawn, output, force=force, seconds=seconds)
    figures = drawn if isinstance(drawn, list) else [drawn]
    frames = f", {len(figures)} frames" if len(figures) > 1 else ""
    width, height = figures[0].get_size_inches()
    return f"{output}: {width:.1f} x {height:.1f} inches{frames}"


def _filter(text: str, ndim: int) -> Any:
    """Read a filter by name, from a file, or as rows of taps."""
    if text.lower().endswith(".npy"):
        return custom(Path(text))
    if text[:1] not in "+-.0123456789":
        return parse(text, ndim=ndim)
    rows = [[_number(tap) for tap in row.split(",")] for row in text.split(";")]
    if len({len(row) for row in rows}) > 1:
        msg = f"the rows of {text!r} have {', '.join(str(len(row)) for row in rows)} taps; give as many in each"
        raise GeometryError(msg)
    return np.array(rows[0] if len(rows) == 1 else rows)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        msg = f"{text!r} is no tap; write numbers, as in 1,2,1 or '0,1,0;1,-4,1;0,1,0', or the name of a filter"
        raise ProblemError(msg) from None


def _convolution(text: str, ndim: int, options: Options) -> ft.Convolution:
    return ft.Convolution(
        _filter(text, ndim), flip=options.convolve, mode=options.mode, padding=options.padding,
        boundary=options.boundary, stride=options.stride, dilation=options.dilation,
    )  # fmt: skip


def _integers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(piece) for piece in text.removesuffix(",").split(","))
    except ValueError:
        msg = f"{option} {text!r} is no whole number, nor one per axis such as 2,1"
        raise GeometryError(msg) from None


def _one(numbers: tuple[int, ...]) -> int | tuple[int, ...]:
    return numbers[0] if len(numbers) == 1 else numbers


def _example(size: tuple[int, ...], ndim: int) -> np.ndarray[Any, Any]:
    shape = size * ndim if len(size) == 1 else size
    if min(shape) < 1:
        msg = f"--size {size} leaves nothing to draw; give at least 1"
        raise GeometryError(msg)
    return np.resize(EXAMPLE, shape)


def _array(source: Path) -> np.ndarray[Any, Any]:
    from faltung.files import read

    return np.asarray(read(source).array)


def _grey(source: Path) -> np.ndarray[Any, Any]:
    """Read an image, and of colours the luma of ITU-R BT.601."""
    array = _array(source)
    if array.ndim == 3 and array.shape[2] in (3, 4):
        grey: np.ndarray[Any, Any] = np.rint(array[..., :3] @ np.array([0.299, 0.587, 0.114])).astype(array.dtype)
        return grey
    return array


def _smaller(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Leave samples of a large image out: a picture has no more dots."""
    step = -(-max(array.shape[:2]) // SIDE)
    return array[::step, ::step] if array.ndim > 1 else array
