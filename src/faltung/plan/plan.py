"""The plan: how one problem is solved. It runs on any array of its shape and dtype, and explains itself."""

from __future__ import annotations

import copy
import hashlib
import math
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.algorithms.task import is_finishing, is_reweighable, reweighable
from faltung.errors import DtypeError, GeometryError
from faltung.plan import moving
from faltung.plan.explain import explain
from faltung.plan.regional import Regional
from faltung.problem import dtypes as rules
from faltung.runtime.kept import Kept
from faltung.runtime.threads import default_threads
from faltung.runtime.workspace import aligned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.algorithms.task import Method, Recipe, Rejection, Task
    from faltung.plan.bounds import Bounds
    from faltung.problem.problem import Problem


ALIGN_FROM = 1 << 20
PARTS_KEPT = 32


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One real component of the input: the method that filters it (constants differ), its real maps, and its task."""

    method: Method
    maps: int
    task: Task

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one real map."""
        return self.task.problem.map_shape


class Plan(Regional):
    """How one problem is solved, made by `Convolution.plan`.

    Call it with an array of the problem's shape and dtype; `explain()` says what will happen, `signature` names the
    arithmetic: plans with equal signatures give equal bits.
    """

    def __init__(
        self,
        problem: Problem,
        planes: Sequence[Plane],
        store: np.dtype,
        bounds: Bounds,
        formula: str,
        *,
        recipe: Recipe,
        others: Sequence[Recipe | Rejection],
        reach: int,
    ) -> None:
        self.problem, self.planes, self.bounds, self.formula = problem, tuple(planes), bounds, formula
        self.recipe, self.others = recipe, tuple(others)
        self.store, self.reach = store, reach
        constants = [rule.value for sides in problem.boundary for rule in sides if rule.name == "constant"]
        self._largest_constant = max((abs(int(value.real)) for value in constants), default=0)
        # Integers whose sums could overflow for some data are scanned on every call.
        unsure = self._largest_constant > 0 or not rules.check_overflow(problem.dtypes, reach, None)
        self._scans = unsure and problem.dtypes.accumulate.kind == "i"
        method = planes[0].method
        self.plain = (
            len(planes) == 1
            and problem.dtypes.output == store
            and problem.dtypes.input == method.load_dtype
            and not self._scans
        )
        self._shortcut = method.shortcut() if self.plain else None
        self._shape, self._output = problem.output_shape, problem.dtypes.output
        #: Methods prepared for parts of the output, by plane and problem.
        self.part_methods: Kept[tuple[int, Problem], Method] = Kept(PARTS_KEPT)
        self._stack = (problem.filters or 1, *method.out_shape)

    def __call__(self, x: np.ndarray, out: np.ndarray | None = None, threads: int | None = None) -> np.ndarray:
        """Filter an array of the plan's shape and dtype (see `faltung.correlate` for `out` and `threads`)."""
        problem = self.problem
        if x.shape != problem.shape or x.dtype != problem.dtypes.input:
            msg = (
                f"this plan is for an array of shape {problem.shape} and dtype {problem.dtypes.input}, "
                f"but was given {x.shape} and {x.dtype}; make another with Convolution.plan(shape, dtype)"
            )
            raise GeometryError(msg)
        return self.run(x, out, threads)

    def run(self, x: np.ndarray, out: np.ndarray | None, threads: int | None) -> np.ndarray:
        """Do the same for an array already known to fit."""
        if self._shortcut is not None and x.flags.c_contiguous:
            if out is None:
                out = np.empty(self._shape, self._output)
            # (The input is gathered before anything is written, so the output may overlap it.)
            if type(out) is np.ndarray and out.dtype == self._output and out.shape == self._shape and out.flags.carray:
                self._shortcut(x, out)
                return out
        target = self._new_output() if out is None else self._checked_out(x, out)
        count = threads or default_threads()
        if self.plain:
            self._run_plane(self.planes[0], x, target.reshape(self._stack), count)
        else:
            self._run_composed(x, target, count)
        if out is not None and target is not out:
            out[...] = target
        return target if out is None else out

    @property
    def takes_weights(self) -> bool:
        """Whether `with_weights` serves: for sums in real numbers, by methods that do not look at the weights."""
        return self.problem.dtypes.accumulate.kind == "f" and all(is_reweighable(p.method) for p in self.planes)

    def with_weights(self, weight: np.ndarray) -> Plan:
        """Give the same plan of a layer for other weights (groups, C_out/groups, C_in/groups, *window), any strides.

        It is for one call, before any other plan of this thread is given weights: packed, they share memory.
        `error_bound`, `explain` and `token` stay those of the weights it was made with.
        """
        other = copy.copy(self)
        other.planes = tuple(
            replace(plane, method=reweighable(plane.method).reweighed(weight)) for plane in self.planes
        )
        other._shortcut = None
        return other

    def finished(self, bias: np.ndarray | None, activation: str | None) -> Plan | None:
        """Give a plan of `with_weights` that adds a bias (C_out,) and applies an activation before it stores a sum.

        It is None where the method does not do that, or stores something else than the output.
        """
        method = self.planes[0].method
        made = method.finished(bias, activation) if self.plain and is_finishing(method) else None
        if made is None:
            return None
        other = copy.copy(self)
        other.planes = (replace(self.planes[0], method=made),)
        return other

    @cached_property
    def token(self) -> str:
        """Name problem, kernels and arithmetic: plans with equal tokens are the same function."""
        return moving.token(self)

    def __dask_tokenize__(self) -> str:
        return self.token

    def __copy__(self) -> Plan:
        """Give a plan of its own with the same parts; pickling, which copy would do, finds one that is shared."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return moving.reduced(self)

    @property
    def signature(self) -> str:
        """Name the arithmetic: equal signatures give equal bits, whatever the threads, layout or alignment.

        It covers the problem and the algorithm's arithmetic, but neither the data nor the kernel's values.
        """
        return hashlib.sha256(repr((self.problem, self.recipe.arithmetic)).encode()).hexdigest()[:16]

    @property
    def error_bound(self) -> float:
        """Bound the error of any output, as a multiple of max|x| (boundary constants count).

        For sums of n taps it is γ_{n+2} · ‖kernel‖₁ · growth with γ_n = n·u / (1 - n·u), u the accumulator's unit
        roundoff (Higham 2002, section 3.1), growth 1 or what odd boundary rules extrapolate to; other algorithms have
        their own. Complex numbers and the rounding to a narrower output add to it. Sums of integers are exact: 0.
        """
        return self.bounds.error

    def explain(self) -> str:
        """Describe problem, algorithm, loops, memory, error bound, and why no other algorithm was taken."""
        return explain(self)

    def _repr_html_(self) -> str:
        from faltung.plot.html import plan

        return plan(self)

    def __repr__(self) -> str:
        problem = self.problem
        return f"<Plan {problem.shape} {problem.dtypes.input} -> {problem.output_shape} {problem.dtypes.output}>"

    def _checked_out(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        problem = self.problem
        if not isinstance(out, np.ndarray) or out.shape != problem.output_shape or out.dtype != problem.dtypes.output:
            given = f"{getattr(out, 'shape', type(out).__name__)} {getattr(out, 'dtype', '')}".strip()
            msg = f"out must be an array of shape {problem.output_shape} and dtype {problem.dtypes.output}, not {given}"
            raise GeometryError(msg)
        if not out.flags.writeable:
            msg = "out is read-only; give a writable array, or leave out= away"
            raise GeometryError(msg)
        if not out.flags.c_contiguous or not out.dtype.isnative or np.may_share_memory(x, out):
            return self._new_output()
        return out

    def _new_output(self) -> np.ndarray:
        size = self._output.itemsize * math.prod(self._shape)
        # Aligned outputs can be stored past the caches; small ones need not be.
        return aligned(self._shape, self._output) if size >= ALIGN_FROM else np.empty(self._shape, self._output)

    def _run_plane(self, plane: Plane, x: np.ndarray, stack: np.ndarray, threads: int) -> None:
        source = x.reshape(plane.method.in_shape)
        if source.dtype != plane.method.load_dtype:
            source = source.astype(plane.method.load_dtype)
        if source.ndim and source.strides[-1] != source.itemsize:
            source = np.ascontiguousarray(source)
        plane.method.run(source, stack, threads)

    def _run_composed(self, x: np.ndarray, target: np.ndarray, threads: int) -> None:
        """Run what is not computed in the types of input and output themselves."""

        def run_plane(plane: Plane, part: np.ndarray) -> np.ndarray:
            stack = np.empty((plane.maps, *plane.method.out_shape), self.store)
            self._run_plane(plane, part, stack, threads)
            return stack.reshape(plane.maps, *plane.shape)

        self.compose(x, target.reshape(self.problem.filters or 1, *self.problem.map_shape), run_plane)

    def compose(self, x: np.ndarray, target: np.ndarray, run_plane: Callable[[Plane, np.ndarray], np.ndarray]) -> None:
        """Scan integers, split complex numbers, run the planes, and fill `target` (filters, *maps)."""
        if self._scans and x.size:
            largest = max(abs(int(x.max())), abs(int(x.min())), self._largest_constant)
            rules.check_overflow(self.problem.dtypes, self.reach, largest)
        parts = _parts(x, len(self.planes))
        results = [run_plane(plane, part) for part, plane in zip(parts, self.planes, strict=True)]
        if x.dtype.kind == "c" and len(results) == 1:
            results = [results[0][..., 0], results[0][..., 1]]
        with np.errstate(invalid="ignore", over="ignore"):
            _combine(results, target)


def _parts(x: np.ndarray, planes: int) -> tuple[np.ndarray, ...]:
    """Give the real arrays that are filtered: the input, its two parts, or both as a last axis of pairs."""
    if x.dtype.kind != "c":
        return (x,)
    if planes == 2:
        return x.real, x.imag
    pairs = np.ascontiguousarray(x, x.dtype.newbyteorder("=")).view(f"f{x.itemsize // 2}")
    return (pairs.reshape(*x.shape, 2),)


def _combine(results: list[np.ndarray], target: np.ndarray) -> None:
    """Put real feature maps together: kernels' real parts come first, then their imaginary parts."""
    filters = len(target)
    real, complex_kernel = results[0], len(results[0]) > filters
    if target.dtype.kind != "c" or (len(results) == 1 and not complex_kernel):
        target[...] = real
        return
    if len(results) == 1:
        target.real, target.imag = real[:filters], real[filters:]
        return
    imag = results[1]
    if not complex_kernel:
        target.real, target.imag = real, imag
        return
    target.real = real[:filters] - imag[filters:]
    target.imag = real[filters:] + imag[:filters]


def as_array(x: Any) -> np.ndarray:
    """Turn anything array-like into an array; what would lose information is refused."""
    # Nobody has a masked array who has not imported numpy.ma, which takes as long as all of faltung.
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(x, masked.MaskedArray):
        msg = "a masked array would lose its mask; fill it (x.filled(...)), or pass x.data if the mask does not matter"
        raise DtypeError(msg)
    return np.asarray(x)
