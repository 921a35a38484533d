"""What sharing parameters is worth: dense, untied and convolutional classifiers of about one size, on real digits.

Two questions of the lecture note, answered by measuring:

1. How many training images does each need? Test error against the number of images.
2. What happens to digits that have moved? Trained on centred digits, tested on digits shifted by up to three pixels,
   with a head that knows where features are, and with global pooling, which does not.

`python experiments/digits.py [--quick] [--out docs/experiments]` trains everything again (a few minutes on two cores),
writes digits.csv, digits.md and digits.svg. Needs torch, scikit-learn and matplotlib. The digits are those of the UCI
set that scikit-learn carries: 1797 images of 8x8 pixels, put on a canvas of 14x14.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from sklearn.datasets import load_digits
from torch import Tensor, nn

CANVAS, MARGIN = 14, 3
TRAIN = (20, 40, 80, 160, 320, 640, 1280)
SHIFTS = range(MARGIN + 1)
SEEDS = 8
STEPS, BATCH, RATE = 400, 64, 3e-3


class Untied(nn.Module):
    """A locally connected layer: the windows of a convolution, with weights of their own at every position."""

    def __init__(self, inputs: int, outputs: int, window: int, size: int) -> None:
        super().__init__()
        self.window, self.places = window, size - window + 1
        fan_in = inputs * window**2
        self.weight = nn.Parameter(torch.empty(self.places**2, outputs, fan_in).uniform_(-1, 1) / fan_in**0.5)
        self.bias = nn.Parameter(torch.zeros(outputs, self.places, self.places))

    def forward(self, x: Tensor) -> Tensor:
        windows = nn.functional.unfold(x, self.window)
        maps = torch.einsum("nfp,pof->nop", windows, self.weight)
        return maps.unflatten(2, (self.places, self.places)) + self.bias


class LargestAnywhere(nn.Module):
    """Global max pooling: what is there, not where."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3))


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(CANVAS**2, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 10)
    )


def untied() -> nn.Module:
    first, second = Untied(1, 3, 3, CANVAS), Untied(3, 4, 3, 6)
    return nn.Sequential(
        first,
        nn.ReLU(),
        nn.MaxPool2d(2),
        second,
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 48),
        nn.ReLU(),
        nn.Linear(48, 10),
    )


