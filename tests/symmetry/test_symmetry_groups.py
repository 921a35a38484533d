"""Groups are groups: laws by enumeration, on elements and on what they do to arrays."""

from __future__ import annotations

import math
from itertools import product as pairs_of
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from faltung import symmetry
from faltung.errors import DtypeError, GeometryError, ProblemError
from faltung.symmetry.actions import act, stays_inside
from faltung.symmetry.audit.fields import input_field
from faltung.symmetry.elements import Element, Group

RNG = np.random.default_rng(3)
FINITE = {
    "rotations90": (symmetry.rotations90(), 4),
    "dihedral": (symmetry.dihedral(), 8),
    "flip": (symmetry.reflections(1), 2),
    "flips": (symmetry.reflections(ndim=3), 8),
    "permutations": (symmetry.permutations(3), 6),
    "cube": (symmetry.product(symmetry.permutations(3), symmetry.reflections(ndim=3)), 48),
}


def maps(group: Group) -> list[Element]:
    return [e for e in group.elements if isinstance(e, Element)]


@pytest.mark.parametrize("name", FINITE)
def test_laws_by_enumeration(name: str) -> None:
    group, order = FINITE[name]
    table = group.table()
    assert table.shape == (order, order) == (len(group), len(group))
    assert all(sorted(row) == list(range(order)) for row in table)
    identity = [i for i, e in enumerate(maps(group)) if e.is_identity]
    assert len(identity) == 1
    assert table[identity[0]].tolist() == list(range(order)) == table[:, identity[0]].tolist()
    for a, b, c in pairs_of(range(order), repeat=3):
        assert table[table[a, b], c] == table[a, table[b, c]]
    for element in maps(group):
        assert (element @ element.inverse()).is_identity
        assert (element.inverse() @ element).is_identity


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("size", [4, 5])
def test_actions_compose_as_elements_do(name: str, size: int) -> None:
    group, _ = FINITE[name]
    x = RNG.integers(0, 100, (2, *[size] * group.ndim))
    axes = range(1, 1 + group.ndim)
    for a, b in list(pairs_of(maps(group), repeat=2))[:: max(1, len(group) // 6)]:
        np.testing.assert_array_equal(act(a, act(b, x, axes, group), axes, group), act(a @ b, x, axes, group))


@given(st.lists(st.integers(-6, 6), min_size=2, max_size=2), st.integers(0, 7))
def test_shifts_after_turns_compose(shift: list[int], k: int) -> None:
    group = symmetry.dihedral()
    x = RNG.integers(0, 100, (7, 7))
    turn, move = maps(group)[k], maps(symmetry.shifts([shift]))[0]
    for a, b in ((turn, move), (move, turn)):
        np.testing.assert_array_equal(act(a, act(b, x, (0, 1), group), (0, 1), group), act(a @ b, x, (0, 1), group))


def test_elements_do_what_numpy_does() -> None:
    x = RNG.integers(0, 100, (6, 6))
    group = symmetry.rotations90()
    for k, element in enumerate(maps(group)):
        np.testing.assert_array_equal(act(element, x, (0, 1), group), np.rot90(x, k))
    flips = symmetry.reflections()
    assert [e.name for e in flips.elements] == ["identity", "flip axis 1", "flip axis 0", "flip axes 0, 1"]
    np.testing.assert_array_equal(act(maps(flips)[2], x, (0, 1), flips), x[::-1])
    swap = symmetry.permutations()
    np.testing.assert_array_equal(act(maps(swap)[1], x, (0, 1), swap), x.T)
    shifts = symmetry.shifts([(2, -1)])
    np.testing.assert_array_equal(act(maps(shifts)[0], x, (0, 1), shifts), np.roll(x, (2, -1), (0, 1)))
    cropped = symmetry.shifts([(2, -1)], beyond="crop")
    moved = act(maps(cropped)[0], x, (0, 1), cropped)
    np.testing.assert_array_equal(moved[2:, :-1], x[:-2, 1:])
    assert not moved[:2].any()
    assert not moved[:, -1].any()
    np.testing.assert_array_equal(stays_inside(maps(cropped)[0], (6, 6), "crop")[2:, :-1], True)
    assert stays_inside(maps(cropped)[0], (6, 6), "crop").sum() == 20


def test_a_sub_pixel_shift_moves_a_wave_exactly() -> None:
    n = 16
    t = np.arange(n)
    for sampling, limit in (("fourier", 1e-14), ("spline", 2e-3)):
        group = symmetry.shifts(0.3, ndim=1, sampling=sampling)
        moved = act(maps(group)[0], np.cos(2 * np.pi * 2 * t / n), (0,), group)
        assert abs(moved - np.cos(2 * np.pi * 2 * (t - 0.3) / n)).max() < limit
    group = symmetry.shifts(0.5, ndim=1)
    x = RNG.standard_normal(16) * (1 + 1j)
    there = act(maps(group)[0], x, (0,), group)
    assert there.dtype == np.complex128
    # Of the Nyquist frequency, which has no direction, the real part of each half shift is kept.
    x = np.fft.ifft(np.where(t == n // 2, 0, np.fft.fft(x)))
    twice = act(maps(group)[0], act(maps(group)[0], x, (0,), group), (0,), group)
    np.testing.assert_allclose(twice, np.roll(x, 1), atol=1e-14)


def test_rotation_and_scaling_agree_with_formulas() -> None:
    n = 33
    p = np.arange(n) - 16.0
    bump = lambda y, x: np.exp(-(y**2 + x**2) / 18)  # noqa: E731
    picture = bump(p[:, None] - 4, p[None] - 1)
    for angle in (30.0, -45.0):
        group = symmetry.rotations([angle])
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        # A turns (y, x) into (c y - s x, s y + c x).
        want = bump(p[:, None] - (4 * c - s), p[None] - (4 * s + c))
        assert abs(act(maps(group)[0], picture, (0, 1), group) - want).max() < 2e-3
    group = symmetry.scalings([2])
    want = np.exp(-((p[:, None] / 2 - 4) ** 2 + (p[None] / 2 - 1) ** 2) / 18)
    moved = act(maps(group)[0], picture[None], (1, 2), group)[0]
    assert abs(moved - want).max() < 2e-3
    np.testing.assert_allclose(moved, ndimage.affine_transform(picture, [0.5, 0.5], 8.0), atol=1e-12)
    exact = symmetry.rotations([90, -90, 180])
    np.testing.assert_array_equal(act(maps(exact)[0], picture, (0, 1), exact), np.rot90(picture))


def test_values_and_products() -> None:
    x = RNG.standard_normal((3, 3))
    offset, gain = symmetry.offset(2), symmetry.gain(-3)
    both = symmetry.product(gain, offset)
    np.testing.assert_allclose(act(maps(both)[0], x, (), both), -3 * (x + 2))
    assert (maps(both)[0] @ maps(both)[0].inverse()).is_identity
    turned = symmetry.product(symmetry.rotations90(), gain)
    np.testing.assert_allclose(act(maps(turned)[1], x, (0, 1), turned), -3 * np.rot90(x))
    cropped = symmetry.product(symmetry.rotations90(), symmetry.shifts(beyond="crop"))
    assert (len(cropped), cropped.beyond) == (8, "crop")


def test_other_axes_are_carried() -> None:
    group = symmetry.rotations90()
    x = RNG.standard_normal((4, 2, 4, 3))
    np.testing.assert_array_equal(act(maps(group)[1], x, (0, 2), group), np.rot90(x, axes=(0, 2)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: symmetry.shifts([]), GeometryError, "give distances"),
        (lambda: symmetry.shifts([(1, 2, 3)]), GeometryError, "vectors of 2"),
        (lambda: symmetry.shifts(0.5, beyond="crop", sampling="fourier"), GeometryError, "goes around"),
        (lambda: symmetry.reflections(2), GeometryError, "from 0 to 1"),
        (lambda: symmetry.scalings([0]), GeometryError, "positive factors"),
        (lambda: symmetry.gain(0), ProblemError, "cannot be undone"),
        (lambda: symmetry.product(), ProblemError, "same axes"),
        (lambda: symmetry.product(symmetry.shifts(), symmetry.shifts(ndim=1)), ProblemError, "same axes"),
        (lambda: symmetry.product(symmetry.pairs((abs, abs))), ProblemError, "pairs of its own"),
        (lambda: symmetry.pairs((np.ones((2, 3)), abs)), ProblemError, "neither a square matrix nor callable"),
        (lambda: symmetry.pairs(), ProblemError, "at least one"),
        (lambda: symmetry.shifts().table(), ProblemError, "no finite table"),
        (lambda: symmetry.pairs((np.eye(3), abs)).elements[0].act_in(np.ones(4)), GeometryError, "array of 4 values"),
        (lambda: do(symmetry.rotations90(), np.ones((4, 5))), GeometryError, "crop or pad the input to 4 x 4"),
        (lambda: do(symmetry.shifts(5), np.ones((5, 5))), GeometryError, "too far for a grid of 5 x 5"),
        (lambda: do(symmetry.rotations([30]), np.ones((5, 5), int)), DtypeError, "convert it first"),
        (lambda: do(symmetry.shifts(0.5), np.ones((5, 5), int)), DtypeError, "convert it first"),
        (lambda: do(symmetry.offset(), np.ones((5, 5), int)), DtypeError, "convert it first"),
        (lambda: input_field((5,), symmetry.shifts(), None), GeometryError, "act on 2 axes, and the input of shape 5"),
        (lambda: input_field((5, 5), symmetry.shifts(), (0,)), GeometryError, "are 1, and shifts act on 2"),
        (lambda: input_field((1, 9), symmetry.shifts(), None), GeometryError, "too small"),
        (lambda: input_field((3, 9, 9), symmetry.rotations90(), None, "regular"), GeometryError, "4 channels a field"),
    ],
)
def test_refusals_say_what_to_do(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def do(group: Group, x: Any) -> Any:
    return act(maps(group)[-1], x, (0, 1) if group.ndim else (), group)
