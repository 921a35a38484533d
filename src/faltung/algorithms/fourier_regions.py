"""Which pairs of tiles a box of the output meets, and which samples these are made of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms import held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faltung.algorithms.fourier_tiles import Tiling
    from faltung.algorithms.held import Intervals
    from faltung.runtime.regions import Box


def pairs(tiling: Tiling, box: Box) -> list[int]:
    """List the pairs of which a tile meets a box; the box is one of a map, its axes in the array's order."""
    wanted, before, found = _met(tiling, box), 0, list[int]()
    for axis, half in _levels(tiling):
        if half:
            along = [np.arange(*part) for part in (*wanted[:axis], _halved(wanted[axis], half))]
            if _has_last(tiling, wanted, axis):
                shape = (*tiling.lattice[:axis], half)
                found += (before + np.ravel_multi_index(np.meshgrid(*along, indexing="ij"), shape)).ravel().tolist()
            before += half * int(np.prod(tiling.lattice[:axis], dtype=np.int64))
    if tiling.tiles % 2 and all(stop == n for (_, stop), n in zip(wanted, tiling.lattice, strict=True)):
        found.append(before)
    return found


def samples(tiling: Tiling, box: Box) -> tuple[Intervals, ...]:
    """Give the samples of all these tiles along each axis of the array."""
    view, places = tiling.view, _tiles(tiling, _met(tiling, box))
    images = len(view.images)
    found: list[Intervals] = [places[i] for i in range(images)]
    for i, (axis, sides) in enumerate(zip(view.axes, view.sides, strict=True)):
        parts: list[tuple[int, int]] = []
        for at in (n for interval in places[images + i] for n in range(*interval)):
            parts += held.read(axis, sides, *tiling.load(i, at))
        found.append(held.joined(parts))
    return tuple(found[view.order.index(i)] for i in range(len(found)))


def grain(tiling: Tiling) -> tuple[int, ...]:
    """Give the outputs along each axis of a map that are best computed together: those of a pair of tiles."""
    view = tiling.view
    found = [1] * len(view.images)
    for i, (axis, step, count) in enumerate(zip(view.axes, tiling.step, tiling.count, strict=True)):
        tiles = 2 if i == len(view.axes) - 1 and count > 1 else 1
        found.append(tiles * step // math.gcd(tiles * step, axis.stride))
    return tuple(found[view.order.index(i)] for i in range(len(found)))


def _met(tiling: Tiling, box: Box) -> list[tuple[int, int]]:
    """Give the images and tiles that a box meets, along each axis of the lattice."""
    ordered, images = [box[i] for i in tiling.view.order], len(tiling.view.images)
    met = ordered[:images]
    for (start, stop), axis, step in zip(ordered[images:], tiling.view.axes, tiling.step, strict=True):
        met.append((axis.stride * start // step, axis.stride * (stop - 1) // step + 1))
    return met


def _levels(tiling: Tiling) -> Iterator[tuple[int, int]]:
    """Give the axes along which tiles are paired, the last first, and the pairs of a line of each."""
    for axis in range(len(tiling.lattice) - 1, -1, -1):
        yield axis, tiling.lattice[axis] // 2
        if tiling.lattice[axis] % 2 == 0:
            return


def _halved(part: tuple[int, int], half: int) -> tuple[int, int]:
    return part[0] // 2, min(-(-part[1] // 2), half)


def _has_last(tiling: Tiling, wanted: list[tuple[int, int]], axis: int) -> bool:
    """Whether the last tiles along all axes after this one, which are paired along it, are wanted."""
    return all(stop == n for (_, stop), n in zip(wanted[axis + 1 :], tiling.lattice[axis + 1 :], strict=True))


def _tiles(tiling: Tiling, wanted: list[tuple[int, int]]) -> list[Intervals]:
    """Give the places along each axis of the lattice of all tiles that are wanted, and of their partners."""
    found = [[part] for part in wanted]
    for axis, half in _levels(tiling):
        low, high = _halved(wanted[axis], half)
        if low < high and _has_last(tiling, wanted, axis):
            found[axis].append((2 * low, 2 * high))
    return [held.joined(parts) for parts in found]