def convolutional(head: str) -> nn.Module:
    """Give two padded convolutions, so that no shift within the margin pushes a feature out, and a head."""
    first, second = (16, 48) if head == "global" else (8, 16)
    maps = [
        nn.Conv2d(1, first, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
    ]
    if head == "global":
        return nn.Sequential(*maps, LargestAnywhere(), nn.Linear(second, 40), nn.ReLU(), nn.Linear(40, 10))
    return nn.Sequential(*maps, nn.Flatten(), nn.Linear(second * (CANVAS // 2) ** 2, 10))


MODELS = {
    "dense": dense,
    "untied": untied,
    "convolutional": partial(convolutional, "places"),
    "convolutional, global pooling": partial(convolutional, "global"),
}


@dataclass(frozen=True)
class Run:
    """One training: the model, its images and seed, and its test error at every shift."""

    model: str
    images: int
    seed: int
    errors: tuple[float, ...]


def digits(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give training and test images on the canvas, centred, in an order drawn from the seed."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    x = torch.tensor(images[order].reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
    x = nn.functional.pad(x, (MARGIN,) * 4)
    y = torch.tensor(labels[order])
    return x[:1280], y[:1280], x[1280:], y[1280:]


def train(model: nn.Module, x: Tensor, y: Tensor, seed: int, steps: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(x), (min(BATCH, len(x)),), generator=generator)
        loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


@torch.inference_mode()
def test(model: nn.Module, x: Tensor, y: Tensor, shift: int) -> float:
    """Give the share of errors on digits moved by `shift` pixels, in the mean over the eight directions."""
    ways = [(0, 0)] if shift == 0 else [way for way in product((-1, 0, 1), repeat=2) if way != (0, 0)]
    errors = [(model(x.roll((dy * shift, dx * shift), (2, 3))).argmax(1) != y).float().mean() for dy, dx in ways]
    return float(sum(errors)) / len(errors)


def run(name: str, images: int, seed: int, steps: int) -> Run:
    torch.manual_seed(seed)
    x, y, test_x, test_y = digits(seed)
    model = train(MODELS[name](), x[:images], y[:images], seed, steps)
    return Run(name, images, seed, tuple(test(model, test_x, test_y, shift) for shift in SHIFTS))


def parameters(name: str) -> int:
    return sum(p.numel() for p in MODELS[name]().parameters())


def means(runs: list[Run]) -> dict[tuple[str, int, int], tuple[float, float]]:
    """Give the mean error and its standard error for each (model, images, shift)."""
    found = {}
    for name, images, shift in product(MODELS, sorted({r.images for r in runs}), SHIFTS):
        errors = np.array([r.errors[shift] for r in runs if r.model == name and r.images == images])
        found[name, images, shift] = float(errors.mean()), float(errors.std(ddof=1) / len(errors) ** 0.5)
    return found


def table(runs: list[Run]) -> str:
    """Write both answers as Markdown tables, errors in per cent."""
    found, sizes = means(runs), sorted({r.images for r in runs})
    lines = [
        "Test error in per cent (mean of the seeds ± standard error), centred digits, by number of training images:",
        "",
    ]
    lines += ["| model | parameters | " + " | ".join(map(str, sizes)) + " |", "|---" * (2 + len(sizes)) + "|"]
    for name in MODELS:
        cells = [f"{100 * m:.1f} ± {100 * s:.1f}" for m, s in (found[name, n, 0] for n in sizes)]
        lines.append(f"| {name} | {parameters(name):,} | " + " | ".join(cells) + " |")
    lines += ["", f"Trained on {sizes[-1]} centred digits, tested on digits moved by so many pixels:", ""]
    lines += ["| model | " + " | ".join(f"{s} px" for s in SHIFTS) + " |", "|---" * (1 + len(SHIFTS)) + "|"]
    for name in MODELS:
        cells = [f"{100 * m:.1f} ± {100 * s:.1f}" for m, s in (found[name, sizes[-1], shift] for shift in SHIFTS)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "Images saved by sharing: the convolutional error at n images, beside the dense one at 4n:", ""]
    lines += ["| n | convolutional at n | dense at 4n |", "|---|---|---|"]
    for n in [n for n in sizes if 4 * n in sizes]:
        ours, theirs = found["convolutional", n, 0], found["dense", 4 * n, 0]
        lines.append(
            f"| {n} | {100 * ours[0]:.1f} ± {100 * ours[1]:.1f} | {100 * theirs[0]:.1f} ± {100 * theirs[1]:.1f} |"
        )
    return "\n".join(lines) + "\n"


def figure(runs: list[Run], path: Path) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colours = dict(zip(MODELS, ("#D55E00", "#E69F00", "#0072B2", "#009E73"), strict=True))
    marks = dict(zip(MODELS, "os^D", strict=True))
    found, sizes = means(runs), sorted({r.images for r in runs})
    with rc_context({"font.size": 13, "svg.hashsalt": "faltung", "svg.fonttype": "none"}):
        drawing = Figure(figsize=(12, 5), layout="constrained")
        left, right = drawing.subplots(1, 2)
        for name in MODELS:
            style = {"color": colours[name], "marker": marks[name], "label": name, "capsize": 3}
            points = [found[name, n, 0] for n in sizes]
            left.errorbar(sizes, [100 * m for m, _ in points], [100 * s for _, s in points], **style)
            points = [found[name, sizes[-1], shift] for shift in SHIFTS]
            right.errorbar(list(SHIFTS), [100 * m for m, _ in points], [100 * s for _, s in points], **style)
        left.set(xscale="log", yscale="log", xlabel="training images", ylabel="test error, %", title="centred digits")
        left.set_xticks(sizes, map(str, sizes))
        left.set_yticks(ticks := [2, 3, 5, 10, 20, 40], map(str, ticks))
        left.minorticks_off()
        right.set(
            xlabel="shift, pixels", ylabel="test error, %", title="trained centred, tested shifted", ylim=(0, None)
        )
        right.set_xticks(list(SHIFTS))
        left.legend(frameon=False)
        drawing.savefig(path, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="two sizes, two seeds, few steps: the figures mean nothing"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/experiments"), help="where to write")
    options = parser.parse_args()
    sizes, seeds, steps = ((20, 80), 2, 30) if options.quick else (TRAIN, SEEDS, STEPS)
    jobs = list(product(MODELS, sizes, range(seeds)))
    runs = [run(*job, steps) for job in track(jobs, "training", disable=not sys.stderr.isatty())]
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "digits.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "images", "seed", *(f"error at shift {s}" for s in SHIFTS)])
        writer.writerows([r.model, r.images, r.seed, *(f"{e:.4f}" for e in r.errors)] for r in runs)
    text = table(runs)
    (options.out / "digits.md").write_text(text)
    figure(runs, options.out / "digits.svg")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
