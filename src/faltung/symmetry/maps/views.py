"""What a basis of equivariant maps can do: project, combine, be checked, and be seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from faltung.errors import GeometryError
from faltung.symmetry.maps.solver import Constraint

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from faltung.symmetry.elements import Array
    from faltung.symmetry.representations import Representation

MOST_ENTRIES = 10**7  # of all maps together, written out
MOST_DRAWN = 12  # maps that are drawn side by side


@dataclass(frozen=True, eq=False)
class Orbits:
    """Maps that share weights: `labels` (n_out, n_in) numbers the weight of each entry."""

    labels: Array

    @cached_property
    def counts(self) -> Array:
        """How many entries share each weight."""
        return np.bincount(self.labels.ravel())

    @property
    def dimension(self) -> int:
        """The number of weights."""
        return len(self.counts)

    def coefficients(self, w: Array) -> Array:
        """Give the inner products of W with every map."""
        flat, labels = w.ravel(), self.labels.ravel()
        parts = [np.bincount(labels, part, self.dimension) for part in (flat.real, flat.imag)]
        sums = parts[0] + 1j * parts[1] if np.iscomplexobj(w) else parts[0]
        return np.asarray(sums / np.sqrt(self.counts))

    def combine(self, coefficients: Array) -> Array:
        """Add the maps up, each with its coefficient."""
        return np.asarray((coefficients / np.sqrt(self.counts))[self.labels])


@dataclass(frozen=True, eq=False)
class Vectors:
    """Orthonormal maps (dimension, n_out, n_in), and how clearly they are told from others."""

    maps: Array
    shape: tuple[int, int]
    gap: tuple[float, float]

    @property
    def dimension(self) -> int:
        """The number of maps."""
        return len(self.maps)

    def coefficients(self, w: Array) -> Array:
        """Give the inner products of W with every map."""
        return np.asarray(np.tensordot(self.maps.conj(), w, axes=2))

    def combine(self, coefficients: Array) -> Array:
        """Add the maps up, each with its coefficient."""
        return np.asarray(np.tensordot(coefficients, self.maps, axes=1))


class EquivariantBasis:
    """An orthonormal basis of the linear maps W with ρ_out(g) W = W ρ_in(g), from n_in to n_out numbers.

    >>> from faltung.symmetry import equivariant_basis
    >>> from faltung.symmetry.representations import orthogonal
    >>> basis = equivariant_basis(orthogonal(2))
    >>> np.round(basis.project([[1, 0], [0, 3]]), 12) + 0.0
    array([[2., 0.],
           [0., 2.]])
    >>> basis.residual < 1e-12
    True
    """

    def __init__(self, rep_in: Representation, rep_out: Representation, found: Orbits | Vectors) -> None:
        self.rep_in, self.rep_out, self._found = rep_in, rep_out, found

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (n_out, n_in) of a map."""
        return self.rep_out.size, self.rep_in.size

    @property
    def dimension(self) -> int:
        """How many maps there are: the number of free weights."""
        return self._found.dimension

    @property
    def sharing(self) -> Array | None:
        """The number of the weight in each entry (n_out, n_in), where all generators permute; else None."""
        return self._found.labels if isinstance(self._found, Orbits) else None

    @property
    def gap(self) -> tuple[float, float] | None:
        """The largest squared singular value that counted as 0 and the smallest that did not; None for orbits."""
        return self._found.gap if isinstance(self._found, Vectors) else None

    @cached_property
    def matrices(self) -> Array:
        """The maps written out, (dimension, n_out, n_in). GeometryError for more than 10⁷ entries in all."""
        if isinstance(self._found, Vectors):
            return self._found.maps
        entries = self.dimension * self._found.labels.size
        if entries > MOST_ENTRIES:
            msg = f"{self.dimension} maps of {self.shape[0]} x {self.shape[1]} have {entries:,} entries; use sharing, "
            raise GeometryError(msg + "combine(coefficients) or operator, which do not write them out")
        return np.stack([self.combine(row) for row in np.eye(self.dimension)])

    def combine(self, coefficients: ArrayLike) -> Array:
        """Give the map Σ c_k W_k. GeometryError for another number of coefficients than maps."""
        given = np.asarray(coefficients)
        if given.shape != (self.dimension,):
            msg = f"coefficients of shape {given.shape} for {self.dimension} maps; give ({self.dimension},)"
            raise GeometryError(msg)
        return self._found.combine(given)

    def coefficients(self, w: ArrayLike) -> Array:
        """Give the inner product of a matrix with every map."""
        given = np.asarray(w)
        if given.shape != self.shape:
            msg = f"a matrix of shape {given.shape}, but the maps have the shape {self.shape}"
            raise GeometryError(msg)
        return self._found.coefficients(given)

    def project(self, w: ArrayLike) -> Array:
        """Give the nearest equivariant map: for a finite group the mean of ρ_out(g)⁻¹ W ρ_in(g)."""
        return self._found.combine(self.coefficients(w))

    @property
    def operator(self) -> LinearOperator:
        """The basis as an operator: from coefficients to vec(W) in C order; its adjoint gives the coefficients."""
        found, shape = self._found, self.shape
        return LinearOperator(
            (shape[0] * shape[1], self.dimension), lambda c: found.combine(np.ravel(c)).ravel(),
            lambda v: found.coefficients(np.reshape(v, shape)), dtype=self._dtype,
        )  # fmt: skip

    @property
    def projector(self) -> LinearOperator:
        """The orthogonal projector onto the maps, on vec(W) in C order."""
        shape, size = self.shape, self.shape[0] * self.shape[1]

        def apply(v: Array) -> Array:
            return self.project(np.reshape(v, shape)).ravel()

        return LinearOperator((size, size), apply, apply, dtype=self._dtype)

    @property
    def residual(self) -> float:
        """The largest entry of ρ_out W - W ρ_in over all generators, for the sum of all maps; 0 up to rounding."""
        everything = self.combine(np.ones(self.dimension))
        return Constraint.of(self.rep_in, self.rep_out).violation(everything)

    @property
    def _dtype(self) -> Any:
        return self._found.maps.dtype if isinstance(self._found, Vectors) else np.dtype(float)

    def show(self) -> Figure:
        """Draw it: one colour for each shared weight, or the maps side by side. Needs matplotlib.

        Raises GeometryError for more than 64 rows or columns, or more than 12 maps that share no weights.
        """
        from faltung.symmetry.maps.drawing import maps, sharing

        return maps(self) if self.sharing is None else sharing(self)

    def __repr__(self) -> str:
        rows, columns = self.shape
        kind = "" if self.sharing is None else f": {self.dimension} shared weights"
        return f"<EquivariantBasis of {self.dimension} maps from {columns} to {rows} numbers{kind}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"
