"""How much a convolution can amplify: the spectral norm, and a bound that needs no matrix."""

from __future__ import annotations

from math import prod, sqrt
from typing import TYPE_CHECKING

import numpy as np

from faltung.analysis.circulant import singular_values, symbol_of
from faltung.analysis.operator import linear_operator
from faltung.analysis.structure import structure_of
from faltung.analysis.taps import entries_of, taps_of
from faltung.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.convolution import Convolution
    from faltung.problem.boundary import Sides
    from faltung.problem.geometry import Axis

DENSE_ENTRIES = 1 << 18


def norm(c: Convolution, shape: int | Sequence[int], *, tolerance: float = 1e-10) -> float:
    """Give the largest singular value of `matrix(c, shape)`: max ‖c(x)‖₂ / ‖x‖₂ over all x.

    Exact but for rounding where every filtered axis wraps around with stride 1 (by the Fourier transform) and for small
    shapes; otherwise the Lanczos method of ARPACK through `linear_operator`, stopped where the residual of the squared
    value falls below `tolerance` times it, so that the norm's relative error is below about `tolerance`. It is
    reproducible: the start is fixed. Raises PlanError where the method does not converge, and what `matrix` raises.
    Source: Lehoucq, Sorensen, Yang, "ARPACK Users' Guide" (1998).

    >>> from faltung import Convolution
    >>> norm(Convolution([1.0, 2.0, 1.0], boundary="wrap"), 8)
    4.0
    """
    taps = taps_of(c, shape)
    if min(taps.rows, taps.columns) == 0:
        return 0.0
    small = taps.rows * taps.columns <= DENSE_ENTRIES or min(taps.rows, taps.columns) < 4
    if small or symbol_of(taps) is not None:
        return float(singular_values(c, taps.shape)[0])
    from scipy.sparse.linalg import ArpackNoConvergence, svds

    operator = linear_operator(c, taps.shape)
    start = np.random.default_rng(0).standard_normal(min(operator.shape)).astype(operator.dtype)
    try:
        return float(svds(operator, k=1, tol=tolerance, v0=start, return_singular_vectors=False)[0])
    except ArpackNoConvergence as error:
        msg = f"the norm did not converge to a relative {tolerance} ({error}); give a larger tolerance, or norm_bound()"
        raise PlanError(msg) from None


def norm_bound(c: Convolution, shape: int | Sequence[int]) -> float:
    """Bound the norm by ‖kernel‖₁, times what each folded border can add.

    With zeros outside or on a torus it is ‖k‖₁ = Σ|k|: no wave and no array is amplified more. A border that reads
    samples again multiplies it by √(‖E‖₁·‖E‖∞) for the extension E of its axis. For channels and banks Σ|k| becomes
    √(max over outputs of Σ|k| · max over inputs of Σ|k|). Raises what `matrix` raises.
    Source: Young's inequality; Schur's test, ‖A‖₂² ≤ ‖A‖₁ ‖A‖∞.

    >>> from faltung import Convolution
    >>> norm_bound(Convolution([1.0, -2.0, 1.0], boundary="zero"), 100)
    4.0
    """
    taps = taps_of(c, shape)
    if taps.rows == 0 or taps.columns == 0:
        return 0.0
    sums = np.abs(taps.weights).reshape(*taps.weights.shape[:2], -1).sum(2)
    into = sums.reshape(taps.groups, -1, sums.shape[1]).sum(1)
    bound = sqrt(float(sums.sum(1).max()) * float(into.max()))
    if structure_of(taps).is_circulant:
        return bound
    return bound * prod(_extension(axis, sides) for axis, sides in zip(taps.axes, taps.sides, strict=True))


def _extension(axis: Axis, sides: Sides | None) -> float:
    """Bound the norm of the extension of one axis over what its outputs read."""
    start, stop = axis.reads(0, axis.out)
    if sides is None or stop <= start:
        return 1.0
    one = type(axis)(axis.size, 1, 1, 1, -start, stop - start)
    entries = entries_of(one, sides, np.arange(one.out))
    size = np.abs(entries.factors)
    rows, columns = np.bincount(entries.rows, size), np.bincount(entries.columns, size)
    return sqrt(float(rows.max(initial=0)) * float(columns.max(initial=0)))
