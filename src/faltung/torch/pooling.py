"""Pooling of tensors, differentiable to any order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from faltung.errors import BoundaryError, DtypeError, GeometryError
from faltung.pooling import Pooling
from faltung.problem import geometry
from faltung.torch import export, specification
from faltung.torch import operators as layers
from faltung.torch import pooling_operators as operators
from faltung.torch.specification import written

CHOOSING = ("max", "min", "median")


class Pool(nn.Module):
    """Pooling of the trailing axes, or of `axes`: every window, stride, padding and dilation of `faltung.Pooling`.

    The arguments are those of `faltung.pool`, in the order of torch.nn.MaxPool2d; the number of axes is that of
    `window`, or `ndim` (2 for a single number). Gradients of max, min and median go
    to the sample chosen (of equal ones the first), those of a mean, sum or Lp norm to all samples, and of boundary
    rules back to the samples that they repeat. With `return_indices`, max, min and median give (values, indices into
    the pooled axes), as torch.nn.MaxUnpool2d takes them.

    Raises GeometryError for windows that do not fit; BoundaryError for max, min, median and Lp of rules that
    extrapolate, and for Lp of constants; DtypeError for means and norms of integers.

    >>> Pool(2, 1, kind="mean", ndim=1)(torch.tensor([[1.0, 3.0, 5.0]]))
    tensor([[2., 4.]])
    >>> Pool(2, return_indices=True)(torch.tensor([[1.0, 3], [7, 5]]))
    (tensor([[7.]]), tensor([[2]]))
    """

    def __init__(
        self,
        window: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        kind: str = "max",
        axes: Any = None,
        boundary: Any = None,
        count_padding: bool = True,
        p: float = 2,
        ndim: int | None = None,
    ) -> None:
        super().__init__()
        if axes is None:
            window = geometry.per_axis(window, rank_of(ndim, window), "window", least=1)
        asked = {
            "kind": kind, "stride": stride, "padding": padding, "dilation": dilation, "axes": axes,
            "boundary": boundary, "ceil_mode": ceil_mode, "count_padding": count_padding, "p": p,
        }  # fmt: skip
        self.pooling = Pooling(window, **asked)
        self.return_indices = return_indices
        if return_indices and kind not in CHOOSING:
            msg = f"return_indices=True with kind={kind!r}, which chooses no sample; only max, min and median do"
            raise GeometryError(msg)
        rules = [rule for sides in self.pooling.sides or () for rule in sides]
        self._check(rules)
        self._constant = any(rule.is_constant for rule in rules)
        within = {"kind": "sum" if kind == "lp" else kind, "p": 2}
        self._largest, self._steep = kind == "lp" and math.isinf(p), p < 1
        if self._largest:
            # Padding without a rule is 0 to a norm and nothing to a maximum.
            within, self._constant = {"kind": "max", "boundary": boundary or "zero", "p": 2}, True
        self.spec = written({"window": window, **asked, **within})

    def forward(self, x: Tensor) -> Any:
        """Pool."""
        kind, p = self.pooling.kind, self.pooling.p
        if export.is_exporting():
            return self._exported(x)
        if kind in CHOOSING:
            return self._chosen(x)
        if not x.is_floating_point():
            msg = f"kind={kind!r} of {x.dtype} is no {x.dtype}; convert the input to a floating dtype"
            raise DtypeError(msg)
        if kind != "lp":
            return operators.pool_sum(x, self.spec)
        wide = x.float() if x.dtype in operators.HALVES else x
        if self._largest:
            return self._chosen(wide.abs()).to(x.dtype)
        size = wide.abs()
        if self._steep:  # a steep slope at 0, for which the norm takes 0
            used = size != 0
            size = torch.where(used, torch.where(used, size, 1) ** p, 0)
        else:
            size = size**p
        total = operators.pool_sum(size, self.spec)
        # The root has no slope at 0; there the norm takes 0 for it.
        root = torch.where(total > 0, total, 1) ** (1 / p)
        return torch.where(total > 0, root, total).to(x.dtype)

    def _check(self, rules: list[Any]) -> None:
        kind, boundary = self.pooling.kind, self.pooling.boundary
        if kind in (*CHOOSING, "lp") and any(rule.is_odd for rule in rules):
            msg = f"kind={kind!r} with boundary={boundary!r}: an extrapolated sample is none to lead a gradient to; "
            raise BoundaryError(msg + "use 'edge' or 'symmetric'")
        if kind == "lp" and any(rule.value != 0 for rule in rules):
            msg = f"kind='lp' with boundary={boundary!r}: norms take no constants beyond the edges in torch; use 'zero'"
            raise BoundaryError(msg)

    def _chosen(self, x: Tensor) -> Any:
        """Take the chosen samples; their gradient goes back to them."""
        if not self.return_indices and not _is_followed(x):
            return operators.pool_values(x, self.spec)
        values, indices = operators.pool_chosen(x.detach(), self.spec)
        axes = sorted(self._axes(x.ndim))
        rest = [axis for axis in range(x.ndim) if axis not in axes]
        order = [*rest, *axes]
        lead, pooled = ([x.shape[axis] for axis in some] for some in (rest, axes))
        at = indices.permute(order)
        chosen = at.clamp(min=0).reshape(*lead, math.prod(at.shape[len(lead) :]))
        taken = x.permute(order).reshape(*lead, math.prod(pooled)).gather(-1, chosen).reshape(at.shape)
        taken = taken.permute([order.index(axis) for axis in range(x.ndim)])
        if self._constant:
            taken = torch.where(indices < 0, values, taken)
        return (taken, indices) if self.return_indices else taken

    def _axes(self, ndim: int) -> list[int]:
        rank, axes = len(self.pooling.window), self.pooling.axes
        return list(range(ndim - rank, ndim)) if axes is None else [axis % ndim for axis in axes]

    def _exported(self, x: Tensor) -> Tensor:
        """Give torch's own pooling, which becomes one node of a graph."""
        p, rank = self.pooling, len(self.pooling.window)
        low, high = zip(*p.padding, strict=True)
        known = p.boundary is None and p.axes is None and low == high and rank <= export.MOST
        mean = p.kind == "mean" and set(p.dilation) == {1}
        if not known or x.ndim - rank not in (1, 2) or self.return_indices or not (mean or p.kind == "max"):
            msg = f"{p!r} cannot be exported: ONNX has max and mean over 1 to 3 trailing axes of (N, C, *sizes), with "
            raise GeometryError(msg + "equal padding on both sides and no boundary rule")
        if mean:
            return export.MEANS[rank](x, p.window, p.stride, low, p.ceil_mode, p.count_padding)
        return export.MAXIMA[rank](x, p.window, p.stride, low, p.dilation, p.ceil_mode)

    def extra_repr(self) -> str:
        """Say what it is."""
        return repr(self.pooling).removeprefix("<Pooling ").removesuffix(">")


