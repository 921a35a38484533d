"""Layers as modules: names, order of arguments, initial values and state dicts are those of torch.nn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from faltung.convolution import Convolution
from faltung.errors import GeometryError
from faltung.problem import geometry
from faltung.torch import export, functional, specification
from faltung.torch.geometry import numbers, outputs, transposed_sizes
from faltung.torch.pooling import rank_of

if TYPE_CHECKING:
    from collections.abc import Sequence

PADDING_MODES = {"zeros": "zero", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class _Layer(nn.Module):
    """What the layers share: the window, and weights that begin as torch's do."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    stride: Any
    padding: Any
    dilation: Any
    boundary: Any

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, ndim: int | None, groups: int) -> None:
        super().__init__()
        self.kernel_size = geometry.per_axis(kernel_size, rank_of(ndim, kernel_size), "kernel_size", least=1)
        if groups < 1 or in_channels % groups or out_channels % groups:
            msg = f"groups={groups} does not divide {in_channels} input and {out_channels} output channels"
            raise GeometryError(msg)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups

    def _begin(self, shape: tuple[int, ...], bias: tuple[int, ...] | None, fan_in: int, **where: Any) -> None:
        self.weight = nn.Parameter(torch.empty(shape, **where))
        if bias is None:
            self.register_parameter("bias", None)
        else:
            self.bias = nn.Parameter(torch.empty(bias, **where))
        self._fan_in = fan_in
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and bias from U(-b, b), b = 1/sqrt(fan_in): Kaiming's rule with a = sqrt(5), as torch does."""
        bound = 1 / math.sqrt(self._fan_in) if self._fan_in else 0.0
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """Say what it is."""
        size = "x".join(map(str, self.kernel_size))
        return (
            f"{self.in_channels}, {self.out_channels}, {size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}, boundary={self.boundary!r}"
        )


def _boundary(padding_mode: str, boundary: Any) -> Any:
    if boundary is not None:
        return boundary
    if padding_mode not in PADDING_MODES:
        msg = f"unknown padding_mode {padding_mode!r}; torch's are {', '.join(map(repr, PADDING_MODES))}, "
        raise GeometryError(msg + "and boundary= takes every rule of faltung")
    return PADDING_MODES[padding_mode]


class Conv(_Layer):
    """A convolution over (N, C_in, *sizes) with any number of axes: torch.nn.Conv1d, 2d, 3d and beyond.

    The number of axes is that of `kernel_size`, or `ndim` (2 for a single number). `padding` is what `nn.conv` takes,
    and torch's "same"; `boundary` any rule of faltung, otherwise `padding_mode` as torch names them.

    >>> layer = Conv(3, 8, (3, 3), padding=1, boundary="symmetric")
    >>> layer.load_state_dict(nn.Conv2d(3, 8, 3).state_dict()), layer(torch.zeros(1, 3, 9, 9)).shape
    (<All keys matched successfully>, torch.Size([1, 8, 9, 9]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        boundary: Any = None,
        ndim: int | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, ndim, groups)
        self.stride, self.dilation = stride, dilation
        self.padding = "same:torch" if padding == "same" else padding
        self.boundary = _boundary(padding_mode, boundary)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self._begin(shape, (out_channels,) if bias else None, math.prod(shape[1:]), device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        return functional.conv(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups, self.boundary
        )

    @property
    def operator(self) -> Convolution:
        """The layer without its bias, as a `faltung.Convolution` with the weights of now; named padding is refused."""
        if isinstance(self.padding, str):
            msg = f"padding={self.padding!r} depends on the size of the input; give numbers for an operator"
            raise GeometryError(msg)
        return Convolution(
            self.weight.detach().cpu().numpy(), channels=True, flip=False, groups=self.groups, stride=self.stride,
            padding=self.padding, dilation=self.dilation, boundary=self.boundary,
        )  # fmt: skip


class ConvTranspose(_Layer):
    """The adjoint of a convolution as a layer: torch.nn.ConvTranspose1d, 2d, 3d and beyond, for every boundary.

    What falls beyond the edges is dropped, or folded back by another `boundary` than "zero", as `faltung.nn.
    conv_transpose` says. A call may name the `output_size` along each axis, instead of an output_padding.

    >>> up = ConvTranspose(8, 4, 2, stride=2)
    >>> up(torch.zeros(1, 8, 5, 5)).shape
    torch.Size([1, 4, 10, 10])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        boundary: Any = None,
        ndim: int | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, ndim, groups)
        self.stride, self.padding, self.output_padding, self.dilation = stride, padding, output_padding, dilation
        self.boundary = _boundary(padding_mode, boundary)
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self._begin(shape, (out_channels,) if bias else None, math.prod(shape[1:]), device=device, dtype=dtype)

    def forward(self, x: Tensor, output_size: int | Sequence[int] | None = None) -> Tensor:
        """Spread every sample over the outputs."""
        extra = self.output_padding
        if output_size is not None:
            rank = len(self.kernel_size)
            sizes: list[int] = [output_size] if isinstance(output_size, int) else list(output_size)
            if len(sizes) not in (rank, x.ndim):
                msg = f"output_size {tuple(sizes)} has {len(sizes)} numbers; give {rank}, one for each axis"
                raise GeometryError(msg)
            sizes = sizes[len(sizes) - rank :]
            spec = specification.layer(self.stride, self.padding, self.dilation, self.groups, self.boundary)
            if torch.compiler.is_compiling() and not export.is_exporting():
                return functional.conv_transpose_to(x, self.weight, self.bias, sizes, spec)
            extra = self._extra(sizes, transposed_sizes(x.shape, self.weight.shape, 0, spec))
        return functional.conv_transpose(
            x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation, self.boundary
        )

    def _extra(self, sizes: list[int], least: list[int]) -> list[int]:
        """Give the output_padding that makes these sizes, of which a stride's worth is within reach."""
        strides = geometry.per_axis(self.stride, len(least), "stride", least=1)
        most = [low + s - 1 for low, s in zip(least, strides, strict=True)]
        if any(not low <= n <= high for n, low, high in zip(sizes, least, most, strict=True)):
            msg = f"output_size {tuple(sizes)} is out of reach: this input becomes {tuple(least)} to {tuple(most)}"
            raise GeometryError(msg)
        return [n - low for n, low in zip(sizes, least, strict=True)]


