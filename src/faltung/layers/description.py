"""From the arguments of a layer to its `Problem`: named padding, checked shapes, kept from call to call."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung import arguments
from faltung.errors import GeometryError
from faltung.problem import boundary as boundaries
from faltung.problem import dtypes as rules
from faltung.problem import geometry
from faltung.problem.problem import Channels, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("valid", "same:torch", "same:tf")
DESCRIBED = 256
ZERO = (boundaries.Rule("zero"), boundaries.Rule("zero"))


class Weight(NamedTuple):
    """The shape and dtype of a weight that is not there."""

    shape: tuple[int, ...]
    dtype: np.dtype


def layer(
    x: np.ndarray, weight: np.ndarray | Weight, stride: Any, padding: Any, dilation: Any, groups: int, boundary: Any
) -> Problem:
    """Describe the layer that takes x."""
    return layer_of(x.shape, x.dtype, weight, stride, padding, dilation, groups, boundary)


def layer_of(
    shape: tuple[int, ...],
    dtype: np.dtype,
    weight: np.ndarray | Weight,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    boundary: Any,
) -> Problem:
    """Describe the layer for an input of a shape and dtype.

    Raises GeometryError for shapes, groups and padding that do not fit or leave no output.
    """
    options = tuple(_frozen(value) for value in (stride, padding, dilation, groups, boundary))
    try:
        return _kept(shape, dtype, weight.shape, weight.dtype, options)
    except TypeError:  # a boundary that does not hash
        return _described(shape, dtype, weight.shape, weight.dtype, (stride, padding, dilation, groups, boundary))


@lru_cache(DESCRIBED)
def _kept(
    shape: tuple[int, ...], dtype: np.dtype, weight: tuple[int, ...], kernel: np.dtype, options: tuple[Any, ...]
) -> Problem:
    return _described(shape, dtype, weight, kernel, options)


def _described(
    shape: tuple[int, ...], dtype: np.dtype, weight: tuple[int, ...], kernel: np.dtype, options: tuple[Any, ...]
) -> Problem:
    stride, padding, dilation, groups, boundary = options
    rank = _check_weight(weight, groups)
    arguments.check_channels(shape, rank, len_in=weight[1], groups=groups, outputs=weight[0])
    axes = tuple(range(len(shape) - rank, len(shape)))
    sizes = tuple(shape[axis] for axis in axes)
    resolved = geometry.resolve(
        sizes, weight[2:], padding=paddings(padding, sizes, weight[2:], stride, dilation), stride=stride,
        dilation=dilation,
    )  # fmt: skip
    return Problem(
        shape, axes, resolved, boundaries.parse(boundary, rank, "zero"), rules.resolve(dtype, kernel, None), None,
        Channels(len(shape) - rank - 1, groups, weight[0]),
    )  # fmt: skip


def paddings(padding: Any, sizes: Sequence[int], window: Sequence[int], stride: Any, dilation: Any) -> Any:
    """Turn a named padding into (low, high) pairs; any other is left as it is."""
    if not isinstance(padding, str):
        return padding
    if padding not in NAMES:
        msg = f"unknown padding {padding!r}; the rules are {', '.join(map(repr, NAMES))}, or give numbers"
        raise GeometryError(msg)
    strides = geometry.per_axis(stride, len(sizes), "stride", least=1)
    dilations = geometry.per_axis(dilation, len(sizes), "dilation", least=1)
    if padding == "valid":
        return [(0, 0)] * len(sizes)
    if padding == "same:torch" and any(s != 1 for s in strides):
        msg = f"padding='same:torch' needs stride 1, not {stride!r}; 'same:tf' gives ceil(n / stride) outputs"
        raise GeometryError(msg)
    pairs = []
    for n, k, s, d in zip(sizes, window, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        pairs.append((total // 2, total - total // 2))
    return pairs


def transposed_sizes(
    x: tuple[int, ...],
    weight: tuple[int, ...],
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: int,
) -> tuple[int, ...]:
    """Give the sizes of a transposed layer's output for these shapes; see `nn.conv_transpose`."""
    rank = _check_weight(weight, groups)
    arguments.check_channels(x, rank, len_in=weight[0] // groups, groups=groups, outputs=weight[0])
    if isinstance(padding, str) and padding != "valid":
        msg = f"padding={padding!r}: a transposed layer does not know the size it leads back to; give numbers"
        raise GeometryError(msg)
    sizes, window = x[len(x) - rank :], weight[2:]
    strides = geometry.per_axis(stride, rank, "stride", least=1)
    dilations = geometry.per_axis(dilation, rank, "dilation", least=1)
    extras = geometry.per_axis(output_padding, rank, "output_padding", least=0)
    pairs = geometry.pairs(0 if padding == "valid" else padding, rank)
    found = []
    for axis, (n, k, s, d, extra) in enumerate(zip(sizes, window, strides, dilations, extras, strict=True)):
        if extra >= max(s, d):
            msg = f"output_padding {extra} on axis {axis} must be less than the stride {s} or the dilation {d}"
            raise GeometryError(msg)
        full, (low, high) = (n - 1) * s + d * (k - 1) + 1 + extra, pairs[axis]
        if full - low - high < 1:
            msg = f"padding {low} + {high} on axis {axis} removes all {full} outputs of the transposed layer"
            raise GeometryError(msg + "; pad less")
        found.append(full - low - high)
    return tuple(found)


def forward_of(
    sizes: tuple[int, ...],
    x: np.ndarray,
    weight: np.ndarray,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    boundary: Any,
) -> Problem:
    """Describe the layer whose adjoint takes x to an output of these sizes."""
    channels = weight.shape[1] * groups
    batch = x.shape[: x.ndim - len(sizes) - 1]
    found = layer_of((*batch, channels, *sizes), x.dtype, weight, stride, padding, dilation, groups, boundary)
    # An output padding beyond the stride makes room for outputs that are not there.
    counts = x.shape[x.ndim - len(sizes) :]
    axes = tuple(replace(axis, out=n) for axis, n in zip(found.geometry, counts, strict=True))
    return replace(found, geometry=axes)


def check_gradient(forward: Problem, grad: np.ndarray) -> None:
    """Refuse a gradient that is not by the output of the layer."""
    if grad.shape != forward.map_shape:
        msg = f"grad has the shape {grad.shape}, but the output of this layer has {forward.map_shape}; "
        raise GeometryError(msg + "pass the gradient by its output")


def _check_weight(weight: tuple[int, ...], groups: Any) -> int:
    if len(weight) < 2:
        msg = f"a layer's weight is (C_out, C_in/groups, *window), but this one has the shape {weight}"
        raise GeometryError(msg)
    if geometry.integer(groups, "groups") < 1 or weight[0] % groups or weight[0] == 0:
        msg = f"groups={groups} does not divide the first {weight[0]} channels of the weight {weight}"
        raise GeometryError(msg)
    return len(weight) - 2


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, (list, np.ndarray)) else value
