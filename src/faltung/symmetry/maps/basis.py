"""All linear maps that a symmetry allows: W with ρ_out(g) W = W ρ_in(g) for every g of a group.

It is enough to ask that of the generators; for infinitesimal ones A it reads ρ_out(A) W = W ρ_in(A). Where all
generators permute, the entries of W that one orbit of pairs joins must be equal, and that is all: weights are shared.
For translations of a ring the orbits are the diagonals, so W is a circulant, and the map a convolution. Elsewhere the
maps are the null space of a linear system. Source: Finzi, Welling and Wilson, "A practical method for constructing
equivariant multilayer perceptrons for arbitrary matrix groups" (ICML 2021), section 5; here with exact orbits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from faltung.errors import ProblemError
from faltung.symmetry.maps.solver import Constraint, null_space
from faltung.symmetry.maps.views import EquivariantBasis, Orbits, Vectors
from faltung.symmetry.representations import Representation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.symmetry.elements import Array

__all__ = ["EquivariantBasis", "equivariant_basis"]


def equivariant_basis(
    rep_in: Representation | Sequence[Any], rep_out: Representation | Sequence[Any] | None = None
) -> EquivariantBasis:
    """Derive every linear map that commutes with a group: an orthonormal basis of them, and which weights are shared.

    Parameters
    ----------
    rep_in, rep_out : Representation, or the generators: square matrices, LinearOperators, or permutations
        `rep_out` is `rep_in` if it is not given. Both list the same generators of the same group, in order. Continuous
        groups are given as ``Representation(generators, infinitesimal)``; `faltung.symmetry.representations` has the
        usual ones.

    Returns
    -------
    EquivariantBasis
        Permutations give orbits, exactly, for millions of entries. Otherwise singular values below 1e-6 of the largest
        count as 0 (`gap` tells how clear that was): up to 1000 entries by a dense decomposition; beyond, where some
        generator is unitary, skew or Hermitian, by small ones (10⁴ entries take seconds), else by Lanczos iteration on
        products with the generators alone. The maps are right to about 1e-10.

    Raises
    ------
    ProblemError : representations of different groups, or generators that are none
    GeometryError : matrices that are not square, or differ in size

    Examples
    --------
    >>> from faltung.symmetry.representations import translations, symmetric
    >>> ring = equivariant_basis(translations(4))
    >>> ring
    <EquivariantBasis of 4 maps from 4 to 4 numbers: 4 shared weights>
    >>> ring.combine([2, 1, 0, 0]).tolist()
    [[1.0, 0.5, 0.0, 0.0], [0.0, 1.0, 0.5, 0.0], [0.0, 0.0, 1.0, 0.5], [0.5, 0.0, 0.0, 1.0]]
    >>> equivariant_basis(symmetric(5)).sharing.tolist()[0]
    [0, 1, 1, 1, 1]
    >>> equivariant_basis([[[0, -1], [1, 0]]]).dimension
    2
    """
    first = _representation(rep_in)
    second = first if rep_out is None else _representation(rep_out)
    counts = [(len(r.generators), len(r.infinitesimal)) for r in (first, second)]
    if counts[0] != counts[1]:
        msg = (
            f"the representations are of different groups: {counts[0][0]} generators and {counts[0][1]} infinitesimal "
            f"ones in, {counts[1][0]} and {counts[1][1]} out; list the same generators for both"
        )
        raise ProblemError(msg)
    if first.permutes and second.permutes:
        return EquivariantBasis(first, second, Orbits(_orbits(first, second)))
    constraint = Constraint.of(first, second)
    vectors, gap = null_space(constraint)
    return EquivariantBasis(first, second, Vectors(vectors, (second.size, first.size), gap))


def _representation(given: Any) -> Representation:
    return given if isinstance(given, Representation) else Representation(given)


def _orbits(rep_in: Representation, rep_out: Representation) -> Array:
    """Label the entries of W: of (ρ_out W)[i, j] = W[p[i], j] and (W ρ_in)[i, q[j]] = W[i, j], entry by entry.

    So (i, j) and (p[i], q[j]) share a weight. Labels are numbered in the order in which rows meet them.
    """
    rows, columns = rep_out.size, rep_in.size
    here = np.arange(rows * columns)
    edges = [
        (np.asarray(p)[:, None] * columns + np.asarray(q)).ravel()
        for p, q in zip(rep_out.generators, rep_in.generators, strict=True)
    ]
    graph = sparse.coo_array(
        (np.ones(len(edges) * here.size, np.int8), (np.tile(here, len(edges)), np.concatenate(edges))),
        shape=(here.size, here.size),
    )
    _, found = csgraph.connected_components(graph, directed=False)
    _, first, labels = np.unique(found, return_index=True, return_inverse=True)
    order = np.empty(first.size, np.intp)
    order[np.argsort(first)] = np.arange(first.size)
    return np.asarray(order[labels].reshape(rows, columns))
