"""What all methods of the gradient by weights share: their face, and the fixed blocks of the long sum over pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from faltung.algorithms.steps import c_strides
from faltung.compiler.pack_nest import FIELDS
from faltung.runtime import gather, regions, workspace

if TYPE_CHECKING:
    from faltung.problem.boundary import AxisMap
    from faltung.problem.problem import Problem
    from faltung.runtime.regions import Box

# A block's rows are cut when they are so many times longer than there are of them.
ROW_OF_BOX = 4
# Every instruction set has registers of 16 bytes; what does not fill wider ones takes narrower ones.
LEAST_REGISTER = 16
BOUND_KEPT = 16
MACS_PER_THREAD = 1 << 21
MOST_SHARES, SHARES_BYTES = 8, 512 << 10


class Method(Protocol):
    """A way to sum: (C_out, C_in/groups, *window) of the accumulator's dtype, in any shape of that size."""

    roundings: int

    def run(self, x: np.ndarray, g: np.ndarray, threads: int, /) -> np.ndarray:
        """Sum over arrays of the accumulator's dtype, of the shapes of the problem; nothing is empty."""
        ...

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, as (topic, text) pairs."""
        ...


class Spare:
    """Arrays kept between calls: fresh ones cost a page fault every 4 KiB. Calls at the same time have their own."""

    def __init__(self, dtype: np.dtype) -> None:
        self._dtype = dtype
        self._kept: list[np.ndarray] = []

    def take(self, size: int) -> np.ndarray:
        """Give an array of zeros."""
        try:
            array = self._kept.pop()
        except IndexError:
            return np.zeros(size, self._dtype)
        array.fill(0)
        return array

    def give(self, array: np.ndarray) -> None:
        """Take one back whose size will be asked for again."""
        if not self._kept and array.nbytes <= workspace.KEEP_BYTES:
            self._kept.append(array)


class Sizes(NamedTuple):
    """The numbers of a layer: images, groups, channels of a group (in and out), taps of a window, pixels of a map."""

    images: int
    groups: int
    inputs: int
    outputs: int
    taps: int
    pixels: int

    @classmethod
    def of(cls, problem: Problem) -> Sizes:
        """Read them off a layer."""
        channels = problem.channels
        assert channels is not None
        return cls(
            math.prod(problem.shape[: channels.axis]),
            channels.groups,
            problem.shape[channels.axis] // channels.groups,
            channels.outputs // channels.groups,
            math.prod(problem.kernel_shape),
            math.prod(axis.out for axis in problem.geometry),
        )


def blocks(problem: Problem, most: int) -> list[Box]:
    """Halve the map into boxes of at most `most` pixels, always along the first axis that can be cut.

    So the pixels of a box lie one after the other in a map. The cuts depend on the problem alone.
    """
    pieces: list[Box] = [tuple((0, axis.out) for axis in problem.geometry)]
    # The last piece is the largest.
    while regions.size(pieces[-1]) > most:
        axis = next(i for i, (start, stop) in enumerate(pieces[-1]) if stop - start > 1)
        pieces = [half for piece in pieces for half in regions.split(piece, axis, 2)]
    return pieces


def square_blocks(problem: Problem, most: int) -> list[Box]:
    """Halve the map into boxes of at most `most` pixels that read few samples twice, and keep long rows."""
    pieces: list[Box] = [tuple((0, axis.out) for axis in problem.geometry)]
    while regions.size(pieces[-1]) > most:
        sizes = [stop - start for start, stop in pieces[-1]]
        sizes[-1] = max(sizes[-1] // ROW_OF_BOX, int(len(sizes) == 1))
        axis = sizes.index(max(sizes))
        pieces = [half for piece in pieces for half in regions.split(piece, axis, 2)]
    return pieces


def maps_of(problem: Problem, box: Box) -> list[AxisMap]:
    """Map the samples that a box of outputs reads, axis by axis."""
    return [
        gather.coordinates(*axis.reads(*part), axis.size, sides)
        for axis, part, sides in zip(problem.geometry, box, problem.boundary, strict=True)
    ]


class Reading(NamedTuple):
    """How the samples of a box lie: the copy or None, bytes of scratch, where the first one is in place, and steps.

    `steps` are the bytes between channels and between samples of each axis.
    """

    copy: gather.Gather | None
    scratch: int
    source: int
    steps: tuple[int, ...]


def in_place(problem: Problem, box: Box, low: int, strides: tuple[int, ...]) -> Reading | None:
    """Read a box from channel `low` on where it lies, if no boundary is met; strides are those of channels and axes."""
    axes = problem.geometry
    reads = [axis.reads(*part) for axis, part in zip(axes, box, strict=True)]
    if any(start < 0 or stop > axis.size for (start, stop), axis in zip(reads, axes, strict=True)):
        return None
    first = sum(stride * start for stride, (start, _) in zip(strides[1:], reads, strict=True))
    return Reading(None, 0, first + low * strides[0], strides)


def copied(problem: Problem, maps: list[AxisMap], low: int, high: int, strides: tuple[int, ...]) -> Reading:
    """Copy the mapped samples of channels [low, high) side by side."""
    sizes, dtype = Sizes.of(problem), problem.dtypes.accumulate
    channels = sizes.groups * sizes.inputs
    every = [gather.coordinates(low, high, channels, None), *maps]
    # Rows and planes a power of two apart would share the same few sets of the cache.
    pitch = -(-len(maps[-1].index) * dtype.itemsize // 16) * 16 + 16
    rows = [len(found.index) for found in every[:-1]]
    shape = (channels, *(axis.size for axis in problem.geometry))
    copy = gather.prepare(every, strides, shape, dtype, 1, pitch)
    scratch = -(-pitch * math.prod(rows) // workspace.ALIGNMENT) * workspace.ALIGNMENT
    return Reading(copy, scratch, 0, (*(step * pitch for step in c_strides(rows, 1)), dtype.itemsize))


def images_of(problem: Problem, array: np.ndarray) -> np.ndarray:
    """View the axes before the channels as one, copying only what cannot be viewed so."""
    channels = problem.channels
    assert channels is not None
    return array.reshape(math.prod(array.shape[: channels.axis]), *array.shape[channels.axis :])


def growth(problem: Problem) -> int:
    """Bound max|E(x)| / max|x| where no constant is read: odd rules extrapolate, axis by axis."""
    bound = 1
    for found in maps_of(problem, tuple((0, axis.out) for axis in problem.geometry)):
        if found.sign is not None and found.first is not None and found.last is not None:
            bound *= int((abs(found.sign) + abs(found.first) + abs(found.last)).max())
    return bound


def shares(chunks: int, size: int) -> int:
    """Say into how many sums of their own the blocks fall, which threads may compute: few where sums are large."""
    return max(1, min(chunks, MOST_SHARES, SHARES_BYTES // size))


def workers(problem: Problem, threads: int) -> int:
    """Say how many threads have enough to do."""
    return min(threads, 1 + problem.macs // MACS_PER_THREAD)


def pack_parameters(bands: np.ndarray, row: int, columns: int, pitch: int) -> np.ndarray:
    """Fill the parameter block of a PackNest; `bands` must be held as long as it."""
    values = {
        "bands": len(bands), "band_table": bands.ctypes.data, "row": row, "columns": columns, "pitch": pitch,
        "wide": 0,
    }  # fmt: skip
    return np.array([values[name] for name in FIELDS], np.int64)
