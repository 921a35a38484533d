"""The facts of a fixed kernel that a plan may rest on: its size, norms, zeros, symmetry and constancy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from faltung.errors import GeometryError
from faltung.problem.dtypes import kind_of

Parity = Literal["even", "odd"] | None


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What is known of a kernel.

    `norm1` is sum|w| and `norm_max` is max|w|: exact ints for integer kernels, floats (NaN with a NaN) otherwise.
    `symmetric` says for each axis whether reversing it leaves the kernel as it is ("even", zeros too), negates it
    ("odd") or neither (None), exactly and without conjugation. NaN counts as non-zero and equals nothing.
    """

    shape: tuple[int, ...]
    taps: int
    nonzero: int
    norm1: int | float
    norm_max: int | float
    constant: bool
    symmetric: tuple[Parity, ...]
    finite: bool


def facts(kernel: np.ndarray) -> KernelFacts:
    """Measure a kernel of any rank and any dtype that can be convolved (bool counts as uint8).

    Raises GeometryError for a kernel without taps and DtypeError for a dtype that is refused.

    >>> sobel = facts(np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]))
    >>> sobel.norm1, sobel.nonzero, sobel.symmetric
    (8, 6, ('even', 'odd'))
    """
    kind = kind_of(kernel.dtype, "the kernel")
    if kernel.size == 0:
        msg = f"a kernel of shape {kernel.shape} has no taps; every axis needs at least one"
        raise GeometryError(msg)
    w = _comparable(kernel)
    norm1, norm_max = _integer_norms(w) if kind == "integer" else _float_norms(w)
    return KernelFacts(
        shape=kernel.shape,
        taps=kernel.size,
        nonzero=int(np.count_nonzero(w)),
        norm1=norm1,
        norm_max=norm_max,
        constant=bool((w == w.flat[0]).all()),
        symmetric=tuple(_parity(w, axis) for axis in range(w.ndim)),
        finite=bool(np.isfinite(w).all()),
    )


def norm1(layer: np.ndarray) -> int | float:
    """Give the largest sum|w| over the output channels of a layer's weight."""
    w = _comparable(layer)
    if kind_of(w.dtype) == "integer":
        return max(_integer_norms(kernel)[0] for kernel in w)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.abs(w).reshape(len(w), -1).sum(axis=1).max())


def _comparable(kernel: np.ndarray) -> np.ndarray:
    """Make bool and half floats ordinary numbers; every value is kept."""
    if kernel.dtype.kind == "b":
        return kernel.astype(np.uint8)
    return kernel.astype(np.float64) if kind_of(kernel.dtype) == "real" else kernel


def _magnitude(w: np.ndarray) -> np.ndarray:
    """Give |w|, as unsigned integers for signed ones, whose minimum has no positive counterpart."""
    magnitude: np.ndarray = np.abs(w)
    return magnitude.astype(f"u{w.dtype.itemsize}") if w.dtype.kind == "i" else magnitude


def _integer_norms(w: np.ndarray) -> tuple[int, int]:
    # Two halves of 32 bits sum exactly in 64, for any kernel that fits in memory.
    magnitude = _magnitude(w).astype(np.uint64)
    high, low = magnitude >> np.uint64(32), magnitude & np.uint64(0xFFFFFFFF)
    return (int(high.sum()) << 32) + int(low.sum()), int(magnitude.max())


def _float_norms(w: np.ndarray) -> tuple[float, float]:
    wide = w.astype(np.complex128 if w.dtype.kind == "c" else np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        magnitude = np.abs(wide)
        return float(magnitude.sum()), float(magnitude.max())


def _parity(w: np.ndarray, axis: int) -> Parity:
    reverse = np.flip(w, axis)
    if (w == reverse).all():
        return "even"
    if w.dtype.kind == "u":
        return None
    # Integers are compared by magnitude and sign: negation would wrap at their minimum.
    if w.dtype.kind == "i":
        opposite = (_magnitude(w) == _magnitude(reverse)) & (np.sign(w) == -np.sign(reverse))
    else:
        opposite = w == -reverse
    return "odd" if opposite.all() else None
