"""Sums, means and Lp norms of windows: convolutions with a kernel of ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.convolution import Convolution
from faltung.pooling.extrema import Extrema
from faltung.problem import dtypes as rules
from faltung.problem.boundary import Rule
from faltung.problem.dtypes import kind_of
from faltung.runtime.kept import Kept
from faltung.runtime.threads import default_threads

if TYPE_CHECKING:
    from faltung.pooling.description import Pooling
    from faltung.pooling.windows import Windows

KEPT = 32
SINGLE, REAL = np.dtype(np.float32), np.dtype(np.float64)


class Sums:
    """The window sums of one pooling, prepared once for each shape."""

    def __init__(self, pooling: Pooling) -> None:
        self._pooling = pooling
        self._kept: Kept[tuple[Windows, np.dtype], Convolution] = Kept(KEPT)
        self._samples: Kept[Windows, Any] = Kept(KEPT)

    def __call__(self, x: np.ndarray, windows: Windows, threads: int | None) -> np.ndarray:
        """Give the sum, mean or norm of every window."""
        if self._pooling.kind == "lp":
            norms = self.norms(np.abs(everything(x, windows)), windows, threads)
            with np.errstate(over="ignore"):
                return norms.astype(norm_dtype(x.dtype), copy=False)
        kernel, accumulate, output = self.dtypes(x.dtype)
        total = self._sum(x, windows, kernel, accumulate, threads)
        if self._pooling.kind == "mean":
            np.divide(total, self.samples(windows), out=total, casting="same_kind")
        return total if output is None else total.astype(output, copy=False)

    def dtypes(self, dtype: np.dtype) -> tuple[np.dtype, np.dtype | None, np.dtype | None]:
        """Give the dtypes of the kernel of ones, of its sums, and of the result; None where they follow by themselves.

        A mean rounds once, after it was divided.
        """
        if self._pooling.kind == "sum":
            return np.dtype(np.int8), None, None
        if dtype in (SINGLE, REAL):
            return REAL, None, None
        dtypes = rules.resolve(dtype, REAL, None)
        return REAL, dtypes.accumulate, dtypes.output

    def samples(self, windows: Windows) -> Any:
        """Give what means divide by: a number if it is the same everywhere, else an array in f32 if that is exact."""
        found = self._samples.get(windows)
        if found is None:
            pooling = self._pooling
            found = windows.samples(padding=pooling.count_padding or windows.sides is not None)
            if found.size and found.min() == found.max():
                found = float(found.flat[0])
            elif windows.taps < 2**24:
                found = found.astype(np.float32)
            self._samples.keep(windows, found)
        return found

    def adjoint(self, grad: np.ndarray, windows: Windows) -> np.ndarray:
        """Apply the adjoint of the sum in the dtype of a gradient; constants receive nothing."""
        linear = _linear(windows)
        return self.convolution(linear, REAL).adjoint(grad, linear.shape)

    def _sum(
        self, x: np.ndarray, windows: Windows, kernel: np.dtype, dtype: np.dtype | None, threads: int | None
    ) -> np.ndarray:
        if windows.sides is not None and windows.overhangs:
            # A rule that ends where ceil mode goes on is none that a convolution follows.
            x = windows.everything(x.astype(rules.resolve(x.dtype, kernel, dtype).accumulate), 0)
            windows = windows.extended()
        return self.convolution(windows, kernel)(x, dtype=dtype, threads=threads)

    def norms(self, values: np.ndarray, windows: Windows, threads: int | None) -> np.ndarray:
        """Give the Lp norms of all that windows read, of which `values` has the moduli in f64."""
        p, windows = self._pooling.p, windows.extended()
        if np.isinf(p):
            return Extrema().values(values, windows, "max", threads or default_threads())
        with np.errstate(over="ignore", under="ignore"):
            powers = values if p == 1 else values * values if p == 2 else values**p
            total = self._sum(powers, windows, REAL, None, threads)
            return total if p == 1 else np.sqrt(total) if p == 2 else total ** (1 / p)

    def convolution(self, windows: Windows, kernel: np.dtype) -> Convolution:
        """Give the sum as a convolution with ones of a dtype."""
        found = self._kept.get((windows, kernel))
        if found is None:
            found = _convolution(windows, kernel)
            self._kept.keep((windows, kernel), found)
        return found


def norm_dtype(dtype: np.dtype) -> np.dtype:
    """Give the type of an Lp norm: a real one of the precision that a mean would have."""
    output = rules.resolve(dtype, REAL, None).output
    return np.dtype(f"f{output.itemsize // 2}") if output.kind == "c" else output


def everything(x: np.ndarray, windows: Windows) -> np.ndarray:
    """Give all that the windows read, in f64; what does not count is 0."""
    wide = x.astype(np.complex128 if kind_of(x.dtype) == "complex" else np.float64)
    return windows.everything(wide, 0)


def _linear(windows: Windows) -> Windows:
    """Put zero in the place of constants, and of nothing."""
    zero = Rule("zero")
    sides: Any = tuple(
        tuple(zero if rule.is_constant else rule for rule in pair)
        for pair in windows.sides or ((zero, zero),) * len(windows.axes)
    )
    return type(windows)(windows.shape, windows.axes, windows.along, windows.high, sides)


def _convolution(windows: Windows, dtype: np.dtype) -> Convolution:
    along, ends = windows.along, windows.ends
    # The output ends with the last window, whatever is padded beyond it.
    padding = [(axis.low, max(end - axis.size, 0)) for axis, end in zip(along, ends, strict=True)]
    return Convolution(
        np.ones([axis.taps for axis in along], dtype), flip=False, padding=padding, axes=windows.axes,
        boundary=None if windows.sides is None else windows.sides, stride=tuple(axis.stride for axis in along),
        dilation=tuple(axis.dilation for axis in along),
    )  # fmt: skip
