"""What ``faltung filters`` prints and saves: the list, and one filter with its kernel drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from faltung.errors import FileError, ProblemError
from faltung.files import write
from faltung.filters import REGISTRY, parse
from faltung.filters.colours import colours, enlarged, plane, relative
from faltung.filters.describe import Description, describe
from faltung.filters.parse import usage

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from faltung.filters import Filter

Array: TypeAlias = np.ndarray[Any, Any]

# What is drawn where a filter is named without the parameters it needs.
EXAMPLES = {
    "gaussian": "gaussian:sigma=2",
    "box": "box:size=5",
    "disk": "disk:radius=4.5",
    "lanczos": "lanczos:factor=2",
    "motion": "motion:length=9",
    "log": "log:sigma=2",
    "dog": "dog:sigma=2",
    "gabor": "gabor:wavelength=8",
    "unsharp": "unsharp:sigma=1.5",
}
WRITTEN_OUT = 128  # taps that are printed as numbers
POSITIVE, NEGATIVE = " ░▒▓█", " .-=#"  # shades where there is no colour
FAINT = 1e-3  # of the largest tap: below it a tap is drawn as 0
BAR = 40  # characters of the longest bar


def show_all() -> None:
    """List the filters: how each is written, what it does, and its formula."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("filter", style="bold", no_wrap=True)
    table.add_column("what it is")
    for name in REGISTRY:
        about = describe(name)
        table.add_row(Text(usage(name, brief=True)), Text.assemble(about.summary, "\n", (about.formula, "dim")))
    console = Console(highlight=False)
    console.print(table)
    console.print("One of them with its parameters, drawn:  faltung filters NAME")


def show(text: str, ndim: int) -> None:
    """Print a filter: formula, source, parameters, and its kernel drawn."""
    about = describe(text.partition(":")[0])
    console = Console(highlight=False, soft_wrap=False)
    needs = any(p.default is None for p in about.parameters) and ":" not in text
    if needs and about.name not in EXAMPLES:
        console.print(_words(about))
        return
    found = parse(EXAMPLES[about.name] if needs else text, ndim=ndim)
    console.print(_words(about))
    console.print(_facts(found, f" (an example: {EXAMPLES[about.name]})" if needs else ""))
    console.print(_drawing(found, console))
    if found.kernel.size <= WRITTEN_OUT:
        # By itself, since rich would take the brackets for its own.
        console.print(Text(np.array2string(found.kernel, max_line_width=console.width)))


def save(text: str, ndim: int, path: Path, *, force: bool) -> str:
    """Write the taps to NPY or TIFF, or a picture of them to PNG or JPEG; return a line that says so."""
    found = parse(text, ndim=ndim)
    kind = path.suffix.lower()
    if kind in (".png", ".jpg", ".jpeg"):
        if found.ndim > 2:
            msg = f"{path}: a picture shows 1 or 2 axes, and the kernel has {found.ndim}; save it as .npy, or --ndim 2"
            raise FileError(msg)
        picture = enlarged(plane(found.kernel, found.anchor))
        write(path, picture, "yxc", force=force)
        return f"{path}: {picture.shape[0]} x {picture.shape[1]} pixels, red above 0, blue below"
    write(path, found.kernel, force=force)
    return f"{path}: {' x '.join(map(str, found.shape))} {found.kernel.dtype}"


def required(name: str | None) -> str:
    """Return the filter that ``--save`` needs.

    Raises:
        ProblemError: none was named.
    """
    if name is None:
        raise ProblemError("--save needs a filter: write faltung filters NAME:params --save FILE")
    return name


def _words(about: Description) -> RenderableType:
    head = Text.assemble((about.name, "bold"), f": {about.summary}")
    lines = Table.grid(padding=(0, 2))
    for kind, text in (("", about.details), ("formula", about.formula), ("source", about.source)):
        if text:
            lines.add_row(Text(kind, "dim"), Text(text))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("parameter", "default", "meaning"):
        table.add_column(column, header_style="dim")
    for p in about.parameters:
        default = Text("needed", "bold") if p.default is None else Text(p.default)
        table.add_row(p.name, default, Text(p.meaning))
    parts: list[RenderableType] = [table, ""] if about.parameters else []
    return Group(head, Padding(lines, (1, 0)), *parts)


def _facts(found: Filter, note: str) -> RenderableType:
    taps = found.kernel
    span = "" if taps.dtype.kind == "c" or not taps.size else f", {taps.min() * 1:.4g} to {taps.max() * 1:.4g}"
    # The sum is shown as what it is up to rounding.
    total = taps.sum() if abs(taps.sum()) > 1e-12 * abs(taps).sum() else 0
    size = " x ".join(map(str, found.shape))
    anchor = "" if found.is_centred else f", anchor {found.anchor}"
    return Text(f"{found.label}{note}\n{size} {taps.dtype}, sum {total:.6g}{span}{anchor}")


def _drawing(found: Filter, console: Console) -> RenderableType:
    taps = found.kernel
    if not taps.size or not taps.ndim:
        return Text("")
    if taps.ndim == 1:
        return _bars(taps, found.anchor[0])
    shown = plane(taps, found.anchor)
    coloured = console.is_terminal and console.color_system is not None
    across = console.width if coloured else console.width // 2
    step = -(-max(shown.shape) // across)
    picture = _blocks(shown[::step, ::step]) if coloured else _shades(shown[::step, ::step])
    notes = [f"1 tap of {step}"] * (step > 1)
    notes += ["the plane at the anchor"] * (taps.ndim > 2) + ["real parts"] * (taps.dtype.kind == "c")
    notes += [] if coloured else [f"{POSITIVE[1:]} above 0, {NEGATIVE[1:]} below"]
    return Group(picture, *[Text(f"({'; '.join(notes)})", "dim")] * bool(notes))


def _blocks(taps: Array) -> Text:
    """Draw two rows in each line: the upper in the foreground of a half block, the lower behind it."""
    pixels = colours(taps)
    scale = max(1, 24 // max(taps.shape))
    pixels = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    text = Text()
    for y in range(0, len(pixels), 2):
        for x in range(pixels.shape[1]):
            behind = f" on {_rgb(pixels[y + 1, x])}" if y + 1 < len(pixels) else ""
            text.append("▀", f"{_rgb(pixels[y, x])}{behind}")
        text.append("\n" if y + 2 < len(pixels) else "")
    return text


def _rgb(pixel: Array) -> str:
    return f"rgb({pixel[0]},{pixel[1]},{pixel[2]})"


def _shades(taps: Array) -> Text:
    return Text("\n".join("".join(_shade(v) * 2 for v in row).rstrip() for row in relative(taps)))


def _shade(value: float) -> str:
    if np.isnan(value):
        return "?"
    level = 0 if abs(value) < FAINT else min(4, 1 + int(4 * abs(value)))
    return POSITIVE[level] if value > 0 else NEGATIVE[level]


def _bars(taps: Array, anchor: int) -> RenderableType:
    step = -(-len(taps) // 64)
    shares = relative(taps)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column()
    for i in range(anchor % step, len(taps), step):
        above = bool(shares[i] > 0)
        bar = ("█" if above else "░") * round(BAR * abs(np.nan_to_num(shares[i])))
        table.add_row(str(i - anchor), f"{taps[i] * 1:.4g}", Text(bar, "red" if above else "blue"))
    return Group(table, *[Text(f"(1 tap of {step})", "dim")] * (step > 1))
