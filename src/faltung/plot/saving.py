"""Pictures as files: the same picture gives the same bytes, and no file is replaced unasked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from faltung.errors import FileError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

FORMATS = (".svg", ".png", ".gif")
DOTS = 100  # per inch, in PNG
DOTS_MOVING = 72  # in GIF
COLOURS = 32  # in GIF


def save(
    picture: Figure | Sequence[Figure], path: str | Path, *, force: bool = False, seconds: float = 0.8, dpi: int = DOTS
) -> None:
    """Write a picture as SVG or PNG, or several as a moving one, GIF or SVG, that shows each for some seconds.

    The suffix of `path` says which. Letters in SVG stay letters. Nothing of the file depends on the day or the
    machine but the version of matplotlib. `dpi` is that of a PNG.

    Raises:
        FileError: an unknown suffix, a folder that does not exist, an existing file without `force`, several pictures
            for a PNG, or a disk that cannot be written.
    """
    path = Path(path)
    figures: list[Figure] = list(picture) if isinstance(picture, Sequence) else [picture]
    check(path, len(figures), force=force)
    kind = path.suffix.lower()
    if kind == ".gif":
        data = _gif(figures, seconds)
    elif kind == ".png":
        data = _png(figures[0], dpi)
    else:
        data = _svg(figures[0]) if len(figures) == 1 else _moving_svg(figures, seconds)
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(data)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror or error}"
        raise FileError(msg) from error


def check(path: Path, pictures: int, *, force: bool) -> None:
    """Refuse, before anything is drawn, what `save` would refuse."""
    kind = path.suffix.lower()
    if kind not in FORMATS:
        msg = f"{path}: the suffix {path.suffix!r} names no format of pictures; use one of {', '.join(FORMATS)}"
        raise FileError(msg)
    if kind == ".png" and pictures != 1:
        msg = f"{path}: a PNG holds one picture, and there are {pictures}; write .gif or .svg, which move"
        raise FileError(msg)
    if path.is_dir():
        msg = f"{path}: this is a folder; give a file name in it"
        raise FileError(msg)
    if not path.parent.is_dir():
        msg = f"{path}: the folder {path.parent} does not exist; create it first"
        raise FileError(msg)
    if path.exists() and not force:
        raise _exists(path)


def _exists(path: Path) -> FileError:
    return FileError(f"{path}: exists already; pass --force (force=True) to replace it")


def _png(figure: Figure, dpi: int) -> bytes:
    buffer = BytesIO()
    _pixels(figure, dpi).save(buffer, "png", optimize=True, dpi=(dpi, dpi))
    return buffer.getvalue()


def _gif(figures: Sequence[Figure], seconds: float) -> bytes:
    from PIL import Image

    # One palette for all: then a frame only holds what differs from the one before.
    images = [_pixels(figure, DOTS_MOVING) for figure in figures]
    first = images[0].quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    frames = [image.quantize(palette=first, dither=Image.Dither.NONE) for image in images]
    buffer = BytesIO()
    frames[0].save(
        buffer, "gif", save_all=True, append_images=frames[1:], duration=round(1000 * seconds), loop=0, optimize=False
    )
    return buffer.getvalue()


def _pixels(figure: Figure, dpi: int) -> Image.Image:
    from PIL import Image

    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return Image.open(buffer).convert("RGB")


def _svg(figure: Figure) -> bytes:
    from matplotlib import rc_context

    buffer = BytesIO()
    # The only settings that a figure cannot carry itself; they are put back at once.
    with rc_context({"svg.hashsalt": "faltung", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _moving_svg(figures: Sequence[Figure], seconds: float) -> bytes:
    """Lay the pictures on each other and let each be seen in its turn, without a script."""
    drawings = [_svg(figure).decode() for figure in figures]
    head = re.search(r"<svg[^>]*>", drawings[0])
    if head is None:
        raise FileError("matplotlib wrote no <svg> element; please report its version")
    turns = len(figures)
    parts = [drawings[0][: head.end()]]
    for turn, drawing in enumerate(drawings):
        inside = drawing[drawing.index(">", drawing.index("<svg")) + 1 : drawing.rindex("</svg>")]
        shown = ";".join("inline" if i == turn else "none" for i in range(turns))
        parts.append(
            f'<g display="{"none" if turn else "inline"}"><animate attributeName="display" values="{shown}" '
            f'dur="{turns * seconds:g}s" calcMode="discrete" repeatCount="indefinite"/>{inside}</g>\n'
        )
    return "".join([*parts, "</svg>\n"]).encode()
