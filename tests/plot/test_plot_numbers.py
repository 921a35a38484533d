"""The numbers in the pictures are the true ones: products and sums, entries, extensions, sizes."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Polygon, Rectangle

import faltung as ft
from faltung import plot
from faltung.errors import BoundaryError, DtypeError, GeometryError
from faltung.plot.steps import resolve
from faltung.plot.style import weight_colours

RNG = np.random.default_rng(5)
RULES = ["zero", "constant:7", "edge", "reflect", "symmetric", "wrap", "antireflect", "antisymmetric"]


def texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def value(text: str) -> int:
    return int(text.replace("−", "-"))


def equation(figure: Any) -> tuple[list[tuple[int, int]], int]:
    """Read the written sum: its factors, and what it is said to be."""
    every = texts(figure)
    start = next(i for i, text in enumerate(every) if text.startswith("y["))
    text = " ".join(every[start:-1]).split(" = ", 1)[1]
    terms, total = text.rsplit(" = ", 1)
    pairs = [term.replace("(", "").replace(")", "").split("·") for term in re.split(r" \+ ", terms)]
    return [(value(a), value(b)) for a, b in pairs], value(total)


@pytest.mark.parametrize("boundary", RULES)
@pytest.mark.parametrize("flip", [False, True])
def test_sliding_shows_the_products_and_their_sum(boundary: str, flip: bool) -> None:
    x = RNG.integers(-9, 10, (5, 6))
    kernel = RNG.integers(-4, 5, (3, 2))
    c = ft.Convolution(kernel, flip=flip, boundary=boundary, stride=2, dilation=(2, 1))
    apply = ft.definition.convolve if flip else ft.definition.correlate
    expected = apply(x, kernel, boundary=boundary, stride=2, dilation=(2, 1))
    for at in [(0, 0), (1, 2), (expected.shape[0] - 1, expected.shape[1] - 1)]:
        pairs, total = equation(plot.sliding(x, c, at))
        assert len(pairs) == 6
        assert [b for _, b in pairs] == (kernel[::-1, ::-1] if flip else kernel).ravel().tolist()
        assert sum(a * b for a, b in pairs) == total == expected[at]


@settings(max_examples=20)
@given(n=st.integers(3, 8), k=st.integers(1, 3), stride=st.integers(1, 3), low=st.integers(0, 2), data=st.data())
def test_sliding_along_one_axis(n: int, k: int, stride: int, low: int, data: st.DataObject) -> None:
    x = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n)))
    kernel = np.array(data.draw(st.lists(st.integers(-3, 3), min_size=k, max_size=k)))
    expected = ft.definition.correlate(x, kernel, padding=[(low, 0)], stride=stride)
    at = data.draw(st.integers(0, len(expected) - 1))
    figure = plot.sliding(x, ft.Convolution(kernel, flip=False, padding=[(low, 0)], stride=stride), at)
    pairs, total = equation(figure)
    assert sum(a * b for a, b in pairs) == total == expected[at]
    assert Fraction(total) == sum(Fraction(a) * b for a, b in pairs)
    assert [value(t) for t in texts(figure)[n + low + k : n + low + k + len(expected)]] == expected.tolist()


def test_the_sum_stands_under_the_middle_of_the_three_arrays() -> None:
    figure = plot.sliding(np.ones((4, 4)), ft.Convolution(np.ones((3, 3))))
    cells = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    middle = max(patch.get_x() + patch.get_width() for patch in cells) / 2
    assert figure.axes[0].texts[-1].get_position()[0] == pytest.approx(middle)


def test_sliding_marks_the_border_and_the_window() -> None:
    figure = plot.sliding([1, 2, 4], ft.Convolution([1, 1, 1], flip=False, boundary="reflect"), at=0)
    styles = [text.get_fontstyle() for text in figure.axes[0].texts[:5]]
    assert styles == ["italic", "normal", "normal", "normal", "italic"]
    window = next(patch for patch in figure.axes[0].patches if isinstance(patch, Polygon))
    assert window.get_xy()[:4].tolist() == [[0, 0], [3, 0], [3, 1], [0, 1]]
    assert [value(t) for t in texts(figure)[:5]] == [2, 1, 2, 4, 2]


def test_an_axis_order_of_the_kernel_is_respected() -> None:
    x, kernel = RNG.integers(0, 9, (4, 5)), np.array([[1, 2, 3], [4, 5, 6]])
    c = ft.Convolution(kernel, flip=False, axes=(1, 0), boundary="zero")
    expected = ft.definition.correlate(x.T, kernel, boundary="zero").T
    pairs, total = equation(plot.sliding(x, c, (2, 1)))
    assert total == expected[2, 1] == sum(a * b for a, b in pairs)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: plot.sliding(np.ones((20, 20)), ft.Convolution(np.ones((3, 3)))), r"1 to 12 samples"),
        (lambda: plot.sliding([1, 2], ft.Convolution([[1]])), r"1 axes"),
        (lambda: plot.sliding([1, 2], ft.Convolution([1]), at=5), r"at=5 is no position of the output \(2,\)"),
        (lambda: plot.sliding([[1]], ft.Convolution([np.ones((1, 1))] * 2)), r"a bank was given"),
        (lambda: plot.sliding([1.0], ft.Convolution([1j])), r"complex128"),
        (lambda: plot.kernel(np.ones((1, 1, 1, 1))), r"1, 2 or 3 axes"),
        (lambda: plot.kernel([]), r"at least one tap"),
        (lambda: plot.kernel([1j]), r"real part"),
        (lambda: plot.layer(3, 4, groups=2), r"groups=2 must divide the 3 input and 4 output"),
        (lambda: plot.layer(0, 4), r"in_channels=0"),
        (lambda: plot.units(ft.Convolution(np.ones((2, 2))), 5), r"one filter with one axis"),
        (lambda: plot.units(ft.Convolution([1]), 99), r"1 to 16"),
        (lambda: plot.matrix(ft.Convolution([1]), 99), r"99 x 99 entries"),
        (lambda: plot.arithmetic(2, 3), r"pad by 1 more"),
        (lambda: plot.arithmetic((2, 2, 2), 3), r"3 axes"),
        (lambda: plot.arithmetic(30, 3), r"at most 24"),
        (lambda: plot.arithmetic(5, 3, output_padding=1), r"only a transposed"),
        (lambda: plot.arithmetic(3, 3, padding=3, transposed=True), r"padding of at most 2"),
        (lambda: plot.arithmetic_frames(20, 1), r"up to 256 positions"),
        (lambda: plot.arithmetic(5, 3, frames=0), r"at least 1"),
        (lambda: plot.boundary(["mirrored"]), r"unknown boundary"),
        (lambda: plot.boundary(x=np.ones(20)), r"1 to 8 numbers"),
        (lambda: plot.boundary(x=np.ones((5, 5, 4))), r"\(height, width, 3\)"),
        (lambda: plot.feature_map(np.ones(5), ft.Convolution([1])), r"image of two axes"),
        (lambda: plot.response(np.arange(4.0), np.ones(5)), r"do not fit"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call: Any, text: str) -> None:
    with pytest.raises((GeometryError, DtypeError, BoundaryError), match=text):
        call()


def rectangles(figure: Any) -> dict[tuple[int, int], list[tuple[float, ...]]]:
    """Give the colours of the cells of a matrix."""
    found: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    for patch in figure.axes[0].patches:
        if isinstance(patch, Rectangle) and patch.get_height() == 1:
            place = int(patch.get_y()), int(patch.get_x() + 1e-9)
            found.setdefault(place, []).append(to_rgb(patch.get_facecolor()))
    return found


@pytest.mark.parametrize("boundary", ["zero", "symmetric", "wrap", "reflect"])
@pytest.mark.parametrize(("kernel", "shape"), [([2, 3, 5], (6,)), ([[2, 3], [5, 7]], (3, 4))])
def test_the_colours_of_the_matrix_are_those_of_its_weights(boundary: str, kernel: Any, shape: tuple[int, ...]) -> None:
    c = ft.Convolution(kernel, flip=False, boundary=boundary)
    taps = np.ravel(kernel).tolist()
    weight = {tuple(np.round(colour, 6)): tap for colour, tap in zip(weight_colours(len(taps)), taps, strict=True)}
    drawn = np.zeros((np.prod(shape), np.prod(shape)), int)
    for place, colours in rectangles(plot.matrix(c, shape)).items():
        drawn[place] = sum(weight[tuple(np.round(colour, 6))] for colour in colours)
    impulses = np.eye(int(np.prod(shape)), dtype=int).reshape(-1, *shape)
    expected = [ft.definition.correlate(one, np.array(kernel), boundary=boundary).ravel() for one in impulses]
    assert np.array_equal(drawn, np.stack(expected, axis=1).astype(int))


def test_units_have_the_edges_and_colours_of_the_matrix() -> None:
    c = ft.Convolution([2, 3, 5], flip=False, boundary="symmetric")
    figure = plot.units(c, 5)
    lines = [line for line in figure.axes[0].lines if isinstance(line, Line2D)]
    circles = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    assert (len(lines), len(circles)) == (25 + 15 + 15, 30)
    left = max(patch.center[0] for patch in circles) - 4
    weight = {tuple(np.round(colour, 6)): tap for colour, tap in zip(weight_colours(3), (2, 3, 5), strict=True)}
    drawn = np.zeros((5, 5), int)
    for line in lines[-15:]:
        (x0, x1), (y0, y1) = line.get_data()
        low, high = (x0, x1) if y0 > y1 else (x1, x0)
        drawn[round(high - left), round(low - left)] += weight[tuple(np.round(to_rgb(line.get_color()), 6))]
    expected = [ft.definition.correlate(one, [2, 3, 5], boundary="symmetric") for one in np.eye(5, dtype=int)]
    assert np.array_equal(drawn, np.stack(expected, axis=1).astype(int))
    assert "15 weights, each used once" in texts(figure)
    assert "3 weights, each used 5 times" in texts(figure)


def test_many_weights_have_colours_of_their_own() -> None:
    for count in (1, 7, 8, 21, 22, 121):
        assert len(set(weight_colours(count))) == count


@pytest.mark.parametrize("rule", RULES)
def test_boundary_shows_what_numpy_pads(rule: str) -> None:
    x = np.array([3, 1, 4, 2])
    shown = [value(t) for t in texts(plot.boundary([rule], x))[1:]]
    odd, name = rule.startswith("anti"), rule.removeprefix("anti").partition(":")[0]
    more = {"reflect_type": "odd"} if odd else {"constant_values": 7} if name == "constant" else {}
    expected = np.pad(x, 3, mode="constant" if name == "zero" else name, **more)  # type: ignore[call-overload]
    assert shown == expected.tolist()
    letters = texts(plot.boundary([rule]))[1:]
    names = dict(zip("abcd", x.tolist(), strict=True))
    pattern = re.compile(r"(?<=\d)(?=[a-d])")
    assert [eval(pattern.sub("*", t.replace("−", "-")), {}, names) for t in letters] == shown


@given(
    n=st.integers(1, 6), k=st.integers(1, 4), s=st.integers(1, 3), d=st.integers(1, 2), low=st.integers(0, 2),
    high=st.integers(0, 2), extra=st.integers(0, 2),
)  # fmt: skip
def test_arithmetic_of_one_axis(n: int, k: int, s: int, d: int, low: int, high: int, extra: int) -> None:
    if n + low + high >= d * (k - 1) + 1:
        axis = resolve((n,), k, s, [(low, high)], d, False)[0]
        assert axis.out == len(
            ft.definition.correlate(np.ones(n), np.ones(k), padding=[(low, high)], stride=s, dilation=d)
        )
        assert [axis.kind(i) for i in range(axis.length)] == ["padding"] * low + ["sample"] * n + ["padding"] * high
    reach = d * (k - 1)
    out = s * (n - 1) + reach + 1 - low - high + extra
    drawn = out + reach <= 24  # cells that the kernel slides over
    if max(low, high) <= reach and out >= 1 and extra < max(s, d) and drawn:
        axis = resolve((n,), k, s, [(low, high)], d, True, extra)[0]
        assert axis.out == out
        # Sample i of the input of the convolution that is transposed meets output s·i + d·t - low.
        kernel = RNG.integers(1, 9, k)
        spread = np.array([int(axis.kind(i) == "sample") for i in range(axis.length)])
        seen = np.array([sum(kernel[::-1][t] * spread[o + d * t] for t in range(k)) for o in range(out)])
        expected = np.zeros(out, int)
        for i, t in product(range(n), range(k)):
            if 0 <= s * i + d * t - low < out:
                expected[s * i + d * t - low] += kernel[t]
        assert np.array_equal(seen, expected)


def test_arithmetic_says_its_size_and_shows_every_position() -> None:
    figure = plot.arithmetic((5, 7), (3, 2), stride=(2, 3), padding=[(1, 0), (0, 0)])
    assert [t for t in texts(figure) if t.startswith("y")] == [f"y[{j}, {i}]" for j in range(2) for i in range(2)]
    assert texts(figure)[-1] == (
        "input 5 × 7, kernel 3 × 2, stride (2, 3), padding ((1, 0), 0)\n⌊(5 + 1 + 0 − 1·(3 − 1) − 1) / 2⌋ + 1 = 2"
    )
    strip = [t for t in texts(plot.arithmetic(8, 3)) if t.startswith("y")]
    assert (len(strip), strip[0], strip[-1]) == (9, "y[0, 0]", "y[5, 5]")
    assert len(plot.arithmetic_frames(3, 3, stride=2, padding=1, transposed=True)) == 25


@pytest.mark.parametrize(("window", "groups", "bias"), [(3, 1, True), ((3, 5), 2, False), (1, 4, True)])
def test_layer_counts_its_parameters(window: Any, groups: int, bias: bool) -> None:
    shape = np.zeros((8, 4 // groups, *np.broadcast_to(window, 2)))
    total = shape.size + (8 if bias else 0)
    assert f"= {total} parameters" in texts(plot.layer(4, 8, window, groups=groups, bias=bias))[-1]


def test_feature_maps_show_values_and_colours() -> None:
    x = np.zeros((6, 6), np.uint8)
    x[:, 3:] = 200
    figure = plot.feature_map(x, ft.Convolution([[-1, 1]], flip=False, boundary="edge", anchor=0))
    image = figure.axes[0].images[-1].get_array()
    assert texts(figure)[-1] == "6 × 6, 0 to 200"
    assert image[0, :, 0].tolist() == [0, 0, 255, 0, 0, 0]
    signed = plot.feature_map(x, ft.Convolution([[1, -1]], flip=False, boundary="edge", anchor=0))
    image = signed.axes[0].images[-1].get_array()
    assert (image[:, [0, 1, 3]] == 255).all()
    assert image[0, 2].tolist() == [33, 102, 172]
    layer = ft.Convolution(np.ones((2, 3, 1, 1)), channels=True)
    rows = texts(plot.feature_map(np.stack([x, x, x]), layer))
    assert rows.count("6 × 6, 0 to 600") == 2


def test_response_draws_what_it_is_given() -> None:
    f, m, p = np.linspace(-0.5, 0.5, 9), np.arange(9.0), np.linspace(-3, 3, 9)
    one = plot.response(f, m, p, unit="cycles per mm", title="a filter")
    assert [axes.lines[0].get_ydata().tolist() for axes in one.axes] == [m.tolist(), p.tolist()]
    assert one.axes[-1].get_xlabel() == "frequency in cycles per mm"
    two = plot.response((f, f[:5]), np.ones((9, 5)), np.zeros((9, 5)))
    assert [axes.images[0].get_array().shape for axes in two.axes if axes.images] == [(9, 5), (9, 5)]
