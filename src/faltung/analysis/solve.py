"""Undoing a convolution: regularised least squares, exactly on a torus and by iteration elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.analysis.circulant import symbol_of
from faltung.analysis.operator import linear_operator
from faltung.analysis.taps import check_output, taps_of
from faltung.errors import GeometryError, PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from faltung.analysis.circulant import Symbol
    from faltung.analysis.taps import Taps
    from faltung.convolution import Convolution


def solve(
    c: Convolution,
    y: ArrayLike,
    shape: int | Sequence[int],
    *,
    regularisation: float = 0.0,
    tolerance: float = 1e-10,
    max_iterations: int | None = None,
    positive_definite: bool | None = None,
) -> np.ndarray:
    """Find the x of a shape that minimises ‖c(x) - y‖² + regularisation·‖x‖².

    With regularisation 0 it is the least-squares solution of least norm. Where every filtered axis wraps around with
    stride 1 it is computed exactly, through the Fourier transform. A Hermitian positive-definite operator without
    regularisation takes conjugate gradients, preconditioned by the torus of the same kernel: grid Gaussian processes.
    `positive_definite=True` promises that it is one; None finds out by `is_definite`. All others take LSQR. Iterations
    stop at a residual of `tolerance` times ‖y‖ (for LSQR: of the normal equations, relative to ‖A‖·‖residual‖). The
    result is float64, or complex128 for a complex kernel or y.
    Raises PlanError where the iteration does not converge, GeometryError where y does not fit or regularisation is
    negative, and what `matrix` raises.
    Source: Wiener filter; Paige and Saunders, "LSQR" (1982); Chan and Ng, "Conjugate gradient methods for Toeplitz
    systems" (1996).

    >>> from faltung import Convolution
    >>> c = Convolution([0.25, 0.5, 0.25], boundary="symmetric", anchor=1)
    >>> solve(c, c([1.0, 2.0, 4.0, 8.0]), 4).round(6)
    array([1., 2., 4., 8.])
    """
    if not 0 <= regularisation < float("inf"):
        msg = f"regularisation must be a number of at least 0, not {regularisation!r}"
        raise GeometryError(msg)
    taps, y = taps_of(c, shape), np.asarray(y)
    check_output(taps, y)
    dtype = np.complex128 if "c" in (taps.weights.dtype.kind, y.dtype.kind) else np.float64
    y = y.astype(dtype)
    if taps.rows == 0 or taps.columns == 0:
        return np.zeros(taps.shape, dtype)
    symbol = symbol_of(taps)
    if symbol is not None:
        return _on_the_torus(symbol, y, regularisation)
    steps = max_iterations if max_iterations is not None else max(100, 10 * taps.columns)
    if regularisation == 0 and (is_definite(taps) if positive_definite is None else positive_definite):
        return _conjugate_gradients(c, taps, y, tolerance, steps)
    return _lsqr(c, taps, y, regularisation, tolerance, steps)


def is_definite(taps: Taps) -> bool:
    """Tell whether the operator is surely Hermitian and positive definite.

    That is: one channel, zeros outside, stride 1, the outputs in place, and a Hermitian kernel whose Fourier transform
    is positive on the smallest torus of which the operator is a principal block: a proof, since the eigenvalues of a
    block lie between those of the whole. A kernel cut off abruptly may fail it and be positive definite all the same.
    Source: Dietrich and Newsam, "Fast and exact simulation of stationary Gaussian processes through circulant
    embedding" (1997).
    """
    filtered = [(axis, sides) for axis, sides in zip(taps.axes, taps.sides, strict=True) if sides is not None]
    square = taps.inputs == taps.outputs == taps.batch == 1 and all(
        axis.stride == 1 and axis.out == axis.size and 2 * axis.low == axis.span - 1 for axis, _ in filtered
    )
    if not square or not all(rule.is_constant for _, sides in filtered for rule in sides):
        return False
    waves = _torus(taps, [axis.size + axis.span // 2 for axis in taps.axes])
    return bool(waves.min() > waves.size * np.finfo(np.float64).eps * waves.max())


def _torus(taps: Taps, sizes: Sequence[int]) -> np.ndarray:
    """Give the real transform of a centred kernel on a torus; minus infinity where it is not real."""
    kernel = taps.weights[0, 0]
    if not np.array_equal(kernel, np.flip(kernel).conj()):
        return np.full(1, -np.inf)
    column = np.zeros(sizes, np.complex128)
    places = [(axis.low - axis.dilation * np.arange(axis.taps)) % n for axis, n in zip(taps.axes, sizes, strict=True)]
    np.add.at(column, np.ix_(*places), kernel)
    return np.fft.fftn(column).real


def _on_the_torus(symbol: Symbol, y: np.ndarray, regularisation: float) -> np.ndarray:
    taps, blocks = symbol.taps, symbol.blocks
    u, values, v = np.linalg.svd(blocks, full_matrices=False)
    if regularisation:
        weights = values / (values**2 + regularisation)
    else:
        kept = values > values.max() * np.finfo(np.float64).eps * values.size
        weights = np.divide(1.0, values, out=np.zeros_like(values), where=kept)
    back = (v.conj().swapaxes(-1, -2) * weights[..., None, :]) @ u.conj().swapaxes(-1, -2)
    x = symbol.apply(back, y.reshape(taps.batch, taps.outputs, *taps.outs), taps.inputs).reshape(taps.shape)
    return x if y.dtype.kind == "c" else x.real


def _conjugate_gradients(c: Convolution, taps: Taps, y: np.ndarray, tolerance: float, steps: int) -> np.ndarray:
    from scipy.sparse.linalg import LinearOperator, cg

    if taps.rows != taps.columns:
        msg = f"positive_definite=True for an operator of {taps.rows} x {taps.columns}; only a square one can be that"
        raise GeometryError(msg)
    precondition: Any = None
    single = taps.inputs == taps.outputs == taps.batch == 1 and taps.sizes == taps.outs
    near = _torus(taps, taps.sizes) if single else np.zeros(1)
    if near.min() > 0:

        def divide(v: np.ndarray) -> np.ndarray:
            x = np.fft.ifftn(np.fft.fftn(v.reshape(taps.sizes)) / near).ravel()
            return x if y.dtype.kind == "c" else x.real

        precondition = LinearOperator((taps.rows, taps.columns), matvec=divide, dtype=y.dtype)
    operator = linear_operator(c, taps.shape)
    x, stopped = cg(operator, y.ravel(), rtol=tolerance, atol=0.0, maxiter=steps, M=precondition)
    if stopped:
        residual = float(np.linalg.norm(operator @ x - y.ravel()) / np.linalg.norm(y))
        raise PlanError(_stopped("conjugate gradients", steps, residual, tolerance))
    return np.asarray(x).reshape(taps.shape)


def _lsqr(c: Convolution, taps: Taps, y: np.ndarray, regularisation: float, tolerance: float, steps: int) -> np.ndarray:
    from scipy.sparse.linalg import lsqr

    found = lsqr(
        linear_operator(c, taps.shape), y.ravel(), damp=np.sqrt(regularisation), atol=tolerance, btol=tolerance,
        conlim=0.0, iter_lim=steps,
    )  # fmt: skip
    x, reason, taken, residual = found[:4]
    if reason == 7:
        size = max(float(np.linalg.norm(y)), np.finfo(np.float64).tiny)
        raise PlanError(_stopped("LSQR", taken, residual / size, tolerance))
    return np.asarray(x).reshape(taps.shape)


def _stopped(method: str, steps: int, residual: float, tolerance: float) -> str:
    text = f"{method} stopped after {steps} iterations with a relative residual of {residual:.2e} (tolerance "
    return f"{text}{tolerance}); raise regularisation, tolerance or max_iterations"
