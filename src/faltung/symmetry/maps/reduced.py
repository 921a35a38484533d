"""The null space of ρ_out W - W ρ_in for large W, by small decompositions.

What commutes with a unitary, skew or Hermitian generator commutes with its adjoint too, and so with any Hermitian
combination H of such generators. From H_out W = W H_in it follows that W joins eigenvectors of equal eigenvalue alone.
Few pairs (u, v) are left of a random H, and the system is solved for the weights of the maps u v†.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.symmetry.elements import Array

PAIRS = 3000  # of eigenvectors: as many as a decomposition takes in seconds
EQUAL = 1e-8  # of the largest eigenvalue: those that differ by less count as equal; a pair too many does no harm
NORMAL = 1e-10  # of a generator's largest entry: by how much it may miss being unitary, skew or Hermitian


def reduced(generators: Sequence[tuple[Array, Array]]) -> tuple[Array, Callable[[Array], Array]] | None:
    """Give squared singular values of the system, and what makes maps (dimension, n_out, n_in) of chosen ones.

    None where no generator has such a form, or too many pairs are left.
    """
    combined = _hermitian(generators)
    if combined is None:
        return None
    (left, u), (right, v) = (linalg.eigh(h) for h in combined)
    largest = max(float(np.abs(left).max()), float(np.abs(right).max()))
    i, j = np.nonzero(np.abs(left[:, None] - right) <= EQUAL * largest)
    if len(i) > PAIRS:
        return None
    if not len(i):
        return np.zeros(0), lambda null: np.zeros((0, len(u), len(v)))
    values, weights = linalg.eigh(_normal(generators, u, v, i, j))

    def maps(null: Array) -> Array:
        chosen = np.zeros((int(null.sum()), len(u), len(v)), complex)
        chosen[:, i, j] = weights[:, null].T
        return np.asarray(u @ chosen @ v.conj().T)

    return np.abs(values), maps


def _hermitian(generators: Sequence[tuple[Array, Array]]) -> tuple[Array, Array] | None:
    """Combine generators to a Hermitian pair, with random weights."""
    parts: list[tuple[Array, Array]] = []
    for pair in generators:
        a, b = (g.astype(complex) for g in pair)
        if all(_near(g, -g.conj().T) for g in (a, b)):
            parts.append((1j * a, 1j * b))
        elif all(_near(g, g.conj().T) for g in (a, b)):
            parts.append((a, b))
        elif all(_near(g @ g.conj().T, np.eye(len(g))) for g in (a, b)):
            parts += [(a + a.conj().T, b + b.conj().T), (1j * (a - a.conj().T), 1j * (b - b.conj().T))]
    if not parts:
        return None
    weights = np.random.default_rng(0).uniform(0.5, 1.5, len(parts))
    out, inside = (sum(w * part[k] for w, part in zip(weights, parts, strict=True)) for k in (0, 1))
    return out, inside


def _near(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max() <= NORMAL * max(float(np.abs(a).max()), 1e-300))


def _normal(generators: Sequence[tuple[Array, Array]], u: Array, v: Array, i: Array, j: Array) -> Array:
    """Give the inner products of what the maps u_i v_j† leave of A W - W B, summed over all generators."""
    total = np.zeros((len(i), len(i)), complex)
    rows, columns = np.ix_(i, i), np.ix_(j, j)
    same_rows, same_columns = i[:, None] == i, j[:, None] == j
    for a, b in generators:
        left, right = u.conj().T @ a @ u, v.conj().T @ b @ v
        moved_left = left.conj().T @ left  # the eigenvectors are complete, so U U† is nothing
        moved_right = right @ right.conj().T
        total += moved_left[rows] * same_columns + moved_right.T[columns] * same_rows
        crossed = left[rows] * right.conj()[columns]
        total -= crossed + crossed.conj().T
    return total
