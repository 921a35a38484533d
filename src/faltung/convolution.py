"""The face: `Convolution`, described once for any array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung import arguments
from faltung.arrays import is_dask, lazily
from faltung.errors import GeometryError
from faltung.holes import Holes, Normalised
from faltung.plan.plan import Plan, as_array
from faltung.plan.planner import plan as make_plan
from faltung.problem import boundary as boundaries
from faltung.problem import dtypes as rules
from faltung.problem import geometry
from faltung.problem.kernel import facts
from faltung.problem.problem import Channels, Problem
from faltung.runtime.kept import Kept
from faltung.views import Views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, DTypeLike

    PerAxis = int | Sequence[int]

PLANS_KEPT = 32


class Convolution(Views):
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
    channels : bool
        True describes a layer: the kernel is (C_out, C_in/groups, *window), the input (*batch, C_in, *sizes), the
        output (*batch, C_out, *sizes). Each output channel sums over the input channels of its group, and no kernel is
        conjugated.
    groups : int
        Into how many groups of equal size the channels fall.

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
        channels: bool = False,
        groups: int = 1,
    ) -> None:
        self.channels, self.groups = bool(channels), groups
        if anchor is None and mode == "same" and padding is None and not channels:
            anchor = arguments.own_anchor(kernel)
        self.kernels, self.filters = arguments.layer(kernel, groups) if channels else arguments.bank(kernel)
        self.window = self.kernels[0].shape[1:] if channels else self.kernels[0].shape
        self.flip, self.mode, self.padding = bool(flip), mode, padding
        self.boundary, self.stride, self.dilation, self.anchor = boundary, stride, dilation, anchor
        self.axes = (int(axes),) if isinstance(axes, (int, np.integer)) else None if axes is None else tuple(axes)
        arguments.check_layer(self)
        default = "symmetric" if mode == "same" and padding is None else "zero"
        self._sides = boundaries.parse(boundary, len(self.window), default)
        self._norm1 = max(facts(k).norm1 for k in self.kernels)
        self._plans: Kept[Any, Plan] = Kept(PLANS_KEPT)
        self._normalised: Normalised | None = None

    @property
    def kernel(self) -> np.ndarray:
        """The kernel as given (a bank: stacked), read-only."""
        many = self.filters is not None or self.channels
        return arguments.read_only(np.stack(self.kernels)) if many else self.kernels[0]

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
        holes = None
        if nan != "propagate" or mask is not None or min_weight or preserve_nan:
            holes = self._prepared(), Holes(nan, mask, min_weight, preserve_nan)
        if type(x) is not np.ndarray and is_dask(x):
            return lazily(
                self, x, dtype=dtype, out=out, threads=threads, holes=holes, tolerance=tolerance, algorithm=algorithm,
                max_memory=max_memory,
            )  # fmt: skip
        array = x if type(x) is np.ndarray else as_array(x)
        if out is not None and dtype is None and isinstance(out, np.ndarray):
            dtype = out.dtype
        if threads is not None:
            arguments.check_threads(threads)
        if holes is not None:
            run = {"threads": threads, "algorithm": algorithm, "tolerance": tolerance, "max_memory": max_memory}
            return self._stored(holes[0](array, holes[1], arguments.requested(dtype), run), out)
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
        shape = arguments.shape(shape)
        key = (shape, np.dtype(dtype), out_dtype, algorithm, tolerance, max_memory)
        plan = self._plans.get(key)
        if plan is None:
            problem, kernels = self._problem(shape, np.dtype(dtype), out_dtype)
            plan = make_plan(
                problem, kernels, self._norm1, self.formula, arguments.wishes(algorithm, tolerance, max_memory)
            )
            self._plans.keep(key, plan)
        return plan

    def output_shape(self, shape: int | Sequence[int]) -> tuple[int, ...]:
        """Give the shape of the result for an input shape.

        >>> Convolution([[1, 2], [3, 4]], mode="valid", stride=2).output_shape((9, 10))
        (4, 5)
        """
        shape = arguments.shape(shape)
        axes, axis_geometry = self.geometry(shape)
        sizes = geometry.output_shape(shape, axes, axis_geometry)
        if self.channels:
            at = len(shape) - len(self.window) - 1
            return (*sizes[:at], len(self.kernels), *sizes[at + 1 :])
        return sizes if self.filters is None else (self.filters, *sizes)

    @property
    def formula(self) -> str:
        """The operation, with the sign of its index."""
        sign = "-" if self.flip else "+"
        name = "conj(k[l])" if not self.flip and any(k.dtype.kind == "c" for k in self.kernels) else "k[l]"
        lattice = "j" if self.stride == 1 else "stride·j"
        tap = "l" if self.dilation == 1 else "dilation·l"
        if self.channels:
            return f"y[o, j] = Σ x[c, {lattice} {sign} {tap}] k[o, c, l]"
        return f"y[j] = Σ x[{lattice} {sign} {tap}] {name}"

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.window)) or "scalar"
        bank = "" if self.filters is None else f"{self.filters} x "
        if self.channels:
            bank = f"{self.kernels[0].shape[0] * self.groups} -> {len(self.kernels)} channels, "
        defaults = {
            "mode": "same",
            "padding": None,
            "boundary": None,
            "stride": 1,
            "dilation": 1,
            "anchor": None,
            "axes": None,
            "groups": 1,
        }
        chosen = "".join(f", {n}={getattr(self, n)!r}" for n, d in defaults.items() if getattr(self, n) != d)
        return f"<Convolution {bank}{shape} {self.kernels[0].dtype}{chosen}: {self.formula}>"

    def __reduce__(self) -> tuple[Any, ...]:
        kernel = self.kernel if self.filters is None else list(self.kernels)
        return _rebuild, (kernel, self._options())

    @property
    def sides(self) -> tuple[boundaries.Sides, ...]:
        """The boundary as rules: one (low, high) pair for each filtered axis, in the kernel's order."""
        return self._sides

    def _prepared(self) -> Normalised:
        """Prepare for missing samples."""
        if self.channels:
            msg = "nan, mask, min_weight and preserve_nan are for filters, whose taps weigh; a layer has none of them"
            raise GeometryError(msg)
        if self._normalised is None:
            self._normalised = Normalised(self, lambda kernel, sides: self.like(kernel, boundary=sides))
        return self._normalised

    def _stored(self, result: np.ndarray, out: np.ndarray | None) -> np.ndarray:
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
        names = ("flip", "mode", "padding", "boundary", "stride", "dilation", "anchor", "axes", "channels", "groups")
        return {name: getattr(self, name) for name in names}

    def geometry(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[geometry.Axis, ...]]:
        """Give the filtered axes of an array, in the kernel's order, and the geometry of each."""
        kernel_shape = self.window
        if self.channels:
            arguments.check_input(self, shape)
            axes = tuple(range(len(shape) - len(kernel_shape), len(shape)))
        else:
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
        dtypes = rules.resolve(dtype, kernel_dtype, arguments.requested(out_dtype))
        # The compiled loops want ascending axes; the kernel's axes move along.
        order = sorted(range(len(axes)), key=axes.__getitem__)
        problem = Problem(
            shape,
            tuple(axes[i] for i in order),
            tuple(axis_geometry[i] for i in order),
            tuple(self._sides[i] for i in order),
            dtypes,
            self.filters,
            Channels(axes[0] - 1, self.groups, len(self.kernels)) if self.channels else None,
        )
        if self.channels:
            along = tuple(range(1, 1 + len(axes)))
            return problem, [np.flip(k, along) if self.flip else k for k in self.kernels]
        kernels = []
        for kernel in self.kernels:
            flipped = np.flip(kernel) if self.flip else kernel.conj() if kernel.dtype.kind == "c" else kernel
            kernels.append(flipped.transpose(order))
        return problem, kernels


def _rebuild(kernel: Any, options: dict[str, Any]) -> Convolution:
    return Convolution(kernel, **options)
