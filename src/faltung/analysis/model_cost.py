"""What a whole torch model costs, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from faltung.analysis import table
from faltung.analysis.cost import convolution_macs, cost
from faltung.convolution import Convolution
from faltung.errors import ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One call of one layer.

    `parameters` are counted at the first call of a layer that is called again; `macs` and `flops` are None for layers
    whose arithmetic is not counted (activations, normalisations). The flops of a pooling are its comparisons or
    additions. `activation_bytes` is the output.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int | None
    flops: int | None
    activation_bytes: int


class ModelCost(tuple[Row, ...]):
    """One `Row` for each call, in the order of calls; prints as a table with totals."""

    __slots__ = ()

    @property
    def parameters(self) -> int:
        """All parameters of the model, each counted once."""
        return sum(row.parameters for row in self)

    @property
    def macs(self) -> int:
        """All multiply-accumulates of convolutions and linear layers."""
        return sum(row.macs or 0 for row in self)

    @property
    def flops(self) -> int:
        """Two for each MAC, and one for each comparison or addition of a pooling."""
        return sum(row.flops or 0 for row in self)

    @property
    def activation_bytes(self) -> int:
        """The outputs of all layers, as training keeps them."""
        return sum(row.activation_bytes for row in self)

    def __repr__(self) -> str:
        return table.text(*self._table())

    def _repr_html_(self) -> str:
        return table.html(*self._table())

    def _table(self) -> tuple[list[str], list[list[str]]]:
        header = ["layer", "kind", "output", "parameters", "MACs", "FLOPs", "activations"]
        total = Row("total", "", (), self.parameters, self.macs, self.flops, self.activation_bytes)
        rows = []
        for row in (*self, total):
            counts = map(table.number, (row.parameters, row.macs, row.flops))
            shape = "x".join(map(str, row.output_shape))
            rows.append([row.name, row.kind, shape, *counts, table.memory(row.activation_bytes)])
        return header, rows


def model_cost(module: Any, input_shape: Sequence[int]) -> ModelCost:
    """Run a torch model once on zeros of a shape, batch included, and count what every layer does.

    Counted are Conv1d to Conv3d, their transposed forms, Linear, layers whose `operator` is a `Convolution`, and max,
    average, power and adaptive pooling of any rank. Other layers are listed with their parameters; parameters that no
    called layer holds stand in a last row. What a model does outside of its layers (torch.nn.functional) is not seen.
    The model is left as it was; it runs in evaluation mode without gradients. Transposed convolutions count their
    input's positions: counters that take the output's are wrong by the stride.
    Raises ProblemError for what is no torch model.

    >>> import torch  # doctest: +SKIP
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2))  # doctest: +SKIP
    >>> model_cost(model, (1, 3, 10, 10))  # doctest: +SKIP
    layer       kind   output  parameters    MACs   FLOPs  activations
    0         Conv2d  1x8x8x8         224  13 824  27 648        2 KiB
    1           ReLU  1x8x8x8           0       -       -        2 KiB
    2      MaxPool2d  1x8x4x4           0       0     512        512 B
    total                             224  13 824  28 160      4.5 KiB
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        msg = f"{type(module).__name__} is no torch.nn.Module; pass a model, and the shape of its input"
        raise ProblemError(msg)
    rows: list[Row] = []
    counted: set[int] = set()

    def count(name: str, layer: Any, given: Any, result: Any) -> None:
        fresh = [p for p in layer.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, fresh))
        output = result if isinstance(result, torch.Tensor) else None
        macs, flops = _arithmetic(layer, given, output) if output is not None else (None, None)
        shape = () if output is None else tuple(output.shape)
        size = 0 if output is None else output.numel() * output.element_size()
        rows.append(Row(name, type(layer).__name__, shape, sum(p.numel() for p in fresh), macs, flops, size))

    _run(module, input_shape, count)
    rest = sum(p.numel() for p in module.parameters() if id(p) not in counted)
    if rest:
        rows.append(Row("(elsewhere)", "", (), rest, None, None, 0))
    return ModelCost(rows)


def _run(module: Any, input_shape: Sequence[int], count: Any) -> None:
    """Call the model with a hook on every layer that has no layers of its own."""
    import torch

    modes = [(layer, layer.training) for layer in module.modules()]
    hooks = []
    for name, layer in module.named_modules():
        if not any(True for _ in layer.children()):

            def hook(layer: Any, given: Any, result: Any, name: str = name) -> None:
                count(name or "(model)", layer, given, result)

            hooks.append(layer.register_forward_hook(hook))
    like = next((p for p in module.parameters() if not isinstance(p, torch.nn.UninitializedParameter)), torch.zeros(()))
    try:
        module.eval()
        with torch.no_grad():
            module(torch.zeros(tuple(input_shape), dtype=like.dtype, device=like.device))
    finally:
        for handle in hooks:
            handle.remove()
        for layer, training in modes:
            layer.training = training


def _arithmetic(layer: Any, given: Any, output: Any) -> tuple[int | None, int | None]:
    """Count (macs, flops) of one call."""
    import torch.nn as nn
    from torch.nn.modules import pooling
    from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

    operator = getattr(layer, "operator", None)
    if isinstance(operator, Convolution):
        macs = cost(operator, tuple(given[0].shape)).convolution.macs
        return macs, 2 * macs
    if isinstance(layer, _ConvNd):
        rank = len(layer.kernel_size)
        source = given[0] if isinstance(layer, _ConvTransposeNd) else output
        positions = prod(source.shape[-rank:]) * prod(source.shape[: -rank - 1])
        macs = convolution_macs(positions, layer.kernel_size, layer.in_channels, layer.out_channels, layer.groups)
        return macs, 2 * macs
    if isinstance(layer, nn.Linear):
        macs = output.numel() * layer.in_features
        return macs, 2 * macs
    if isinstance(layer, (pooling._AdaptiveAvgPoolNd, pooling._AdaptiveMaxPoolNd)):
        return 0, _adaptive(given[0].shape, output.shape, int(type(layer).__name__[-2]))
    if isinstance(layer, (pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._LPPoolNd)):
        rank = int(type(layer).__name__[-2])
        size: Any = layer.kernel_size
        return 0, output.numel() * (size**rank if isinstance(size, int) else prod(size))
    return None, None


def _adaptive(given: Sequence[int], output: Sequence[int], rank: int) -> int:
    """Count the samples that windows of adaptive sizes meet: output o covers floor(o n / m) to ceil((o + 1) n / m)."""
    samples = prod(output[:-rank])
    for n, m in zip(given[-rank:], output[-rank:], strict=True):
        samples *= sum(-(-(o + 1) * n // m) - o * n // m for o in range(m))
    return samples
