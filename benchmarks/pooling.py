"""Pooling: layer shapes against torch in both of its layouts, large windows against scipy.ndimage and OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.check import positions
from benchmarks.contest import Contest
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, Outcome
from benchmarks.progress import track
from benchmarks.work import Peer
from faltung.pooling import Pooling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.case import Array

# (batch and channels, side, window, stride, padding)
LAYERS = (
    ((1, 1), 1024, 2, 2, 0), ((1, 1), 1024, 3, 2, 1), ((8, 64), 56, 2, 2, 0), ((8, 64), 112, 3, 2, 1),
    ((8, 64), 28, 3, 1, 1), ((1, 64), 14, 2, 2, 0), ((1, 1), 512, 15, 1, 7),
)  # fmt: skip
LAYOUTS = ("channels first", "channels last")


@dataclass(frozen=True)
class Layer:
    """A pooling of an image with channels, which lie first or last in memory."""

    carried: tuple[int, int]
    side: int
    window: int
    stride: int
    padding: int
    kind: str
    layout: str
    indices: bool = False

    @property
    def name(self) -> str:
        """Describe it."""
        shape = "x".join(map(str, (*self.carried, self.side, self.side)))
        window = f"{self.window}x{self.window} stride {self.stride} padding {self.padding}"
        return f"float32 {shape} {self.layout}, {self.kind} {window}{', indices' * self.indices}"

    def contest(self, threads: int) -> Contest:
        """Pool with faltung and with torch."""
        x = np.random.default_rng(0).standard_normal((*self.carried, self.side, self.side), np.float32)
        last = self.layout == "channels last"
        source, axes = (np.ascontiguousarray(x.transpose(0, 2, 3, 1)), (1, 2)) if last else (x, (2, 3))
        pooling = Pooling(self.window, kind=self.kind, stride=self.stride, padding=self.padding, axes=axes)
        back = (0, 3, 1, 2) if last else (0, 1, 2, 3)

        def ours() -> Any:
            answer = pooling(source, return_indices=self.indices, threads=threads)
            # With indices, these are what is checked.
            return (answer[1] if self.indices else answer).transpose(back)

        at = positions(ours().shape)
        return Contest(
            group=f"{self.kind}{' with indices' * self.indices}, {self.layout}", name=self.name, ours=ours, at=at,
            rivals=list(self._torch(x, last)), exact=np.array([self._exact(x, place) for place in at]),
            tolerance=1e-6 if self.kind == "mean" else 0, targets={} if last else {"torch": 0.7},
        )  # fmt: skip

    def _exact(self, x: Array, at: tuple[int, ...]) -> Any:
        lows = [place * self.stride - self.padding for place in at[2:]]
        part = tuple(slice(max(low, 0), low + self.window) for low in lows)
        samples = x[(*at[:2], *part)]
        if self.kind == "mean":
            return samples.sum(dtype=np.longdouble) / self.window**2
        if not self.indices:
            return samples.max()
        row, column = np.unravel_index(samples.argmax(), samples.shape)
        return (part[0].start + row) * self.side + part[1].start + column

    def _torch(self, x: Array, last: bool) -> Iterator[Peer]:
        if not find_spec("torch"):
            return
        import torch
        from torch.nn import functional

        tensor = torch.from_numpy(x)
        if last:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        options = {"stride": self.stride, "padding": self.padding}

        @torch.inference_mode()
        def call() -> Any:
            if self.kind == "mean":
                return functional.avg_pool2d(tensor, self.window, **options)
            if not self.indices:
                return functional.max_pool2d(tensor, self.window, **options)
            return functional.max_pool2d(tensor, self.window, return_indices=True, **options)[1]

        yield Peer("torch", f"{'avg' if self.kind == 'mean' else 'max'}_pool2d, inference mode, {self.layout}", call)


def large(threads: int, side: int, window: int) -> Contest:
    """Take the maximum of large windows that overlap."""
    x = np.random.default_rng(0).standard_normal((side, side), np.float32)
    pooling, low = Pooling((window, window), stride=1, padding=window // 2), window // 2
    at = positions((side, side))
    exact = [x[max(i - low, 0) : i + low + 1, max(j - low, 0) : j + low + 1].max() for i, j in at]
    return Contest(
        group="large windows", name=f"float32 {side}x{side}, max {window}x{window}", at=at, exact=np.array(exact),
        ours=lambda: pooling(x, threads=threads), rivals=list(_filters(x, window)), tolerance=0,
        targets={"scipy.ndimage": 10.0} if window == 15 else {},
    )  # fmt: skip


def _filters(x: Array, window: int) -> Iterator[Peer]:
    from scipy import ndimage

    out = np.empty_like(x)
    yield Peer("scipy.ndimage", "maximum_filter(output=)", lambda: ndimage.maximum_filter(x, window, output=out))
    if find_spec("cv2"):
        import cv2

        kernel, target = np.ones((window, window), np.uint8), np.empty_like(x)
        yield Peer("opencv", "dilate, dst=, kernel of ones", lambda: cv2.dilate(x, kernel, dst=target))


def run(threads: int, quick: bool) -> Outcome:
    """Measure layers of both layouts, and large windows."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    layers = [
        Layer(*shape, kind, layout, indices)
        for kind, indices in (("max", False), ("max", True), ("mean", False))
        for shape in (LAYERS[2:3] if quick else LAYERS)
        for layout in LAYOUTS
    ]
    side = 300 if quick else 2048
    contests = [layer.contest for layer in layers]
    results = [make(threads).measure(threads, rounds) for make in track(contests, "pooling")]
    results += [large(threads, side, window).measure(threads, rounds) for window in (3, 15, 63)]
    return Outcome(tuple(results), (), tuple(result.name for result in results if not result.correct))
