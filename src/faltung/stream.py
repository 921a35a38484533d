"""A convolution over an input that arrives in pieces: what `Convolution.stream` makes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import BoundaryError, GeometryError, PlanError
from faltung.plan.plan import as_array
from faltung.problem import geometry
from faltung.runtime import gather

if TYPE_CHECKING:
    from faltung.convolution import Convolution


class Stream:
    """Filters chunks as they come; the outputs put together equal those of one call on the whole input.

    ``stream(chunk)`` takes the next samples along the streamed axis, any number of them, and gives the outputs that
    have become certain, possibly none; ``stream.finish()`` says that nothing follows, and gives the rest. Only as many
    samples are kept as the kernel still needs. Chunks keep dtype and shape, apart from the streamed axis.

    >>> import faltung as ft
    >>> live = ft.Convolution([1, 1, 1], boundary="edge").stream()
    >>> live([1, 2]), live([4, 8]), live.finish()
    (array([4]), array([ 7, 14]), array([20]))
    >>> ft.convolve([1, 2, 4, 8], [1, 1, 1], boundary="edge")
    array([ 4,  7, 14, 20])
    """

    def __init__(self, c: Convolution, axis: int | None = None, threads: int | None = None) -> None:
        self._c, self._axis, self._threads = c, axis, threads
        self._kept: np.ndarray | None = None
        self._first = 0  # the coordinate of the first sample kept
        self._given = 0  # outputs given so far
        self._ended = False

    def __call__(self, chunk: Any) -> np.ndarray:
        """Take the next samples, and give the outputs that need no others."""
        if self._ended:
            msg = "this stream is finished; make another with Convolution.stream()"
            raise PlanError(msg)
        kept = self._append(as_array(chunk))
        lane, total = self._lane, self._first + kept.shape[self._along]
        # What lies before the first sample is certain when the array is longer than the rule looks into it.
        known = total > lane.low or lane.low <= 0
        return self._give(kept, total, (total - lane.span + lane.low) // lane.stride + 1 if known else 0)

    def finish(self) -> np.ndarray:
        """End the input, and give the outputs that waited for it."""
        if self._kept is None:
            msg = (
                "nothing has been streamed yet, so neither shape nor dtype is known; give a chunk, if only an empty one"
            )
            raise PlanError(msg)
        self._ended = True
        total = self._first + self._kept.shape[self._along]
        shape = list(self._kept.shape)
        shape[self._along] = total
        axes, axis_geometry = self._c.geometry(tuple(shape))
        return self._give(self._kept, total, axis_geometry[axes.index(self._along)].out)

    def _append(self, chunk: np.ndarray) -> np.ndarray:
        if self._kept is None:
            self._begin(chunk)
            self._kept = chunk.copy()
            return self._kept
        kept, along = self._kept, self._along
        if chunk.dtype != kept.dtype or _without(chunk.shape, along) != _without(kept.shape, along):
            msg = (
                f"this stream has chunks of dtype {kept.dtype} and shape {_without(kept.shape, along)} beside axis "
                f"{along}, but was given {chunk.dtype} and {chunk.shape}; convert the chunk, or begin another stream"
            )
            raise GeometryError(msg)
        self._kept = np.concatenate([kept, chunk], along)
        return self._kept

    def _begin(self, chunk: np.ndarray) -> None:
        """Learn rank and dtype from the first chunk."""
        c = self._c
        axes = geometry.normalize_axes(c.axes, chunk.ndim, len(c.window))
        along = axes[0] if self._axis is None else geometry.integer(self._axis, "axis") % max(1, chunk.ndim)
        if along not in axes:
            msg = (
                f"axis={self._axis} is not filtered, so every sample is an input of its own; stream along one of {axes}"
            )
            raise GeometryError(msg)
        self._along, at = along, axes.index(along)
        lanes, highs = self._extents(axes)
        self._lane, self._sides = lanes[at], c.sides[at]
        # No output beyond the end looks further back than it reaches beyond it.
        self._memory = max(self._lane.span, self._lane.low + 1, highs[at] + 1)
        self._check(chunk, highs[at])
        padding = [(lane.low, high) for lane, high in zip(lanes, highs, strict=True)]
        padding[at] = (0, 0)
        boundary: list[Any] = list(c.sides)
        boundary[at] = "zero"
        kernel = c.kernels[0] if c.filters is None else list(c.kernels)
        self._inner = c.like(kernel, mode="same", anchor=None, padding=padding, boundary=boundary)

    def _extents(self, axes: tuple[int, ...]) -> tuple[tuple[geometry.Axis, ...], list[int]]:
        """Give each filtered axis with its samples before and after the array, which do not depend on its size."""
        c = self._c
        dilations = geometry.per_axis(c.dilation, len(axes), "dilation", least=1)
        size = 1 + max(d * k for d, k in zip(dilations, c.window, strict=True))
        options: dict[str, Any] = {
            "mode": c.mode,
            "padding": c.padding,
            "dilation": c.dilation,
            "anchor": c.anchor,
            "flip": c.flip,
        }
        dense = geometry.resolve((size,) * len(axes), c.window, stride=1, **options)
        strided = geometry.resolve((size,) * len(axes), c.window, stride=c.stride, **options)
        return strided, [one.out - one.size - one.low + one.span - 1 for one in dense]

    def _check(self, chunk: np.ndarray, high: int) -> None:
        reached = [rule for rule, over in zip(self._sides, (self._lane.low, high), strict=True) if over > 0]
        if any(rule.name == "wrap" for rule in reached):
            msg = (
                "boundary 'wrap' joins the end of a stream to its beginning, which is gone by then; "
                "use another rule along the streamed axis, or filter the whole array at once"
            )
            raise BoundaryError(msg)
        if chunk.dtype.kind not in "fc" and any(rule.is_odd for rule in reached):
            msg = f"boundary {reached[0].name!r} leaves the range of {chunk.dtype}; stream floats, or use an even rule"
            raise BoundaryError(msg)

    def _give(self, kept: np.ndarray, total: int, upto: int) -> np.ndarray:
        """Compute the outputs from the last one given to `upto`, and forget what no other needs."""
        lane, start = self._lane, self._given
        stop = max(start, upto)
        maps = [gather.coordinates(0, n, n, None) for n in kept.shape]
        reads = lane.reads(start, stop)
        found = gather.coordinates(*reads, total, self._sides)
        maps[self._along] = replace(found, index=np.where(found.index < 0, -1, found.index - self._first))
        if stop > start:
            result = self._inner(gather.extended(kept, maps), threads=self._threads)
        else:
            result = self._nothing(kept)
        self._given = stop
        keep = max(self._first, min(lane.stride * stop - lane.low, total - self._memory))
        self._kept = kept[(slice(None),) * self._along + (slice(keep - self._first, None),)].copy()
        self._first = keep
        return result

    def _nothing(self, kept: np.ndarray) -> np.ndarray:
        """Give an output without samples along the streamed axis."""
        shape = list(kept.shape)
        shape[self._along] = self._lane.span
        plan = self._inner.plan(shape, kept.dtype)
        sizes = list(plan.problem.output_shape)
        sizes[self._along + (self._c.filters is not None)] = 0
        return np.zeros(sizes, plan.problem.dtypes.output)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
