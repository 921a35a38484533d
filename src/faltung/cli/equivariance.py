"""``faltung equivariance``: find the model, read the picture, measure, print, and say whether it may pass."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from faltung import symmetry
from faltung.errors import EquivarianceError, FileError, GeometryError, ProblemError
from faltung.files import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.symmetry import Group, Report

GREY = (0.299, 0.587, 0.114)  # Rec. 601 luma, for models that take one channel
GROUPS: dict[str, Callable[[list[float]], Group]] = {
    "shifts": lambda v: symmetry.shifts(v or 1),
    "cropped-shifts": lambda v: symmetry.shifts(v or 1, beyond="crop"),
    "rotations90": lambda _: symmetry.rotations90(),
    "dihedral": lambda _: symmetry.dihedral(),
    "reflections": lambda v: symmetry.reflections(int(v[0]) if v else None),
    "rotations": lambda v: symmetry.rotations(v or (15, 30, 45)),
    "permutations": lambda _: symmetry.permutations(),
    "scalings": lambda v: symmetry.scalings(v or (0.5, 0.8, 1.25, 2)),
    "offset": lambda v: symmetry.offset(*v[:1]),
    "gain": lambda v: symmetry.gain(*v[:1]),
}
LAYOUTS = {"hw": (0, 1), "hwc": (0, 1), "chw": (1, 2), "nchw": (2, 3), "nhwc": (1, 2)}


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the user asked for, as text."""

    model: str
    group: str
    source: Path
    crop: str | None
    layout: str | None
    raw: bool
    output: str
    layers: bool
    fail_above: float | None
    json: Path | None
    plot: Path | None


def audit(job: Audit) -> int:
    """Run an audit, print its report, and return the exit code: 1 if an error is above the limit."""
    f, layout, channels, sizes = model(job.model)
    layout = (job.layout or layout).lower()
    x = picture(job, layout, channels, sizes)
    axes = LAYOUTS.get(layout, (0, 1))
    report = symmetry.equivariance(f, x, group(job.group), job.output, axes=axes, layers=job.layers)
    if sys.stdout.isatty():
        Console(highlight=False).print(report)
    else:
        print(report)  # a file or a pipe gets lines of any width
    keep(report, job)
    try:
        if job.fail_above is not None:
            report.require(job.fail_above)
    except EquivarianceError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"faltung: {error}", markup=False)
        return 1
    return 0


def keep(report: Report, job: Audit) -> None:
    """Write the report and the picture of it, where they are wanted."""
    if job.json:
        report.to_json(job.json)
    if job.plot:
        from faltung.plot import save

        save(report.plot(), job.plot)


def group(text: str) -> Group:
    """Read a group: its name, and after a colon its distances, angles, factors or axis.

    Raises ProblemError for an unknown name or values that are no numbers.

    >>> [g.name for g in group("shifts:1,4").elements][:2]
    ['shift (1, 0)', 'shift (0, 1)']
    """
    name, _, values = text.partition(":")
    if name not in GROUPS:
        msg = f"unknown group {name!r}; there are {', '.join(GROUPS)}, with values after a colon: shifts:1,2,8"
        raise ProblemError(msg)
    try:
        numbers = [float(v) for v in values.split(",") if v.strip()]
    except ValueError:
        msg = f"group {text!r}: {values!r} are not numbers with commas between them, as in shifts:1,2,8"
        raise ProblemError(msg) from None
    return GROUPS[name]([int(v) if v.is_integer() else v for v in numbers])


def model(text: str) -> tuple[Any, str, int | None, tuple[int | None, ...]]:
    """Find the model: an ONNX path or module:function; return it with layout, channels and sizes that it wants."""
    if text.endswith(".onnx") or ":" not in text:
        return onnx_model(Path(text))
    f = function(text)
    torch = sys.modules.get("torch")
    is_module = torch is not None and isinstance(f, torch.nn.Module)
    return f, "nchw" if is_module else "picture", module_channels(f) if is_module else None, (None, None)


