"""Boxes of the output: the interior, the borders around it, and pieces of bounded size.

A box is one (start, stop) pair per axis, in output coordinates.
"""

from __future__ import annotations

import itertools
import math

Box = tuple[tuple[int, int], ...]


def size(box: Box) -> int:
    """Count the points of a box.

    >>> size(((0, 2), (1, 4)))
    6
    """
    return math.prod(stop - start for start, stop in box)


def shell(box: Box, interior: Box) -> list[Box]:
    """Cut a box into the interior's complement: two slabs per axis, disjoint.

    >>> shell(((0, 4), (0, 5)), ((1, 3), (2, 5)))
    [((0, 1), (0, 5)), ((3, 4), (0, 5)), ((1, 3), (0, 2))]
    """
    slabs: list[Box] = []
    rest = list(box)
    for axis, ((start, stop), (low, high)) in enumerate(zip(box, interior, strict=True)):
        parts = [(a, b) for a, b in ((start, low), (high, stop)) if a < b]
        slabs.extend((*rest[:axis], part, *rest[axis + 1 :]) for part in parts)
        rest[axis] = (low, high)
    return slabs


def split(box: Box, axis: int, parts: int, multiple: int = 1) -> list[Box]:
    """Cut a box along an axis into at most `parts` nearly equal pieces, cuts lying at multiples from its start.

    >>> split(((0, 10), (0, 3)), 0, 3, multiple=4)
    [((0, 4), (0, 3)), ((4, 8), (0, 3)), ((8, 10), (0, 3))]
    """
    start, stop = box[axis]
    blocks = -(-(stop - start) // multiple)
    parts = max(1, min(parts, blocks))
    cuts = [min(stop, start + multiple * (blocks * i // parts)) for i in range(parts)] + [stop]
    return [(*box[:axis], (a, b), *box[axis + 1 :]) for a, b in itertools.pairwise(cuts) if a < b]
