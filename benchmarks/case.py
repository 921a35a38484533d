"""A case: what is computed, on which data, and what is promised about its speed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from faltung import filters

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = np.ndarray[Any, Any]

# How a view is cut from a larger array: the factor and the margin by which that array is larger, and the cut.
VIEWS: dict[str, tuple[tuple[int, int], int, tuple[slice, slice]]] = {
    "crop": ((1, 1), 7, (slice(3, -4), slice(4, -3))),
    "rows": ((2, 1), 0, (slice(None, None, 2), slice(None))),
    "columns": ((1, 2), 0, (slice(None), slice(None, None, 2))),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A correlation in mode "same", with targets {peer: least ratio of its time to ours}; for "sgemm", of the rates."""

    group: str
    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    dtype: str = "float32"
    weights: str = "float32"
    rounded: bool = False  # the result has the input's dtype, rounded and saturated
    boundary: str = "reflect"
    stride: int = 1
    dilation: int = 1
    axes: tuple[int, ...] | None = None
    view: str = "plain"
    design: str = "random"  # or "gaussian:SIGMA", "box"
    limits: bool = True  # time the sgemm and the copy in the same rounds
    targets: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        words = [self.dtype, "x".join(map(str, self.shape)), "kernel " + "x".join(map(str, self.kernel))]
        words += [self.weights] if self.weights != self.dtype else []
        words += ["rounded"] if self.rounded else []
        words += [self.design] if self.design != "random" else []
        words += [self.boundary]
        words += [f"stride {self.stride}"] if self.stride > 1 else []
        words += [f"dilation {self.dilation}"] if self.dilation > 1 else []
        return " ".join([*words, *([self.view] if self.view != "plain" else [])])

    @property
    def filtered(self) -> tuple[int, ...]:
        return tuple(range(len(self.shape))) if self.axes is None else self.axes

    @property
    def asked(self) -> dict[str, Any]:
        """The keywords that faltung and its definition share."""
        return {"boundary": self.boundary, "stride": self.stride, "dilation": self.dilation, "axes": self.axes}

    @property
    def strided(self) -> tuple[slice, ...]:
        """What a peer without stride keeps of its dense result: a view."""
        return tuple(slice(None, None, self.stride if a in self.filtered else 1) for a in range(len(self.shape)))

    def data(self) -> tuple[Array, Array]:
        """Draw the array and the kernel; the same case always gets the same."""
        generator = np.random.default_rng(crc32(self.name.encode()))
        kernel = _kernel(self, generator)
        if self.rounded:  # a mean, so that little saturates
            kernel = np.abs(kernel) / np.abs(kernel).sum()
        if self.view in VIEWS:
            factors, margin, cut = VIEWS[self.view]
            larger = tuple(n * f + margin for n, f in zip(self.shape, factors, strict=True))
            return _draw(generator, larger, np.dtype(self.dtype), 1000)[cut], kernel
        x = _draw(generator, self.shape, np.dtype(self.dtype), 1000)
        return (np.asfortranarray(x) if self.view == "fortran" else x), kernel

    def shrunk(self) -> Case:
        """Give a case of the same kind that takes milliseconds."""
        most = {1: 20_000, 2: 150, 3: 30}.get(len(self.filtered), 10)
        shape = tuple(min(n, most) if a in self.filtered else n for a, n in enumerate(self.shape))
        return replace(self, shape=shape)


def _kernel(case: Case, generator: np.random.Generator) -> Array:
    name, _, sigma = case.design.partition(":")
    if name == "gaussian":
        return np.asarray(filters.gaussian(float(sigma), len(case.kernel)), case.weights)
    if name == "box":
        return np.asarray(filters.box(case.kernel, len(case.kernel)), case.weights)
    return _draw(generator, case.kernel, np.dtype(case.weights), 10)


def _draw(generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], largest: int) -> Array:
    if dtype.kind == "u":
        return generator.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    if dtype.kind == "i":
        return generator.integers(1, largest, shape, dtype, endpoint=True)
    if dtype.kind == "c":
        return (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)).astype(dtype)
    return generator.standard_normal(shape, dtype.type)
