"""Layers as the operations that ONNX has: Pad, Conv and ConvTranspose over one to three axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from faltung.errors import BoundaryError, GeometryError
from faltung.torch.geometry import numbers, sides_of
from faltung.torch.specification import constant, options_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from faltung.problem.boundary import Sides

MOST = 3
CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
MAXIMA: dict[int, Callable[..., Tensor]] = {
    1: functional.max_pool1d,
    2: functional.max_pool2d,
    3: functional.max_pool3d,
}
MEANS: dict[int, Callable[..., Tensor]] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
MODES = {"zero": "constant", "constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def is_exporting() -> bool:
    """Whether a graph is made that leaves torch for ONNX."""
    return (torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None) and _is_for_onnx()


@constant
def _is_for_onnx() -> bool:
    """Ask torch, which does not tell it to a function that it traces."""
    return torch.onnx.is_in_onnx_export()


def conv(x: Tensor, weight: Tensor, bias: Tensor | None, spec: str) -> Tensor:
    """Apply a layer; zeros of equal number before and after are left to the convolution."""
    rank = _rank(weight)
    # A rule that pads by the size makes a graph for this size.
    sizes = [int(n) for n in x.shape[x.ndim - rank :]] if options_of(spec)[1] == "same:tf" else x.shape[x.ndim - rank :]
    stride, dilation, pads = numbers(sizes, weight.shape[2:], spec)
    sides = sides_of(spec, rank)
    images = _images(x, rank)
    low, high = [list(ends) for ends in zip(*pads, strict=True)]
    if low == high and _is_zero(sides):
        within = low
    else:
        within = [0] * rank
        images = _padded(images, pads, sides)
    y = CONVOLUTIONS[rank](images, weight, bias, stride, within, dilation, options_of(spec)[3])
    return _as_given(y, x)


def conv_transpose(x: Tensor, weight: Tensor, bias: Tensor | None, output_padding: Any, spec: str) -> Tensor:
    """Apply the adjoint of a layer with zeros beyond the edges, of equal number before and after."""
    rank = _rank(weight)
    stride, dilation, pads = numbers(x.shape[x.ndim - rank :], weight.shape[2:], spec)
    low, high = [list(ends) for ends in zip(*pads, strict=True)]
    if low != high or not _is_zero(sides_of(spec, rank)):
        msg = "ONNX has transposed convolutions for boundary='zero' and equal padding on both sides alone, but this "
        raise BoundaryError(msg + f"layer has boundary={options_of(spec)[-1]!r} and the padding {pads}")
    y = TRANSPOSED[rank](_images(x, rank), weight, bias, stride, low, output_padding, options_of(spec)[3], dilation)
    return _as_given(y, x)


def _images(x: Tensor, rank: int) -> Tensor:
    return x if x.ndim == rank + 2 else x.reshape(-1, *x.shape[x.ndim - rank - 1 :])


def _as_given(y: Tensor, x: Tensor) -> Tensor:
    return y if x.ndim == y.ndim else y.reshape(*x.shape[: x.ndim - y.ndim + 1], *y.shape[1:])


def _rank(weight: Tensor) -> int:
    rank = weight.ndim - 2
    if not 1 <= rank <= MOST:
        msg = f"a layer of {rank} axes cannot be exported: ONNX has convolutions of 1 to {MOST} axes; "
        raise GeometryError(msg + "run it in torch, or split it into layers of fewer axes")
    return rank


def _is_zero(sides: tuple[Sides, ...]) -> bool:
    return all(rule.name == "zero" for pair in sides for rule in pair)


def _padded(x: Tensor, pads: Any, sides: tuple[Sides, ...]) -> Tensor:
    """Pad all axes at once if one rule rules them all, else one after the other."""
    rules = {rule for pair in sides for rule in pair}
    unknown = next((str(rule) for rule in rules if rule.name not in MODES), None)
    if unknown is not None or any(low != high and "wrap" in (low.name, high.name) for low, high in sides):
        msg = (
            f"ONNX cannot pad by the rule {unknown!r}; " if unknown else "ONNX cannot wrap one side of an axis alone; "
        )
        raise BoundaryError(msg + "export a layer with boundary 'zero', 'edge', 'reflect' or 'wrap'")
    if len(rules) == 1:
        return _pad(x, pads, rules.pop())
    for i, (ends, rule) in enumerate(zip(pads, sides, strict=True)):
        every = [(0, 0)] * len(pads)
        for end in (0, 1):
            if rule[0] == rule[1]:
                every[i] = ends if end else (0, 0)
            else:
                every[i] = (0, ends[1]) if end else (ends[0], 0)
            x = _pad(x, every, rule[end])
    return x


def _pad(x: Tensor, pads: Any, rule: Any) -> Tensor:
    flat = [p for pair in reversed(pads) for p in pair]
    if not any(flat):
        return x
    mode = MODES[rule.name]
    return functional.pad(x, flat, mode, rule.value) if mode == "constant" else functional.pad(x, flat, mode)
