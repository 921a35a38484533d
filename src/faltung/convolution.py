"""The face: `Convolution`, described once; `correlate` and `convolve`, which describe and apply in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from faltung.errors import GeometryError, PlanError
from faltung.holes import Holes, Normalised
from faltung.plan.plan import Plan, as_array
from faltung.plan.planner import Wishes
from faltung.plan.planner import plan as make_plan
from faltung.problem import boundary as boundaries
from faltung.problem import dtypes as rules
from faltung.problem import geometry
from faltung.problem.kernel import facts
from faltung.problem.problem import Problem
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, DTypeLike

    from faltung.stream import Stream

    PerAxis = int | Sequence[int]

PLANS_KEPT = 32
CONVOLUTIONS_KEPT = 128


class Convolution:
    """A convolution (or, with ``flip=False``, a correlation) with a fixed kernel, described once for any array.

    Parameters
    ----------
    kernel : array, or a list of arrays of one shape
        A list is a bank of filters: one pass over the input, the feature maps stacked along a new first axis.
    flip : bool
        True convolves, ``y[j] = Σ x[j - l] k[l]``; False correlates, ``y[j] = Σ x[j + l] conj(k[l])``, where l counts
        from the anchor.
    mode : "same", "full" or "valid"
        The extent of the output: the input's (with stride: every stride-th of it), every overlap, or only full overlap.
    padding : int, one per axis, or a (low, high) pair per axis
        Replaces the mode: samples added before and after; the output has
        ``(n + low + high - dilation·(k - 1) - 1) // stride + 1`` samples.
    boundary : rule, one per axis, or a (low, high) pair per axis
        What lies outside the array: ``zero``, ``constant:value``, ``edge``, ``reflect``, ``symmetric``, ``wrap``,
        ``antireflect``, ``antisymmetric`` as numpy.pad names them, any overhang; names of other libraries with their
        prefix (``"ndimage:reflect"``). None: symmetric for "same", zero for "full" and padding, nothing for "valid".
    stride, dilation : int or one per axis
    anchor : int or one per axis
        The index of the kernel (as given) that lies on the output sample in mode "same"; by default ``k // 2``.
    axes : the filtered axes, in the kernel's order; the others are carried along. None: all of them.

    Raises
    ------
    BoundaryError, GeometryError, DtypeError : when the description has no meaning; the text says how to mend it.

    Examples
    --------
    >>> import faltung as ft
    >>> c = ft.Convolution([1.0, 0.0, -1.0])
    >>> c([1.0, 2.0, 4.0, 8.0])
    array([1., 3., 6., 4.])
    >>> c.output_shape(10)
    (10,)
    """

    def __init__(
        self,
        kernel: ArrayLike | Sequence[ArrayLike],
        *,
        flip: bool = True,
        mode: str = "same",
        padding: int | Sequence[int] | Sequence[tuple[int, int]] | None = None,
        boundary: Any = None,
        stride: PerAxis = 1,
        dilation: PerAxis = 1,
        anchor: PerAxis | None = None,
        axes: PerAxis | None = None,
    ) -> None:
        self.kernels, self.filters = _bank(kernel)
        self.flip, self.mode, self.padding = bool(flip), mode, padding
        self.boundary, self.stride, self.dilation, self.anchor = boundary, stride, dilation, anchor
        self.axes = (int(axes),) if isinstance(axes, (int, np.integer)) else None if axes is None else tuple(axes)
        default = "symmetric" if mode == "same" and padding is None else "zero"
        self._sides = boundaries.parse(boundary, self.kernels[0].ndim, default)
        self._norm1 = max(facts(k).norm1 for k in self.kernels)
        self._plans: Kept[Any, Plan] = Kept(PLANS_KEPT)
        self._normalised: Normalised | None = None

    @property
    def kernel(self) -> np.ndarray:
        """The kernel as given (a bank: stacked), read-only."""
        return self.kernels[0] if self.filters is None else _read_only(np.stack(self.kernels))

    def __call__(
        self,
        x: ArrayLike,
        *,
        dtype: DTypeLike | None = None,
        out: np.ndarray | None = None,
        threads: int | None = None,
        nan: str = "propagate",
        mask: ArrayLike | None = None,
        min_weight: float = 0.0,
        preserve_nan: bool = False,
        tolerance: float | None = None,
        algorithm: str | None = None,
        max_memory: int | None = None,
    ) -> np.ndarray:
        """Filter an array; see `correlate` for the keywords."""
        array = x if type(x) is np.ndarray else as_array(x)
        if out is not None and dtype is None and isinstance(out, np.ndarray):
            dtype = out.dtype
        if threads is not None:
            _check_threads(threads)
        if nan != "propagate" or mask is not None or min_weight or preserve_nan:
            run = {"threads": threads, "algorithm": algorithm, "tolerance": tolerance, "max_memory": max_memory}
            return self._with_holes(array, Holes(nan, mask, min_weight, preserve_nan), dtype, out, run)
        plan = self._plans.get((array.shape, array.dtype, dtype, algorithm, tolerance, max_memory))
        if plan is None:
            plan = self.plan(
                array.shape, array.dtype, dtype, algorithm=algorithm, tolerance=tolerance, max_memory=max_memory
            )
        return plan.run(array, out, threads)

    def plan(
        self,
        shape: int | Sequence[int],
        dtype: DTypeLike = np.float32,
        out_dtype: DTypeLike | None = None,
        *,
        algorithm: str | None = None,
        tolerance: float | None = None,
        max_memory: int | None = None,
    ) -> Plan:
        """Plan the work for arrays of a shape and dtype; plans are kept for the next call.

        The keywords are those of `correlate`. Raises PlanError where no algorithm may do it.
        """
        shape = _shape(shape)
        key = (shape, np.dtype(dtype), out_dtype, algorithm, tolerance, max_memory)
        plan = self._plans.get(key)
        if plan is None:
            problem, kernels = self._problem(shape, np.dtype(dtype), out_dtype)
            plan = make_plan(problem, kernels, self._norm1, self.formula, _wishes(algorithm, tolerance, max_memory))
            self._plans.keep(key, plan)
        return plan

    def stream(self, axis: int | None = None, threads: int | None = None) -> Stream:
        """Filter an input that arrives in pieces along `axis` (the first filtered axis by default); see `Stream`.

        >>> live = Convolution([1, -1], boundary="edge").stream()
        >>> live([1, 4, 9]), live([16]), live.finish()
        (array([3, 5]), array([7]), array([0]))
        """
        from faltung.stream import Stream

        return Stream(self, axis, threads)

    def output_shape(self, shape: int | Sequence[int]) -> tuple[int, ...]:
        """Give the shape of the result for an input shape.

        >>> Convolution([[1, 2], [3, 4]], mode="valid", stride=2).output_shape((9, 10))
        (4, 5)
        """
        shape = _shape(shape)
        axes, axis_geometry = self.geometry(shape)
        sizes = geometry.output_shape(shape, axes, axis_geometry)
        return sizes if self.filters is None else (self.filters, *sizes)

    @property
    def formula(self) -> str:
        """The operation, with the sign of its index."""
        sign = "-" if self.flip else "+"
        name = "conj(k[l])" if not self.flip and any(k.dtype.kind == "c" for k in self.kernels) else "k[l]"
        lattice = "j" if self.stride == 1 else "stride·j"
        tap = "l" if self.dilation == 1 else "dilation·l"
        return f"y[j] = Σ x[{lattice} {sign} {tap}] {name}"

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.kernels[0].shape)) or "scalar"
        bank = "" if self.filters is None else f"{self.filters} x "
        defaults = {
            "mode": "same",
            "padding": None,
            "boundary": None,
            "stride": 1,
            "dilation": 1,
            "anchor": None,
            "axes": None,
        }
        chosen = "".join(f", {n}={getattr(self, n)!r}" for n, d in defaults.items() if getattr(self, n) != d)
        return f"<Convolution {bank}{shape} {self.kernels[0].dtype}{chosen}: {self.formula}>"

    def __reduce__(self) -> tuple[Any, ...]:
        kernel = self.kernels[0] if self.filters is None else list(self.kernels)
        return _rebuild, (kernel, self._options())

    @property
    def sides(self) -> tuple[boundaries.Sides, ...]:
        """The boundary as rules: one (low, high) pair for each filtered axis, in the kernel's order."""
        return self._sides

    def _with_holes(
        self, x: np.ndarray, holes: Holes, dtype: DTypeLike | None, out: np.ndarray | None, run: dict[str, Any]
    ) -> np.ndarray:
        if self._normalised is None:
            self._normalised = Normalised(self, lambda kernel, sides: self.like(kernel, boundary=sides))
        result = self._normalised(x, holes, _requested(dtype), run)
        if out is None:
            return result
        if not isinstance(out, np.ndarray) or out.shape != result.shape or not out.flags.writeable:
            given = getattr(out, "shape", type(out).__name__)
            msg = f"out must be a writable array of shape {result.shape} and dtype {result.dtype}, not {given}"
            raise GeometryError(msg)
        out[...] = result
        return out

    def like(self, kernel: Any, **changed: Any) -> Convolution:
        """Describe the same operation with another kernel, or with other options."""
        return Convolution(kernel, **{**self._options(), **changed})

    def _options(self) -> dict[str, Any]:
        names = ("flip", "mode", "padding", "boundary", "stride", "dilation", "anchor", "axes")
        return {name: getattr(self, name) for name in names}

    def geometry(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[geometry.Axis, ...]]:
        """Give the filtered axes of an array, in the kernel's order, and the geometry of each."""
        kernel_shape = self.kernels[0].shape
        axes = geometry.normalize_axes(self.axes, len(shape), len(kernel_shape))
        sizes = tuple(shape[axis] for axis in axes)
        return axes, geometry.resolve(
            sizes, kernel_shape, mode=self.mode, padding=self.padding, stride=self.stride, dilation=self.dilation,
            anchor=self.anchor, flip=self.flip,
        )  # fmt: skip

    def _problem(
        self, shape: tuple[int, ...], dtype: np.dtype, out_dtype: DTypeLike | None
    ) -> tuple[Problem, list[np.ndarray]]:
        axes, axis_geometry = self.geometry(shape)
        kernel_dtype = np.result_type(*self.kernels)
        dtypes = rules.resolve(dtype, kernel_dtype, _requested(out_dtype))
        # The compiled loops want ascending axes; the kernel's axes move along.
        order = sorted(range(len(axes)), key=axes.__getitem__)
        problem = Problem(
            shape,
            tuple(axes[i] for i in order),
            tuple(axis_geometry[i] for i in order),
            tuple(self._sides[i] for i in order),
            dtypes,
            self.filters,
        )
        kernels = []
        for kernel in self.kernels:
            flipped = np.flip(kernel) if self.flip else kernel.conj() if kernel.dtype.kind == "c" else kernel
            kernels.append(flipped.transpose(order))
        return problem, kernels


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
        None allows exact methods, 1e-4 in float32 and 1e-13 in float64; naming one opens approximate methods.
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
    return _convolution(kernel, False, options)(
        x, dtype=dtype, out=out, threads=threads, nan=nan, mask=mask, min_weight=min_weight,
        preserve_nan=preserve_nan, tolerance=tolerance, algorithm=algorithm, max_memory=max_memory,
    )  # fmt: skip


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
    return _convolution(kernel, True, options)(
        x, dtype=dtype, out=out, threads=threads, nan=nan, mask=mask, min_weight=min_weight,
        preserve_nan=preserve_nan, tolerance=tolerance, algorithm=algorithm, max_memory=max_memory,
    )  # fmt: skip


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


