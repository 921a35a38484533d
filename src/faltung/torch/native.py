"""The same operators made of torch's own, for other devices than the CPU.

Every sample that is read is gathered; what lies inside is torch's convolution, of which more than three axes are summed
tap by tap along the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional, grad

from faltung.problem.boundary import AxisMap, axis_map
from faltung.problem.geometry import Axis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from faltung.problem.boundary import Sides
    from faltung.problem.problem import Problem

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
ONE = Axis(1, 1, 1, 1, 0, 1)
BY_INPUT: dict[int, Callable[..., Tensor]] = {1: grad.conv1d_input, 2: grad.conv2d_input, 3: grad.conv3d_input}
BY_WEIGHT: dict[int, Callable[..., Tensor]] = {1: grad.conv1d_weight, 2: grad.conv2d_weight, 3: grad.conv3d_weight}


def conv(layer: Problem, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a layer; see `compute.conv`."""
    y = _valid(extended(_images(x, layer), layer), weight, layer.geometry, _groups(layer))
    return _biased(y.reshape(layer.map_shape), bias, len(layer.geometry))


def conv_adjoint(layer: Problem, y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply the adjoint of a layer; see `compute.conv_adjoint`."""
    x = _spread(_images(y, layer), weight, layer.geometry, _groups(layer))
    for i, (axis, sides) in enumerate(zip(layer.geometry, layer.boundary, strict=True)):
        x = _folded(x, 2 + i, axis, sides)
    return _biased(x.reshape(layer.shape), bias, len(layer.geometry))


def conv_weight(layer: Problem, y: Tensor, x: Tensor, shape: Sequence[int]) -> Tensor:
    """Give the gradient by the weight; see `compute.conv_weight`."""
    return _correlated(_images(y, layer), extended(_images(x, layer), layer), shape, layer.geometry, _groups(layer))


def extended(x: Tensor, layer: Problem) -> Tensor:
    """Give all samples of x (N, C, *sizes) that are read, from -low on."""
    for at, (axis, sides) in enumerate(zip(layer.geometry, layer.boundary, strict=True), start=2):
        found, along = _map(axis, sides, at, x)
        y = x.index_select(at, along.index)
        if found.sign is not None:
            y = y * along(found.sign) + along(found.first) * x.narrow(at, 0, 1)
            y = y + along(found.last) * x.narrow(at, axis.size - 1, 1)
        x = y if found.fill is None else torch.where(along.inside, y, along(found.fill))
    return x


def _folded(y: Tensor, at: int, axis: Axis, sides: Sides) -> Tensor:
    """Apply the adjoint of the extension of one axis."""
    found, along = _map(axis, sides, at, y)
    y = y if found.fill is None else torch.where(along.inside, y, 0)
    x = y.new_zeros([*y.shape[:at], axis.size, *y.shape[at + 1 :]])
    x.index_add_(at, along.index, y if found.sign is None else y * along(found.sign))
    if found.sign is not None:
        x.narrow(at, 0, 1).add_((y * along(found.first)).sum(at, keepdim=True))
        x.narrow(at, axis.size - 1, 1).add_((y * along(found.last)).sum(at, keepdim=True))
    return x


class _Along:
    """The numbers of an axis map as tensors that broadcast along axis `at` of `like`."""

    def __init__(self, found: AxisMap, at: int, like: Tensor) -> None:
        self._shape = [-1 if i == at else 1 for i in range(like.ndim)]
        self._like = like
        self.index = torch.as_tensor(found.index.clip(0), device=like.device)
        self.inside = torch.as_tensor(found.index >= 0, device=like.device).reshape(self._shape)

    def __call__(self, values: np.ndarray | None) -> Tensor:
        return torch.as_tensor(values, device=self._like.device).to(self._like.dtype).reshape(self._shape)


def _map(axis: Axis, sides: Sides, at: int, like: Tensor) -> tuple[AxisMap, _Along]:
    found = axis_map(*axis.reads(0, axis.out), axis.size, sides)
    return found, _Along(found, at, like)


def _valid(x: Tensor, weight: Tensor, axes: Sequence[Axis], groups: int) -> Tensor:
    """Sum over windows that lie inside x (N, C, *sizes)."""
    rank = len(axes)
    if rank == 0:
        return _valid(x[..., None], weight[..., None], [ONE], groups)[..., 0]
    if rank in CONVOLUTIONS:
        return CONVOLUTIONS[rank](x, weight, None, *_steps(axes), groups)
    total: Tensor | None = None
    for tap in range(axes[0].taps):
        part = _valid(_slices(x, axes[0], tap).flatten(0, 1), weight[:, :, tap], axes[1:], groups)
        part = part.reshape(len(x), axes[0].out, *part.shape[1:])
        total = part if total is None else total + part
    assert total is not None
    return total.movedim(1, 2)


def _spread(y: Tensor, weight: Tensor, axes: Sequence[Axis], groups: int) -> Tensor:
    """Apply the adjoint of `_valid`."""
    rank = len(axes)
    sizes = [axis.reads(0, axis.out)[1] + axis.low for axis in axes]
    shape = [len(y), weight.shape[1] * groups, *sizes]
    if rank == 0:
        return _spread(y[..., None], weight[..., None], [ONE], groups)[..., 0]
    if rank in BY_INPUT:
        return BY_INPUT[rank](shape, weight, y, *_steps(axes), groups)
    x = y.new_zeros(shape)
    images = y.movedim(2, 1).flatten(0, 1)
    for tap in range(axes[0].taps):
        part = _spread(images, weight[:, :, tap], axes[1:], groups)
        _slices(x, axes[0], tap).add_(part.reshape(len(y), axes[0].out, *part.shape[1:]))
    return x


def _correlated(y: Tensor, x: Tensor, shape: Sequence[int], axes: Sequence[Axis], groups: int) -> Tensor:
    """Give the gradient of `_valid` by the weight."""
    rank = len(axes)
    if rank == 0:
        return _correlated(y[..., None], x[..., None], (*shape, 1), [ONE], groups)[..., 0]
    if rank in BY_WEIGHT:
        return BY_WEIGHT[rank](x, shape, y, *_steps(axes), groups)
    rest = (*shape[:2], *shape[3:])
    images = y.movedim(2, 1).flatten(0, 1)
    taps = [_slices(x, axes[0], tap).flatten(0, 1) for tap in range(axes[0].taps)]
    return torch.stack([_correlated(images, tap, rest, axes[1:], groups) for tap in taps], 2)


def _slices(x: Tensor, axis: Axis, tap: int) -> Tensor:
    """Give the slices of x along its first axis that one tap reads, behind the batch axis."""
    first = axis.dilation * tap
    return x[:, :, first : first + axis.stride * (axis.out - 1) + 1 : axis.stride].movedim(2, 1)


def _steps(axes: Sequence[Axis]) -> tuple[list[int], int, list[int]]:
    return [axis.stride for axis in axes], 0, [axis.dilation for axis in axes]


def _images(x: Tensor, layer: Problem) -> Tensor:
    return x.reshape(-1, *x.shape[x.ndim - len(layer.geometry) - 1 :])


def _groups(layer: Problem) -> int:
    assert layer.channels is not None
    return layer.channels.groups


def _biased(y: Tensor, bias: Tensor | None, rank: int) -> Tensor:
    return y if bias is None else y.add_(bias.reshape(-1, *[1] * rank))
