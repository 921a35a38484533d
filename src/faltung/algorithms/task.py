"""What an algorithm is asked, and what it answers: a recipe with its cost and bound, or a rejection with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faltung.algorithms.held import Intervals
    from faltung.problem.kernel import KernelFacts
    from faltung.problem.problem import Problem
    from faltung.runtime.regions import Box


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One real-valued problem with its kernels: what is loaded, what is summed up in, what is stored.

    `problem.dtypes` are real; `load` is the dtype of the array handed to `Method.run`. `kernels` is the bank, flipped,
    in the order of `problem.axes`; `tolerance` is the error allowed, as a multiple of ‖kernel‖₁ · max|x|. Only where
    the caller named it himself (`approximate`) may a method leave out parts of the kernel to save time.
    """

    problem: Problem
    load: np.dtype
    kernels: tuple[np.ndarray, ...]
    facts: tuple[KernelFacts, ...]
    tolerance: float
    approximate: bool = False


class Method(Protocol):
    """An algorithm prepared for a task."""

    load_dtype: np.dtype
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]

    def run(self, source: np.ndarray, out: np.ndarray, threads: int, /) -> None:
        """Fill `out`, C-contiguous (kernels, *out_shape), from `source` (in_shape), a line of which is contiguous."""
        ...

    def shortcut(self) -> Callable[[np.ndarray, np.ndarray], None] | None:
        """Give a quick way from a small C-contiguous input to a C-contiguous output, if there is one."""
        ...

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, as (topic, text) pairs."""
        ...


class Reweighable(Method, Protocol):
    """A method for which the values of the weights are data that may change from call to call."""

    def reweighed(self, weight: np.ndarray, /) -> Reweighable:
        """Give the same method for other real weights (groups, C_out/groups, C_in/groups, *window), any strides.

        It is for one call, before the next time that weights change in the same thread.
        """
        ...


class Finishing(Method, Protocol):
    """A method that can do to its sums what follows them in a layer, before they are stored."""

    def finished(self, bias: np.ndarray | None, activation: str | None, /) -> Method | None:
        """Give the same method with bias (C_out,) and activation, for one call; None if it has not this one."""
        ...


class Divided(Method, Protocol):
    """A method whose arithmetic depends on roles of the axes, which a part of the problem must keep (see `parts`)."""

    def part(self, problem: Problem, /) -> Method:
        """Give the same arithmetic for a part of the problem."""
        ...


class Anchored(Method, Protocol):
    """A method whose outputs depend on the tile they lie in, so that tiles are computed whole."""

    def samples(self, box: Box, /) -> tuple[Intervals, ...]:
        """Give the samples that a box of one map needs, axis by axis."""
        ...

    def run_box(
        self, source: np.ndarray, box: Box, samples: tuple[Intervals, ...], out: np.ndarray, threads: int, /
    ) -> None:
        """Fill `out` (kernels, *box) from a block of these samples, which hold those that the box needs."""
        ...

    def grain(self) -> tuple[int, ...]:
        """Give the outputs along each axis of a map that are best computed together."""
        ...

    def box_workspace(self) -> int:
        """Give the scratch bytes that each thread needs for a box."""
        ...


def is_reweighable(method: Method) -> TypeGuard[Reweighable]:
    """Tell methods that do not look at the values of the weights."""
    return hasattr(method, "reweighed")


def reweighable(method: Method) -> Reweighable:
    """Give a method that is known to be one of those."""
    assert is_reweighable(method)
    return method


def is_finishing(method: Method) -> TypeGuard[Finishing]:
    """Tell methods that can apply a bias and an activation."""
    return hasattr(method, "finished")


def is_divided(method: Method) -> TypeGuard[Divided]:
    """Tell what makes its own parts."""
    return hasattr(method, "part")


def is_anchored(method: Method) -> TypeGuard[Anchored]:
    """Tell what works in tiles that no region may move."""
    return hasattr(method, "run_box")


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """A way to solve a task.

    `nanoseconds` is the predicted time of one thread, `workspace` the scratch bytes of each thread. `error` bounds
    |result - exact| before the store rounds, and `expected` is its rms for independent roundings, as multiples of
    max|x| and rms(x). `arithmetic` names everything that decides the bits, `structure` what was found in the
    kernel, `prepare` makes the method. `relative` says that a sum of products of one sign has an error relative to
    itself, however small it is.
    """

    algorithm: str
    nanoseconds: float
    workspace: int
    error: float
    expected: float
    arithmetic: tuple[Any, ...]
    prepare: Callable[[], Method]
    structure: Sequence[str] = field(default=())
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an algorithm does not serve a task; `reason` completes "fourier: not used, because ..."."""

    algorithm: str
    reason: str


def unit_roundoff(accumulate: np.dtype) -> float:
    """Give the largest relative error of one rounding; integers are exact."""
    return float(np.finfo(accumulate).eps) / 2 if accumulate.kind in "fc" else 0.0


def gamma(roundings: int, unit: float) -> float:
    """Bound the relative error of that many roundings in a row: n·u / (1 - n·u) (Higham 2002, lemma 3.1).

    >>> gamma(3, 2.0**-53) > 3 * 2.0**-53
    True
    """
    return roundings * unit / (1 - roundings * unit)
