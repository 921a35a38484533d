"""How the taps of a window fall into tiles of registers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.problem.problem import Problem

# Rows x taps of a tile at most: 25 sums, 5 rows of the gradient and a sample fit the 32 registers of AVX-512.
TILES = {"avx512": (5, 5), "avx2": (3, 3), "sse2": (3, 3), "neon": (5, 5)}
# Taps of a tile of one row, where input rows cannot be shared: as many as there are registers for addresses.
ALONE = 8


class Taps(NamedTuple):
    """Tiles of one shape (rows, taps): the taps in them, by their number in the window, (tiles, rows, taps)."""

    window: tuple[int, ...]
    shape: tuple[int, int]
    number: np.ndarray

    def offsets(self, along: Sequence[np.ndarray]) -> np.ndarray:
        """Give the byte offset of each tap in the first row of each tile, from those along each axis."""
        places = np.unravel_index(self.number[:, 0], self.window)
        found = np.zeros(places[0].shape, np.int64)
        for offset, place in zip(along, places, strict=True):
            found += offset[place]
        return found


def tap_tiles(problem: Problem, isa: str, height: int) -> list[Taps]:
    """Cut a window into tiles of at most four shapes; blocks of pixels have at least `height` rows.

    Tap rows share their input rows where stride and dilation along them are 1; otherwise taps are taken one by one.
    """
    window = problem.kernel_shape
    numbers = np.arange(int(np.prod(window))).reshape(window)
    row = problem.geometry[-2] if len(window) > 1 else None
    most, taps = TILES[isa]
    found: dict[tuple[int, int], list[np.ndarray]] = {}
    if row is None or row.stride > 1 or row.dilation > 1 or min(row.taps, height) == 1:
        for start, stop in _cut(numbers.size, ALONE):
            found.setdefault((1, stop - start), []).append(numbers.reshape(1, -1)[:, start:stop])
    else:
        rows, columns = _cut(row.taps, min(most, height)), _cut(window[-1], taps)
        for plane, (top, end), (left, right) in itertools.product(numbers.reshape(-1, *window[-2:]), rows, columns):
            found.setdefault((end - top, right - left), []).append(plane[top:end, left:right])
    return [Taps(window, shape, np.stack(tiles)) for shape, tiles in found.items()]


def _cut(count: int, most: int) -> list[tuple[int, int]]:
    """Cut range(count) into the fewest nearly equal parts of at most `most`.

    >>> _cut(7, 5)
    [(0, 3), (3, 7)]
    """
    parts = -(-count // most)
    return list(itertools.pairwise(count * i // parts for i in range(parts + 1)))
