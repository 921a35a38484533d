"""What a layer costs: shared weights beside weights of one's own, beside a dense layer."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from faltung.analysis import table
from faltung.analysis.taps import taps_of
from faltung.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from faltung.convolution import Convolution

ROWS = ("parameters", "uses of each", "MACs", "FLOPs", "weights", "activations")


@dataclass(frozen=True, slots=True)
class Layer:
    """What one kind of layer costs: plain integers, bytes where the name says so.

    `parameters` counts weights and biases, `uses` how often each weight is multiplied, `macs` the multiply-accumulates,
    taps that meet padding among them; `activation_bytes` is the input and the output.
    """

    parameters: int
    uses: int
    macs: int
    weight_bytes: int
    activation_bytes: int

    @property
    def flops(self) -> int:
        """Multiplications and additions: two for each MAC (a bias is what a sum starts from, and costs nothing)."""
        return 2 * self.macs

    def cells(self) -> list[str]:
        """Write it as a column of the table."""
        counts = (self.parameters, self.uses, self.macs, self.flops)
        return [*map(table.number, counts), table.memory(self.weight_bytes), table.memory(self.activation_bytes)]


@dataclass(frozen=True, slots=True, repr=False)
class Cost:
    """The same input and output, joined in three ways: by one kernel, by local weights, by all possible weights."""

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    convolution: Layer
    locally_connected: Layer
    dense: Layer

    def __repr__(self) -> str:
        return f"{self.input_shape} -> {self.output_shape}\n{table.text(*self._table())}"

    def _repr_html_(self) -> str:
        return table.html(*self._table())

    def _table(self) -> tuple[list[str], list[list[str]]]:
        columns = [layer.cells() for layer in (self.convolution, self.locally_connected, self.dense)]
        rows = [[name, *(column[i] for column in columns)] for i, name in enumerate(ROWS)]
        return ["", "convolution", "locally connected", "dense"], rows


def cost(c: Convolution, shape: int | Sequence[int], *, dtype: DTypeLike = np.float32, bias: bool = False) -> Cost:
    """Count what a convolution of arrays of a shape costs, beside a locally connected and a dense layer.

    A locally connected layer has the same edges, each with a weight of its own; a dense layer joins every output to
    every input. The batch of a layer, and axes that are carried along, repeat all three with the same weights. `dtype`
    is that of weights and activations; `bias` adds one per output channel, or per output where nothing is shared.
    Parameters are (M²·C + 1)·C_out for an M x M kernel with bias, MACs outputs · taps · inputs/groups.
    Raises GeometryError where the shape does not fit.
    Source: Goodfellow, Bengio, Courville, "Deep Learning" (2016), section 9.2.

    >>> from faltung import Convolution
    >>> cost(Convolution(np.ones((64, 3, 3, 3)), channels=True, padding=1), (3, 100, 100), bias=True)
    (3, 100, 100) -> (64, 100, 100)
                  convolution  locally connected           dense
    parameters          1 792         17 920 000  19 200 640 000
    uses of each       10 000                  1               1
    MACs           17 280 000         17 280 000  19 200 000 000
    FLOPs          34 560 000         34 560 000  38 400 000 000
    weights             7 KiB           68.4 MiB        71.5 GiB
    activations      2.56 MiB           2.56 MiB        2.56 MiB
    """
    taps = taps_of(c, shape, linear=False)
    size, carried = np.dtype(dtype).itemsize, taps.carried
    weights = taps.weights.size
    outputs, inputs = taps.rows // carried if carried else 0, taps.columns // carried if carried else 0
    positions = outputs // taps.outputs
    activations = (taps.rows + taps.columns) * size

    def layer(count: int, biases: int, uses: int) -> Layer:
        parameters = count + (biases if bias else 0)
        return Layer(parameters, uses, count * uses, parameters * size, activations)

    return Cost(
        taps.shape,
        taps.output_shape,
        layer(weights, taps.outputs, positions * carried),
        layer(weights * positions, outputs, carried),
        layer(inputs * outputs, outputs, carried),
    )


def dense(inputs: int, units: int, *, bias: bool = False, dtype: DTypeLike = np.float32) -> Layer:
    """Count a dense layer: every unit has a weight for every input.

    The lecture's arithmetic: an RGB image of 10^3 x 10^3 pixels and 10^3 hidden units.

    >>> dense(3 * 10**3 * 10**3, 10**3).parameters
    3000000000
    """
    size, parameters = np.dtype(dtype).itemsize, inputs * units + (units if bias else 0)
    return Layer(parameters, 1, inputs * units, parameters * size, (inputs + units) * size)


def convolution_macs(
    positions: int | Sequence[int], window: int | Sequence[int], inputs: int = 1, outputs: int = 1, groups: int = 1
) -> int:
    """Count the multiply-accumulates of a layer: positions · taps · inputs · outputs / groups.

    `positions` are those of the output of a convolution, and those of the input of a transposed one: there every input
    sample meets every tap, whatever the stride. A depthwise layer has as many groups as inputs.
    Raises GeometryError where groups do not divide the channels.

    >>> convolution_macs((8, 8), (3, 3), 16, 32), convolution_macs((8, 8), (3, 3), 16, 16, groups=16)
    (294912, 9216)
    """
    if groups < 1 or inputs % groups or outputs % groups:
        msg = f"groups={groups} must divide the {inputs} input and {outputs} output channels"
        raise GeometryError(msg)
    places, taps = (n if isinstance(n, int) else prod(n) for n in (positions, window))
    return places * taps * inputs * outputs // groups
