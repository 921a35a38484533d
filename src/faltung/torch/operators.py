"""The operators: a layer, its adjoint, and its gradient by the weight; each one's derivatives are the other two.

All are made of one trilinear form Σ g[n, o, j] w[o, c, t] x[n, c, s·j + d·t - low], so the backward of each is made of
the others, to any order. Constants beyond the edges make the layer affine in x; its derivative has zeros there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from faltung.torch import compute
from faltung.torch.geometry import outputs
from faltung.torch.specification import linear

PLAIN = (Tensor, nn.Parameter)
Gradients = tuple[Tensor | None, ...]


class _Conv(torch.autograd.Function):
    """Derivatives of y = conv(x, weight, bias, outs, spec)."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        (x, weight), spec = ctx.saved_tensors, ctx.rest[-1]
        needs, rank = ctx.needs_input_grad, weight.ndim - 2
        return (
            conv_adjoint(grad, weight, None, _sizes(x, rank), linear(spec)) if needs[0] else None,
            conv_weight(grad, x, list(weight.shape[2:]), spec) if needs[1] else None,
            _bias_gradient(grad, rank) if needs[2] else None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dweight: Tensor | None, dbias: Tensor | None, *_: None) -> Tensor:
        (x, weight), (_, outs, spec) = ctx.saved_tensors, ctx.rest
        return _sum(
            None if dx is None else conv(dx, weight, None, outs, linear(spec)),
            None if dweight is None else conv(x, dweight, None, outs, spec),
            None if dbias is None else dbias.reshape(-1, *[1] * (weight.ndim - 2)),
        )


class _ConvAdjoint(torch.autograd.Function):
    """Derivatives of x = conv_adjoint(y, weight, bias, sizes, spec)."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        (y, weight), spec = ctx.saved_tensors, ctx.rest[-1]
        needs, rank = ctx.needs_input_grad, weight.ndim - 2
        return (
            conv(grad, weight, None, _sizes(y, rank), spec) if needs[0] else None,
            conv_weight(y, grad, list(weight.shape[2:]), spec) if needs[1] else None,
            _bias_gradient(grad, rank) if needs[2] else None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, dy: Tensor | None, dweight: Tensor | None, dbias: Tensor | None, *_: None) -> Tensor:
        (y, weight), (_, sizes, spec) = ctx.saved_tensors, ctx.rest
        return _sum(
            None if dy is None else conv_adjoint(dy, weight, None, sizes, spec),
            None if dweight is None else conv_adjoint(y, dweight, None, sizes, spec),
            None if dbias is None else dbias.reshape(-1, *[1] * (weight.ndim - 2)),
        )


class _ConvWeight(torch.autograd.Function):
    """Derivatives of weight = conv_weight(y, x, window, spec)."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        (y, x), spec = ctx.saved_tensors, ctx.rest[-1]
        needs, rank = ctx.needs_input_grad, grad.ndim - 2
        return (
            conv(x, grad, None, _sizes(y, rank), spec) if needs[0] else None,
            conv_adjoint(y, grad, None, _sizes(x, rank), linear(spec)) if needs[1] else None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, dy: Tensor | None, dx: Tensor | None, *_: None) -> Tensor:
        (y, x), (window, spec) = ctx.saved_tensors, ctx.rest
        return _sum(
            None if dy is None else conv_weight(dy, x, window, spec),
            None if dx is None else conv_weight(y, dx, window, linear(spec)),
        )


def _conv_like(x: Tensor, weight: Tensor, bias: Tensor | None, outs: list[int], spec: str) -> Tensor:
    batch = x.shape[: x.ndim - weight.ndim + 1]
    return x.new_empty((*batch, weight.shape[0], *(outs or outputs(x.shape, weight.shape, spec))))


def _adjoint_like(y: Tensor, weight: Tensor, bias: Tensor | None, sizes: list[int], spec: str) -> Tensor:
    return y.new_empty(compute.input_shape(y.shape, weight.shape, sizes, spec))


