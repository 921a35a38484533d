"""Kernels as products of short ones: the tensor train, exact for integers, to rounding for floats.

    K[i1, i2, ..., id] = Σ  G1[i1, a1] · G2[a1, i2, a2] · ... · Gd[a(d-1), id]

With all ranks 1 this is the outer product of d lines, with d = 2 the singular value decomposition; beyond that the
tensor train of Oseledets (2011, SIAM J. Sci. Comput. 33:2295), whose ranks are those of the kernel's unfoldings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Parts of the allowance given to the residual of one unfolding are halved this often before the full rank is taken.
REFINEMENTS = 4
# Singular vectors of a symmetric kernel are symmetric up to this much of their largest element.
NEARLY = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """Cores of shape (rank before, taps, rank after), in the accumulator's dtype, and what their product leaves out.

    `residual` bounds ‖K - product‖₁ for the cores as they are stored; `magnitude` is the 1-norm of the product of
    |cores|, which is ‖K‖₁ for a rank of 1 and may be larger beyond.
    """

    cores: tuple[np.ndarray, ...]
    residual: float
    magnitude: float

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks between the cores."""
        return tuple(core.shape[2] for core in self.cores[:-1])

    @property
    def rank(self) -> int:
        """The largest of the ranks; 1 is an outer product of lines."""
        return max(self.ranks, default=1)

    @property
    def products(self) -> int:
        """Multiplications for one output."""
        return sum(core.size for core in self.cores)


def factorise(kernel: np.ndarray, accumulate: np.dtype, allowed: float, most: int = 1 << 30) -> Factors | None:
    """Factor a finite kernel so that at most `allowed` of it is left out, in the 1-norm; None if that is not possible.

    All cores but the last have 1-norms of at most 1 over taps and ranks before, so that no intermediate exceeds the
    input's maximum. Ranks above `most` are of no use to the caller. Integers are factored exactly, into lines, or not
    at all.

    >>> line = np.array([1, 2, 1])
    >>> [core.ravel().tolist() for core in factorise(np.outer(line, 3 * line), np.dtype(np.int32), 0.0).cores]
    [[1, 2, 1], [3, 6, 3]]
    """
    if accumulate.kind in "iu":
        lines = _integer_lines(kernel)
        if lines is None:
            return None
        exact = tuple(_wrapped(line, accumulate).reshape(1, -1, 1) for line in lines)
        return Factors(exact, 0.0, float(np.abs(kernel.astype(float)).sum()))
    wide = kernel.astype(np.float64)
    for i in range(-1, REFINEMENTS):
        cores = _outer_product(wide) if i < 0 else _tensor_train(wide, allowed / 2**i, most)
        if cores is None:
            return None
        found = _finished(cores, kernel, accumulate)
        if found.residual <= allowed:
            return found
    return None


def _finished(cores: list[np.ndarray], kernel: np.ndarray, accumulate: np.dtype) -> Factors:
    """Balance the cores, make nearly symmetric lines symmetric, round them, and measure what is left out."""
    stored = tuple(_symmetric(core).astype(accumulate) for core in _balanced(cores))
    wide = np.longdouble if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps else np.float64
    product = _product([core.astype(wide) for core in stored])
    magnitude = float(_product([np.abs(core).astype(np.float64) for core in stored]).sum())
    residual = float(np.abs(product - kernel.astype(wide)).sum()) * (1 + 1e-12)
    rounded = magnitude * float(np.finfo(wide).eps) * _roundings(stored)
    return Factors(stored, residual + rounded, magnitude * (1 + 1e-12))


def _roundings(cores: tuple[np.ndarray, ...]) -> int:
    """Count the roundings of one element of the product, which is worked out to measure the residual."""
    return sum(core.shape[0] + 2 for core in cores)


