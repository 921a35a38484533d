"""Representations: what the generators of a group do to vectors, and sums, products and duals of these.

A group is given by generators. Those of a finite group are invertible matrices; a continuous one adds infinitesimal
generators A, of which exp(tA) is in the group. Two representations belong to one group if their generators do, in
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator

from faltung import arguments
from faltung.errors import GeometryError, ProblemError
from faltung.symmetry.actions import act
from faltung.symmetry.elements import Element

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.symmetry.elements import Array, Group

Matrix: TypeAlias = "np.ndarray[Any, Any] | LinearOperator"

SINGULAR = 1e-12  # a generator whose reciprocal condition is below this has no inverse


@dataclass(frozen=True, eq=False)
class Representation:
    """A group that acts on vectors of ``size`` numbers, by what its generators do.

    ``generators`` are invertible matrices (arrays or SciPy's LinearOperators), or permutations: integer vectors p for
    which (ρx)[i] = x[p[i]]. ``infinitesimal`` are matrices A of Lie algebra generators. ``a + b`` acts on both parts of
    a vector, ``a * b`` on the flattened outer products of two, ``a.dual()`` on linear forms.

    Raises:
        GeometryError: matrices that are not square or differ in size.
        ProblemError: no generator, a permutation that is none, a matrix without inverse.

    >>> turn = Representation([[[0, -1], [1, 0]]])
    >>> turn, turn * turn, (turn + turn).size
    (<Representation of size 2: 1 generator>, <Representation of size 4: 1 generator>, 4)
    """

    generators: tuple[Matrix, ...]
    infinitesimal: tuple[Matrix, ...] = ()

    def __init__(self, generators: Sequence[Any] = (), infinitesimal: Sequence[Any] = ()) -> None:
        found = tuple(_generator(g, i) for i, g in enumerate(generators))
        lie = tuple(_square(a, f"infinitesimal generator {i}") for i, a in enumerate(infinitesimal))
        if not found and not lie:
            raise ProblemError("a representation needs at least one generator; the trivial group has the identity")
        sizes = [len(g) if isinstance(g, np.ndarray) else g.shape[0] for g in (*found, *lie)]
        if len(set(sizes)) > 1:
            msg = f"the generators act on vectors of {', '.join(map(str, sizes))} numbers; all must act on the same"
            raise GeometryError(msg)
        object.__setattr__(self, "generators", found)
        object.__setattr__(self, "infinitesimal", lie)

    @property
    def size(self) -> int:
        """The length of the vectors."""
        first = (*self.generators, *self.infinitesimal)[0]
        return len(first) if isinstance(first, np.ndarray) else int(first.shape[0])

    @property
    def permutes(self) -> bool:
        """Whether every generator is given as a permutation."""
        return not self.infinitesimal and all(is_permutation(g) for g in self.generators)

    def matrices(self) -> list[Array]:
        """Give the generators as dense matrices, the infinitesimal ones last."""
        return [dense(g) for g in (*self.generators, *self.infinitesimal)]

    def trivial(self, size: int = 1) -> Representation:
        """Give the representation of the same group that changes nothing.

        >>> translations(4).trivial().generators
        (array([0]),)
        """
        still = [np.arange(size) for _ in self.generators]
        return Representation(still, [np.zeros((size, size)) for _ in self.infinitesimal])

    def dual(self) -> Representation:
        """Give the action on linear forms: the inverse transposed of every generator."""
        turned = [g if is_permutation(g) else np.linalg.inv(dense(g)).T for g in self.generators]
        return Representation(turned, [-dense(a).T for a in self.infinitesimal])

    def __add__(self, other: Representation) -> Representation:
        _check_group(self, other)
        both = [
            np.concatenate([a, b + self.size])
            if is_permutation(a) and is_permutation(b)
            else linalg.block_diag(dense(a), dense(b))
            for a, b in zip(self.generators, other.generators, strict=True)
        ]
        lie = zip(self.infinitesimal, other.infinitesimal, strict=True)
        return Representation(both, [linalg.block_diag(dense(a), dense(b)) for a, b in lie])

    def __mul__(self, other: Representation) -> Representation:
        _check_group(self, other)
        both = [
            (a[:, None] * other.size + b).ravel()
            if is_permutation(a) and is_permutation(b)
            else np.kron(dense(a), dense(b))
            for a, b in zip(self.generators, other.generators, strict=True)
        ]
        one, two = np.eye(self.size), np.eye(other.size)
        lie = zip(self.infinitesimal, other.infinitesimal, strict=True)
        return Representation(both, [np.kron(dense(a), two) + np.kron(one, dense(b)) for a, b in lie])

    def __repr__(self) -> str:
        kinds = [(self.generators, "generator"), (self.infinitesimal, "infinitesimal one")]
        said = [f"{len(found)} {name}{'s' * (len(found) > 1)}" for found, name in kinds if found]
        return f"<Representation of size {self.size}: {', '.join(said)}>"


def is_permutation(generator: Matrix) -> bool:
    """Whether a generator is a vector of places."""
    return isinstance(generator, np.ndarray) and generator.ndim == 1


def dense(generator: Matrix) -> Array:
    """Give a generator as a matrix."""
    if isinstance(generator, np.ndarray):
        return generator if generator.ndim == 2 else np.eye(len(generator))[generator]
    matrix: Array = generator @ np.eye(generator.shape[1])
    return matrix


def grid(group: Group, shape: int | Sequence[int]) -> Representation:
    """Give what a group does to arrays of a shape, flattened in C order; every element is a generator.

    Raises GeometryError for a shape of another rank, ProblemError for elements that do not take samples to samples.

    >>> from faltung import symmetry
    >>> [g.tolist() for g in grid(symmetry.rotations90(), (2, 2)).generators][1]
    [1, 3, 0, 2]
    """
    sizes = arguments.shape(shape)
    if len(sizes) != group.ndim:
        msg = f"{group.name} acts on {group.ndim} axes, but the shape {sizes} has {len(sizes)}"
        raise GeometryError(msg)
    places, axes = np.arange(int(np.prod(sizes))).reshape(sizes), tuple(range(group.ndim))
    found = []
    for e in group.elements:
        if not isinstance(e, Element) or not e.on_lattice or (e.gain, e.offset) != (1, 0) or group.beyond == "crop":
            msg = f"{group.name} has the element {e.name!r}, which does not take the samples of a grid to each other; "
            raise ProblemError(msg + "take shifts(), rotations90(), dihedral(), reflections() or permutations()")
        found.append(act(e, places, axes, group).ravel())
    return Representation(found)


def translations(shape: int | Sequence[int]) -> Representation:
    """Give the cyclic shifts of arrays of a shape, flattened in C order: one generator for each axis.

    >>> translations(4).generators
    (array([3, 0, 1, 2]),)
    """
    sizes = arguments.shape(shape)
    places = np.arange(int(np.prod(sizes))).reshape(sizes)
    return Representation([np.roll(places, 1, axis).ravel() for axis in range(len(sizes))])


def symmetric(n: int) -> Representation:
    """Give all orders of n things, generated by a cycle and an exchange.

    >>> symmetric(3).generators
    (array([1, 2, 0]), array([1, 0, 2]))
    """
    _check_count(n, "things")
    exchanged = np.arange(n)
    exchanged[:2] = exchanged[:2][::-1]
    return Representation([np.roll(np.arange(n), -1), exchanged])


def orthogonal(n: int, *, special: bool = True) -> Representation:
    """Give the rotations of n-dimensional vectors, SO(n), or O(n) with the reflection of the first axis.

    >>> orthogonal(3)
    <Representation of size 3: 3 infinitesimal ones>
    """
    _check_count(n, "dimensions", least=2)
    turns = [_unit(n, a, b, -1.0) for a, b in combinations(range(n), 2)]
    return Representation([] if special else [np.diag([-1.0] + [1.0] * (n - 1))], turns)


def lorentz(space: int = 3, *, proper: bool = False) -> Representation:
    """Give the Lorentz group O(1, n) on (time, space) vectors: boosts, rotations, reversals of time and of an axis.

    With ``proper`` the reversals are left out: SO⁺(1, n).

    >>> lorentz()
    <Representation of size 4: 2 generators, 6 infinitesimal ones>
    """
    _check_count(space, "dimensions of space")
    n = space + 1
    boosts = [_unit(n, 0, a, 1.0) for a in range(1, n)]
    turns = [_unit(n, a, b, -1.0) for a, b in combinations(range(1, n), 2)]
    reversals = [np.diag([-1.0 if i == axis else 1.0 for i in range(n)]) for axis in (0, 1)]
    return Representation([] if proper else reversals, [*boosts, *turns])


def _unit(n: int, a: int, b: int, sign: float) -> Array:
    matrix = np.zeros((n, n))
    matrix[b, a], matrix[a, b] = 1.0, sign
    return matrix


def _generator(given: Any, index: int) -> Matrix:
    if isinstance(given, LinearOperator):
        return _square(given, f"generator {index}")
    array = np.asarray(given)
    if array.ndim == 1:
        if array.dtype.kind not in "iu" or sorted(array.tolist()) != list(range(len(array))):
            msg = f"generator {index} is no permutation: a vector must hold each of 0 to {len(array) - 1} once"
            raise ProblemError(msg)
        return array.astype(np.intp)
    matrix = _square(array, f"generator {index}")
    assert isinstance(matrix, np.ndarray)
    values = np.linalg.svd(matrix, compute_uv=False)
    if values[-1] <= SINGULAR * values[0]:
        msg = f"generator {index} has no inverse (singular values {values[0]:.3g} to {values[-1]:.3g}), so it belongs "
        raise ProblemError(msg + "to no group; an infinitesimal generator is given as infinitesimal=")
    return matrix


def _square(given: Any, name: str) -> Matrix:
    matrix = given if isinstance(given, LinearOperator) else np.asarray(given)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.shape[0]:
        msg = f"{name} has the shape {matrix.shape}, but a matrix of a representation is square"
        raise GeometryError(msg)
    if isinstance(matrix, LinearOperator):
        return matrix
    if matrix.dtype.kind not in "biufc" or not np.isfinite(matrix).all():
        msg = f"{name} must hold finite numbers"
        raise ProblemError(msg)
    return matrix if matrix.dtype.kind == "c" else matrix.astype(float)


def _check_group(one: Representation, other: Representation) -> None:
    counts = [(len(r.generators), len(r.infinitesimal)) for r in (one, other)]
    if counts[0] != counts[1]:
        msg = "the representations are of different groups: {} generators and {} infinitesimal ones against {} and {}"
        raise ProblemError(msg.format(*counts[0], *counts[1]))


def _check_count(n: Any, what: str, least: int = 1) -> None:
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < least:
        msg = f"expected a number of {what} from {least} on, not {n!r}"
        raise ProblemError(msg)
