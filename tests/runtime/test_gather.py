"""Gathered boxes equal what numpy.pad gives, axis by axis, for every rule, side, layout and element size."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from faltung.compiler import kernels
from faltung.problem import boundary
from faltung.runtime import gather, workspace

Array = np.ndarray[Any, Any]
MOVING = ("zero", "constant:7", "edge", "reflect", "symmetric", "wrap")
ODD = ("antireflect", "antisymmetric")
DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
Boxes = tuple[tuple[int, int], ...]


def padded(x: Array, axis: int, low: int, high: int, rules: tuple[str, str]) -> Array:
    """Extend one axis with numpy.pad, each side by its own rule."""
    for rule, (before, after) in zip(rules, ((low, 0), (0, high)), strict=True):
        width = [(before, after) if a == axis else (0, 0) for a in range(x.ndim)]
        # The rule sees the samples of the array, never the other side's extension.
        source = np.take(x, range(low if after else 0, x.shape[axis]), axis) if after else x
        name, _, value = rule.partition(":")
        if name in ("zero", "constant"):
            extended = np.pad(source, width, constant_values=int(value or 0))
        elif name in ODD:
            extended = np.pad(source, width, mode=name.removeprefix("anti"), reflect_type="odd")  # type: ignore[call-overload]
        else:
            extended = np.pad(source, width, mode=name)  # type: ignore[call-overload]
        x = np.concatenate((np.take(x, range(low), axis), extended), axis) if after else extended
    return x


def expected(x: Array, box: Boxes, rules: list[tuple[str, str]]) -> Array:
    for axis, ((start, stop), pair) in enumerate(zip(box, rules, strict=True)):
        low, high = max(0, -start), max(0, stop - x.shape[axis])
        size = x.shape[axis]
        x = padded(x, axis, low, high, pair)
        assert x.shape[axis] == size + low + high
        x = np.take(x, range(start + low, stop + low), axis)
    return x


def sides(rules: list[tuple[str, str]]) -> list[Any]:
    return list(boundary.parse(rules, len(rules), "zero"))


def run(x: Array, maps: list[Any], inner: int = 1, pitch: int | None = None) -> Array:
    """Copy a box to scratch memory whose padding and surroundings must stay as they were."""
    rows = int(np.prod([len(m.index) for m in maps[:-1]], dtype=int))
    width = len(maps[-1].index) * inner
    pitch = pitch or -(-width * x.itemsize // 64) * 64
    memory = np.full(pitch * rows + 128, 0xA5, np.uint8)
    copy = gather.prepare(maps, x.strides, x.shape, x.dtype, inner, pitch)
    copy.run(x, x.ctypes.data, memory.ctypes.data + 64)
    assert (memory[:64] == 0xA5).all()
    assert (memory[64 + pitch * rows :] == 0xA5).all()
    lines = memory[64 : 64 + pitch * rows].reshape(rows, pitch)
    assert (lines[:, width * x.itemsize :] == 0xA5).all()
    values = np.ascontiguousarray(lines[:, : width * x.itemsize]).view(x.dtype)
    return values.reshape([len(m.index) for m in maps[:-1]] + [width])


def coordinates(x: Array, box: Boxes, rules: list[tuple[str, str]]) -> list[Any]:
    return [
        gather.coordinates(start, stop, size, side)
        for (start, stop), size, side in zip(box, x.shape, sides(rules), strict=True)
    ]


BOXES: list[Boxes] = [
    ((0, 9),), ((-4, 0),), ((9, 14),), ((-30, 41),), ((3, 4),), ((-2, 5),), ((4, 12),), ((30, 33),), ((-40, -37),),
]  # fmt: skip


@pytest.mark.parametrize("low", MOVING)
@pytest.mark.parametrize("high", MOVING)
def test_a_line_is_extended_by_a_rule_for_each_side(low: str, high: str) -> None:
    x = np.random.default_rng(0).integers(1, 99, 9).astype("i4")
    for box in BOXES:
        rules = [(low, high)]
        np.testing.assert_array_equal(run(x, coordinates(x, box, rules)), expected(x, box, rules))


@pytest.mark.parametrize("rule", ODD)
def test_odd_rules_compute(rule: str) -> None:
    x = np.random.default_rng(0).integers(1, 99, (5, 9)).astype("f8")
    for one, other in product(BOXES[:4], repeat=2):
        rules, box = [(rule, "edge"), (rule, rule)], (*one, *other)
        maps = coordinates(x, box, rules)
        np.testing.assert_array_equal(run(x, maps), expected(x, box, rules))
        np.testing.assert_array_equal(gather.extended(x, maps), expected(x, box, rules))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_element_size_and_every_tail(dtype: str) -> None:
    lanes = 64 // np.dtype(dtype).itemsize
    rng = np.random.default_rng(1)
    for width in [*range(1, 2 * min(lanes, 16) + 2), lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + 1]:
        x = rng.integers(0, 99, (4, width)).astype(dtype)
        for rules in ([("wrap", "wrap"), ("edge", "reflect")], [("zero", "zero"), ("constant:0", "zero")]):
            box = ((-2, 5), (-3, width + 2))
            np.testing.assert_array_equal(run(x, coordinates(x, box, rules)), expected(x, box, rules))


@pytest.mark.parametrize("rules", list(product([("wrap", "symmetric"), ("constant:7", "constant:7")], repeat=3)))
def test_boxes_of_rank_three_of_any_strides(rules: list[tuple[str, str]]) -> None:
    memory = np.random.default_rng(2).integers(1, 99, (12, 14, 13)).astype("i2")
    views = [
        memory[:6, :7],
        memory[::2, ::-2],
        memory[::-2, 7:],
        memory[:1, :1, :1],
        np.broadcast_to(memory[0], (5, 14, 13)),
    ]
    for x in views:
        for box in (
            ((-3, 8), (2, 4), (-5, 20)),
            ((0, 1), (0, 1), (0, 1)),
            ((1, 3), (-9, -2), (3, 9)),
            ((7, 9), (0, 2), (-2, 0)),
        ):
            np.testing.assert_array_equal(run(x, coordinates(x, box, list(rules))), expected(x, box, list(rules)))


@pytest.mark.parametrize("inner", [2, 3, 4])
def test_interleaved_pixels_stay_together(inner: int) -> None:
    x = np.random.default_rng(3).integers(1, 99, (5, 8 * inner)).astype("u1")
    pixels = x.reshape(5, 8, inner)
    for rule in MOVING:
        rules, box = [(rule, rule)] * 2, ((-2, 6), (-9, 11))
        maps = [gather.coordinates(*part, n, side) for part, n, side in zip(box, (5, 8), sides(rules), strict=True)]
        want = expected(pixels, (*box, (0, inner)), [*rules, ("zero", "zero")])
        np.testing.assert_array_equal(run(x, maps, inner), want.reshape(8, -1))


def test_several_constants_each_keep_their_place() -> None:
    x = np.arange(1.0, 13.0).reshape(3, 4)
    rules, box = [("constant:2", "constant:3"), ("constant:4", "zero")], ((-2, 5), (-1, 6))
    maps = coordinates(x, box, rules)
    np.testing.assert_array_equal(run(x, maps), expected(x, box, rules))
    assert gather.prepare(maps, x.strides, x.shape, x.dtype, 1, 64).copy is None


def test_rules_that_move_are_compiled() -> None:
    if not kernels.available():
        pytest.skip("nothing is compiled here")
    x = np.zeros((3, 4))
    for rule in MOVING:
        maps = coordinates(x, ((-9, 9), (-9, 9)), [(rule, rule)] * 2)
        assert gather.prepare(maps, x.strides, x.shape, x.dtype, 1, 192).copy is not None


@pytest.mark.parametrize("value", [np.nan, -np.inf, 2.5, -0.0])
def test_a_constant_keeps_its_bits(value: float) -> None:
    x = np.ones((2, 3), np.float32)
    rule = boundary.parse(("constant", value), 2, "zero")
    maps = [gather.coordinates(-1, n + 2, n, side) for n, side in zip(x.shape, rule, strict=True)]
    want = np.full((5, 6), value, np.float32)
    want[1:3, 1:4] = 1
    np.testing.assert_array_equal(run(x, maps).view("u4"), want.view("u4"))


def test_an_empty_axis_is_all_constant() -> None:
    x = np.zeros((0, 5), np.int32)
    maps = coordinates(x, ((-2, 2), (-1, 6)), [("constant:7", "constant:7"), ("zero", "zero")])
    got = run(x, maps)
    assert got.shape == (4, 7)
    assert set(np.unique(got)) <= {0, 7}


def test_picked_coordinates_come_in_their_order() -> None:
    x = np.random.default_rng(4).integers(1, 99, (3, 11)).astype("f4")
    rules, box = [("edge", "edge"), ("wrap", "constant:7")], ((0, 3), (-4, 15))
    order = np.r_[0:19:3, 1:19:3, 2:19:3, 18, 18]
    maps = coordinates(x, box, rules)
    maps[-1] = gather.pick(maps[-1], order)
    np.testing.assert_array_equal(run(x, maps), expected(x, box, rules)[:, order])


def test_a_carried_axis_is_read_as_it_is() -> None:
    found = gather.coordinates(3, 8, 20, None)
    np.testing.assert_array_equal(found.index, [3, 4, 5, 6, 7])
    assert found.fill is None
    assert workspace.ALIGNMENT == 64
