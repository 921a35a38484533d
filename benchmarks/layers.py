"""Layers of networks: forward, both gradients, and all three together, against torch in both of its layouts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.check import positions
from benchmarks.contest import Contest
from benchmarks.harness import QUICK_ROUNDS, ROUNDS, Outcome
from benchmarks.progress import track
from benchmarks.work import Peer
from faltung import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.case import Array

PARTS = ("forward", "input gradient", "weight gradient", "forward and backward")
# Of ‖weight‖₁ · max|x|, as exact methods may differ.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Layer:
    """One layer: (batch, channels in), sizes, (channels out, per group), window, stride, padding, groups."""

    title: str
    channels: tuple[int, int]
    sizes: tuple[int, ...]
    weights: tuple[int, int]
    window: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    least: float = 0.7

    @property
    def rank(self) -> int:
        return len(self.sizes)

    def data(self) -> tuple[Array, Array, Array]:
        """Draw the input, the weight, and a gradient of the output."""
        generator = np.random.default_rng(0)
        x = generator.standard_normal((*self.channels, *self.sizes), np.float32)
        weight = generator.standard_normal((*self.weights, *(self.window,) * self.rank), np.float32)
        outs = [(n + 2 * self.padding - self.window) // self.stride + 1 for n in self.sizes]
        return x, weight, generator.standard_normal((self.channels[0], self.weights[0], *outs), np.float32)

    def contest(self, part: str, threads: int) -> Contest:
        """Run one part with faltung and with torch."""
        x, weight, grad = self.data()
        options: dict[str, Any] = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
        calls: dict[str, Callable[[], Any]] = {
            "forward": partial(nn.conv, x, weight, threads=threads, **options),
            "input gradient": partial(nn.conv_input_gradient, grad, weight, x.shape, threads=threads, **options),
            "weight gradient": partial(nn.conv_weight_gradient, grad, x, weight.shape, threads=threads, **options),
        }
        single = calls.get(part)

        def ours() -> Any:
            # Of all three, the last one is what is checked.
            return single() if single is not None else [call() for call in calls.values()][-1]

        exact = {"forward": self._output, "input gradient": self._input}.get(part, self._weight)
        at = positions({"forward": grad.shape, "input gradient": x.shape}.get(part, weight.shape))
        magnitudes = {"forward": (x, weight), "input gradient": (grad, weight)}.get(part, (x, grad))
        terms = grad[:, 0].size if magnitudes[1] is grad else weight.size / max(1, min(weight.shape[:2]))
        return Contest(
            group=part, name=f"{self.title}, {part}", ours=ours, rivals=list(self._torch(x, weight, grad, part)), at=at,
            exact=np.array([exact(x, weight, grad, place) for place in at]), tolerance=TOLERANCE,
            scale=float(np.abs(magnitudes[0]).max() * np.abs(magnitudes[1]).mean() * terms),
            targets={"torch": self.least, "torch channels last": self.least} if part == PARTS[-1] else {},
        )  # fmt: skip

    def _padded(self, x: Array) -> Array:
        return np.pad(x, [(0, 0)] * 2 + [(self.padding,) * 2] * self.rank)

    def _output(self, x: Array, weight: Array, grad: Array, at: tuple[int, ...]) -> Any:
        n, o, *place = at
        first = o // (len(weight) // self.groups) * weight.shape[1]
        window = tuple(slice(j * self.stride, j * self.stride + self.window) for j in place)
        samples = self._padded(x[n : n + 1])[(0, slice(first, first + weight.shape[1]), *window)]
        return np.sum(samples.astype(np.longdouble) * weight[o])

    def _weight(self, x: Array, weight: Array, grad: Array, at: tuple[int, ...]) -> Any:
        o, c, *tap = at
        channel = o // (len(weight) // self.groups) * weight.shape[1] + c
        read = (slice(t, t + self.stride * (n - 1) + 1, self.stride) for t, n in zip(tap, grad.shape[2:], strict=True))
        samples = self._padded(x[:, channel : channel + 1])[(slice(None), 0, *read)]
        return np.sum(samples.astype(np.longdouble) * grad[:, o])

    def _input(self, x: Array, weight: Array, grad: Array, at: tuple[int, ...]) -> Any:
        n, c, *place = at
        group, inside = divmod(c, weight.shape[1])
        outputs = slice(group * (len(weight) // self.groups), (group + 1) * (len(weight) // self.groups))
        total = np.longdouble(0)
        for tap in product(range(self.window), repeat=self.rank):
            found = [divmod(i + self.padding - t, self.stride) for i, t in zip(place, tap, strict=True)]
            if all(not rest and 0 <= j < m for (j, rest), m in zip(found, grad.shape[2:], strict=True)):
                taps = weight[(outputs, inside, *tap)].astype(np.longdouble)
                total += (grad[(n, outputs, *(j for j, _ in found))] * taps).sum()
        return total

    def _torch(self, x: Array, weight: Array, grad: Array, part: str) -> Iterator[Peer]:
        if not find_spec("torch"):
            return
        import torch

        last = {2: torch.channels_last, 3: torch.channels_last_3d}.get(self.rank)
        wanted = {"forward": [], "input gradient": [True, False, False], "weight gradient": [False, True, False]}
        geometry = [[value] * self.rank for value in (self.stride, self.padding, 1)]
        ones = [0] * self.rank
        for name, layout in (("torch", torch.contiguous_format), ("torch channels last", last)):
            if layout is None:
                continue
            tensors = [torch.from_numpy(a).contiguous(memory_format=layout) for a in (x, weight, grad)]

            def call(tensors: list[Any] = tensors) -> Any:
                tx, tw, tg = tensors
                with torch.inference_mode():
                    answer = None
                    if part in ("forward", PARTS[-1]):
                        answer = torch.convolution(tx, tw, None, *geometry, False, ones, self.groups)
                    if part != "forward":
                        mask = wanted.get(part, [True, True, False])
                        found = torch.ops.aten.convolution_backward(
                            tg, tx, tw, None, *geometry, False, ones, self.groups, mask
                        )
                        answer = found[0] if part == "input gradient" else found[1]
                return answer

            yield Peer(name, "convolution and convolution_backward of aten, inference mode", call)


LAYERS = (
    Layer("3x3, 64 channels of 56x56", (1, 64), (56, 56), (64, 64), 3, 1, 1),
    Layer("3x3, 128 of 28x28", (1, 128), (28, 28), (128, 128), 3, 1, 1),
    Layer("3x3, 256 of 14x14", (1, 256), (14, 14), (256, 256), 3, 1, 1),
    Layer("3x3, 512 of 7x7", (1, 512), (7, 7), (512, 512), 3, 1, 1),
    Layer("1x1, 64 to 256 of 56x56", (1, 64), (56, 56), (256, 64), 1),
    Layer("stem 7x7/2, 3 to 64 of 224x224", (1, 3), (224, 224), (64, 3), 7, 2, 3),
    Layer("3x3/2, 128 to 256 of 28x28", (1, 128), (28, 28), (256, 128), 3, 2, 1),
    Layer("depthwise 3x3, 144 of 56x56", (1, 144), (56, 56), (144, 1), 3, 1, 1, 144),
    Layer("depthwise 7x7, 96 of 56x56", (1, 96), (56, 56), (96, 1), 7, 1, 3, 96, least=2.0),
    Layer("3x3, 32 groups, 256 of 28x28", (1, 256), (28, 28), (256, 8), 3, 1, 1, 32),
    Layer("15x15, one channel of 256x256", (1, 1), (256, 256), (1, 1), 15, 1, 7, least=2.0),
    Layer("3x3x3, 32 of 16x16x16", (1, 32), (16, 16, 16), (32, 32), 3, 1, 1),
)


def run(threads: int, quick: bool) -> Outcome:
    """Measure every part of every layer."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    contests = [partial(layer.contest, part) for layer in LAYERS for part in PARTS]
    results = [make(threads).measure(threads, rounds) for make in track(contests, "layers")]
    return Outcome(tuple(results), (), tuple(result.name for result in results if not result.correct))
