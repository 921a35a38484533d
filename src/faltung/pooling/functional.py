"""Describe and pool in one call: `pool`, and a name for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from faltung.pooling.description import Pooling
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike

    PerAxis = int | Sequence[int]
    Indexed = tuple[np.ndarray, np.ndarray]
    Padding = int | Sequence[int] | Sequence[tuple[int, int]]

POOLINGS_KEPT = 128


def pool(
    x: ArrayLike,
    window: PerAxis,
    kind: str = "max",
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    axes: PerAxis | None = None,
    boundary: Any = None,
    *,
    ceil_mode: bool = False,
    count_padding: bool = True,
    p: float = 2,
    return_indices: bool = False,
    threads: int | None = None,
) -> Any:
    """Pool an array: ``y[j] = max_l x[stride·j + dilation·l]``, or another kind of summary of each window.

    Parameters
    ----------
    x : array of any rank, layout and real or integer dtype (complex too for mean, sum and lp)
        Of a Dask array the result is one, and lazy; for Lp norms, odd boundary rules and indices it is refused.
    window, kind, stride, padding, dilation, axes, boundary, ceil_mode, count_padding, p
        As in `Pooling`.
    return_indices : bool
        Whether to say as well which sample was chosen (max, min and median): its flat index in C order into the pooled
        axes, in the order in which the array has them; -1 stands for a boundary's constant. Of equal samples the first
        in the window is chosen, of several NaN the last one (by a median the first).
    threads : how many threads; None takes all CPUs of this process.

    Returns
    -------
    array, or (array, int64 array of its shape)
        (size + padding - dilation·(window - 1) - 1) // stride + 1 windows along each pooled axis. Max, min and median
        are samples, in the array's dtype (where an odd boundary rule extrapolates integers, in that of sums). Sums and
        means have the dtypes of convolutions with an integer and a real kernel: int32 and float32 for 8- and 16-bit
        integers, int64 and float64 for wider ones, floats stay. Half floats are computed in float32, and Lp norms in
        float64, where |x|^p must not overflow. A window that holds a NaN gives NaN.
        Sums of floats have the error of `correlate` with a kernel of ones, means one rounding more; all else is exact.

    Raises
    ------
    GeometryError, BoundaryError, DtypeError
        For shapes, rules and dtypes that have no meaning, windows that hold no sample, and integer sums that overflow.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1, 2, 0, 4], [5, 3, 1, 1]])
    >>> pool(x, (2, 2))
    array([[5, 4]])
    >>> values, indices = pool(x, (2, 2), return_indices=True)
    >>> indices, x.ravel()[indices]
    (array([[4, 3]]), array([[5, 4]]))
    >>> pool(x, 2, "mean", stride=1, axes=0)
    array([[3. , 2.5, 0.5, 2.5]])
    """
    options = (window, kind, stride, padding, dilation, axes, boundary, ceil_mode, count_padding, p)
    return _pooling(options)(x, return_indices=return_indices, threads=threads)


@overload
def max_pool(x: ArrayLike, window: PerAxis, *, return_indices: Literal[True], **options: Any) -> Indexed: ...
@overload
def max_pool(x: ArrayLike, window: PerAxis, **options: Any) -> np.ndarray: ...
def max_pool(x: ArrayLike, window: PerAxis, **options: Any) -> np.ndarray | Indexed:
    """Give the largest sample of every window; the options are those of `pool`.

    >>> max_pool([1, 5, 2, 2, 9, 0], 2)
    array([5, 2, 9])
    """
    return pool(x, window, "max", **options)  # type: ignore[no-any-return]


@overload
def min_pool(x: ArrayLike, window: PerAxis, *, return_indices: Literal[True], **options: Any) -> Indexed: ...
@overload
def min_pool(x: ArrayLike, window: PerAxis, **options: Any) -> np.ndarray: ...
def min_pool(x: ArrayLike, window: PerAxis, **options: Any) -> np.ndarray | Indexed:
    """Give the smallest sample of every window; the options are those of `pool`.

    >>> min_pool([1, 5, 2, 2, 9, 0], 2)
    array([1, 2, 0])
    """
    return pool(x, window, "min", **options)  # type: ignore[no-any-return]


def mean_pool(x: ArrayLike, window: PerAxis, **options: Any) -> np.ndarray:
    """Give the mean of every window; the options are those of `pool`.

    >>> mean_pool([1.0, 5.0, 2.0, 2.0], 2)
    array([3., 2.])
    """
    return pool(x, window, "mean", **options)  # type: ignore[no-any-return]


def sum_pool(x: ArrayLike, window: PerAxis, **options: Any) -> np.ndarray:
    """Give the sum of every window; the options are those of `pool`.

    >>> sum_pool([1, 5, 2, 2], 3, stride=1)
    array([8, 9])
    """
    return pool(x, window, "sum", **options)  # type: ignore[no-any-return]


def lp_pool(x: ArrayLike, window: PerAxis, p: float = 2, **options: Any) -> np.ndarray:
    """Give the Lp norm (Σ|x|^p)^(1/p) of every window; the options are those of `pool`.

    >>> lp_pool([3.0, -4.0, 6.0, 8.0], 2)
    array([ 5., 10.])
    """
    return pool(x, window, "lp", p=p, **options)  # type: ignore[no-any-return]


@overload
def median_pool(x: ArrayLike, window: PerAxis, *, return_indices: Literal[True], **options: Any) -> Indexed: ...
@overload
def median_pool(x: ArrayLike, window: PerAxis, **options: Any) -> np.ndarray: ...
def median_pool(x: ArrayLike, window: PerAxis, **options: Any) -> np.ndarray | Indexed:
    """Give the median of every window, the upper one of two in the middle; the options are those of `pool`.

    >>> median_pool([1, 5, 2, 2, 9, 0], 3)
    array([2, 2])
    """
    return pool(x, window, "median", **options)  # type: ignore[no-any-return]


_kept: Kept[Any, Pooling] = Kept(POOLINGS_KEPT)


def _pooling(options: tuple[Any, ...]) -> Pooling:
    """Give a described pooling, kept from an earlier call if possible."""
    try:
        found = _kept.get(options)
    except TypeError:  # options given as lists do not hash
        return _describe(options)
    if found is None:
        found = _describe(options)
        _kept.keep(options, found)
    return found


def _describe(options: tuple[Any, ...]) -> Pooling:
    names = ("kind", "stride", "padding", "dilation", "axes", "boundary", "ceil_mode", "count_padding", "p")
    return Pooling(options[0], **dict(zip(names, options[1:], strict=True)))
