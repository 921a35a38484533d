"""One filter, carried from its formula to a layer that learns it: run `python examples/one_filter.py`.

A derivative of a Gaussian finds vertical edges. It is an integral, then samples, a feature map, a matrix that shares
its weights, a function that commutes with shifts, what is found in a black box, and what a layer learns from examples.
"""

import numpy as np

import faltung as ft
from faltung import continuous, definition, symmetry
from faltung.symmetry.representations import translations

SIGMA, RADIUS = 1.5, 4


def picture(size: int = 96) -> np.ndarray:
    """Draw a bright disk on a dark slope."""
    y, x = np.mgrid[:size, :size] / (size - 1)
    disk = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09
    return (0.2 * x + disk).astype(np.float32)


def sampled() -> np.ndarray:
    """Sample -d/dx of a Gaussian: correlating with it gives the slope to the right."""
    u = np.arange(-RADIUS, RADIUS + 1)
    smooth = np.exp(-(u**2) / (2 * SIGMA**2))
    return np.outer(smooth / smooth.sum(), u * smooth / (u**2 * smooth).sum())


def integral(kernel: np.ndarray) -> None:
    """The slope of a blurred step is the Gaussian itself; sums over samples come near to it."""
    step = continuous.Function(lambda x: np.ones_like(x), support=(-0.5, 40))
    slope = continuous.convolve(step, continuous.gaussian(sigma=SIGMA)).derivative()
    samples = np.arange(-40, 41) >= -0.5  # the step lies between two samples
    digital = ft.correlate(samples.astype(float), kernel.sum(0), boundary="edge")
    print("1. slope of a step at -2, 0, 2 by the integral:", slope([-2, 0, 2]).round(3))
    print("   by sums over samples:                       ", digital[[38, 40, 42]].round(3))


def feature_map(image: np.ndarray, kernel: np.ndarray) -> None:
    """Apply it, and check some samples against the definition."""
    edges = ft.correlate(image, kernel, boundary="edge")
    print(f"2. feature map: {edges.shape} {edges.dtype} from {edges.min():.2f} to {edges.max():.2f}")
    exact = definition.correlate(image, kernel, boundary="edge", at=[(48, 19), (48, 77), (0, 0)])
    print("   left rim, right rim, corner:", edges[[48, 48, 0], [19, 77, 0]], "by definition:", exact.astype(float))


def matrix(kernel: np.ndarray) -> None:
    """Written as a matrix it is sparse, and few weights stand in many places."""
    c = ft.Convolution(kernel, flip=False, boundary="wrap")
    whole = c.matrix((16, 16))
    print(f"3. as a matrix: {whole.shape}, {whole.nnz} entries, {np.unique(kernel).size} different weights")
    print("   its largest singular value:", f"{c.singular_values((16, 16)).max():.4f}")


def shifts(image: np.ndarray, kernel: np.ndarray) -> None:
    """Shifting the input shifts the feature map, here bit for bit on the torus; and nothing else would."""
    shifted = ft.correlate(np.roll(image, (7, 5), (0, 1)), kernel, boundary="wrap")
    same = np.roll(ft.correlate(image, kernel, boundary="wrap"), (7, 5), (0, 1))
    print("4. equivariant under shifts, bit for bit:", bool((shifted == same).all()))
    basis = symmetry.equivariant_basis(translations((6, 6)))
    print(f"   of the {36 * 36} weights of a dense layer on 6 x 6, shifts leave {basis.dimension} free")
    found = symmetry.identify(lambda x: ft.correlate(x, kernel, boundary="edge"), (40, 40), kernel=kernel, dtypes=())
    print("   found in a black box:", found.kernel is not None and np.allclose(found.kernel, kernel), found.boundary)


def learned(kernel: np.ndarray) -> None:
    """A layer that sees a picture of noise and its feature map, and nothing else, learns the kernel by descent."""
    x = np.random.default_rng(0).standard_normal((1, 1, 96, 96))
    want = ft.nn.conv(x, kernel[None, None], padding=RADIUS)
    weight = np.zeros((1, 1, *kernel.shape))
    for _ in range(20):
        error = ft.nn.conv(x, weight, padding=RADIUS) - want
        weight -= ft.nn.conv_weight_gradient(error, x, weight.shape, padding=RADIUS) / error.size
    print(
        f"5. learned from one example in 20 steps: error of a weight at most {np.abs(weight[0, 0] - kernel).max():.0e}"
    )


def main() -> None:
    image, kernel = picture(), sampled()
    print("0. samples of the kernel's middle row:", np.round(kernel[RADIUS], 3))
    integral(kernel)
    feature_map(image, kernel)
    matrix(kernel)
    shifts(image, kernel)
    learned(kernel)
    print("6. the plan:")
    print(ft.Convolution(kernel, flip=False, boundary="edge").plan(image.shape).explain())


if __name__ == "__main__":
    main()
