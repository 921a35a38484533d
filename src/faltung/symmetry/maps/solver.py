"""The null space of ρ_out W - W ρ_in over all generators, by decomposition where that is small, else by iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, eigsh

from faltung.symmetry.maps.reduced import reduced
from faltung.symmetry.representations import dense, is_permutation

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.symmetry.elements import Array
    from faltung.symmetry.representations import Matrix, Representation

    # Squared singular values, and what gives the columns of the null ones (size, dimension).
    Spectrum = tuple[Array, Callable[[Array], Array]]

DENSE = 1000  # entries of W up to which the system is decomposed
SIDE = 3000  # numbers that a representation may act on, for the system to be reduced
NULL = 1e-12  # of the largest squared singular value: 1e-6 of the largest singular value
FIRST = 8  # maps that the iteration looks for at first


@dataclass(frozen=True)
class Constraint:
    """The pairs (ρ_out, ρ_in) of generators, and the system that W must solve."""

    pairs: tuple[tuple[Any, Any], ...]
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, rep_in: Representation, rep_out: Representation) -> Constraint:
        """Put the generators of two representations side by side, as things that multiply."""
        outs, ins = ((*r.generators, *r.infinitesimal) for r in (rep_out, rep_in))
        pairs = tuple((_multiplier(a), _multiplier(b)) for a, b in zip(outs, ins, strict=True))
        kinds = [m.dtype for pair in pairs for m in pair]
        return cls(pairs, (rep_out.size, rep_in.size), np.result_type(np.float64, *kinds))

    def normal(self, w: Array) -> Array:
        """Apply the normal equations Σ C*C to W."""
        total = np.zeros(self.shape, self.dtype)
        for out, inside in self.pairs:
            missed = out @ w - _right(w, inside)
            total += _adjoint(out) @ missed - _right(missed, _adjoint(inside))
        return total

    def violation(self, w: Array) -> float:
        """Give the largest entry of any ρ_out W - W ρ_in."""
        return max(float(np.abs(out @ w - _right(w, inside)).max(initial=0)) for out, inside in self.pairs)

    def scale(self) -> float:
        """Give the size that the normal equations would have if nothing cancelled, from one random W of norm 1."""
        w = np.random.default_rng(0).standard_normal(self.shape)
        w /= np.linalg.norm(w)
        products = (part for out, inside in self.pairs for part in (out @ w, _right(w, inside)))
        return float(sum(np.linalg.norm(part) ** 2 for part in products))

    def matrix(self) -> Array:
        """Write the normal equations out, for vec(W) in C order: vec(A W B) = (A ⊗ Bᵀ) vec(W)."""
        rows, columns = self.shape
        total = np.zeros((rows * columns,) * 2, self.dtype)
        for out, inside in self.pairs:
            system = np.kron(_whole(out), np.eye(columns)) - np.kron(np.eye(rows), _whole(inside).T)
            total += system.conj().T @ system
        return total


def null_space(constraint: Constraint) -> tuple[Array, tuple[float, float]]:
    """Give an orthonormal basis (dimension, *shape), and the gap: the largest 0 and the smallest other value.

    Both are squared singular values, relative to the largest, or to what it would be if nothing cancelled. The basis
    does not depend on how it was found: it is made by orthonormalising the projections of single entries, the most
    independent ones first.
    """
    size = constraint.shape[0] * constraint.shape[1]
    values, maps = _decomposed(constraint) if size <= DENSE else _reduced(constraint) or _iterated(constraint, size)
    top = max(float(values.max(initial=0)), constraint.scale(), np.finfo(float).tiny)
    null = values <= NULL * top
    gap = (float(values[null].max(initial=0)) / top, float(values[~null].min(initial=top)) / top)
    return _canonical(maps(null)).reshape(-1, *constraint.shape), gap


def _decomposed(constraint: Constraint) -> Spectrum:
    values, columns = linalg.eigh(constraint.matrix())
    return np.abs(values), lambda null: np.asarray(columns[:, null])


def _reduced(constraint: Constraint) -> Spectrum | None:
    if max(constraint.shape) > SIDE:
        return None
    found = reduced([(_whole(out), _whole(inside)) for out, inside in constraint.pairs])
    if found is None:
        return None
    values, maps = found

    def columns(null: Array) -> Array:
        flat = maps(null).reshape(int(null.sum()), math.prod(constraint.shape)).T
        if constraint.dtype.kind == "c" or not flat.size:
            return flat
        # The space is that of real maps, of which complex ones are combinations.
        return np.asarray(linalg.svd(np.hstack([flat.real, flat.imag]), full_matrices=False)[0][:, : flat.shape[1]])

    return values, columns


def _iterated(constraint: Constraint, size: int) -> Spectrum:
    """Find the smallest eigenvalues by Lanczos iteration, ever more of them until one is not 0.

    One run may miss copies of an eigenvalue, so the next one looks beside what was found, until nothing is left there.
    """
    shape, dtype = constraint.shape, constraint.dtype
    start = np.random.default_rng(0).standard_normal(size)
    normal = LinearOperator((size, size), lambda v: constraint.normal(v.reshape(shape)).ravel(), dtype=dtype)
    top = max(float(eigsh(normal, 1, v0=start, return_eigenvectors=False, tol=1e-3)[0]) * 1.01, constraint.scale())
    found, count = np.zeros((size, 0), dtype), FIRST
    while True:
        known = found

        def turned(v: Array, known: Array = known) -> Array:
            # Zeros become the largest eigenvalues, those that are known the smallest.
            v = v.ravel()
            lifted: Array = top * v - normal.matvec(v) - known @ (top * (known.conj().T @ v))
            return lifted

        count = min(count, size - found.shape[1] - 1)
        if count < 1:
            return np.append(np.zeros(found.shape[1]), top), lambda _, found=found: found
        values, columns = eigsh(LinearOperator((size, size), turned, dtype=dtype), count, which="LA", v0=start)
        null = top - values <= NULL * top
        found = linalg.orth(np.column_stack([found, columns[:, null]])) if null.any() else found
        if not null.any():
            smallest = float(top - values.max())
            return np.append(np.zeros(found.shape[1]), [smallest, top]), lambda _, found=found: found
        count *= 2


def _canonical(columns: Array) -> Array:
    """Choose the orthonormal basis that depends on the space alone, one row each, its pivots positive."""
    if not columns.shape[1]:
        return columns.T
    # Columns of the projector onto the space are the projections of single entries; QR picks them one by one. Rounding
    # must not decide between equal ones, so earlier entries count a little more.
    weights = 1 + 1e-6 * np.linspace(1, 0, len(columns))
    _, _, pivots = linalg.qr((columns * weights[:, None]).conj().T, mode="economic", pivoting=True)
    chosen = columns[np.sort(pivots[: columns.shape[1]])]
    q, r = linalg.qr(chosen.conj().T)
    phases = np.diag(r) / np.abs(np.diag(r))
    return np.asarray((columns @ (q * phases)).T)


def _multiplier(generator: Matrix) -> Any:
    return dense(generator) if is_permutation(generator) else generator


def _right(w: Array, operator: Any) -> Array:
    """Multiply from the right, with what only multiplies from the left."""
    if isinstance(operator, np.ndarray):
        return np.asarray(w @ operator)
    return np.asarray((operator.H @ w.conj().T).conj().T)


def _adjoint(operator: Any) -> Any:
    return operator.conj().T if isinstance(operator, np.ndarray) else operator.H


def _whole(operator: Any) -> Array:
    return operator if isinstance(operator, np.ndarray) else np.asarray(operator @ np.eye(operator.shape[1]))
