"""Counts against numbers that count their own multiplications, pushed through the sums as they are written."""

from itertools import product
from math import prod

import numpy as np
import pytest

from faltung import Convolution
from faltung.analysis.cost import convolution_macs, cost, dense
from faltung.analysis.matrix import matrix
from faltung.analysis.timing import Timings, measure
from faltung.errors import GeometryError


class Counting:
    """A number that counts the multiplications it takes part in, and the distinct weights they use."""

    multiplications = 0

    def __mul__(self, other: "Counting") -> "Counting":
        Counting.multiplications += 1
        return Counting()

    def __add__(self, other: "Counting") -> "Counting":
        return Counting()


def literal(batch, inputs, outputs, groups, sizes, window, stride, pads, transposed=False) -> tuple[int, tuple]:
    """Run y[b, o, j] = Σ x[b, c, s·j + t - p] w[o, c, t] (or its transpose) with loops; padding is multiplied too."""
    Counting.multiplications = 0
    per_in, per_out = inputs // groups, outputs // groups
    if transposed:
        outs = [s * (n - 1) + k for n, k, s in zip(sizes, window, stride, strict=True)]
    else:
        outs = [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(sizes, window, stride, pads, strict=True)]
    positions = sizes if transposed else outs
    y = {}
    for b, g, o in product(range(batch), range(groups), range(per_out)):
        for _, *place in product(range(per_in), *map(range, positions)):
            for tap in product(*map(range, window)):
                moved = tuple(s * j + t for j, t, s in zip(place, tap, stride, strict=True))
                key = (b, g * per_out + o, *(moved if transposed else place))
                y[key] = y.get(key, Counting()) + Counting() * Counting()
    return Counting.multiplications, (batch, outputs, *outs)


LAYERS = [
    (2, 3, 4, 1, (7, 6), (3, 2), (1, 1), (0, 0)),
    (1, 4, 6, 2, (9,), (4,), (3,), (2,)),
    (1, 4, 4, 4, (5, 4, 3), (2, 2, 3), (2, 1, 1), (1, 0, 1)),
    (3, 2, 2, 2, (6,), (5,), (1,), (0,)),
    (1, 1, 5, 1, (4, 4), (1, 1), (1, 2), (0, 0)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_macs_are_the_multiplications_of_the_literal_sum(layer) -> None:
    batch, inputs, outputs, groups, sizes, window, stride, pads = layer
    want, shape = literal(*layer)
    kernel = np.ones((outputs, inputs // groups, *window))
    c = Convolution(kernel, channels=True, groups=groups, stride=stride, padding=pads)
    found = cost(c, (batch, inputs, *sizes))
    assert found.output_shape == shape
    assert found.convolution.macs == want
    assert found.locally_connected.macs == want
    assert found.convolution.macs == c.plan((batch, inputs, *sizes)).problem.macs
    assert convolution_macs(batch * prod(shape[2:]), window, inputs, outputs, groups) == want


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_transposed_layers_count_the_positions_of_the_input(layer) -> None:
    batch, inputs, outputs, groups, sizes, window, _, _ = layer
    want, _ = literal(*layer, transposed=True)
    assert convolution_macs(batch * prod(sizes), window, inputs, outputs, groups) == want


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_parameters_and_their_uses(layer) -> None:
    batch, inputs, outputs, groups, sizes, window, stride, pads = layer
    kernel = np.ones((outputs, inputs // groups, *window))
    c = Convolution(kernel, channels=True, groups=groups, stride=stride, padding=pads)
    found = cost(c, (batch, inputs, *sizes), bias=True)
    positions = prod(found.output_shape[2:])
    assert found.convolution.parameters == (prod(window) * inputs // groups + 1) * outputs
    assert found.locally_connected.parameters == (prod(window) * inputs // groups + 1) * outputs * positions
    assert found.dense.parameters == (inputs * prod(sizes) + 1) * outputs * positions
    assert found.convolution.uses == batch * positions
    assert found.locally_connected.uses == found.dense.uses == batch
    assert found.dense.macs == batch * prod(sizes) * inputs * outputs * positions


def test_a_sparse_matrix_has_as_many_entries_as_macs_where_nothing_is_folded() -> None:
    c = Convolution(np.ones((3, 5)), mode="valid", stride=2)
    assert cost(c, (20, 31)).locally_connected.macs == matrix(c, (20, 31)).nnz
    carried = Convolution(np.ones(3), axes=1, mode="valid")
    found = cost(carried, (4, 10, 2))
    assert found.convolution.macs == matrix(carried, (4, 10, 2)).nnz == 3 * 8 * 8
    assert (found.convolution.uses, found.locally_connected.parameters, found.locally_connected.uses) == (64, 24, 8)
    assert found.dense.parameters == 80


def test_the_lectures_arithmetic() -> None:
    # 10^3 x 10^3 pixels in three colours and 10^3 hidden units: 3 x 10^9 weights.
    assert dense(3 * 10**6, 10**3).parameters == 3 * 10**9
    assert dense(10, 4, bias=True).parameters == 44
    # (M²·C + 1)·C_out for an M x M kernel, whatever the image.
    c = Convolution(np.ones((10, 3, 3, 3)), channels=True, padding=1)
    assert cost(c, (3, 1000, 1000), bias=True).convolution.parameters == (3**2 * 3 + 1) * 10 == 280
    found = cost(c, (3, 1000, 1000))
    assert found.dense.macs == 3 * 10**6 * 10**7
    assert found.convolution.macs == 27 * 10**7
    assert found.convolution.flops == 2 * found.convolution.macs


def test_bytes_follow_the_dtype() -> None:
    found = cost(Convolution([1.0, 2.0, 3.0], mode="valid"), 10, dtype=np.float16)
    assert found.convolution.weight_bytes == 6
    assert found.convolution.activation_bytes == 2 * (10 + 8)
    assert found.dense.weight_bytes == 2 * 80


def test_banks_count_every_filter() -> None:
    found = cost(Convolution(list(np.ones((4, 3, 3)))), (8, 9))
    assert (found.convolution.parameters, found.convolution.uses, found.convolution.macs) == (36, 72, 36 * 72)


def test_a_constant_outside_costs_nothing() -> None:
    assert cost(Convolution([1.0, 2.0], boundary="constant:5"), 5).convolution.macs == 10


def test_empty_arrays_cost_nothing() -> None:
    found = cost(Convolution([1.0, 2.0], axes=1), (0, 5))
    assert (found.convolution.parameters, found.convolution.macs, found.dense.macs) == (2, 0, 0)


def test_the_table_in_a_notebook() -> None:
    text = cost(Convolution(np.ones((3, 3))), (8, 8))._repr_html_()
    assert "<td>uses of each</td><td>64</td><td>1</td><td>1</td>" in text


def test_groups_must_divide() -> None:
    with pytest.raises(GeometryError, match="groups=2 must divide the 3 input and 4 output channels"):
        convolution_macs(5, 3, 3, 4, 2)


def test_measured_times_are_one_row_for_each_size() -> None:
    timings = measure(Convolution(np.ones((3, 3))), [8, (16, 8)], repeats=2, max_memory=12 * 64 * 128)
    assert isinstance(timings, Timings)
    assert [timing.shape for timing in timings] == [(8, 8), (16, 8)]
    assert all(timing.convolution > 0 for timing in timings)
    assert timings[0].dense is not None
    assert timings[0].dense > 0
    assert timings[1].dense is None
    assert "locally connected" in repr(timings)
    assert "<th>dense</th>" in timings._repr_html_()
