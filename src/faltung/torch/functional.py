"""Layers as functions of tensors: those of `faltung.nn`, differentiable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from faltung.errors import DtypeError, GeometryError
from faltung.torch import export, operators, specification
from faltung.torch.geometry import transposed_sizes
from faltung.torch.pooling import Pool, rank_of

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    boundary: Any = "zero",
) -> Tensor:
    """Convolve as `faltung.nn.conv` does, on (N, C_in, *sizes) of any rank, or without N.

    Differentiable to any order by input, weight and bias, for every boundary. f16 and bf16 are summed in f32.
    Raises GeometryError for shapes that do not fit, DtypeError for tensors of different or no floating dtype.

    >>> conv(torch.ones(1, 4), torch.ones(1, 1, 3), padding=1, boundary="wrap")
    tensor([[3., 3., 3., 3.]])
    """
    x, weight, bias = _checked(x, weight, bias)
    spec = specification.layer(stride, padding, dilation, groups, boundary)
    if export.is_exporting():
        return export.conv(x, weight, bias, spec)
    return operators.conv(x, weight, bias, [], spec)


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    boundary: Any = "zero",
) -> Tensor:
    """Apply `faltung.nn.conv_transpose`; weight (C_in, C_out/groups, *window), as torch has it.

    >>> conv_transpose(torch.ones(1, 2), torch.tensor([[[1.0, 2, 3]]]), stride=2)
    tensor([[1., 2., 4., 2., 3.]])
    """
    x, weight, bias = _checked(x, weight, bias)
    spec = specification.layer(stride, padding, dilation, groups, boundary)
    if export.is_exporting():
        return export.conv_transpose(x, weight, bias, output_padding, spec)
    return operators.conv_adjoint(x, weight, bias, transposed_sizes(x.shape, weight.shape, output_padding, spec), spec)


def conv_transpose_to(x: Tensor, weight: Tensor, bias: Tensor | None, sizes: list[int], spec: str) -> Tensor:
    """Apply the adjoint of a layer to sizes that are known to be within reach."""
    x, weight, bias = _checked(x, weight, bias)
    return operators.conv_adjoint(x, weight, bias, sizes, spec)


def pool(x: Tensor, window: Any, kind: str = "max", **asked: Any) -> Tensor:
    """Pool as `faltung.pool` does, one axis for a single number; the other keywords are those of `Pool`.

    >>> pool(torch.tensor([[1.0, 3, 2, 1]]), 2)
    tensor([[3., 2.]])
    """
    asked.setdefault("ndim", rank_of(None, window, default=1))
    pooled: Tensor = Pool(window, kind=kind, **asked)(x)
    return pooled


def _checked(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Check dtypes and the weight's rank; where torch.autocast is on, cast as it does for convolutions."""
    device = "cpu" if x.is_cpu else x.device.type
    if (x.is_cpu or torch.amp.is_autocast_available(device)) and torch.is_autocast_enabled(device):
        half = torch.get_autocast_dtype(device)
        x, weight, bias = _cast(x, half), _cast(weight, half), None if bias is None else _cast(bias, half)
    if x.dtype not in FLOATS or x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        msg = f"the input is {x.dtype}, the weight {weight.dtype}"
        msg += "" if bias is None else f", the bias {bias.dtype}"
        raise DtypeError(msg + "; layers take one floating dtype for all: convert with .to(dtype)")
    if weight.ndim < 2:
        msg = f"a layer's weight is (C_out, C_in/groups, *window), but this one has the shape {tuple(weight.shape)}"
        raise GeometryError(msg)
    return x, weight, bias


def _cast(x: Tensor, half: torch.dtype) -> Tensor:
    return x.to(half) if x.dtype in FLOATS and x.dtype != torch.float64 else x
