"""A `Convolution` of what is one already: a filter, a layer of ours or of torch, what `identify` found."""

from __future__ import annotations

import sys
from typing import Any

from faltung.convolution import Convolution
from faltung.errors import ProblemError


def convolution_of(thing: Any) -> Convolution:
    """Give it as a `Convolution`; see `Convolution.of`."""
    if isinstance(thing, Convolution):
        return thing
    operator = getattr(thing, "operator", None)
    if isinstance(operator, Convolution):
        return operator
    if hasattr(thing, "to_convolution"):
        found: Convolution = thing.to_convolution()
        return found
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)):
        return _of_layer(thing)
    if hasattr(thing, "kernel"):
        return Convolution(thing)
    msg = f"a {type(thing).__name__} is no convolution: give a filter, a torch layer (Conv1d to Conv3d, or one of "
    msg += "faltung.torch), or what symmetry.identify found; an array is the kernel of Convolution(array)"
    raise ProblemError(msg)


def _of_layer(layer: Any) -> Convolution:
    """Read a layer of torch.nn; its named paddings are numbers for every size."""
    spans = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    padding = layer.padding
    if isinstance(padding, str):
        padding = [(n // 2, n - n // 2) if padding == "same" else (0, 0) for n in spans]
    return Convolution(
        layer.weight.detach().cpu().numpy(), channels=True, flip=False, groups=layer.groups, stride=layer.stride,
        padding=padding, dilation=layer.dilation, boundary=f"torch:{layer.padding_mode}",
    )  # fmt: skip
