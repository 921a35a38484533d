"""How tiles are loaded: straight from the array where they lie inside it, gathered first at its edges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms import held
from faltung.algorithms.fourier_tables import laid, strides_of
from faltung.algorithms.fourier_tiles import block, is_zero, overlap
from faltung.compiler import isa as isas
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.compiler.load_nest import FIELDS, LoadNest
from faltung.runtime import gather
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from faltung.algorithms.fourier_tiles import Place, Tiling
    from faltung.algorithms.held import Intervals
    from faltung.algorithms.task import Task
    from faltung.problem.boundary import AxisMap

# Prepared gathers are kept up to about this many bytes of tables.
TABLES_KEPT = 16 << 20
STRIDES_KEPT, BLOCKS_KEPT = 4, 128
Ranges = tuple[tuple[int, int], ...]


class Load(NamedTuple):
    """How one tile is loaded.

    `careful` says that blocks cannot tell whether a window is dwarfed, `clear` that the rest of the tile becomes zero;
    `held` is what the parameters point to.
    """

    parameters: int
    offset: int
    gather: gather.Gather | None
    careful: bool
    clear: bool
    held: object


class Loads:
    """The loads of a tiling, for any strides of the source."""

    def __init__(self, task: Task, tiling: Tiling) -> None:
        self.tiling, self.dtype, self.accumulate = tiling, task.load, task.problem.dtypes.accumulate
        self.lanes = isas.host().vector_bytes // self.accumulate.itemsize
        self.rows, group = block(tiling, self.lanes)
        self.kernel = compiled.get(LoadNest(Element.of(task.load), Element.of(self.accumulate), group))
        self.group = group
        # Transforms of larger samples may overflow, of smaller ones lose digits to underflow.
        info = np.finfo(self.accumulate)
        norms = [1.0, *(float(facts.norm1) for facts in task.facts)]
        least = 32 * float(info.tiny) * tiling.points / (float(info.eps) * min(norms))
        self.limits = least, float(info.max) / (4 * tiling.points * max(norms))
        self._blocks: Kept[tuple[object, ...], tuple[int, object]] = Kept(BLOCKS_KEPT)
        self._images: Kept[tuple[int, ...], list[int]] = Kept(STRIDES_KEPT)
        self._tiles: Kept[tuple[object, ...], Load] = Kept(
            max(16, TABLES_KEPT // (8 * tiling.points // tiling.shape[-1] + 2048))
        )

    def image(self, strides: tuple[int, ...], image: int) -> int:
        """Give the bytes from the array's start to an image."""
        images = self.tiling.view.images
        found = self._images.get(strides[: len(images)])
        if found is None:
            places = np.zeros(1, np.int64)
            for n, stride in zip(images, strides, strict=False):
                places = (places[:, None] + stride * np.arange(n)[None, :]).ravel()
            found = places.tolist()
            self._images.keep(strides[: len(images)], found)
        return found[image]

    def tile(self, source: np.ndarray, tile: int, samples: tuple[Intervals, ...] | None = None) -> Load:
        """Say how a tile of an image is loaded; where the source is a block, `samples` are what it holds."""
        strides = source.strides[len(self.tiling.view.images) :]
        found = self._tiles.get((strides, tile, samples))
        if found is None:
            shape = source.shape[len(self.tiling.view.images) :]
            found = self._prepare(shape, strides, self.tiling.place(tile), samples)
            self._tiles.keep((strides, tile, samples), found)
        return found

    def _prepare(
        self, shape: tuple[int, ...], strides: tuple[int, ...], place: Place, samples: tuple[Intervals, ...] | None
    ) -> Load:
        tiling, axes = self.tiling, self.tiling.view.axes
        starts = [first - axis.low for first, axis in zip(place.first, axes, strict=True)]
        at = _together(starts, tiling.size, samples) if tiling.inside(place) else None
        if at is not None:
            everything = tuple((0, n) for n in tiling.size)
            parameters, kept = self._parameters(self._row_strides(strides), tiling.shape, everything)
            offset = sum(a * s for a, s in zip(at, strides, strict=True))
            return Load(parameters, offset, None, careful=False, clear=False, held=kept)
        maps, counts, box = [], [], []
        ends = [1] * (len(axes) - 1) + [tiling.shape[1] if tiling.bridged else self.lanes]
        if not tiling.bridged:
            ends[-2] = self.rows
        for i, (start, stop) in enumerate(tiling.loads(place)):
            sides, inside = tiling.view.sides[i], overlap(axes[i], tiling.view.sides[i]) > 0
            low = -start if inside and is_zero(sides[0]) else 0
            high = axes[i].size if inside and is_zero(sides[1]) else stop
            counts.append((max(low, 0), min(high, stop) - start))
            box.append(-(-(stop - start) // ends[i]) * ends[i])
            chosen = gather.coordinates(start, stop, axes[i].size, sides)
            maps.append(_filled(chosen if samples is None else held.moved(chosen, samples[i]), box[-1]))
        size = self.dtype.itemsize
        prepared = gather.prepare(maps, strides, shape, self.dtype, 1, box[-1] * size)
        rows = self._row_strides(strides_of(box, size))
        if tiling.bridged:
            box = [box[0] // tiling.shape[1], tiling.shape[1]]
        whole_row = min(axes[0].taps, overlap(axes[0], tiling.view.sides[0])) >= 2 * tiling.shape[1]
        careful = tiling.bridged and counts[0] != (0, tiling.points) and not whole_row
        parameters, kept = self._parameters(rows, tuple(box), tuple(counts))
        return Load(parameters, 0, prepared, careful, clear=tuple(box) != tiling.shape, held=kept)

    def _row_strides(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        """Give the bytes from row to row of the tile, along all its axes but the last."""
        return (strides[0] * self.tiling.shape[1],) if self.tiling.bridged else strides[:-1]

    def _parameters(self, strides: tuple[int, ...], box: tuple[int, ...], counts: Ranges) -> tuple[int, object]:
        """Make the parameters for a box of the tile with rows these bytes apart, of which these samples count."""
        found = self._blocks.get((strides, box, counts))
        if found is None:
            found = self._make(strides, box, counts)
            self._blocks.keep((strides, box, counts), found)
        return found

    def _make(self, strides: tuple[int, ...], box: tuple[int, ...], counts: Ranges) -> tuple[int, object]:
        shape = self.tiling.shape
        if self.tiling.bridged:
            counts = ((-(-counts[0][0] // shape[1]), counts[0][1] // shape[1]), (0, shape[1]))
        places, targets, rows = np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, bool)
        size = self.accumulate.itemsize
        in_tile = strides_of(laid(shape, size), size)
        for i, (n, stride) in enumerate(zip(box[:-1], strides, strict=True)):
            places = (places[:, None] + stride * np.arange(n)[None, :]).ravel()
            targets = (targets[:, None] + in_tile[i] * np.arange(n)[None, :]).ravel()
            inside = _whole(n, self.rows if i == len(shape) - 2 else 1, counts[i])
            rows = (rows[:, None] & inside[None, :]).ravel()
        table = np.stack([places, targets], axis=1)
        columns = np.repeat(_whole(box[-1], self.group, counts[-1]), self.group)
        masks = [-(~rows).astype(np.int64), -(~columns).astype(np.int64)]
        lanes = masks[1].astype(f"i{self.accumulate.itemsize}")
        values = {
            "blocks": len(rows), "rows": self.rows, "vectors": box[-1] // self.lanes, "row_table": table.ctypes.data,
            "row_mask": masks[0].ctypes.data, "lane_mask": lanes.ctypes.data,
        }  # fmt: skip
        parameters = np.array([values[name] for name in FIELDS], np.int64)
        return parameters.ctypes.data, (parameters, table, masks, lanes)


def _together(starts: list[int], sizes: tuple[int, ...], samples: tuple[Intervals, ...] | None) -> list[int] | None:
    """Say where a box of samples begins in the source; None if it does not lie there as one piece."""
    if samples is None:
        return starts
    at = [held.place(have, start) for have, start in zip(samples, starts, strict=True)]
    ends = [held.place(have, start + n - 1) for have, start, n in zip(samples, starts, sizes, strict=True)]
    return at if all(b - a == n - 1 for a, b, n in zip(at, ends, sizes, strict=True)) else None


def _whole(size: int, block: int, counts: tuple[int, int]) -> np.ndarray:
    """Say which blocks lie wholly in a range."""
    first = np.arange(0, size, block)
    whole: np.ndarray = (first >= counts[0]) & (first + block <= counts[1])
    return whole


def _filled(chosen: AxisMap, size: int) -> AxisMap:
    """Add zeros up to a whole tile."""
    more = size - len(chosen.index)
    if more <= 0:
        return chosen

    def longer(part: np.ndarray | None, value: int = 0) -> np.ndarray | None:
        return None if part is None else np.concatenate([part, np.full(more, value, part.dtype)])

    index = np.concatenate([chosen.index, np.full(more, -1)])
    fill = np.zeros(size, np.int64) if chosen.fill is None else longer(chosen.fill)
    return replace(
        chosen, index=index, fill=fill, sign=longer(chosen.sign), first=longer(chosen.first), last=longer(chosen.last)
    )
