"""Coordinates along a filtered axis: where outputs lie, how far apart samples are, and whether evenly."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.errors import GeometryError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Hashable

    import xarray

    from faltung.convolution import Convolution

# Steps that differ by less than this share are even: coordinates may be rounded to single precision.
EVEN = 1e-3


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the outputs along an axis of `size` samples lie: at sample first + step·j for j < outputs."""

    size: int
    first: int
    step: int
    outputs: int

    @classmethod
    def of(cls, c: Convolution, shape: tuple[int, ...], axis: int) -> Positions:
        """Work out where the kernel's anchor lies for each output along an axis."""
        axes, found = c.geometry(shape)
        at = axes.index(axis)
        one, taps = found[at], c.window[at]
        if c.mode == "same" and c.padding is None:
            return cls(one.size, 0, one.stride, one.out)
        before = taps - 1 - taps // 2 if c.flip else taps // 2
        return cls(one.size, one.dilation * before - one.low, one.stride, one.out)

    def moved(self, variable: xarray.Variable, dim: Hashable, *, own: bool) -> xarray.Variable | None:
        """Move a coordinate along a dimension; None where it is not known. Its `own` dimension may be continued."""
        index = self.first + self.step * np.arange(self.outputs)
        inside = (index >= 0) & (index < self.size)
        if inside.all():
            return variable if self.step == 1 and self.outputs == self.size else variable.isel({dim: index})
        step = _step(variable) if own else None
        if step is None or not step.even:
            return None
        values = np.asarray(variable.values)
        beyond = np.where(index < 0, index, index - (self.size - 1))
        moved = values[index.clip(0, self.size - 1)] + np.where(inside, 0, beyond) * step.value
        return type(variable)(variable.dims, moved.astype(values.dtype), variable.attrs, variable.encoding)


class Step(NamedTuple):
    """The distance between neighbours along a dimension: `value` in the coordinate's type, and whether it is even."""

    dim: Any
    value: Any
    even: bool
    least: Any = None
    most: Any = None

    @property
    def signed(self) -> float:
        """The step as a number; of times, in seconds."""
        return (
            float(self.value / np.timedelta64(1, "s")) if isinstance(self.value, np.timedelta64) else float(self.value)
        )

    def measure(self, length: Any) -> float:
        """Give a length along the dimension as a number; ProblemError where it is no length of the same kind."""
        times = isinstance(self.value, np.timedelta64)
        number = isinstance(length, (int, float, np.number)) and not isinstance(length, (bool, np.timedelta64))
        try:
            if times == number:
                raise TypeError
            return float(np.timedelta64(length) / np.timedelta64(1, "s") if times else length)
        except (TypeError, ValueError):
            kind = "a time span, such as numpy.timedelta64(3, 'D')" if times else "a number in the coordinate's units"
            msg = f"sigma={length!r} along {self.dim!r}: expected {kind}"
            raise ProblemError(msg) from None


def spacing(array: xarray.DataArray, dim: Hashable, *, warn: bool = False) -> Step:
    """Give the step of a dimension, 1 where it has no coordinate; `warn` where it is uneven.

    Raises GeometryError where the coordinate holds no numbers or times, unless it is only to `warn`.
    """
    if dim not in array.coords or array.sizes[dim] < 2:
        return Step(dim, 1.0, True)
    step = _step(array.coords[dim].variable)
    if step is None:
        if warn:
            return Step(dim, 1.0, True)
        msg = f"the coordinate {dim!r} holds {array.coords[dim].dtype}, in which sigma has no unit; "
        raise GeometryError(msg + "drop it with drop_vars to count samples")
    if warn and not step.even:
        msg = f"the coordinate {dim!r} is uneven, with steps from {step.least} to {step.most}, but a filter counts "
        warnings.warn(msg + "samples; interpolate to even steps first", UserWarning, stacklevel=4)
    return step._replace(dim=dim)


def _step(variable: xarray.Variable) -> Step | None:
    """Measure the steps of a coordinate of numbers or times; None for anything else."""
    values = np.asarray(variable.values)
    if values.dtype.kind not in "iufmM" or len(values) < 2:
        return None
    wide = values.astype(np.float64) if values.dtype.kind in "iuf" else values
    steps = np.diff(wide)
    mean = (wide[-1] - wide[0]) / (len(values) - 1)
    least, most = steps.min(), steps.max()
    off = float(np.abs(steps - mean).max() / np.abs(mean)) if mean else np.inf
    return Step(variable.dims[0], mean, off <= EVEN, least, most)
