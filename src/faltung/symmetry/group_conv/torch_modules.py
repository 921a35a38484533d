"""Torch modules whose features live on a grid and on a finite group; loaded only where torch is installed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from faltung.errors import GeometryError, ProblemError
from faltung.symmetry.group_conv.action import acting
from faltung.symmetry.group_conv.bank import bank_index, check_even_handed, check_grid, planes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.symmetry.elements import Group
    from faltung.symmetry.group_conv.action import GroupLike
    from faltung.symmetry.group_conv.bank import Input

__all__ = ["GroupBatchNorm", "GroupConv", "GroupPool", "SpatialPool"]

PerAxis = int | tuple[int, ...]
Kind = Literal["max", "mean"]
LARGE = 2**22  # bytes of features, from where torch's rearranging of them costs more than our way there
# The parameters, and the bank and bias that they gave.
Kept = tuple[tuple[Tensor | None, Tensor | None], tuple[Tensor, Tensor | None]]
CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
MEANS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


class GroupConv(nn.Module):
    """A convolution that commutes with a finite group of rotations and flips of the grid, as well as with shifts.

    Features are (N, fields·|G|, *sizes), the group's index fastest. ``input="trivial"`` lifts (N, in_fields, *sizes)
    plain channels; ``"regular"`` takes features of the same group. The parameters are ``weight``, (out_fields,
    in_fields, *kernel) or (out_fields, in_fields, |G|, *kernel), and ``bias``, one number an output field; the filter
    bank that convolves is gathered from them in every call, so that gradients and state dicts are those of the weights.
    On the CPU, without gradients, it is kept from call to call for as long as the parameters hold the same numbers.
    There, features of 4 MiB or more are convolved by faltung's layers, all else by torch's.

    ``group`` is "p4" (rotations by 90 degrees), "p4m" (and reflections), or any finite group of permuted and flipped
    axes in one to three dimensions, such as ``symmetry.reflections(ndim=1)``. Any kernel size; zeros are padded on
    both sides. A stride keeps the symmetry on sizes with (n + 2·padding - kernel) % stride == 0, which every call
    checks. Moving the input by g moves each channel and takes channel h to g·h, up to rounding.

    Raises:
        ProblemError: no finite group, no such kind of input, or numbers that are not positive.
        GeometryError: numbers that differ between axes which the group exchanges; channels that do not fit; a size on
            which the strided grid is off centre, with the sizes that work.

    Source: Cohen & Welling, Group equivariant convolutional networks, 2016.

    >>> lift = GroupConv(1, 4, 3, group="p4", padding=1)
    >>> conv = GroupConv(4, 8, 3, group="p4", input="regular")
    >>> conv(lift(torch.zeros(2, 1, 9, 9))).shape
    torch.Size([2, 32, 7, 7])
    """

    index: Tensor

    def __init__(
        self,
        in_fields: int,
        out_fields: int,
        kernel_size: PerAxis,
        group: GroupLike = "p4",
        input: Input = "trivial",  # noqa: A002  beside output, the word of the field
        stride: PerAxis = 1,
        padding: PerAxis = 0,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.group, self.input = acting(group), input
        self.in_fields, self.out_fields = in_fields, out_fields
        self.kernel_size = _numbers(kernel_size, self.group, "kernel_size", 1)
        self.stride = _numbers(stride, self.group, "stride", 1)
        self.padding = _numbers(padding, self.group, "padding", 0)
        planes = planes_of(self.group, input)
        if min(in_fields, out_fields) < 1:
            msg = f"GroupConv from {in_fields} to {out_fields} fields: give at least 1 of each"
            raise ProblemError(msg)
        index = bank_index(self.group, self.kernel_size, in_fields, out_fields, input)
        self.register_buffer("index", torch.from_numpy(index).to(device), persistent=False)
        shape = (out_fields, in_fields, *((planes,) if input == "regular" else ()), *self.kernel_size)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_fields, device=device, dtype=dtype)) if bias else None
        self._kept: Kept | None = None
        self._checked: torch.Size | None = None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters as torch's own convolutions do, uniformly within 1/√(number of inputs of an output)."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        for parameter in (self.weight, self.bias):
            if parameter is not None:
                nn.init.uniform_(parameter, -bound, bound)

    def filter_bank(self) -> Tensor:
        """Return the kernels moved by every element: (out_fields·|G|, channels in, *kernel), differentiable."""
        return self.weight.reshape(-1).index_select(0, self.index.reshape(-1)).view(self.index.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a batch; see the class."""
        convolve = CONVOLUTIONS[self.group.ndim]
        if not self._is_plain():
            self._check(x)
            return convolve(x, *self._expanded(), self.stride, self.padding)
        if x.shape != self._checked:
            self._check(x)
            self._checked = x.shape
        bank, bias = self._expanded() if torch.is_grad_enabled() else self._recalled()
        if _suits_layers(x, bank):
            # Not at the top: faltung.torch has this module among its own.
            from faltung.torch.functional import conv

            return conv(x, bank, bias, self.stride, self.padding)
        return convolve(x, bank, bias, self.stride, self.padding)

    def _check(self, x: Tensor) -> None:
        ndim = self.group.ndim
        if x.ndim != ndim + 2 or x.shape[1] != self.index.shape[1]:
            msg = f"features of shape {tuple(x.shape)}: give (N, {self.index.shape[1]}, *sizes) with {ndim} sizes, for "
            raise GeometryError(msg + f"{self.in_fields} {self.input} fields of {self.group.name}")
        check_grid(self.group, x.shape[2:], self.kernel_size, self.stride, self.padding)

    def _expanded(self) -> tuple[Tensor, Tensor | None]:
        return self.filter_bank(), None if self.bias is None else self.bias.repeat_interleave(len(self.group))

    def _recalled(self) -> tuple[Tensor, Tensor | None]:
        """Give what the parameters were expanded to; comparing them costs less, and sees writes to ``.data`` too."""
        now = (self.weight, self.bias)
        if self._kept is None or not all(map(_same, self._kept[0], now)):
            # No inference tensors, which some of torch's operations refuse outside of inference mode.
            with torch.inference_mode(False), torch.no_grad():
                weight, bias = (None if p is None else p.detach().clone() for p in now)
                self._kept = (weight, bias), self._expanded()
        return self._kept[1]

    def _is_plain(self) -> bool:
        """Whether the parameters' numbers may be looked at: not on other devices, nor in graphs and transforms."""
        return (
            _is_plain(self.weight)
            and (self.bias is None or _is_plain(self.bias))
            and not torch.compiler.is_compiling()
            and not torch._C._get_tracing_state()
            and not is_in_torch_dispatch_mode()
        )

    def extra_repr(self) -> str:
        """Return the settings, for print."""
        settings = f"{self.in_fields}, {self.out_fields}, kernel_size={self.kernel_size}, group={self.group.name}"
        return f"{settings}, input={self.input}, stride={self.stride}, padding={self.padding}"


