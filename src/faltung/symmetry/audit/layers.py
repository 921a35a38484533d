"""torch modules: their layers, as they ran on an input."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.symmetry.audit.steps import Settings, Step
from faltung.symmetry.audit.targets import Target, one_array, tensor_like

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faltung.symmetry.elements import Array


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Put a module and its parts into eval mode, and back into the mode that each had."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training


def module_target(module: Any, x: Any) -> Target:
    """Make a target of a torch module; an input that is no tensor takes the dtype and device of its parameters."""
    import torch

    like: Any = x
    if not isinstance(x, torch.Tensor):
        x = np.asarray(x)
        like = next(iter(module.parameters()), torch.from_numpy(np.empty(0, x.dtype)))
    name = type(module).__name__

    def run(inputs: list[Array]) -> Array:
        with torch.no_grad():
            return one_array(module(tensor_like(inputs[0], like)), name)

    array = tensor_like(x, like) if isinstance(x, np.ndarray) else x
    return Target(name, run, array.detach().cpu().numpy(), lambda: module_steps(module, array))


def module_steps(module: Any, x: Any) -> list[Step]:
    """Run a module once and return its innermost modules in the order in which they ran.

    A module that takes or returns anything but tensors is passed over.
    """
    import torch

    steps: list[Step] = []
    kept: list[Any] = []  # tensors stay alive, so that their ids stay theirs
    before: dict[Any, list[Array]] = {}
    names = {m: name for name, m in module.named_modules()}

    def remember(layer: Any, inputs: tuple[Any, ...]) -> None:
        # Before it runs, since a layer may write into its input.
        before[layer] = [t.detach().cpu().numpy().copy() for t in inputs if isinstance(t, torch.Tensor)]

    def record(layer: Any, inputs: tuple[Any, ...], output: Any) -> None:
        arrays = before.pop(layer)
        if not inputs or len(arrays) < len(inputs) or not isinstance(output, torch.Tensor):
            return
        kept.extend([*inputs, output])
        keys = [id(t) for t in inputs]
        name, kind = names[layer] or "module", type(layer).__name__
        steps.append(
            Step(name, kind, _runner(layer, inputs), arrays, keys, id(output), settings_of(layer, arrays[0].ndim))
        )

    innermost = [m for m in module.modules() if not any(m.children())]
    hooks = [m.register_forward_pre_hook(remember) for m in innermost]
    hooks += [m.register_forward_hook(record) for m in innermost]
    try:
        with torch.no_grad():
            module(x.clone())
            kept.append(x)
    finally:
        for hook in hooks:
            hook.remove()
    return steps


def _runner(layer: Any, like: tuple[Any, ...]) -> Any:
    import torch

    def run(inputs: list[Array]) -> Array:
        with torch.no_grad():
            return one_array(layer(*[tensor_like(a, t) for a, t in zip(inputs, like, strict=True)]), repr(layer))

    return run


def settings_of(layer: Any, ndim: int) -> Settings:
    """Read kernel, stride, padding, dilation and padding rule off a convolution or a pooling layer.

    ``ndim`` is that of its input. A transposed convolution has none, since its stride is that of its input.
    """
    kernel, name = getattr(layer, "kernel_size", None), type(layer).__name__.lower()
    if kernel is None or "transpose" in name or not ("conv" in name or "pool" in name):
        return Settings()
    weight = getattr(layer, "weight", None)
    rank = ndim - 2 if weight is None else weight.ndim - 2
    rank = rank if isinstance(kernel, int) else len(kernel)
    size, dilation = _tuple(kernel, rank), _tuple(getattr(layer, "dilation", 1), rank)
    stride = getattr(layer, "stride", None)
    steps = size if stride is None else _tuple(stride, rank)
    return Settings(size, steps, _paddings(layer, size, dilation), dilation, getattr(layer, "padding_mode", "zeros"))


def _paddings(layer: Any, size: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    padding = getattr(layer, "padding", 0)
    if padding == "same":
        total = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((p, p) for p in _tuple(0 if padding == "valid" else padding, len(size)))


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return (int(value),) * rank if isinstance(value, int) else tuple(int(v) for v in value)
