"""The work of a case as peers want it: padded, dilated, with an output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.case import Array, Case

# Peers that do one multiplication after the other are left out of cases that would take them minutes.
MOST_SCALAR_MACS = 6e8


@dataclass(frozen=True)
class Peer:
    """A way of another library to the same answer."""

    name: str
    settings: str
    call: Callable[[], Any]


@dataclass(frozen=True)
class Work:
    """A case with its data, as peers want them."""

    case: Case
    x: Array
    kernel: Array
    dtype: np.dtype[Any]  # of the result

    @property
    def rank(self) -> int:
        return self.kernel.ndim

    @property
    def sums(self) -> np.dtype[Any]:
        """The dtype in which a peer that does not choose for itself should add."""
        return np.dtype(np.float32) if self.case.rounded else self.dtype

    @property
    def small(self) -> bool:
        # Where peers know the design, nobody would sum tap by tap.
        return self.case.design == "random" and self.x.size * self.kernel.size <= MOST_SCALAR_MACS

    @cached_property
    def dilated(self) -> Array:
        d = self.case.dilation
        kernel = np.zeros([d * (k - 1) + 1 for k in self.kernel.shape], self.kernel.dtype)
        kernel[(slice(None, None, d),) * self.rank] = self.kernel
        return kernel

    @cached_property
    def spanned(self) -> Array:
        """The dilated kernel with as many axes as the array."""
        kernel = self.dilated.transpose(np.argsort(self.case.filtered))
        carried = [a for a in range(self.x.ndim) if a not in self.case.filtered]
        return np.expand_dims(kernel, carried)

    @cached_property
    def padded(self) -> Array:
        widths = [(k // 2, k - 1 - k // 2) for k in self.spanned.shape]
        rule, _, value = self.case.boundary.partition(":")
        mode: Any = {"zero": "constant", "constant": "constant"}.get(rule, rule.removeprefix("anti"))
        if mode == "constant":
            return np.pad(self.x, widths, mode, constant_values=int(value or 0))
        if rule.startswith("anti"):
            return np.pad(self.x.astype(self.sums), widths, mode, reflect_type="odd")
        return np.pad(self.x, widths, mode)

    def finish(self, result: Array) -> Callable[[], Array]:
        """Make of each new content of an array what was asked for: itself, or its values rounded and saturated."""
        if not self.case.rounded:
            return lambda: result
        target, most = np.empty(result.shape, self.dtype), np.iinfo(self.dtype).max

        def rounded() -> Array:
            np.clip(np.rint(result, out=result), 0, most, out=result)
            np.copyto(target, result, casting="unsafe")
            return target

        return rounded
