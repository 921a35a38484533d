"""Describe and apply in one call: `correlate` and `convolve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.convolution import Convolution
from faltung.errors import GeometryError
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, DTypeLike

    PerAxis = int | Sequence[int]

CONVOLUTIONS_KEPT = 128


def correlate(
    x: ArrayLike,
    kernel: ArrayLike | Sequence[ArrayLike],
    *,
    mode: str = "same",
    padding: int | Sequence[int] | Sequence[tuple[int, int]] | None = None,
    boundary: Any = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    axes: PerAxis | None = None,
    anchor: PerAxis | None = None,
    dtype: DTypeLike | None = None,
    out: np.ndarray | None = None,
    nan: str = "propagate",
    mask: ArrayLike | None = None,
    min_weight: float = 0.0,
    preserve_nan: bool = False,
    tolerance: float | None = None,
    algorithm: str | None = None,
    threads: int | None = None,
    max_memory: int | None = None,
) -> np.ndarray:
    """Correlate an array with a kernel: ``y[j] = Σ x[stride·j + dilation·l] conj(k[l])``, l counted from the anchor.

    Parameters
    ----------
    x : array of any rank, layout and real, integer or complex dtype
    kernel : array with one axis per filtered axis, or a list of them (a bank, stacked along a new first axis)
    mode, padding, boundary, stride, dilation, axes, anchor
        As in `Convolution`.
    dtype : the result's dtype, or "input"
        By default floats keep their precision; 8- and 16-bit integers give float32 with a float kernel and int32 with
        an integer kernel, wider ones float64 and int64. A narrower integer dtype saturates;
        floats round half to even.
    out : array to write to, of the result's shape; it may overlap `x`.
    nan : "propagate", or "ignore" to treat NaN as missing
        Missing samples are left out and the others weighed up: Σ k · Σ k·c·x / Σ k·c, c = 0 where one is missing, the
        normalised convolution of Knutsson and Westin (CVPR 1993). It needs a kernel whose taps do not sum to 0. Beyond
        the edges samples count as the boundary rule gives them; ``"constant:nan"`` leaves them out.
    mask : array that fits the input, True where a sample counts, or weights from 0 to 1
    min_weight : the share of the kernel's weight that must be there, or the output is NaN
    preserve_nan : whether inputs that are NaN stay NaN in the output
    tolerance : the error allowed, as a multiple of ‖kernel‖₁ · max|x|
        None allows exact methods, 1e-4 in float32 and 1e-13 in float64. Naming one lets sums of outer products leave
        out small parts of the kernel, if that is faster; what is left out counts in `Plan.error_bound`.
    algorithm : the method's name, or None for the fastest that is precise enough (`Plan.explain` lists them)
        It never changes the answer by more than the bound that `Plan.error_bound` states.
    threads : how many threads; None takes all CPUs of this process.
    max_memory : bytes of scratch that each thread may take; None sets no limit.

    Returns
    -------
    array
        Within `Plan.error_bound` · max|x| of the exact sum, whatever the threads and the layout; integers are exact.
        NaN and Inf reach exactly the outputs whose window holds them.

    Raises
    ------
    GeometryError, BoundaryError, DtypeError
        For shapes, rules and dtypes that have no meaning, and for integer overflow that cannot be excluded.
    PlanError
        When no algorithm serves the problem within the tolerance and memory given, or not the one that was named.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.correlate([1, 2, 4, 8], [1, 0, -1])
    array([-1, -3, -6, -4])
    """
    options = (mode, padding, boundary, stride, dilation, axes, anchor)
    c = _convolution(kernel, False, options)
    try:
        return c(
            x, dtype=dtype, out=out, threads=threads, nan=nan, mask=mask, min_weight=min_weight,
            preserve_nan=preserve_nan, tolerance=tolerance, algorithm=algorithm, max_memory=max_memory,
        )  # fmt: skip
    except GeometryError:
        _kept.clear()  # a stride of 2.0, which is refused, must not be found again when it is 2
        raise


def convolve(
    x: ArrayLike,
    kernel: ArrayLike | Sequence[ArrayLike],
    *,
    mode: str = "same",
    padding: int | Sequence[int] | Sequence[tuple[int, int]] | None = None,
    boundary: Any = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    axes: PerAxis | None = None,
    anchor: PerAxis | None = None,
    dtype: DTypeLike | None = None,
    out: np.ndarray | None = None,
    nan: str = "propagate",
    mask: ArrayLike | None = None,
    min_weight: float = 0.0,
    preserve_nan: bool = False,
    tolerance: float | None = None,
    algorithm: str | None = None,
    threads: int | None = None,
    max_memory: int | None = None,
) -> np.ndarray:
    """Convolve an array with a kernel: ``y[j] = Σ x[stride·j - dilation·l] k[l]``, l counted from the anchor.

    The parameters, result and errors are those of `correlate`, the kernel is flipped and never conjugated.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.convolve([1, 2, 4, 8], [1, 1], mode="full")
    array([ 1,  3,  6, 12,  8])
    """
    options = (mode, padding, boundary, stride, dilation, axes, anchor)
    c = _convolution(kernel, True, options)
    try:
        return c(
            x, dtype=dtype, out=out, threads=threads, nan=nan, mask=mask, min_weight=min_weight,
            preserve_nan=preserve_nan, tolerance=tolerance, algorithm=algorithm, max_memory=max_memory,
        )  # fmt: skip
    except GeometryError:
        _kept.clear()  # a stride of 2.0, which is refused, must not be found again when it is 2
        raise


_kept: Kept[Any, Convolution] = Kept(CONVOLUTIONS_KEPT)


def _convolution(kernel: Any, flip: bool, options: tuple[Any, ...]) -> Convolution:
    """Give a described convolution, kept from an earlier call with an equal small kernel if possible."""
    key = None
    if type(kernel) is np.ndarray and kernel.size <= 4096 and not kernel.dtype.hasobject:
        key = (kernel.tobytes(), kernel.shape, kernel.dtype, flip, options)
        try:
            found = _kept.get(key)
        except TypeError:  # options given as lists do not hash
            key = None
        else:
            if found is not None:
                return found
    mode, padding, boundary, stride, dilation, axes, anchor = options
    made = Convolution(
        kernel, flip=flip, mode=mode, padding=padding, boundary=boundary, stride=stride, dilation=dilation,
        anchor=anchor, axes=axes,
    )  # fmt: skip
    if key is not None:
        _kept.keep(key, made)
    return made