def onnx_model(path: Path) -> tuple[Path, str, int | None, tuple[int | None, ...]]:
    """Read off an ONNX model how it takes pictures; GeometryError if its input is none."""
    from faltung.symmetry.audit.onnx import load, model_input

    _, shape, _ = model_input(load(path), path)
    if len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3):
        return path, "nhwc", shape[3], shape[1:3]
    if len(shape) == 4:
        return path, "nchw", shape[1], shape[2:]
    if len(shape) == 3:
        return path, "chw", shape[0], shape[1:]
    if len(shape) == 2:
        return path, "hw", 1, shape
    msg = f"{path.name} takes an input of {len(shape)} axes, and a picture has 2 to 4; audit it from Python instead"
    raise GeometryError(msg)


def module_channels(module: Any) -> int | None:
    """Return the channels of a module's first convolution, None without one."""
    weights = (w for w in module.parameters() if w.ndim == 4)
    first = next(weights, None)
    return None if first is None else int(first.shape[1])


def function(text: str) -> Any:
    """Import module:function from the current folder or the path; a class is called for its object."""
    name, _, attribute = text.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = import_module(name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        msg = f"{text}: {error}; name a function or a model that can be imported, as in package.module:function"
        raise ProblemError(msg) from error
    return found() if isinstance(found, type) else found


def picture(job: Audit, layout: str, channels: int | None, sizes: tuple[int | None, ...]) -> Any:
    """Read the picture, in the model's layout and number of channels, as float32 from 0 to 1 unless it is to stay raw.

    An NPY file that already has the layout's axes is taken as it is.

    Raises:
        FileError: the file is no picture of one plane or of colours.
        GeometryError: it is smaller than what is cut out.
    """
    found = read(job.source)
    array, axes = np.asarray(found.array), found.axes or {2: "yx", 3: "yxc"}.get(found.ndim)
    if found.format == "npy" and layout in LAYOUTS and array.ndim == len(layout) > 2:
        return array
    if axes not in ("yx", "yxc"):
        what = f"axes {axes}" if axes else f"{found.ndim} axes"
        msg = f"{job.source}: {what} are no picture in rows and columns (yx or yxc); save one plane of it"
        raise FileError(msg)
    array = cropped(array, job.crop, sizes, job.source)
    if not job.raw:
        scale = np.iinfo(array.dtype).max if array.dtype.kind in "iu" else 1
        array = (array / scale).astype(np.float32)
    if layout == "picture":
        return array
    if layout not in LAYOUTS:
        msg = f"layout {layout!r} is unknown; there are {', '.join(LAYOUTS)}"
        raise ProblemError(msg)
    array = coloured(array, 1 if layout == "hw" else channels)
    if layout == "hw":
        return array[..., 0]
    arranged = array if layout[-1] == "c" else array.transpose(2, 0, 1)
    return arranged[None] if layout[0] == "n" else arranged


def coloured(array: Any, channels: int | None) -> Any:
    """Return rows, columns, channels: grey is repeated, colours are averaged to luma, alpha is left out."""
    planes = array[..., None] if array.ndim == 2 else array
    wanted = channels or planes.shape[-1]
    if planes.shape[-1] in (2, 4) and wanted < planes.shape[-1]:
        planes = planes[..., :-1]
    if planes.shape[-1] == 1:
        return np.repeat(planes, wanted, -1)
    if wanted == 1 and planes.shape[-1] == 3:
        return (planes @ np.array(GREY))[..., None].astype(planes.dtype)
    return planes


def cropped(array: Any, crop: str | None, sizes: tuple[int | None, ...], path: Path) -> Any:
    """Cut the middle out of a picture, as large as the user or the model says."""
    wanted: list[int | None] = list(sizes)
    if crop:
        try:
            numbers = [int(v) for v in crop.replace("x", ",").split(",")]
        except ValueError:
            msg = f"--crop {crop!r}: give rows and columns, as in 160,320, or one number for both"
            raise ProblemError(msg) from None
        wanted = [numbers[0], numbers[-1]]
    for axis, size in enumerate(wanted):
        if size is None:
            continue
        if not 0 < size <= array.shape[axis]:
            msg = f"{path}: {array.shape[0]} x {array.shape[1]} pixels hold no {size} along axis {axis}; enlarge it"
            raise GeometryError(msg)
        start = (array.shape[axis] - size) // 2
        array = array[start : start + size] if axis == 0 else array[:, start : start + size]
    return array
