"""What a caller gave, read and checked: kernels, banks and layers, shapes, dtypes, demands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from faltung.errors import GeometryError, PlanError
from faltung.plan.choice import Wishes
from faltung.plan.plan import as_array
from faltung.problem import geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from faltung.convolution import Convolution


def bank(kernel: Any) -> tuple[tuple[np.ndarray, ...], int | None]:
    """Tell one kernel from a list of kernels (arrays or filters), and keep read-only copies."""
    if isinstance(kernel, (list, tuple)) and kernel and all(hasattr(k, "__array__") and np.ndim(k) for k in kernel):
        arrays = tuple(read_only(np.array(as_array(k))) for k in kernel)
        shapes = {a.shape for a in arrays}
        if len(shapes) > 1:
            msg = (
                f"a bank needs kernels of one shape, but was given {sorted(shapes)}; pad them to the largest with zeros"
            )
            raise GeometryError(msg)
        return arrays, len(arrays)
    return (read_only(np.array(as_array(kernel))),), None


def own_anchor(kernel: Any) -> tuple[int, ...] | None:
    """Return the anchor that a filter, or a bank of filters, brings along; None where it is the middle."""
    parts = list(kernel) if isinstance(kernel, (list, tuple)) else [kernel]
    anchors: set[tuple[int, ...]] = {f.anchor for f in parts if not getattr(f, "is_centred", True)}
    if not anchors:
        return None
    if len({getattr(f, "anchor", None) for f in parts}) > 1:
        msg = f"the filters of a bank have different anchors {sorted(anchors)}; "
        raise GeometryError(msg + "f + 0 * g gives f the window and anchor of both")
    return anchors.pop()


def layer(kernel: Any, groups: Any) -> tuple[tuple[np.ndarray, ...], None]:
    """Split a layer's kernel into that of each output channel, read-only."""
    array = np.array(as_array(kernel))
    if array.ndim < 2:
        msg = f"a layer's kernel is (C_out, C_in/groups, *window), but this one has the shape {array.shape}"
        raise GeometryError(msg)
    if geometry.integer(groups, "groups") < 1 or len(array) % groups or len(array) == 0:
        msg = f"groups={groups} does not divide the {len(array)} output channels of the kernel {array.shape}"
        raise GeometryError(msg)
    return tuple(map(read_only, array)), None


def check_layer(c: Convolution) -> None:
    """Refuse keywords that a layer, or anything else, has no use for."""
    if c.channels and c.axes is not None:
        msg = f"axes={c.axes!r} with channels=True: a layer filters the axes after the channels; leave axes out"
        raise GeometryError(msg)
    if not c.channels and c.groups != 1:
        msg = f"groups={c.groups!r} needs channels=True, which makes the kernel (C_out, C_in/groups, *window)"
        raise GeometryError(msg)


def check_input(c: Convolution, shape: tuple[int, ...]) -> None:
    """Refuse an input whose channels a layer does not take."""
    check_channels(shape, len(c.window), len_in=c.kernels[0].shape[0], groups=c.groups, outputs=len(c.kernels))


def check_channels(shape: tuple[int, ...], rank: int, *, len_in: int, groups: int, outputs: int) -> None:
    """Refuse an input without the `groups` x `len_in` channels of a layer before its `rank` axes."""
    if len(shape) < rank + 1:
        msg = f"this layer takes inputs (*batch, C_in, *sizes) with {rank} sizes, but was given the shape {shape}"
        raise GeometryError(msg)
    found = shape[len(shape) - rank - 1]
    if found != len_in * groups:
        msg = (
            f"the input {shape} has {found} channels on axis {len(shape) - rank - 1}, but the kernel "
            f"({outputs}, {len_in}, ...) with groups={groups} takes {len_in} x {groups} = {len_in * groups}"
        )
        raise GeometryError(msg)


def read_only(array: np.ndarray) -> np.ndarray:
    """Make an array of our own read-only."""
    array.flags.writeable = False
    return array


def requested(dtype: DTypeLike | None) -> np.dtype | Literal["input"] | None:
    """Read an output dtype: one, "input" or None."""
    if dtype is None:
        return None
    return "input" if isinstance(dtype, str) and dtype == "input" else np.dtype(dtype)


def shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    """Read a shape, of which a 1-D one may be a number."""
    return (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)


def wishes(algorithm: str | None, tolerance: Any, max_memory: Any) -> Wishes:
    """Read what is demanded of the algorithm; PlanError for what is no number."""
    for name, value in (("tolerance", tolerance), ("max_memory", max_memory)):
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value < float("inf")):
            msg = f"{name} must be a number of at least 0, or None for the default, not {value!r}"
            raise PlanError(msg)
    return Wishes(algorithm, tolerance, max_memory)


def check_threads(threads: Any) -> None:
    """Refuse a number of threads that is none."""
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        msg = f"threads must be a positive integer or None (all CPUs), not {threads!r}"
        raise GeometryError(msg)