def _bank(kernel: Any) -> tuple[tuple[np.ndarray, ...], int | None]:
    """Tell one kernel from a list of kernels (arrays or filters), and keep read-only copies."""
    if isinstance(kernel, (list, tuple)) and kernel and all(hasattr(k, "__array__") and np.ndim(k) for k in kernel):
        arrays = tuple(_read_only(np.array(as_array(k))) for k in kernel)
        shapes = {a.shape for a in arrays}
        if len(shapes) > 1:
            msg = (
                f"a bank needs kernels of one shape, but was given {sorted(shapes)}; pad them to the largest with zeros"
            )
            raise GeometryError(msg)
        return arrays, len(arrays)
    return (_read_only(np.array(as_array(kernel))),), None


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _requested(dtype: DTypeLike | None) -> np.dtype | Literal["input"] | None:
    if dtype is None:
        return None
    return "input" if isinstance(dtype, str) and dtype == "input" else np.dtype(dtype)


def _shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)


def _wishes(algorithm: str | None, tolerance: Any, max_memory: Any) -> Wishes:
    for name, value in (("tolerance", tolerance), ("max_memory", max_memory)):
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value < float("inf")):
            msg = f"{name} must be a number of at least 0, or None for the default, not {value!r}"
            raise PlanError(msg)
    return Wishes(algorithm, tolerance, max_memory)


def _check_threads(threads: Any) -> None:
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        msg = f"threads must be a positive integer or None (all CPUs), not {threads!r}"
        raise GeometryError(msg)


def _rebuild(kernel: Any, options: dict[str, Any]) -> Convolution:
    return Convolution(kernel, **options)
