"""The operators of pooling: what windows choose, their sums, and the adjoint of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from faltung.antialias import polyphase_pool
from faltung.pooling import pool_gradient
from faltung.torch.operators import Operator
from faltung.torch.specification import linear, pooling_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.pooling import Pooling

HALVES = (torch.bfloat16, torch.float16)


@torch.library.custom_op("faltung::pool_chosen", mutates_args=())
def pool_chosen(x: Tensor, spec: str) -> tuple[Tensor, Tensor]:
    """Give the sample that each window chooses, and its flat index among the pooled axes: -1 for a constant."""
    values, indices = pooling_of(spec)(array(x), return_indices=True, threads=torch.get_num_threads())
    return tensor(values, x.dtype, x), tensor(indices, torch.int64, x)


@torch.library.custom_op("faltung::pool_values", mutates_args=())
def pool_values(x: Tensor, spec: str) -> Tensor:
    """Give the sample that each window chooses, where no gradient is asked for."""
    return tensor(pooling_of(spec)(array(x), threads=torch.get_num_threads()), x.dtype, x)


def run_sum(x: Tensor, spec: str) -> Tensor:
    """Give the mean or sum of each window."""
    return tensor(pooling_of(spec)(array(x), threads=torch.get_num_threads()), x.dtype, x)


def run_spread(y: Tensor, shape: list[int], spec: str) -> Tensor:
    """Apply the adjoint of `pool_sum`."""
    grad = array(y)
    like = np.broadcast_to(grad.dtype.type(0), tuple(shape))
    return tensor(pool_gradient(grad, like, pooling_of(spec)), y.dtype, y)


@torch.library.custom_op("faltung::polyphase", mutates_args=())
def polyphase(x: Tensor, stride: list[int], order: float) -> Tensor:
    """Give the first index of the grid that each image (N, C, *sizes) keeps along each axis, (N, axes)."""
    if len(x) == 0:
        return x.new_zeros((0, len(stride)), dtype=torch.int64)
    axes = tuple(range(-len(stride), 0))
    _, phases = polyphase_pool(array(x), tuple(stride), axes, order, batch_axes=0, return_phase=True)
    return tensor(phases, torch.int64, x)


def array(x: Tensor) -> np.ndarray:
    """See a tensor as an array, or copy it from another device; halves are widened to f32."""
    x = x.detach()
    found: np.ndarray = (x.float() if x.dtype in HALVES else x).resolve_neg().cpu().numpy()
    return found


def tensor(y: np.ndarray, dtype: torch.dtype, like: Tensor) -> Tensor:
    """See an array of our own as a tensor, or copy it to the device of another."""
    return torch.from_numpy(np.ascontiguousarray(y)).to(like.device, dtype)


def pooled_shape(shape: Sequence[int], pooling: Pooling) -> list[int]:
    """Give the shape of the result, for sizes that may be symbols."""
    if all(type(n) is int for n in shape):
        return list(pooling.output_shape(shape))
    pooled = list(shape)
    axes = range(-len(pooling.window), 0) if pooling.axes is None else pooling.axes
    numbers = zip(axes, pooling.window, pooling.stride, pooling.padding, pooling.dilation, strict=True)
    for axis, k, s, (low, high), d in numbers:
        free = shape[axis] + low + high - d * (k - 1) - 1
        out = free // s + 1
        # The last window counts if it begins on the array or in the padding before it.
        reaches = pooling.ceil_mode and free % s > 0 and out * s < shape[axis] + low
        pooled[axis] = out + 1 if reaches else out
    return pooled


@pool_chosen.register_fake
def _chosen_like(x: Tensor, spec: str) -> tuple[Tensor, Tensor]:
    shape = pooled_shape(x.shape, pooling_of(spec))
    return x.new_empty(shape), x.new_empty(shape, dtype=torch.int64)


@pool_values.register_fake
def _pooled_like(x: Tensor, spec: str) -> Tensor:
    return x.new_empty(pooled_shape(x.shape, pooling_of(spec)))


def _spread_like(y: Tensor, shape: list[int], spec: str) -> Tensor:
    return y.new_empty(shape)


@polyphase.register_fake
def _phases_like(x: Tensor, stride: list[int], order: float) -> Tensor:
    return x.new_empty((x.shape[0], len(stride)), dtype=torch.int64)


@pool_chosen.register_vmap
def _chosen_mapped(info: Any, in_dims: tuple[Any, ...], x: Tensor, spec: str) -> Any:
    each = [pool_chosen(one, spec) for one in x.unbind(in_dims[0])]
    return tuple(torch.stack(parts) for parts in zip(*each, strict=True)), (0, 0)


@pool_values.register_vmap
def _values_mapped(info: Any, in_dims: tuple[Any, ...], x: Tensor, spec: str) -> Any:
    return torch.stack([pool_values(one, spec) for one in x.unbind(in_dims[0])]), 0


@polyphase.register_vmap
def _phases_mapped(info: Any, in_dims: tuple[Any, ...], x: Tensor, stride: list[int], order: float) -> Any:
    return torch.stack([polyphase(one, stride, order) for one in x.unbind(in_dims[0])]), 0


class _Sum(torch.autograd.Function):
    """Derivatives of y = pool_sum(x, spec)."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return pool_spread(grad, ctx.shape, ctx.spec), None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: None) -> Tensor:
        return pool_sum(dx, linear(ctx.spec))


class _Spread(torch.autograd.Function):
    """Derivatives of x = pool_spread(y, shape, spec)."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return pool_sum(grad, linear(ctx.spec)), None, None

    @staticmethod
    def jvp(ctx: Any, dy: Tensor, *_: None) -> Tensor:
        return pool_spread(dy, ctx.shape, ctx.spec)


def _keep_sum(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.shape, ctx.spec = list(inputs[0].shape), inputs[-1]


def _keep_spread(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.shape, ctx.spec = list(inputs[1]), inputs[-1]


pool_sum = Operator("pool_sum", run_sum, _pooled_like, _Sum, _keep_sum, batched=False)
pool_spread = Operator("pool_spread", run_spread, _spread_like, _Spread, _keep_spread, batched=False)
