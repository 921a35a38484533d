"""The finite groups that act on kernels: permuted and flipped axes about the centre, and what their products are."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from faltung.errors import ProblemError
from faltung.symmetry.elements import Element, Group
from faltung.symmetry.groups import dihedral, permutations, product, reflections, rotations90

if TYPE_CHECKING:
    from faltung.symmetry.elements import Array

GroupLike: TypeAlias = str | Group

GROUPS_KEPT = 32


def cube_rotations() -> Group:
    """Return the 24 rotations that take a cube's grid to itself: all orders and flips of three axes of determinant 1.

    >>> len(cube_rotations()), cube_rotations().is_closed
    (24, True)
    """
    every = product(permutations(3), reflections(ndim=3))
    kept = [e for e in every.elements if isinstance(e, Element) and round(float(np.linalg.det(e.array()))) == 1]
    return Group("cube rotations", 3, tuple(kept))


NAMED = {"p4": rotations90, "p4m": dihedral}


def acting(group: GroupLike) -> Group:
    """Return the finite group that acts on grids about their centre, from its name or as given.

    Raises:
        ProblemError: an unknown name, or elements that are no whole group of permuted and flipped axes.

    >>> acting("p4m").name
    'dihedral'
    """
    if isinstance(group, str) and group in NAMED:
        return NAMED[group]()
    if not isinstance(group, Group) or not group.ndim or not group.elements:
        msg = f'group={group!r} is unknown; give "p4", "p4m", or a group such as symmetry.reflections()'
        raise ProblemError(msg)
    quotients(group)
    return group


@lru_cache(GROUPS_KEPT)
def quotients(group: Group) -> Array:
    """Return the array whose entry [g, h] is the index of g⁻¹h.

    Raises:
        ProblemError: elements that do more than permute and flip axes, or are no whole group.

    >>> quotients(rotations90()).tolist()
    [[0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1], [1, 2, 3, 0]]
    """
    for e in group.elements:
        if not isinstance(e, Element) or not e.permutes_axes or any(e.shift) or (e.gain, e.offset) != (1, 0):
            msg = f"{group.name} has the element {e.name!r}, which does more than permute and flip axes about the "
            raise ProblemError(msg + "centre; take rotations90(), dihedral(), reflections() or permutations()")
    # Group.table compares affine maps of any kind one by one, which takes 0.3 s for the rotations of the cube.
    m = matrices(group)
    place = {matrix.tobytes(): i for i, matrix in enumerate(m)}
    table = [[place.get(ab.tobytes(), -1) for ab in row] for row in m[:, None] @ m]
    if len(place) < len(m) or any(-1 in row for row in table):
        msg = f"{group.name} lists {len(m)} elements on {group.ndim} axes, which are no whole group: a product of "
        raise ProblemError(msg + "two of them is missing, or one stands twice; take all, as symmetry.product does")
    # Row g of the table lists g·h; where it holds k, h is g⁻¹k.
    found: Array = np.argsort(table, axis=1)
    found.flags.writeable = False
    return found


@lru_cache(GROUPS_KEPT)
def matrices(group: Group) -> Array:
    """Return the matrices of a group of permuted and flipped axes, of integers."""
    rows = [np.round(e.array()) for e in group.elements if isinstance(e, Element)]
    found = np.array(rows).astype(int).reshape(-1, group.ndim, group.ndim)
    found.flags.writeable = False
    return found


@lru_cache(GROUPS_KEPT)
def flipped_axes(group: Group) -> tuple[int, ...]:
    """Return the axes that some element reverses, by itself or together with exchanging it.

    >>> flipped_axes(reflections(0)), flipped_axes(permutations(2)), flipped_axes(rotations90())
    ((0,), (), (0, 1))
    """
    return tuple(np.flatnonzero((matrices(group) < 0).any((0, 2))).tolist())
