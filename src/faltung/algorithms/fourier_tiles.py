"""How a problem falls into tiles: which axes are filtered, how long a transform is along each, where each tile lies.

Tiles are anchored at output 0 of every filtered axis, and each pair of neighbours is one complex tile: nothing else
decides which samples meet in a transform, so threads and memory never change a bit. Tiles 2j and 2j + 1 of a line are
a pair; where a line holds an odd number, its last tile pairs with that of the next line, and so on through all axes
and images. So a region of the output meets few tiles beside its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from faltung.problem.geometry import Axis

if TYPE_CHECKING:
    from faltung.problem.boundary import Rule, Sides
    from faltung.problem.problem import Problem


@dataclass(frozen=True)
class View:
    """The problem with its filtered axes last: every position of the others is an image.

    `order` is the permutation of the array's axes that does it, `axes` and `sides` are those of the filtered ones, and
    `dense` is how many outputs each has before the stride.
    """

    order: tuple[int, ...]
    images: tuple[int, ...]
    axes: tuple[Axis, ...]
    sides: tuple[Sides, ...]

    @property
    def moved(self) -> bool:
        """Whether an image axis comes after a filtered one."""
        return self.order != tuple(range(len(self.order)))

    @cached_property
    def dense(self) -> tuple[int, ...]:
        """Outputs along each filtered axis, counted without a stride."""
        return tuple(axis.stride * (axis.out - 1) + 1 if axis.out else 0 for axis in self.axes)

    @cached_property
    def image_count(self) -> int:
        """Number of images."""
        return math.prod(self.images)


def view(problem: Problem) -> View:
    """Tell filtered axes from carried ones; one tap that reads its own place filters nothing."""
    boundary = dict(zip(problem.axes, problem.boundary, strict=True))
    axes = problem.array_axes()
    plain = [axis == Axis(axis.size, 1, 1, axis.dilation, 0, axis.size) for axis in axes]
    carried = [i for i, is_plain in enumerate(plain) if is_plain]
    filtered = [i for i, is_plain in enumerate(plain) if not is_plain]
    return View(
        order=(*carried, *filtered),
        images=tuple(axes[i].size for i in carried),
        axes=tuple(axes[i] for i in filtered),
        sides=tuple(boundary[i] for i in filtered),
    )


@dataclass(frozen=True)
class Tiling:
    """One complex tile: `shape` as it is transformed, whose last two axes are one where a line is `bridged`.

    `size` is the samples of a tile along each filtered axis, `step` the outputs it gives, `count` the tiles.
    """

    view: View
    shape: tuple[int, ...]

    @property
    def bridged(self) -> bool:
        """Whether one filtered axis lies on two axes of the tile."""
        return len(self.view.axes) == 1

    @cached_property
    def size(self) -> tuple[int, ...]:
        """Samples along each filtered axis."""
        return (math.prod(self.shape),) if self.bridged else self.shape

    @cached_property
    def step(self) -> tuple[int, ...]:
        """Outputs along each filtered axis; whole rows of a bridged tile, so that they are stored as a rectangle."""
        free = [n - axis.span + 1 for n, axis in zip(self.size, self.view.axes, strict=True)]
        return (free[0] // self.shape[1] * self.shape[1],) if self.bridged else tuple(free)

    @cached_property
    def count(self) -> tuple[int, ...]:
        """Tiles along each filtered axis."""
        return tuple(-(-n // step) for n, step in zip(self.view.dense, self.step, strict=True))

    @cached_property
    def per_image(self) -> int:
        """Tiles of one image."""
        return math.prod(self.count)

    @property
    def tiles(self) -> int:
        """Tiles of all images."""
        return self.view.image_count * self.per_image

    @property
    def pairs(self) -> int:
        """Complex tiles."""
        return -(-self.tiles // 2)

    @property
    def points(self) -> int:
        """Points of a tile."""
        return math.prod(self.shape)

    @property
    def filled(self) -> int:
        """Points of a tile that may hold samples: fewer where everything is smaller than a tile."""
        reach = [
            max(dense + axis.span - 1, axis.size + axis.low)
            for dense, axis in zip(self.view.dense, self.view.axes, strict=True)
        ]
        return math.prod(min(n, r) for n, r in zip(self.size, reach, strict=True))

    @cached_property
    def lattice(self) -> tuple[int, ...]:
        """Images along each carried axis, and tiles along each filtered one."""
        return (*self.view.images, *self.count)

    def pair(self, index: int) -> tuple[int, ...]:
        """Name the two tiles of a pair, or the one that is left over, counted over all images."""
        tail = 1
        for axis in range(len(self.lattice) - 1, -1, -1):
            count, half = self.lattice[axis], self.lattice[axis] // 2
            pairs = half * math.prod(self.lattice[:axis])
            if index < pairs:
                line, at = divmod(index, half)
                first = (line * count + 2 * at + 1) * tail - 1
                return first, first + tail
            index, tail = index - pairs, tail * count
        return (self.tiles - 1,)

    def place(self, tile: int) -> Place:
        """Say where a tile of an image lies."""
        first, wanted = [], []
        for count, step, dense in zip(
            reversed(self.count), reversed(self.step), reversed(self.view.dense), strict=True
        ):
            tile, at = divmod(tile, count)
            first.append(at * step)
            wanted.append(min(step, dense - at * step))
        return Place(tuple(reversed(first)), tuple(reversed(wanted)))

    def loads(self, place: Place) -> list[tuple[int, int]]:
        """Give the coordinates that are loaded: samples where there are any, the boundary's as far as outputs need."""
        return [self.load(i, first // step) for i, (first, step) in enumerate(zip(place.first, self.step, strict=True))]

    def load(self, i: int, at: int) -> tuple[int, int]:
        """Give the coordinates that the tiles at a place along a filtered axis load."""
        axis, first = self.view.axes[i], at * self.step[i]
        start = first - axis.low
        stop = start + min(self.step[i], self.view.dense[i] - first) + axis.span - 1
        return start, max(stop, min(start + self.size[i], axis.size))

    def inside(self, place: Place) -> bool:
        """Say whether the whole tile lies in the array, so that it is loaded straight from there."""
        starts = [first - axis.low for first, axis in zip(place.first, self.view.axes, strict=True)]
        return all(
            start >= 0 and start + n <= axis.size
            for start, n, axis in zip(starts, self.size, self.view.axes, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The first dense output of a tile along each filtered axis, and how many are wanted."""

    first: tuple[int, ...]
    wanted: tuple[int, ...]


def overlap(axis: Axis, sides: Sides) -> int:
    """Give the least samples of the array in any window, if zeros lie beyond it; else those of any window.

    >>> from faltung.problem.boundary import parse
    >>> axis = Axis(99, 31, 1, 1, 15, 99)
    >>> [overlap(axis, parse(rule, 1)[0]) for rule in ("zero", "edge")]
    [16, 31]
    """
    least, last = axis.span, axis.stride * (axis.out - 1) - axis.low
    if is_zero(sides[0]):
        least = min(least, axis.span - axis.low, axis.size)
    if is_zero(sides[1]):
        least = min(least, axis.size - last, axis.size)
    return least


def is_zero(rule: Rule) -> bool:
    """Whether a rule writes zeros."""
    return rule.is_constant and rule.value == 0


def block(tiling: Tiling, lanes: int) -> tuple[int, int]:
    """Give the rows and columns of blocks, powers of two, of which every window of the kernel contains a whole one.

    Beyond an edge with zeros blocks do not count, and only the part of a window inside does; a dilated window holds
    single samples.
    """
    fits = []
    for axis, sides in zip(tiling.view.axes, tiling.view.sides, strict=True):
        least = 1 if axis.dilation > 1 else max(1, overlap(axis, sides))
        fits.append(1 << ((least + 1) // 2).bit_length() - 1)
    return (min(fits[-2], tiling.shape[-2], 16) if len(fits) > 1 else 1), min(fits[-1], lanes)