class GroupPool(nn.Module):
    """Pool group features over the group: (N, fields·|G|, *sizes) becomes (N, fields, *sizes), plain channels.

    ``kind`` is "max" or "mean". The result moves with the input and its channels stay; after global pooling over the
    grid it is invariant.

    Raises ProblemError for another kind, GeometryError for channels that |G| does not divide.

    >>> GroupPool("p4")(torch.arange(8.0).reshape(1, 8, 1, 1)).flatten()
    tensor([3., 7.])
    """

    def __init__(self, group: GroupLike = "p4", kind: Kind = "max") -> None:
        super().__init__()
        self.group, self.kind = acting(group), _kind(kind)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a batch; see the class."""
        fields = x.reshape(len(x), _fields(x, self.group), len(self.group), *x.shape[2:])
        return fields.amax(2) if self.kind == "max" else fields.mean(2)

    def extra_repr(self) -> str:
        """Return the settings, for print."""
        return f"group={self.group.name}, kind={self.kind}"


class SpatialPool(nn.Module):
    """Pool over windows of the grid, on sizes where the symmetry stays: (n + 2·padding - window) % stride == 0.

    ``kind`` is "max" or "mean" (which counts padded zeros); the stride is the window unless given. The channels are
    carried, so features of every kind may come in, plain or of a group.

    Raises ProblemError for another kind, GeometryError as GroupConv does.

    >>> SpatialPool(2)(torch.arange(16.0).reshape(1, 1, 4, 4)).flatten()
    tensor([ 5.,  7., 13., 15.])
    """

    def __init__(
        self,
        kernel_size: PerAxis,
        group: GroupLike = "p4",
        kind: Kind = "max",
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
    ) -> None:
        super().__init__()
        self.group, self.kind = acting(group), _kind(kind)
        self.kernel_size = _numbers(kernel_size, self.group, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else _numbers(stride, self.group, "stride", 1)
        self.padding = _numbers(padding, self.group, "padding", 0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            msg = f"padding {self.padding} is more than half the window {self.kernel_size}; give at most half of it"
            raise GeometryError(msg)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a batch; see the class."""
        ndim = self.group.ndim
        if x.ndim != ndim + 2:
            msg = f"features of shape {tuple(x.shape)}: give (N, channels, *sizes) with {ndim} sizes"
            raise GeometryError(msg)
        check_grid(self.group, x.shape[2:], self.kernel_size, self.stride, self.padding)
        pool = (MAXIMA if self.kind == "max" else MEANS)[ndim]
        return pool(x, self.kernel_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        """Return the settings, for print."""
        return f"{self.kernel_size}, kind={self.kind}, stride={self.stride}, padding={self.padding}"


class GroupBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of group features: one mean, variance, scale and offset a field, over batch, group and grid.

    Torch's own layer would normalise each channel by itself, which training makes another for every rotation.
    Features are (N, fields·|G|, *sizes); see torch.nn.BatchNorm1d for the parameters.

    Raises GeometryError for channels that are not ``fields``·|G|.

    >>> GroupBatchNorm(2, "p4").eval()(torch.ones(1, 8, 3, 3)).shape
    torch.Size([1, 8, 3, 3])
    """

    def __init__(self, fields: int, group: GroupLike = "p4", eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(fields, eps, momentum)
        self.group = acting(group)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Normalise a batch; see the class."""
        if _fields(input, self.group) != self.num_features:
            msg = f"{input.shape[1]} channels are not {self.num_features} fields of {len(self.group)}; give "
            raise GeometryError(msg + f"{self.num_features * len(self.group)} channels")
        return super().forward(input.flatten(2).reshape(len(input), self.num_features, -1)).reshape(input.shape)


def _numbers(value: PerAxis | Sequence[int], group: Group, what: str, least: int) -> tuple[int, ...]:
    numbers = (value,) * group.ndim if isinstance(value, int) else tuple(value)
    if group.ndim not in CONVOLUTIONS:
        msg = f"{group.name} act on {group.ndim} axes, and torch convolves along 1 to 3"
        raise GeometryError(msg)
    if any(not isinstance(n, int) or n < least for n in numbers):
        msg = f"{what}={value!r}: give whole numbers of at least {least}"
        raise GeometryError(msg)
    check_even_handed(group, numbers, what)
    return numbers


def _suits_layers(x: Tensor, bank: Tensor) -> bool:
    """Whether the features that come in or go out, before any stride, are large, of a dtype with kernels of our own."""
    channels_out, channels_in = bank.shape[:2]
    size = x.numel() // channels_in * max(channels_in, channels_out) * x.element_size()
    exact = x.dtype == bank.dtype and x.dtype in (torch.float32, torch.float64) and x.device.type == "cpu"
    return size >= LARGE and exact and not torch.is_autocast_enabled("cpu")


def _is_plain(parameter: Tensor) -> bool:
    return type(parameter) is nn.Parameter and parameter.is_cpu


def _same(kept: Tensor | None, parameter: Tensor | None) -> bool:
    if kept is None or parameter is None:
        return kept is parameter
    return kept.dtype == parameter.dtype and torch.equal(kept, parameter)


def _kind(kind: Kind) -> Kind:
    if kind not in ("max", "mean"):
        msg = f'kind={kind!r} is unknown; give "max" or "mean"'
        raise ProblemError(msg)
    return kind


def _fields(x: Tensor, group: Group) -> int:
    if x.ndim < 2 or x.shape[1] % len(group):
        msg = f"features of shape {tuple(x.shape)} hold no fields of {len(group)} channels on axis 1"
        raise GeometryError(msg + f"; give (N, fields·{len(group)}, *sizes), or another group")
    return x.shape[1] // len(group)
