"""The gradient by weights without a compiler: a matrix product for each tap, over blocks of bounded memory."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.weight_gradient_parts import Sizes, blocks, images_of, maps_of
from faltung.problem.boundary import AxisMap
from faltung.runtime import gather, regions

if TYPE_CHECKING:
    from faltung.problem.problem import Problem
    from faltung.runtime.regions import Box

BLOCK_PIXELS = 4096


class NumpyGradient:
    """out[group, o, c] += g[group, o, pixels] · x[group, c, pixels + tap], tap by tap, image by image."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.sizes = problem, Sizes.of(problem)
        self.boxes = blocks(problem, BLOCK_PIXELS)
        # A product of matrices sums in any order: as many roundings as pixels, and one for each block.
        self.roundings = regions.size(self.boxes[-1]) + len(self.boxes) * self.sizes.images

    def run(self, x: np.ndarray, g: np.ndarray, _threads: int) -> np.ndarray:
        """Sum block after block."""
        sizes, problem = self.sizes, self.problem
        total = np.zeros((*problem.kernel_shape, sizes.groups, sizes.outputs, sizes.inputs), x.dtype)
        for box in self.boxes:
            every = np.arange(sizes.groups * sizes.inputs)
            maps = [AxisMap(every, None, None, None, None), *maps_of(problem, box)]
            where = tuple(slice(*part) for part in box)
            for image, gradient in zip(images_of(problem, x), images_of(problem, g), strict=True):
                lines = gradient[(slice(None), *where)].reshape(sizes.groups, sizes.outputs, -1)
                self._add(gather.extended(image, maps), np.ascontiguousarray(lines), box, total)
        return np.moveaxis(total, (-3, -2, -1), (0, 1, 2))

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works."""
        return [("method", "NumPy: a matrix product for each tap"), ("blocks", f"{len(self.boxes)} an image")]

    def _add(self, samples: np.ndarray, lines: np.ndarray, box: Box, total: np.ndarray) -> None:
        axes, sizes = self.problem.geometry, self.sizes
        for tap in product(*map(range, self.problem.kernel_shape)):
            read = [
                slice(t * axis.dilation, t * axis.dilation + (stop - start - 1) * axis.stride + 1, axis.stride)
                for t, axis, (start, stop) in zip(tap, axes, box, strict=True)
            ]
            seen = samples[(slice(None), *read)].reshape(sizes.groups, sizes.inputs, -1)
            with np.errstate(invalid="ignore", over="ignore"):
                total[tap] += lines @ seen.swapaxes(1, 2)
