"""Gaussian-process regression on a grid is one solve with a convolution: run `python examples/grid_process.py`.

A covariance that depends on the distance alone is a filter: applying the covariance matrix to a picture is convolving
it with the kernel, zeros outside. Bochner's theorem says which filters qualify: those whose spectrum is nowhere
negative. The posterior mean of noisy samples is k * (K + noise·1)^-1 y, and no matrix is ever written down.
"""

import numpy as np

import faltung as ft
from faltung.analysis.solve import solve
from faltung.analysis.spectrum import spectrum

SHAPE, LENGTH, NOISE = (48, 64), 2.5, 0.3


def covariance() -> np.ndarray:
    """Sample exp(-|r|² / (2·LENGTH²)) as far as the grid reaches."""
    lags = np.meshgrid(*(np.arange(1 - n, n) for n in SHAPE), indexing="ij")
    return np.exp(-sum(lag**2 for lag in lags) / (2 * LENGTH**2))


def field() -> np.ndarray:
    """Draw a smooth truth: a few waves."""
    y, x = np.indices(SHAPE)
    return np.sin(x / 6.0) * np.cos(y / 7.0) + 0.5 * np.sin((x + 2 * y) / 11.0)


def main() -> None:
    kernel, truth = covariance(), field()
    noisy = truth + NOISE * np.random.default_rng(0).standard_normal(SHAPE)

    prior = ft.Convolution(kernel, boundary="zero")
    print("1. the filter is a covariance (Bochner):", spectrum(prior).is_nonnegative)
    print("   a box is not:", spectrum(ft.Convolution(np.ones((3, 3)))).is_nonnegative)

    # The covariance of what was observed: independent noise adds to the middle tap alone.
    observed = kernel.copy()
    observed[SHAPE[0] - 1, SHAPE[1] - 1] += NOISE**2
    weights = solve(ft.Convolution(observed, boundary="zero"), noisy, SHAPE)
    mean = prior(weights)

    same = all(np.array_equal(prior(weights, threads=n), mean) for n in (1, 2))
    print("   the same for any number of threads, bit for bit:", same)
    before, after = (float(np.sqrt(np.mean((a - truth) ** 2))) for a in (noisy, mean))
    print(f"2. rms error of the samples {before:.3f}, of the posterior mean {after:.3f}")

    # The same by the textbook, on a corner small enough for a dense matrix.
    small = (10, 12)
    corner = noisy[: small[0], : small[1]]
    places = np.stack(np.indices(small), -1).reshape(-1, 2)
    K = np.exp(-((places[:, None] - places) ** 2).sum(-1) / (2 * LENGTH**2))
    dense = np.linalg.solve(K + NOISE**2 * np.eye(len(K)), corner.ravel())
    ours = solve(ft.Convolution(observed, boundary="zero"), corner, small)
    print(f"3. equals the dense solution to {np.abs(ours.ravel() - dense).max():.0e}")


if __name__ == "__main__":
    main()
