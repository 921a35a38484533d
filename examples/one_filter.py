"""One filter, carried from its samples to a feature map: run `python examples/one_filter.py`.

A derivative-of-Gaussian kernel finds vertical edges. It is written down as a formula, sampled, applied to a picture
that we generate (a disk on a slope), checked against the definition, and shown with its plan.
"""

import numpy as np

import faltung as ft
from faltung import definition


def picture(size: int = 96) -> np.ndarray:
    """Draw a bright disk on a dark slope."""
    y, x = np.mgrid[:size, :size] / (size - 1)
    disk = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09
    return (0.2 * x + disk).astype(np.float32)


def sampled(sigma: float = 1.5, radius: int = 4) -> np.ndarray:
    """Sample -d/dx of a Gaussian: correlating with it gives the slope to the right."""
    u = np.arange(-radius, radius + 1)
    smooth = np.exp(-(u**2) / (2 * sigma**2))
    return np.outer(smooth / smooth.sum(), u * smooth / (u**2 * smooth).sum())


def main() -> None:
    image, kernel = picture(), sampled()
    edges = ft.correlate(image, kernel, boundary="edge")

    print("1. samples of the kernel's middle row:", np.round(kernel[4], 3))
    print(f"2. feature map: {edges.shape} {edges.dtype} from {edges.min():.2f} to {edges.max():.2f}")
    exact = definition.correlate(image, kernel, boundary="edge", at=[(48, 19), (48, 77), (0, 0)])
    print("3. left rim, right rim, corner:", edges[[48, 48, 0], [19, 77, 0]], "by definition:", exact.astype(float))

    # The note's claim: shifting the input shifts the feature map, here bit for bit on the torus.
    shifted = ft.correlate(np.roll(image, (7, 5), (0, 1)), kernel, boundary="wrap")
    same = np.roll(ft.correlate(image, kernel, boundary="wrap"), (7, 5), (0, 1))
    print("4. equivariant under shifts, bit for bit:", bool((shifted == same).all()))
    print("5. the plan:")
    print(ft.Convolution(kernel, flip=False, boundary="edge").plan(image.shape).explain())


if __name__ == "__main__":
    main()
