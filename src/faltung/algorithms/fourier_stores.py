"""Where results go: straight to the output from the last stage, or through a tile where that is no rectangle of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.algorithms.fourier_tables import laid, strides_of
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.compiler.store_nest import FIELDS, StoreNest
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.fourier_tiles import Place
    from faltung.algorithms.fourier_work import Fourier, Worker
    from faltung.runtime.regions import Box

SPOTS_KEPT = 4096


class Spot(NamedTuple):
    """The outputs wanted of a tile, the bytes from the start of a map to the first, and whether they go there."""

    wanted: tuple[int, ...]
    offset: int
    bounced: bool


class Stores:
    """The stores of a method's tiles: to the whole output, or to a box of it, through a tile in between."""

    def __init__(self, method: Fourier, box: Box | None = None) -> None:
        self.method, tiling = method, method.tiling
        self.bounces = method.strided or box is not None
        self.box = box or tuple((0, n) for n in (*tiling.view.images, *(axis.out for axis in tiling.view.axes)))
        stored = method.out_dtype
        self.kernel = compiled.get(StoreNest(Element.of(method.accumulate), Element.of(stored)))
        self.bounce_shape = tiling.shape if tiling.bridged else tiling.step
        dense = self.bounce_shape if self.bounces else tuple(axis.out for axis in tiling.view.axes)
        #: Bytes between neighbours along each axis of the tile, in the output or in the tile that is stored in between.
        self.strides = strides_of(self.bounce_shape if tiling.bridged else dense, stored.itemsize)
        self._parameters: dict[tuple[int, ...], tuple[int, object]] = {}
        self._spots: Kept[int, Spot] = Kept(SPOTS_KEPT)

    def bounce_buffers(self) -> list[np.ndarray]:
        """Make the tile that is stored in between, if any may be."""
        tiling = self.method.tiling
        if not self.bounces and not (tiling.bridged and tiling.view.dense[0] % tiling.step[0] % tiling.shape[1]):
            return []
        return [np.empty(self.bounce_shape, self.method.out_dtype)]

    def store(self, worker: Worker, filter_: int, tiles: Sequence[int | None]) -> None:
        """Store the two parts of a transformed tile, each the results of one tile of the input (or of none)."""
        base, half = worker.out_address + filter_ * worker.out.strides[0], self.method.tile_bytes // 2
        for part, tile in enumerate(tiles):
            if tile is None:
                continue
            spot = self.spot(worker.out, tile)
            found = self._parameters.get(spot.wanted)
            if found is None:
                found = self._parameters.setdefault(spot.wanted, self._prepare(spot.wanted))
            if spot.bounced:
                self.kernel(found[0], worker.second + part * half, worker.bounced[0].ctypes.data)
                self.put(worker, filter_, tile, worker.bounced[0])
            else:
                self.kernel(found[0], worker.second + part * half, base + spot.offset)

    def spot(self, out: np.ndarray, tile: int) -> Spot:
        """Say where the results of a tile go, in bytes from the start of a map."""
        tiling = self.method.tiling
        image, tile = divmod(tile, tiling.per_image)
        found = self._spots.get(tile)
        strides = out.strides[1 + len(tiling.view.images) :]
        if found is None:
            place = tiling.place(tile)
            offset = sum(first * stride for first, stride in zip(place.first, strides, strict=True))
            bounced = self.bounces or (tiling.bridged and place.wanted[0] % tiling.shape[1] > 0)
            found = Spot(place.wanted, offset, bounced)
            self._spots.keep(tile, found)
        if image:
            return found._replace(offset=found.offset + image * strides[0] * out.shape[1 + len(tiling.view.images)])
        return found

    def put(self, worker: Worker, filter_: int, tile: int, bounced: np.ndarray) -> None:
        """Copy the results of a tile from where they were stored in between, keeping every stride-th."""
        place = self.method.tiling.place(tile % self.method.tiling.per_image)
        flat = bounced.reshape(-1) if self.method.tiling.bridged else bounced
        target, kept = self._target(worker, filter_, tile, place)
        target[...] = flat[kept]

    def patch(
        self, worker: Worker, filter_: int, tile: int, place: Place, values: np.ndarray, known: np.ndarray | None
    ) -> None:
        """Write those results of a tile that are known without a transform (None: all)."""
        target, kept = self._target(worker, filter_, tile, place)
        if known is None:
            target[...] = values[kept]
        else:
            np.copyto(target, values[kept], where=known[kept])

    def _target(self, worker: Worker, filter_: int, tile: int, place: Place) -> tuple[np.ndarray, tuple[slice, ...]]:
        """Give the part of the output that a tile fills, and which of its dense results do."""
        tiling = self.method.tiling
        images = len(tiling.view.images)
        where: list[int | slice] = [filter_]
        kept = []
        for at, (low, high) in zip(
            np.unravel_index(tile // tiling.per_image, tiling.view.images), self.box[:images], strict=True
        ):
            where.append(slice(0, 0) if not low <= at < high else int(at) - low)
        for first, wanted, axis, (low, high) in zip(
            place.first, place.wanted, tiling.view.axes, self.box[images:], strict=True
        ):
            start = max(-(-first // axis.stride), low)
            stop = max(start, min(-(-(first + wanted) // axis.stride), high))
            where.append(slice(start - low, stop - low))
            kept.append(slice(start * axis.stride - first, max(0, stop * axis.stride - first), axis.stride))
        return worker.out[tuple(where)], tuple(kept)

    def _prepare(self, wanted: tuple[int, ...]) -> tuple[int, object]:
        """Make the parameters for so many outputs along each filtered axis."""
        shape = self.method.tiling.shape
        if self.method.tiling.bridged:
            wanted = (-(-wanted[0] // shape[1]), shape[1])
        table, size = np.zeros((1, 2), np.int64), self.method.accumulate.itemsize
        for n, *strides in zip(wanted[:-1], strides_of(laid(shape, size), size), self.strides, strict=False):
            table = (table[:, None, :] + np.arange(n)[None, :, None] * np.array(strides)).reshape(-1, 2)
        values = {"rows": len(table), "row_table": table.ctypes.data, "width": wanted[-1]}
        parameters = np.array([values[name] for name in FIELDS], np.int64)
        return parameters.ctypes.data, (parameters, table)