def _outer_product(kernel: np.ndarray) -> list[np.ndarray]:
    """Take the lines through the largest element: exact symmetry and zeros of the kernel stay exact."""
    pivot = np.unravel_index(int(np.argmax(np.abs(kernel))), kernel.shape)
    peak = kernel[pivot]
    cores = []
    for axis in range(kernel.ndim):
        line = kernel[tuple(slice(None) if i == axis else p for i, p in enumerate(pivot))]
        cores.append((line if axis == kernel.ndim - 1 or peak == 0 else line / peak).reshape(1, -1, 1))
    return cores


def _tensor_train(kernel: np.ndarray, allowed: float, most: int) -> list[np.ndarray] | None:
    """Split axis after axis off by singular values, leaving out those whose 1-norm may be missed; None if too many."""
    cores, rank, rest = [], 1, kernel
    # Where `n` elements are left out in the 2-norm, the 1-norm is at most √n times that.
    least = allowed / max(1, kernel.ndim - 1) / math.sqrt(kernel.size)
    for taps in kernel.shape[:-1]:
        rows = rest.reshape(rank * taps, -1)
        u, s, v = np.linalg.svd(rows, full_matrices=False)
        tails = np.sqrt(np.cumsum(s[::-1] ** 2))[::-1]
        kept = max(1, int((tails > least).sum()))
        if kept > most:
            return None
        cores.append(u[:, :kept].reshape(rank, taps, kept))
        rest, rank = s[:kept, None] * v[:kept], kept
    return [*cores, rest.reshape(rank, kernel.shape[-1], 1)]


def _balanced(cores: list[np.ndarray]) -> list[np.ndarray]:
    """Scale by powers of two, which round nothing, until maps of all cores but the last have 1-norms of at most 1."""
    balanced = []
    scale = np.ones(1)
    for i, core in enumerate(cores):
        core = core * scale[:, None, None]
        if i < len(cores) - 1:
            norms = np.abs(core).sum(axis=(0, 1))
            scale = np.exp2(np.ceil(np.log2(np.where(norms > 0, norms, 1.0))))
            core = core / scale
        balanced.append(core)
    return balanced


def _symmetric(core: np.ndarray) -> np.ndarray:
    """Make lines exactly symmetric or antisymmetric that are so to rounding: pairs of taps then share a product."""
    result = core.copy()
    mirror = core[:, ::-1]
    for sign in (1, -1):
        near = np.abs(core - sign * mirror).max(axis=1) <= NEARLY * np.abs(core).max(axis=1)
        result = np.where(near[:, None, :], (core + sign * mirror) / 2, result)
    return result


def _product(cores: list[np.ndarray]) -> np.ndarray:
    """Multiply the cores out to a kernel."""
    product: np.ndarray = cores[0][0]
    for core in cores[1:]:
        product = np.tensordot(product, core, axes=1)
    last: np.ndarray = product[..., 0]
    return last


def _integer_lines(kernel: np.ndarray) -> list[np.ndarray] | None:
    """Find integer lines whose outer product is the kernel, or None; all but the last have coprime elements."""
    exact = kernel.astype(object)
    pivot = np.unravel_index(int(np.argmax(exact != 0)), kernel.shape)
    peak = exact[pivot]
    if peak == 0:
        return [*(np.ones(n, object) for n in kernel.shape[:-1]), np.zeros(kernel.shape[-1], object)]
    lines, through = [], 1
    for axis in range(kernel.ndim):
        line = exact[tuple(slice(None) if i == axis else p for i, p in enumerate(pivot))]
        line = line // math.gcd(*line.tolist())
        lines.append(line)
        through *= line[pivot[axis]]
    # The lines' product is the kernel up to a factor, which is an integer as the lines are coprime (Gauss's lemma).
    lines[-1] = lines[-1] * (peak // through)
    product = lines[0]
    for line in lines[1:]:
        product = np.multiply.outer(product, line)
    return lines if (product == exact).all() else None


def _wrapped(line: np.ndarray, accumulate: np.dtype) -> np.ndarray:
    """Give integers modulo the accumulator's range: sums wrap, and only the result must fit."""
    bits = 8 * accumulate.itemsize
    wrapped = [(int(v) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1)) for v in line]
    return np.array(wrapped, accumulate)
