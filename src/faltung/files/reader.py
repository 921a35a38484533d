"""What regions read, gathered block by block; parts that later regions need are kept as far as memory allows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.files.stores import Box, Source
    from faltung.plan.plan import Plan

Block: TypeAlias = tuple[int, ...]
# Of one axis, for each block: (start, stop) in the array, and where that goes among the samples of the region.
Pieces: TypeAlias = dict[int, list[tuple[int, int, int]]]


class Reader:
    """Reads the samples of regions that are computed in a known order.

    A part of a block that a later region needs is kept if there is room; where there is not, what is needed last goes
    first, and is decoded again.
    """

    def __init__(self, source: Source, plan: Plan, room: int, threads: int) -> None:
        self.source, self.plan, self.room, self.threads = source, plan, room, max(1, threads)
        self.kept: dict[Box, dict[Block, tuple[Box, np.ndarray[Any, Any]]]] = {}
        self.used = 0
        self.needs: dict[Box, list[Pieces]] = {}
        self.rank: dict[Box, int] = {}
        self.users: dict[Block, list[Box]] = {}
        self.lock = threading.Lock()

    def expect(self, regions: Sequence[Box]) -> None:
        """Say which regions will be read next, in order."""
        self.needs = {region: self._pieces(region) for region in regions}
        self.rank = {region: number for number, region in enumerate(regions)}
        self.users = {}
        for region, needed in self.needs.items():
            for block in product(*needed):
                self.users.setdefault(block, []).append(region)
        for region in [one for one in self.kept if one not in self.needs]:
            self._forget(region)

    def read(self, region: Box) -> np.ndarray[Any, Any]:
        """Give the samples of `Plan.reads(region)`."""
        needed = self.needs.get(region) or self._pieces(region)
        counts = [sum(stop - start for one in axis.values() for start, stop, _ in one) for axis in needed]
        samples = np.empty(counts, self.source.dtype)
        blocks = list(product(*needed))
        if self.threads == 1 or len(blocks) == 1:
            for block in blocks:
                self._fill(samples, region, needed, block)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                jobs = [pool.submit(self._fill, samples, region, needed, block) for block in blocks]
                try:
                    for job in jobs:
                        job.result()
                finally:
                    pool.shutdown(cancel_futures=True)
        with self.lock:
            self._forget(region)
        return samples

    def _fill(self, samples: np.ndarray[Any, Any], region: Box, needed: list[Pieces], block: Block) -> None:
        """Copy what a region needs of a block, from what is kept or from the store."""
        hull = _hull(needed, block)
        kept = self.kept.get(region, {}).get(block)
        box, values = kept if kept is not None and _inside(hull, kept[0]) else self._decode(region, hull, block)
        for one in product(*(axis[at] for axis, at in zip(needed, block, strict=True))):
            inner = tuple(slice(a - low, b - low) for (a, b, _), (low, _) in zip(one, box, strict=True))
            outer = tuple(slice(to, to + b - a) for a, b, to in one)
            samples[outer] = values[inner]

    def _decode(self, region: Box, hull: Box, block: Block) -> tuple[Box, np.ndarray[Any, Any]]:
        """Read a block once for this region and for all later ones that are expected."""
        later: list[tuple[Box, Box]] = []
        if not self.source.seekable:
            users = self.users.get(block, [])
            at = users.index(region) if region in users else len(users)
            later = [(one, _hull(self.needs[one], block)) for one in users[at + 1 :]]
        box = _joined([hull, *(part for _, part in later)])
        values = self.source.read(box)
        with self.lock:
            for one, part in later:
                inner = tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(part, box, strict=True))
                self._keep(one, block, part, values[inner])
        return box, values

    def _keep(self, region: Box, block: Block, part: Box, values: np.ndarray[Any, Any]) -> None:
        """Keep a part for a region, in place of what is needed later than it."""
        while self.used + values.nbytes > self.room:
            last = max((one for one in self.kept if self.kept[one]), key=self.rank.__getitem__, default=region)
            if self.rank[last] <= self.rank[region]:
                return
            _, gone = self.kept[last].popitem()[1]
            self.used -= gone.nbytes
        self.kept.setdefault(region, {})[block] = (part, values.copy())
        self.used += values.nbytes

    def _forget(self, region: Box) -> None:
        for _, values in self.kept.pop(region, {}).values():
            self.used -= values.nbytes

    def _pieces(self, region: Box) -> list[Pieces]:
        """Say, axis by axis, which blocks a region's samples lie in."""
        found: list[Pieces] = []
        for intervals, size in zip(self.plan.reads(region), self.source.blocks, strict=True):
            axis: Pieces = {}
            to = 0
            for start, stop in intervals:
                at = start
                while at < stop:
                    end = min(stop, (at // size + 1) * size)
                    axis.setdefault(at // size, []).append((at, end, to))
                    to, at = to + end - at, end
            found.append(axis)
        return found


def _hull(needed: list[Pieces], block: Block) -> Box:
    """Give the smallest box around the pieces of a block."""
    parts = [axis[at] for axis, at in zip(needed, block, strict=True)]
    return tuple((min(a for a, _, _ in one), max(b for _, b, _ in one)) for one in parts)


def _joined(boxes: Sequence[Box]) -> Box:
    return tuple((min(a for a, _ in axis), max(b for _, b in axis)) for axis in zip(*boxes, strict=True))


def _inside(inner: Box, outer: Box) -> bool:
    return all(low <= a and b <= high for (a, b), (low, high) in zip(inner, outer, strict=True))
