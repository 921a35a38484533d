"""Group convolutions of arrays: groups of moves written with numpy.rot90 and flips, and sums written out with SciPy."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.signal import correlate2d

from faltung import errors, symmetry
from faltung.symmetry.group_conv import filter_bank, group_conv, group_pool
from faltung.symmetry.group_conv.action import acting, cube_rotations, quotients
from faltung.symmetry.group_conv.bank import bank_index, check_grid, tap_sources

if TYPE_CHECKING:
    from collections.abc import Callable

    Move = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def turn(times: int) -> Move:
    return lambda x: np.rot90(x, times, (-2, -1))


def turn_of_flipped(times: int) -> Move:
    return lambda x: np.rot90(x[..., ::-1], times, (-2, -1))


P4 = [turn(r) for r in range(4)]
MOVES = {"p4": P4, "p4m": [*P4, *[turn_of_flipped(r) for r in range(4)]]}


def table_of(moves: list[Move]) -> np.ndarray[Any, Any]:
    """The products of moves, found by applying them to a picture without symmetry."""
    picture = np.arange(9.0).reshape(3, 3)
    seen = {m(picture).tobytes(): i for i, m in enumerate(moves)}
    return np.array([[seen[a(b(picture)).tobytes()] for b in moves] for a in moves])


def moved_features(y: np.ndarray[Any, Any], name: str, g: int) -> np.ndarray[Any, Any]:
    """Move every plane by g, and take plane h to plane g·h."""
    moves, table = MOVES[name], table_of(MOVES[name])
    fields = moves[g](y).reshape(len(y), -1, len(moves), *moves[g](y).shape[-2:])
    out = np.empty_like(fields)
    for h in range(len(moves)):
        out[:, :, table[g, h]] = fields[:, :, h]
    return out.reshape(len(y), -1, *out.shape[-2:])


LINE = symmetry.reflections(ndim=1)


def noise(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("name", ["p4", "p4m"])
def test_lifting_is_every_moved_kernel(name: str) -> None:
    x, w = noise(2, 3, 9, 8), noise(2, 3, 3, 3, seed=1)
    y = group_conv(x, w, name, bias=[0.5, -1])
    count = len(MOVES[name])
    for n, o, g in product(range(2), range(2), range(count)):
        kernels = MOVES[name][g](w[o])
        expected = sum(correlate2d(x[n, i], kernels[i], "valid") for i in range(3)) + (0.5, -1)[o]
        np.testing.assert_allclose(y[n, o * count + g], expected, atol=1e-13)


@pytest.mark.parametrize("name", ["p4", "p4m"])
def test_group_to_group_is_the_sum_over_the_group(name: str) -> None:
    moves, table = MOVES[name], table_of(MOVES[name])
    count = len(moves)
    x, w = noise(1, 2 * count, 6, 6), noise(3, 2, count, 2, 2, seed=1)
    y = group_conv(x, w, name)
    for o, g in product(range(3), range(count)):
        # The definition: Σ over h of x(·, h) with the kernel at g⁻¹h, moved by g.
        terms = [
            correlate2d(x[0, i * count + table[g, k]], moves[g](w[o, i, k]), "valid")
            for i, k in product(range(2), range(count))
        ]
        np.testing.assert_allclose(y[0, o * count + g], sum(terms), atol=1e-13)


CASES = [  # size, window, stride, padding
    (9, 3, 1, 0),
    (10, 3, 1, 1),
    (9, 4, 1, 1),
    (10, 2, 1, 0),
    (9, 3, 2, 1),
    (10, 4, 2, 1),
    (11, 5, 3, 0),
    (10, 1, 3, 0),
]


@pytest.mark.parametrize(("size", "window", "stride", "padding"), CASES)
@pytest.mark.parametrize("name", ["p4", "p4m"])
@pytest.mark.parametrize(("dtype", "limit"), [(np.float32, 1e-6), (np.float64, 1e-13)])
def test_equivariance_on_odd_and_even_sizes(
    name: str, size: int, window: int, stride: int, padding: int, dtype: Any, limit: float
) -> None:
    count = len(MOVES[name])
    x = noise(1, 2, size, size, dtype=dtype)
    first = noise(2, 2, 3, 3, seed=1, dtype=dtype) / 4
    second = noise(2, 2, count, window, window, seed=2, dtype=dtype) / 8

    def network(v: Any) -> Any:
        lifted = np.maximum(group_conv(v, first, name, padding=1, bias=noise(2, seed=3, dtype=dtype)), 0)
        return group_conv(lifted, second, name, stride=stride, padding=padding)

    y = network(x)
    assert y.dtype == dtype
    for g, move in enumerate(MOVES[name]):
        error = np.abs(network(move(x)) - moved_features(y, name, g)).max()
        assert error <= limit * np.abs(y).max()
        pooled = group_pool(network(move(x)), name) - move(group_pool(y, name))
        assert np.abs(pooled).max() <= limit * np.abs(y).max()


def test_the_audit_agrees() -> None:
    w = noise(2, 1, 3, 3)
    for name, group in (("p4", symmetry.rotations90()), ("p4m", symmetry.dihedral())):
        report = symmetry.equivariance(lambda v, name=name: group_conv(v, w, name), noise(1, 8, 8), group, "regular")
        assert report.max_error < 1e-13
        invariant = symmetry.equivariance(
            lambda v, name=name: group_pool(group_conv(v, w, name), name, "mean").sum((-2, -1)),
            noise(1, 8, 8), group, "invariant",
        )  # fmt: skip
        assert invariant.max_error < 1e-13


def test_sizes_may_differ_and_boundaries_wrap() -> None:
    x, w = noise(1, 1, 6, 9), noise(1, 1, 3, 3)
    for boundary in ("wrap", "reflect", "edge"):
        y = group_conv(x, w, padding=1, boundary=boundary)
        turned = group_conv(np.rot90(x, 1, (2, 3)), w, padding=1, boundary=boundary)
        assert y.shape == (1, 4, 6, 9)
        np.testing.assert_allclose(turned, moved_features(y, "p4", 1), atol=1e-13)


def test_other_groups_and_ranks() -> None:
    line, w = noise(1, 1, 12), noise(2, 1, 4)
    y = group_conv(line, w, symmetry.reflections(ndim=1))
    np.testing.assert_allclose(
        group_conv(line[..., ::-1], w, symmetry.reflections(ndim=1))[0, [1, 0, 3, 2]], y[0, :, ::-1]
    )
    # A window of 2 x 3 is no window of p4, and one of the flips.
    flips = symmetry.reflections(ndim=2)
    bank = filter_bank(noise(1, 1, 2, 3), flips)
    names = [e.name for e in flips.elements]
    np.testing.assert_array_equal(bank[names.index("flip axis 1"), 0], bank[0, 0, :, ::-1])
    np.testing.assert_array_equal(bank[names.index("flip axes 0, 1"), 0], bank[0, 0, ::-1, ::-1])


def test_rotations_of_the_cube() -> None:
    group = cube_rotations()
    x, w, v = noise(1, 1, 5, 5, 5), noise(1, 1, 2, 2, 2, seed=1), noise(1, 1, 24, 3, 3, 3, seed=2)
    turns = {axes: np.rot90(x, 1, axes) for axes in ((2, 3), (2, 4), (3, 4))}

    def network(a: Any) -> Any:
        return group_conv(np.tanh(group_conv(a, w, group)), v, group, padding=1)

    y = network(x)
    pooled = group_pool(y, group, "mean")
    for axes, turned in turns.items():
        after = network(turned)
        np.testing.assert_allclose(group_pool(after, group, "mean"), np.rot90(pooled, 1, axes), atol=1e-12)
        # Each plane is one of the turned planes, each once.
        planes = np.rot90(y, 1, axes)[0]
        far = np.abs(after[0][:, None] - planes[None]).max((2, 3, 4))
        assert sorted(far.argmin(1)) == list(range(24))
        assert far.min(1).max() < 1e-12


def test_axes_that_nothing_reverses_need_no_centred_grid() -> None:
    x, w = noise(1, 1, 9, 8), noise(1, 1, 3, 3)
    flip = symmetry.reflections(0)
    y = group_conv(x, w, flip, stride=2)
    np.testing.assert_allclose(group_conv(x[:, :, ::-1], w, flip, stride=2)[:, ::-1], y[:, :, ::-1], atol=1e-14)
    swap = symmetry.permutations(2)
    y = group_conv(x, w, swap, stride=2)
    turned = group_conv(x.swapaxes(2, 3), w, swap, stride=2)
    np.testing.assert_allclose(turned[:, ::-1], y.swapaxes(2, 3), atol=1e-14)
    with pytest.raises(errors.GeometryError, match="size 8"):
        group_conv(x, w, symmetry.reflections(1), stride=2)


@pytest.mark.parametrize("name", ["p4", "p4m"])
def test_group_laws(name: str) -> None:
    table = table_of(MOVES[name])
    group = acting(name)
    np.testing.assert_array_equal(group.table(), table)
    found = quotients(group)
    for g, h in product(range(len(group)), repeat=2):
        assert table[g, found[g, h]] == h
    for window in ((2, 2), (3, 3), (4, 4)):
        taps = tap_sources(group, window)
        kernel = np.arange(window[0] * window[1]).reshape(window)
        for g, move in enumerate(MOVES[name]):
            np.testing.assert_array_equal(taps[g].reshape(window), move(kernel))
        # Moving by g and then h is moving by h·g.
        for g, h in product(range(len(group)), repeat=2):
            np.testing.assert_array_equal(taps[g][taps[h]], taps[table[h, g]])


def test_every_weight_stands_in_every_moved_copy_once() -> None:
    for group, window in ((acting("p4m"), (3, 3)), (cube_rotations(), (2, 2, 2))):
        count = len(group)
        index = bank_index(group, window, 2, 3, "regular").reshape(3, count, -1)
        for o in range(3):
            for g in range(count):
                size = index.shape[-1]
                assert sorted(index[o, g]) == list(range(o * size, (o + 1) * size))


def test_bias_batch_and_kinds_of_pooling() -> None:
    y = noise(2, 3, 8, 4, 4)
    np.testing.assert_array_equal(group_pool(y, "p4m"), y.max(2, keepdims=True))
    np.testing.assert_array_equal(group_pool(y, "p4"), y.reshape(2, 3, 2, 4, 4, 4).max(3))
    many = group_conv(noise(2, 3, 1, 5, 5), noise(1, 1, 3, 3))
    np.testing.assert_array_equal(many[1, 2], group_conv(noise(2, 3, 1, 5, 5)[1, 2], noise(1, 1, 3, 3)))


def test_sizes_that_work_are_named() -> None:
    with pytest.raises(errors.GeometryError, match=r"size 8, window 3, stride 2 .*take size 7 or 9, or window 2 or 4"):
        group_conv(noise(1, 1, 8, 8), noise(1, 1, 3, 3), stride=2, padding=1)
    for size, window, stride, padding in product(range(1, 12), range(1, 5), range(1, 5), range(3)):
        places = np.arange(-padding, size + padding - window + 1, stride)
        if not len(places):
            with pytest.raises(errors.GeometryError, match="does not fit"):
                check_grid(LINE, (size,), (window,), (stride,), (padding,))
            continue
        centred = places[0] + places[-1] + window - 1 == size - 1
        if centred:
            check_grid(LINE, (size,), (window,), (stride,), (padding,))
            continue
        with pytest.raises(errors.GeometryError, match="take size") as caught:
            check_grid(LINE, (size,), (window,), (stride,), (padding,))
        advice = str(caught.value).split("take size ")[1]
        sizes, windows = ([int(n) for n in part.split(" or ")] for part in advice.split(", or window "))
        for n in sizes:
            check_grid(LINE, (n,), (window,), (stride,), (padding,))
        for k in windows:
            check_grid(LINE, (size,), (k,), (stride,), (padding,))


def twice(group: Any) -> Any:
    return replace(group, elements=group.elements * 2)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: filter_bank(noise(1, 1, 3, 3), "p6"), "'p6' is unknown"),
        (lambda: filter_bank(noise(1, 1, 3, 3), symmetry.shifts()), "more than permute"),
        (lambda: filter_bank(noise(1, 1, 3, 3), symmetry.rotations([45])), "more than permute"),
        (lambda: filter_bank(noise(1, 1, 3, 3), symmetry.rotations([90])), "no whole group"),
        (lambda: filter_bank(noise(1, 1, 3, 3), twice(symmetry.reflections(0))), "one stands twice"),
        (
            lambda: filter_bank(noise(1, 1, 3, 3), symmetry.product(symmetry.reflections(0), symmetry.gain(-1))),
            "more than permute",
        ),
        (lambda: filter_bank(noise(1, 1, 3, 3), [symmetry.reflections(0)]), "is unknown"),  # type: ignore[arg-type]
        (lambda: filter_bank(noise(1, 1, 3, 3), symmetry.gain()), "is unknown"),
        (lambda: filter_bank(noise(3, 3)), r"\(out, in, h, w\)"),
        (lambda: filter_bank(noise(1, 1, 3, 3, 3)), r"\(out, in, 4, h, w\)"),
        (lambda: filter_bank(noise(1, 1, 2, 3)), "exchange the same number"),
        (lambda: group_conv(noise(2, 5, 5), noise(1, 1, 3, 3)), "channels before"),
        (lambda: group_conv(noise(1, 5, 5), noise(1, 1, 3, 3), stride=(1, 2)), r"stride \(1, 2\)"),
        (lambda: group_conv(noise(1, 5, 5), noise(1, 1, 3, 3), padding=(1, 1, 1)), "for 3 axes"),
        (lambda: group_conv(noise(1, 5, 5), noise(1, 1, 3, 3), bias=[1, 2]), "each of the 1 output"),
        (lambda: group_conv(noise(1, 2, 2), noise(1, 1, 3, 3)), "does not fit"),
        (lambda: group_pool(noise(6, 3, 3)), "hold no fields of 4"),
        (lambda: group_pool(noise(4, 3, 3), "p4", "median"), "median"),  # type: ignore[arg-type]
    ],
)
def test_bad_input(call: Any, match: str) -> None:
    with pytest.raises(errors.ProblemError, match=match):
        call()
