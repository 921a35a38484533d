"""What a filter reads of a small array: the array with its border, windows, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import GeometryError
from faltung.plot.style import real

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.convolution import Convolution
    from faltung.plot.style import Array
    from faltung.problem.geometry import Axis


@dataclass(frozen=True, eq=False)
class Extension:
    """An array, extended as far as any output reads: sample i of the array is `samples[i + low]` on each axis.

    `axes` and `taps` are in the array's order, `taps` as they meet the samples: turned round if the filter convolves.
    `rule` names what the border was written by.
    """

    samples: Array
    low: tuple[int, ...]
    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    taps: Array
    rule: str

    def inside(self, place: Sequence[int]) -> bool:
        """Tell a sample of the array from one of its border."""
        return all(0 <= p - low < n for p, low, n in zip(place, self.low, self.shape, strict=True))

    def window(self, output: Sequence[int]) -> tuple[slice, ...]:
        """Say where in `samples` the taps of an output lie."""
        starts = (axis.stride * o - axis.low + low for axis, o, low in zip(self.axes, output, self.low, strict=True))
        return tuple(slice(s, s + a.span, a.dilation) for s, a in zip(starts, self.axes, strict=True))


def extend(x: Array, c: Convolution, most: int) -> Extension:
    """Extend an array by the filter's boundary rule.

    Raises GeometryError for a bank or layer, for other ranks than 1 and 2, and for axes longer than `most`.
    """
    if c.channels or c.filters is not None:
        kind = "a layer" if c.channels else "a bank"
        msg = f"this picture shows one filter, and {kind} was given; take one of its kernels: c.like(c.kernels[0])"
        raise GeometryError(msg)
    filtered, geometry = c.geometry(x.shape)
    if not 1 <= x.ndim <= 2 or len(filtered) != x.ndim or max(x.shape) > most or not x.size:
        msg = f"the array {x.shape} and a filter along {len(filtered)} of its axes do not fit a picture; "
        raise GeometryError(msg + f"give 1 or 2 axes, all filtered, of 1 to {most} samples, such as x[:8, :8]")
    reads = [axis.reads(0, axis.out) for axis in geometry]
    ends = [(max(0, -lo), max(0, hi - n.size)) for (lo, hi), n in zip(reads, geometry, strict=True)]
    # A single tap of 1 with this padding shows what the boundary rule writes.
    one = np.ones((1,) * x.ndim, np.int64)
    plain = {"flip": False, "mode": "same", "stride": 1, "dilation": 1, "anchor": None}
    border = c.like(one, padding=ends, boundary=c.sides, **plain)
    order = sorted(range(x.ndim), key=filtered.__getitem__)
    taps = real(np.flip(c.kernel) if c.flip else c.kernel, "the kernel").transpose(order)
    rule = ", ".join(dict.fromkeys(str(rule) for i in order for rule in c.sides[i]))
    axes = tuple(geometry[i] for i in order)
    return Extension(border(x), tuple(ends[i][0] for i in order), x.shape, axes, taps, rule)
