"""Boxes of the output: cutting them loses no point and repeats none."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from faltung.runtime import regions


def count(shape: tuple[int, ...], boxes: list[regions.Box]) -> np.ndarray:
    """Say how many boxes hold each point."""
    held = np.zeros(shape, int)
    for box in boxes:
        held[tuple(slice(*part) for part in box)] += 1
    return held


def every_part(stop: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(stop + 1) for b in range(a, stop + 1)]


def test_size_counts_the_points() -> None:
    for rows, columns in product(every_part(3), every_part(2)):
        assert regions.size((rows, columns)) == count((3, 2), [(rows, columns)]).sum()
    assert regions.size(()) == 1


def test_a_shell_and_its_interior_are_the_box() -> None:
    for rows, columns in product(every_part(4), every_part(3)):
        box = ((0, 4), (0, 3))
        slabs = regions.shell(box, (rows, columns))
        assert all(regions.size(slab) for slab in slabs) or 0 in (rows[1] - rows[0], columns[1] - columns[0])
        assert (count((4, 3), [*slabs, (rows, columns)]) == 1).all()


def test_a_shell_has_two_slabs_an_axis_at_most() -> None:
    box, interior = ((0, 9),) * 3, ((2, 7),) * 3
    slabs = regions.shell(box, interior)
    assert len(slabs) == 6
    assert (count((9, 9, 9), [*slabs, interior]) == 1).all()
    assert regions.shell(box, box) == []


@pytest.mark.parametrize("multiple", [1, 2, 3, 7])
@pytest.mark.parametrize("parts", [1, 2, 3, 5, 100])
def test_pieces_are_nearly_equal_and_cut_at_multiples(parts: int, multiple: int) -> None:
    for start, extent in product((0, 5), range(1, 23)):
        box = ((0, 2), (start, start + extent))
        pieces = regions.split(box, 1, parts, multiple)
        assert (count((2, start + extent), pieces)[:, start:] == 1).all()
        assert 1 <= len(pieces) <= parts
        assert all((piece[1][0] - start) % multiple == 0 for piece in pieces)
        sizes = [piece[1][1] - piece[1][0] for piece in pieces]
        assert max(sizes) - min(sizes) < 2 * multiple


def test_pieces_lie_in_order() -> None:
    pieces = regions.split(((3, 20), (0, 4)), 0, 4)
    assert pieces == sorted(pieces)
    assert len(pieces) == 4
