"""Locally connected layers: the windows of a convolution, with weights of their own at every output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import DtypeError, GeometryError
from faltung.layers import description
from faltung.problem.boundary import axis_map
from faltung.runtime.gather import extended
from faltung.runtime.scatter import scatter

if TYPE_CHECKING:
    from faltung.problem.boundary import AxisMap
    from faltung.problem.problem import Problem


@dataclass(frozen=True)
class Local:
    """A locally connected layer for inputs of one shape.

    Patches are (N, groups, C_in/groups, *outs, *window) views of the extended input. `letters` name their axes.
    """

    problem: Problem
    window: tuple[int, ...]

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        weight: tuple[int, ...],
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        boundary: Any,
    ) -> Local:
        """Describe the layer for an input and the shape of the weight (C_out, C_in/groups, *outs, *window)."""
        rank, odd = divmod(len(weight) - 2, 2)
        if odd or rank < 0:
            msg = "the weight of a locally connected layer is (C_out, C_in/groups, *outs, *window), with as many outs "
            msg += f"as window sizes, but this one has the shape {weight}"
            raise GeometryError(msg)
        if x.dtype.kind not in "f":
            msg = f"a locally connected layer is computed in floating point, but the input is {x.dtype}; convert it"
            raise DtypeError(msg)
        like = description.Weight((*weight[:2], *weight[2 + rank :]), x.dtype)
        problem = description.layer(x, like, stride, padding, dilation, groups, boundary)
        outs = tuple(axis.out for axis in problem.geometry)
        if outs != weight[2 : 2 + rank]:
            msg = f"the weight {weight} is for {weight[2 : 2 + rank]} outputs, but an input of {x.shape} gives {outs}"
            raise GeometryError(msg)
        return cls(problem, weight[2 + rank :])

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the output."""
        return self.problem.map_shape

    def forward(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Give the output (N, C_out, *outs)."""
        sums = self.problem.dtypes.accumulate
        w = self._grouped(weight.astype(sums, copy=False))
        y = np.einsum(self._subscripts("x", "w", "y"), self._patches(x.astype(sums, copy=False)), w, optimize=True)
        return np.ascontiguousarray(y.reshape(self.output_shape), self.problem.dtypes.output)

    def weight_gradient(self, grad: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Give the gradient by the weight, of its shape."""
        sums = self.problem.dtypes.accumulate
        patches = self._patches(x.astype(sums, copy=False))
        gw = np.einsum(self._subscripts("x", "y", "w"), patches, self._maps(grad.astype(sums)), optimize=True)
        outs = tuple(axis.out for axis in self.problem.geometry)
        return np.ascontiguousarray(gw.reshape(self.output_shape[self._at], -1, *outs, *self.window))

    def input_gradient(self, grad: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Give the gradient by the input, of its shape."""
        sums, axes = self.problem.dtypes.accumulate, self.problem.geometry
        w = self._grouped(weight.astype(sums, copy=False))
        patches = np.einsum(self._subscripts("y", "w", "x"), self._maps(grad.astype(sums)), w, optimize=True)
        maps = self._read()
        lead = patches.shape[:3]
        whole = np.zeros((*lead, *(len(m.index) for m in maps)), sums)
        for tap in np.ndindex(*self.window):
            # The outputs that read the extended input with this tap are as far apart as the stride.
            where: tuple[Any, ...] = (
                ...,
                *(
                    slice(a.dilation * t, a.dilation * t + a.stride * (a.out - 1) + 1, a.stride)
                    for a, t in zip(axes, tap, strict=True)
                ),
            )
            whole[where] += patches[..., *tap]
        sizes = tuple(axis.size for axis in axes)
        folded = scatter(whole, [None, None, None, *maps], (*lead, *sizes), overwrite=True)
        return folded.reshape(self.problem.shape)

    @property
    def _at(self) -> int:
        assert self.problem.channels is not None
        return self.problem.channels.axis

    @property
    def _groups(self) -> int:
        assert self.problem.channels is not None
        return self.problem.channels.groups

    def _read(self) -> list[AxisMap]:
        pairs = zip(self.problem.geometry, self.problem.boundary, strict=True)
        return [axis_map(*axis.reads(0, axis.out), axis.size, sides) for axis, sides in pairs]

    def _patches(self, x: np.ndarray) -> np.ndarray:
        at, axes = self._at, self.problem.geometry
        maps = self._read()
        images = x.reshape(-1, self._groups, x.shape[at] // self._groups, *x.shape[at + 1 :])
        lead = [axis_map(0, n, n, _NOTHING) for n in images.shape[:3]]
        whole = extended(images, [*lead, *maps])
        steps = whole.strides[3:]
        shape = (*whole.shape[:3], *(axis.out for axis in axes), *self.window)
        strides = (
            *whole.strides[:3],
            *(axis.stride * step for axis, step in zip(axes, steps, strict=True)),
            *(axis.dilation * step for axis, step in zip(axes, steps, strict=True)),
        )
        return np.lib.stride_tricks.as_strided(whole, shape, strides, writeable=False)

    def _maps(self, y: np.ndarray) -> np.ndarray:
        at = self._at
        return y.reshape(-1, self._groups, y.shape[at] // self._groups, *y.shape[at + 1 :])

    def _grouped(self, weight: np.ndarray) -> np.ndarray:
        return weight.reshape(self._groups, len(weight) // self._groups, *weight.shape[1:])

    def _subscripts(self, a: str, b: str, result: str) -> str:
        rank = len(self.window)
        outs = "ABCDEFGHIJKL"[:rank]
        taps = "MNOPQRSTUVWX"[:rank]
        names = {"x": f"ngc{outs}{taps}", "w": f"goc{outs}{taps}", "y": f"ngo{outs}"}
        return f"{names[a]},{names[b]}->{names[result]}"


_NOTHING = description.ZERO
