"""What the operators do: on the CPU by the plans of `faltung.nn`, without copies, and elsewhere by torch's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from faltung.layers.activation import NOTHING, After, check, finish
from faltung.layers.run import grouped, run_layer, run_transposed
from faltung.layers.weights import weight_gradient
from faltung.torch import native
from faltung.torch.geometry import problem
from faltung.torch.specification import options_of

if TYPE_CHECKING:
    from collections.abc import Sequence

DTYPES: dict[torch.dtype, np.dtype] = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}
SUMMED = np.dtype(np.float32)


def conv(x: Tensor, weight: Tensor, bias: Tensor | None, outs: list[int], spec: str) -> Tensor:
    """Apply the layer to x (*batch, C_in, *sizes), with as many outputs as fit if `outs` is empty."""
    found = problem(x.shape, weight.shape, _dtype(x), tuple(outs), spec)
    if not x.is_cpu:
        return native.conv(found, x, weight, bias)
    after = NOTHING if bias is None else After(array(bias))
    kernels = grouped(array(weight), options_of(spec)[3])
    return _tensor(run_layer(found, kernels, array(x), torch.get_num_threads(), after), x)


def conv_adjoint(y: Tensor, weight: Tensor, bias: Tensor | None, sizes: list[int], spec: str) -> Tensor:
    """Apply its adjoint to y (*batch, C_out, *outs)."""
    shape = input_shape(y.shape, weight.shape, sizes, spec)
    found = problem(shape, weight.shape, _dtype(y), _outs(y, len(sizes)), spec)
    if not y.is_cpu:
        return native.conv_adjoint(found, y, weight, bias)
    x = run_transposed(found, array(weight), array(y), torch.get_num_threads())
    if bias is not None:
        after = After(array(bias))
        check(after, shape[-len(sizes) - 1], sizes, x.dtype)
        finish(x, after, len(sizes))
    return _tensor(x, y)


def conv_weight(y: Tensor, x: Tensor, window: list[int], spec: str) -> Tensor:
    """Give the gradient by the weight, for y of the output's and x of the input's shape."""
    shape = weight_shape(y.shape, x.shape, window, spec)
    found = problem(x.shape, shape, _dtype(y), _outs(y, len(window)), spec)
    if not y.is_cpu:
        return native.conv_weight(found, y, x, shape)
    return _tensor(weight_gradient(found, array(x), array(y), torch.get_num_threads()), y)


def input_shape(y: Sequence[int], weight: Sequence[int], sizes: Sequence[int], spec: str) -> tuple[int, ...]:
    """Give the shape of a layer's input, from those of its output and weight."""
    return (*y[: len(y) - len(sizes) - 1], weight[1] * options_of(spec)[3], *sizes)


def weight_shape(y: Sequence[int], x: Sequence[int], window: Sequence[int], spec: str) -> tuple[int, ...]:
    """Give the shape of a layer's weight, from those of its output and input."""
    at = -len(window) - 1
    return (y[at], x[at] // options_of(spec)[3], *window)


def array(x: Tensor) -> np.ndarray:
    """See a CPU tensor as an array, without a copy; halves are widened to f32, in which they are summed."""
    found: np.ndarray = (x if x.dtype in DTYPES else x.float()).numpy(force=True)
    return found


def _tensor(y: np.ndarray, like: Tensor) -> Tensor:
    x = torch.from_numpy(y)
    return x if x.dtype == like.dtype else x.to(like.dtype)


def _dtype(x: Tensor) -> np.dtype:
    found: np.dtype = DTYPES.get(x.dtype, SUMMED)
    return found


def _outs(y: Tensor, rank: int) -> tuple[int, ...]:
    return tuple(y.shape[y.ndim - rank :])