def _is_followed(x: Tensor) -> bool:
    """Whether somebody may ask for a derivative by x: autograd, a dual number, or a transform of torch.func."""
    if torch.is_grad_enabled() and x.requires_grad:
        return True
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


class PolyphasePool(nn.Module):
    """Keep, of the grids of every stride-th sample, that of the largest norm: exactly shift-equivariant.

    On (N, C, *sizes), or without N; all channels of an image share the grid, which is chosen as `faltung.antialias.
    polyphase_pool` does, without a gradient. Sizes are multiples of the stride, otherwise GeometryError.
    Source: Chaman & Dokmanić, Truly shift-invariant convolutional neural networks, 2021.

    >>> PolyphasePool(ndim=1)(torch.tensor([[[0.0, 5, 1, 3]]]))
    tensor([[[5., 3.]]])
    """

    def __init__(self, stride: Any = 2, *, order: float = 2, ndim: int | None = None) -> None:
        super().__init__()
        self.ndim = rank_of(ndim, stride)
        self.stride, self.order = geometry.per_axis(stride, self.ndim, "stride", least=1), order

    def forward(self, x: Tensor) -> Tensor:
        """Subsample."""
        if x.ndim == self.ndim + 1:
            single: Tensor = self(x[None])[0]
            return single
        sizes = x.shape[2:]
        if len(sizes) != self.ndim or any(n % s for n, s in zip(sizes, self.stride, strict=True)):
            msg = f"this pooling takes (N, C, and {self.ndim} sizes that are multiples of {self.stride}), "
            raise GeometryError(msg + f"not {tuple(x.shape)}")
        if export.is_exporting():
            msg = "PolyphasePool cannot be exported: ONNX has no node that chooses a grid by its norm"
            raise GeometryError(msg)
        phases = operators.polyphase(x.detach(), list(self.stride), float(self.order))
        # (N, C, n/s, s, ...) -> (N, s, ..., C, n/s, ...), of which each image keeps one index for each s.
        parts = [part for n, s in zip(sizes, self.stride, strict=True) for part in (n // s, s)]
        grids = x.reshape(*x.shape[:2], *parts)
        steps, places = list(range(3, grids.ndim, 2)), list(range(2, grids.ndim, 2))
        images = torch.arange(x.shape[0], device=x.device)
        return grids.permute(0, *steps, 1, *places)[(images, *phases.unbind(1))]

    def extra_repr(self) -> str:
        """Say what it is."""
        return f"stride={self.stride}, order={self.order}"


class BlurPool(nn.Module):
    """Blur with a binomial window, then keep every stride-th sample, on (N, C, *sizes): `faltung.antialias.blur_pool`.

    The number of axes is `ndim`, or that of `window` or `stride` (2 where both are numbers). Without weights and with
    an exact gradient; f16 and bf16 are summed in f32.
    Source: Zhang, Making convolutional networks shift-invariant again, 2019.

    >>> BlurPool(3, ndim=1)(torch.tensor([[[0.0, 0, 4, 0, 0, 0]]]))
    tensor([[[0., 2., 0.]]])
    """

    def __init__(self, window: Any = 3, stride: Any = 2, *, boundary: Any = "reflect", ndim: int | None = None) -> None:
        super().__init__()
        self.ndim = rank_of(ndim, window, stride)
        self.window = geometry.per_axis(window, self.ndim, "window", least=1)
        self.stride = geometry.per_axis(stride, self.ndim, "stride", least=1)
        self.boundary = boundary
        taps = np.ones((1, 1))
        for size in self.window:
            taps = np.multiply.outer(taps, [math.comb(size - 1, i) / 2 ** (size - 1) for i in range(size)])
        self._taps: list[Any] = taps.tolist()
        pads = [((k - 1) // 2, k // 2) for k in self.window]
        self._spec = specification.layer(self.stride, pads, 1, 1, boundary)

    def forward(self, x: Tensor) -> Tensor:
        """Blur and subsample every channel."""
        at = x.ndim - self.ndim
        if at < 0 or not x.is_floating_point():
            msg = f"this layer blurs {self.ndim} trailing axes of floats, not {tuple(x.shape)} of {x.dtype}"
            raise GeometryError(msg) if at < 0 else DtypeError(msg)
        wide = x.float() if x.dtype in operators.HALVES else x
        taps = torch.tensor(self._taps, dtype=wide.dtype, device=x.device)
        images = wide[None].flatten(0, at)[:, None]
        if export.is_exporting():
            y = export.conv(images, taps, None, self._spec)
        else:
            y = layers.conv(images, taps, None, [], self._spec)
        return y.reshape(*x.shape[:at], *y.shape[2:]).to(x.dtype)

    def extra_repr(self) -> str:
        """Say what it is."""
        return f"{self.window}, stride={self.stride}, boundary={self.boundary!r}"


def rank_of(ndim: int | None, *given: Any, default: int = 2) -> int:
    """Give the number of axes: as asked, or that of the first sequence, or the default."""
    return ndim if ndim is not None else next((len(v) for v in given if geometry.is_sequence(v)), default)