class LocallyConnected(_Layer):
    """A layer with a window of weights for each output: what a convolution is without shared weights.

    `sizes` are those of the inputs, which the weight (C_out, C_in/groups, *outs, *window) and the bias (C_out, *outs)
    are made for. The sums are torch's own matrix products, on any device. Raises GeometryError for other sizes.

    >>> layer = LocallyConnected(1, 2, 3, sizes=(6, 6), padding=1)
    >>> layer(torch.zeros(4, 1, 6, 6)).shape, layer.weight.shape
    (torch.Size([4, 2, 6, 6]), torch.Size([2, 1, 6, 6, 3, 3]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        sizes: Sequence[int],
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        boundary: Any = "zero",
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, len(sizes), groups)
        self.sizes, self.boundary = tuple(sizes), boundary
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        spec = specification.layer(stride, padding, dilation, groups, boundary)
        outs = outputs((in_channels, *self.sizes), shape, spec)
        self.stride, self.dilation, self.padding = numbers(self.sizes, self.kernel_size, spec)
        whole = (*shape[:2], *outs, *self.kernel_size)
        self._begin(whole, (out_channels, *outs) if bias else None, math.prod(shape[1:]), device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Sum every window with its own weights."""
        rank = len(self.kernel_size)
        if tuple(x.shape[x.ndim - rank - 1 :]) != (self.in_channels, *self.sizes):
            msg = f"this layer takes ({self.in_channels}, {', '.join(map(str, self.sizes))}), not {tuple(x.shape)}"
            raise GeometryError(msg)
        windows = self._windows(x)
        inputs, outputs = (n // self.groups for n in (self.in_channels, self.out_channels))
        windows = windows.reshape(len(windows), self.groups, inputs, *windows.shape[2:])
        weight = self.weight.reshape(self.groups, outputs, *self.weight.shape[1:])
        outs, taps = "ABCDEFGHIJKL"[:rank], "MNOPQRSTUVWX"[:rank]
        y = torch.einsum(f"ngc{outs}{taps},goc{outs}{taps}->ngo{outs}", windows, weight).flatten(1, 2)
        y = y if self.bias is None else y + self.bias.to(y.dtype)
        return y.reshape(*x.shape[: x.ndim - rank - 1], *y.shape[1:])

    def _windows(self, x: Tensor) -> Tensor:
        """Give every window: (N, C, *outs, *window)."""
        rank = len(self.kernel_size)
        # A convolution with a single 1 extends the array by the boundary rule.
        one = x.new_ones(1, 1, *[1] * rank)
        images = math.prod(x.shape[: x.ndim - rank - 1])
        planes = x.reshape(images * self.in_channels, 1, *self.sizes)
        y = functional.conv(planes, one, padding=self.padding, boundary=self.boundary)
        y = y.reshape(images, self.in_channels, *y.shape[2:])
        for axis, (k, s, d) in enumerate(zip(self.kernel_size, self.stride, self.dilation, strict=True), start=2):
            y = y.unfold(axis, d * (k - 1) + 1, s)[..., ::d]
        return y

    def extra_repr(self) -> str:
        """Say what it is."""
        return f"{super().extra_repr()}, sizes={self.sizes}"
