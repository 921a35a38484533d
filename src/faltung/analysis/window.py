"""The window of a convolution along each axis of its kernel, whatever the array."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from faltung.problem import geometry

if TYPE_CHECKING:
    from faltung.convolution import Convolution


class Window(NamedTuple):
    """Output o and tap t (of the flipped kernel) read coordinate stride·o + dilation·t - low."""

    taps: int
    stride: int
    dilation: int
    low: int
    high: int

    @property
    def span(self) -> int:
        """Coordinates from the first tap to the last, both counted."""
        return self.dilation * (self.taps - 1) + 1


def windows(c: Convolution) -> tuple[Window, ...]:
    """Give the window along each filtered axis, in the kernel's order.

    >>> from faltung import Convolution
    >>> windows(Convolution([1, 2, 1, 0], flip=False, dilation=2))
    (Window(taps=4, stride=1, dilation=2, low=4, high=2),)
    """
    ndim = len(c.window)
    strides = geometry.per_axis(c.stride, ndim, "stride", least=1)
    dilations = geometry.per_axis(c.dilation, ndim, "dilation", least=1)
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, c.window, strict=True)]
    # Padding does not depend on the array; arrays as large as the window have an output in every mode.
    axes = geometry.resolve(
        spans, c.window, mode=c.mode, padding=c.padding, dilation=c.dilation, anchor=c.anchor, flip=c.flip
    )
    return tuple(
        Window(axis.taps, stride, axis.dilation, axis.low, axis.out - 1 - axis.low)
        for axis, stride in zip(axes, strides, strict=True)
    )