def _weight_like(y: Tensor, x: Tensor, window: list[int], spec: str) -> Tensor:
    return y.new_empty(compute.weight_shape(y.shape, x.shape, window, spec))


class Operator:
    """A custom operator for graphs, and two functions that call it: for the transforms of torch.func, which take no
    custom operator's derivatives, and for plain tensors, where the way through the dispatcher is three times as long.
    """

    def __init__(self, name: str, run: Any, fake: Any, derivatives: Any, keep: Any, *, batched: bool) -> None:
        """Take name, what runs it, its shapes, its derivatives and what these keep.

        `batched` says that its first tensor may have any batch axes.
        """
        self.custom = torch.library.custom_op(f"faltung::{name}", run, mutates_args=())
        self.custom.register_fake(fake)
        self.custom.register_autograd(derivatives.backward, setup_context=keep)
        self.custom.register_vmap(self._mapped)
        self.run, self.batched = run, batched

        def forward(ctx: Any, *args: Any) -> Tensor:
            result: Tensor = run(*args)
            keep(ctx, args, result)
            return result

        ways = {"forward": self.custom, "setup_context": keep, "vmap": self._mapped}
        self.plain = _function("Plain", derivatives, forward=forward)
        self.transformed = _function("Transformed", derivatives, **ways)

    def __call__(self, *args: Any) -> Tensor:
        """Apply it."""
        run = self.custom
        if not torch.compiler.is_compiling() and torch._C._get_tracing_state() is None:
            if torch._C._are_functorch_transforms_active():
                run = self.transformed
            elif not is_in_torch_dispatch_mode() and all(map(_is_plain, args)):
                follows = torch.is_grad_enabled() or forward_ad._current_level >= 0
                run = self.plain if follows else self.run
        result: Tensor = run(*args)
        return result

    def _mapped(self, info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Tensor, int]:
        """Take one more batch axis in the first tensor; all others are mapped by a loop."""
        at = [dim if isinstance(arg, Tensor) else None for arg, dim in zip(args, in_dims, strict=True)]
        if self.batched and at[0] is not None and not any(dim is not None for dim in at[1:]):
            return self(args[0].movedim(at[0], 0), *args[1:]), 0
        each = [
            self(*(a if dim is None else a.select(dim, i) for a, dim in zip(args, at, strict=True)))
            for i in range(info.batch_size)
        ]
        return torch.stack(each), 0


def _function(name: str, derivatives: Any, **ways: Any) -> Any:
    made: Any = type(name, (derivatives,), {n: staticmethod(way) for n, way in ways.items()})
    return made.apply


def _is_plain(arg: Any) -> bool:
    """Whether nothing but autograd looks at an argument: it is no subclass and on the CPU, or no tensor."""
    return not isinstance(arg, Tensor) or (
        type(arg) in PLAIN and arg.is_cpu and not torch._C._functorch.is_legacy_batchedtensor(arg)
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.save_for_forward(*inputs[:2])
    ctx.rest = inputs[2:]


def _sizes(x: Tensor, rank: int) -> list[int]:
    return list(x.shape[x.ndim - rank :])


def _bias_gradient(grad: Tensor, rank: int) -> Tensor:
    others = [axis for axis in range(grad.ndim) if axis != grad.ndim - rank - 1]
    return grad.sum(others) if others else grad


def _sum(*parts: Tensor | None) -> Tensor:
    first, *rest = [part for part in parts if part is not None]
    return sum(rest, start=first)


conv = Operator("conv", compute.conv, _conv_like, _Conv, _keep, batched=True)
conv_adjoint = Operator("conv_adjoint", compute.conv_adjoint, _adjoint_like, _ConvAdjoint, _keep, batched=True)
conv_weight = Operator("conv_weight", compute.conv_weight, _weight_like, _ConvWeight, _keep, batched=False)
