"""`Pooling`: a window operation without weights, described once for any array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from faltung import arguments
from faltung.arrays import is_dask, pooled
from faltung.errors import GeometryError
from faltung.plan.plan import as_array
from faltung.pooling import medians
from faltung.pooling.extrema import Extrema
from faltung.pooling.places import check_indices
from faltung.pooling.sums import Sums
from faltung.pooling.windows import Windows, lay, pads
from faltung.problem import boundary as boundaries
from faltung.problem import geometry
from faltung.runtime.kept import Kept
from faltung.runtime.threads import default_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    PerAxis = int | Sequence[int]
    Indexed = tuple[np.ndarray, np.ndarray]

FORMULAS = {
    "max": "max_l x[{at}]",
    "min": "min_l x[{at}]",
    "mean": "Σ_l x[{at}] / n",
    "sum": "Σ_l x[{at}]",
    "lp": "(Σ_l |x[{at}]|^{p:g})^(1/{p:g})",
    "median": "median_l x[{at}]",
}
KINDS = tuple(FORMULAS)
WINDOWS_KEPT = 32


class Pooling:
    """A pooling, described once for any array: every window of samples becomes one number.

    Parameters
    ----------
    window : int, or one per pooled axis
    kind : "max", "min", "mean", "sum", "lp" or "median"
        "lp" is (Σ|x|^p)^(1/p). The median is a sample: of n in order the one at index n // 2, as in scipy.ndimage.
    stride : int or one per axis; None takes the window's, so that windows lie side by side
    padding : int, one per axis, or one (low, high) pair per axis
    dilation : int or one per axis
    axes : the pooled axes, features too; None takes the last ones, as many as `window` has entries
    boundary : the rule for padding, as in `Convolution`
        None: padding is no sample for max, min and median, and 0 for mean, sum and lp.
    ceil_mode : bool
        Whether a last window that begins on the array (or in the padding before it) counts although it does not fit
        whole. What lies beyond the padding is never a sample.
    count_padding : bool
        Whether a mean divides by the places of a window that lie on the array and its padding, or on the array alone.
    p : positive number, the exponent of "lp"; infinity gives the largest |x|

    Raises
    ------
    BoundaryError, GeometryError, DtypeError : when the description has no meaning; the text says how to mend it.

    Examples
    --------
    >>> import numpy as np
    >>> p = Pooling((2, 2))
    >>> p
    <Pooling max 2x2: y[j] = max_l x[2·j + l]>
    >>> p(np.arange(16).reshape(4, 4))
    array([[ 5,  7],
           [13, 15]])
    >>> p.output_shape((8, 64, 56, 56))
    (8, 64, 28, 28)
    """

    def __init__(
        self,
        window: PerAxis,
        *,
        kind: str = "max",
        stride: PerAxis | None = None,
        padding: int | Sequence[int] | Sequence[tuple[int, int]] = 0,
        dilation: PerAxis = 1,
        axes: PerAxis | None = None,
        boundary: Any = None,
        ceil_mode: bool = False,
        count_padding: bool = True,
        p: float = 2,
    ) -> None:
        check_kind(kind, p)
        self.kind, self.p = kind, float(p)
        self.axes = (int(axes),) if isinstance(axes, (int, np.integer)) else None if axes is None else tuple(axes)
        rank = len(self.axes) if self.axes is not None else np.size(window)
        if rank == 0:
            msg = f"window={window!r} with axes={axes!r} pools no axis; give the window at least one entry"
            raise GeometryError(msg)
        self.window = geometry.per_axis(window, rank, "window", least=1)
        self.stride = self.window if stride is None else geometry.per_axis(stride, rank, "stride", least=1)
        self.padding = pads(padding, rank)
        self.dilation = geometry.per_axis(dilation, rank, "dilation", least=1)
        self.boundary = boundary
        self.ceil_mode, self.count_padding = bool(ceil_mode), bool(count_padding)
        self.sides = None if boundary is None else boundaries.parse(boundary, rank)
        if boundary is not None and not count_padding:
            msg = f"count_padding=False with boundary={boundary!r}, whose padding consists of samples; "
            raise GeometryError(msg + "leave one of them out")
        self._windows: Kept[tuple[int, ...], Windows] = Kept(WINDOWS_KEPT)
        self.sums = Sums(self)
        self._extrema = Extrema()

    @overload
    def __call__(self, x: ArrayLike, *, return_indices: Literal[True], threads: int | None = None) -> Indexed: ...
    @overload
    def __call__(
        self, x: ArrayLike, *, return_indices: Literal[False] = False, threads: int | None = None
    ) -> np.ndarray: ...
    @overload
    def __call__(self, x: ArrayLike, *, return_indices: bool, threads: int | None = None) -> np.ndarray | Indexed: ...
    def __call__(
        self, x: ArrayLike, *, return_indices: bool = False, threads: int | None = None
    ) -> np.ndarray | Indexed:
        """Pool an array; see `pool` for the keywords and the result."""
        if type(x) is not np.ndarray and is_dask(x):
            return pooled(self, x, return_indices=return_indices, threads=threads)
        array = x if type(x) is np.ndarray else as_array(x)
        if threads is not None:
            arguments.check_threads(threads)
        if return_indices and self.kind not in ("max", "min", "median"):
            msg = f"return_indices=True with kind={self.kind!r}, which chooses no sample; only max, min and median do"
            raise GeometryError(msg)
        windows, count = self.windows(array.shape), threads or default_threads()
        if return_indices:
            return self.chosen(array, windows, count)
        if self.kind == "median":
            return medians.median(array, windows, count)
        if self.kind in ("max", "min"):
            return self._extrema.values(array, windows, self.kind, count)
        return self.sums(array, windows, threads)

    def chosen(self, x: np.ndarray, windows: Windows, threads: int) -> Indexed:
        """Give values and indices of the samples chosen; see `pool`."""
        check_indices(windows)
        if self.kind == "median":
            return medians.chosen(x, windows, threads)
        return self._extrema.chosen(x, windows, self.kind, threads)

    def gradient(self, grad_output: ArrayLike, x: ArrayLike) -> np.ndarray:
        """Hand the gradient of the result back to the input; see `pool_gradient`."""
        from faltung.pooling.gradient import pool_gradient

        return pool_gradient(grad_output, x, self)

    def output_shape(self, shape: int | Sequence[int]) -> tuple[int, ...]:
        """Give the shape of the result for an input shape.

        >>> Pooling(3, stride=2, ceil_mode=True).output_shape((5, 6))
        (5, 3)
        """
        return self.windows(arguments.shape(shape)).output_shape

    def windows(self, shape: tuple[int, ...]) -> Windows:
        """Lay the windows over an array of a shape; GeometryError where they leave nothing, or hold no sample."""
        found = self._windows.get(shape)
        if found is None:
            found = lay(
                shape, self._named_axes(shape), self.window, self.stride, self.padding, self.dilation, self.sides,
                ceil_mode=self.ceil_mode,
            )  # fmt: skip
            self._check_samples(found)
            self._windows.keep(shape, found)
        return found

    @property
    def formula(self) -> str:
        """The operation in terms of output j and place l of the window."""
        strides, dilations = (set(values) for values in (self.stride, self.dilation))
        stride = {frozenset([1]): "j"}.get(frozenset(strides), f"{_one(strides, 'stride')}·j")
        tap = {frozenset([1]): "l"}.get(frozenset(dilations), f"{_one(dilations, 'dilation')}·l")
        return f"y[j] = {FORMULAS[self.kind].format(at=f'{stride} + {tap}', p=self.p)}"

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.window))
        defaults = Pooling(self.window, axes=self.axes)._options()
        options = self._options()
        hidden = ("window", "kind") if self.kind == "lp" else ("window", "kind", "p")
        chosen = "".join(f", {n}={v!r}" for n, v in options.items() if n not in hidden and v != defaults[n])
        axes = "" if self.axes is None else f", axes={self.axes!r}"
        return f"<Pooling {self.kind} {shape}{chosen}{axes}: {self.formula}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._options(),)

    def _options(self) -> dict[str, Any]:
        names = (
            "window", "kind", "stride", "padding", "dilation", "axes", "boundary", "ceil_mode", "count_padding", "p",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def _named_axes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        rank = len(self.window)
        if self.axes is None and len(shape) < rank:
            msg = f"the window {self.window} has {rank} axes, but the array of shape {shape} has {len(shape)}; "
            raise GeometryError(msg + "give the window at most as many as the array")
        axes = tuple(range(-rank, 0)) if self.axes is None else self.axes
        return geometry.normalize_axes(axes, len(shape), rank)

    def _check_samples(self, windows: Windows) -> None:
        """Refuse windows that hold no sample, whose largest, middle or mean is undefined."""
        needs = self.kind in ("max", "min", "median") or (self.kind == "mean" and not self.count_padding)
        if not needs or not windows.ignores:
            return
        padding = windows.sides is not None
        for name, axis, counts in zip(windows.axes, windows.along, windows.counted(padding=padding), strict=True):
            if len(counts) and counts.min() == 0:
                msg = (
                    f"output {int(counts.argmin())} on axis {name} has a window of padding alone: {axis.taps} places, "
                    f"stride {axis.stride}, dilation {axis.dilation}, padding {axis.low} before {axis.size} samples; "
                )
                raise GeometryError(msg + "pad by less than the window spans, or name a boundary rule")


def _one(values: set[int], name: str) -> str:
    return str(next(iter(values))) if len(values) == 1 else name


def check_kind(kind: Any, p: Any) -> None:
    """Refuse an unknown kind, and an exponent that makes no norm."""
    if kind not in KINDS:
        msg = f"unknown kind of pooling {kind!r}; the kinds are {', '.join(map(repr, KINDS))}"
        raise GeometryError(msg)
    number = isinstance(p, (int, float, np.integer, np.floating)) and not isinstance(p, bool)
    if not number or not p > 0:
        msg = f"p={p!r}: the exponent of Lp pooling is a positive number, or infinity for the largest |x|"
        raise GeometryError(msg)


def _rebuild(options: dict[str, Any]) -> Pooling:
    return Pooling(**options)
