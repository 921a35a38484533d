"""The gradient of a layer by its weights: which method serves a layer, and what it is given.

    dW[o, c, t] = Σ_n Σ_p g[n, o, p] · E(x)[n, c, stride·p + dilation·t - low]

E(x) is the input of the layer extended by its boundary, c counts the channels of o's group, g is the gradient by the
layer's output. It is the correlation of the input by the gradient, with stride and dilation exchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms import weight_gradient_channels, weight_gradient_numpy, weight_gradient_rows
from faltung.algorithms.task import gamma, unit_roundoff
from faltung.algorithms.weight_gradient_parts import growth
from faltung.compiler import kernels as compiled
from faltung.errors import DtypeError, GeometryError

if TYPE_CHECKING:
    from faltung.algorithms.weight_gradient_parts import Method
    from faltung.problem.problem import Problem


class WeightGradient:
    """The gradient of a layer's outputs by its weights, summed with the gradient g by the outputs.

    Parameters
    ----------
    problem : Problem
        The layer itself (`problem.channels` is set), any rank, stride, dilation, groups and boundary. Its sums are
        real or integer; a kernel is the correlation's, never flipped.

    Every product is rounded with its sum (fused where the instruction set does so), over fixed blocks of pixels, whose
    results are added in a fixed order: bits depend neither on threads nor on strides. |result - exact| is at most
    `error` · Σ |g| |E(x)|, with E(x) as the accumulator holds it; integers are exact. A NaN or an infinity reaches the
    taps that multiply it, and no others.

    Raises GeometryError for a problem without channels and DtypeError for complex sums.

    >>> from faltung import Convolution
    >>> layer = Convolution(np.ones((2, 1, 3), np.float32), channels=True, flip=False, boundary="zero")
    >>> problem, _ = layer._problem((1, 5), np.dtype(np.float32), None)
    >>> g = np.array([[0, 0, 1, 0, 0], [1, 0, 0, 0, 0]], np.float32)
    >>> WeightGradient(problem).run(np.arange(1, 6, dtype=np.float32)[None], g)
    array([[[2., 3., 4.]],
    <BLANKLINE>
           [[0., 1., 2.]]], dtype=float32)
    """

    def __init__(self, problem: Problem) -> None:
        channels = problem.channels
        if channels is None:
            msg = "weights have a gradient of their own only in a layer, but the problem has no channels; "
            raise GeometryError(msg + "describe it with channels=True")
        accumulate = problem.dtypes.accumulate
        if accumulate.kind == "c":
            msg = f"sums of this layer are {accumulate}, but the gradient by weights is summed in real numbers; "
            raise DtypeError(msg + "take the gradients of real and imaginary parts")
        self.problem, self.dtype = problem, accumulate
        self.shape = (channels.outputs, problem.shape[channels.axis] // channels.groups, *problem.kernel_shape)
        self.method = self._method()

    @property
    def error(self) -> float:
        """The bound of |result - exact| as a multiple of Σ |g| |E(x)|; 0 for integers that do not overflow."""
        return gamma(self.method.roundings, unit_roundoff(self.dtype))

    def run(self, x: np.ndarray, g: np.ndarray, threads: int = 1) -> np.ndarray:
        """Give the gradient (C_out, C_in/groups, *window) in the accumulator's dtype.

        `x` has the shape of the problem and `g` that of its feature maps, any strides; both are converted to the
        accumulator's dtype. Raises GeometryError for other shapes and DtypeError for complex or fractional numbers in
        an integer layer, or where an overflow of integer sums cannot be excluded.
        """
        x, g = self._taken("x", x, self.problem.shape), self._taken("g", g, self.problem.map_shape)
        if 0 in (g.size, *self.shape):
            return np.zeros(self.shape, self.dtype)
        if self.dtype.kind == "i":
            self._check_overflow(x, g)
        x, g = (a.astype(self.dtype, copy=False) for a in (x, g))
        return np.ascontiguousarray(self.method.run(x, g, threads).reshape(self.shape))

    def describe(self) -> list[tuple[str, str]]:
        """Say how it works, as (topic, text) pairs."""
        return [*self.method.describe(), ("error", f"at most {self.error:.2g} of the sum of |g| |x|")]

    def _method(self) -> Method:
        if not compiled.available() or 0 in (*self.problem.shape, *self.problem.map_shape):
            return weight_gradient_numpy.NumpyGradient(self.problem)
        rows, channels = weight_gradient_rows.RowGradient, weight_gradient_channels.ChannelGradient
        return rows(self.problem) if rows.cost(self.problem) < channels.cost(self.problem) else channels(self.problem)

    def _taken(self, name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        array = np.asarray(array)
        if array.shape != shape:
            msg = f"{name} has the shape {array.shape}, but this layer's is {shape}; pass the arrays of the same layer"
            raise GeometryError(msg)
        if array.dtype.kind == "c" or (self.dtype.kind == "i" and array.dtype.kind not in "biu"):
            msg = f"{name} has dtype {array.dtype}, but this layer's sums are {self.dtype}; "
            raise DtypeError(msg + "convert it first, or describe the layer for such an input")
        return array

    def _check_overflow(self, x: np.ndarray, g: np.ndarray) -> None:
        most = [max(int(a.max(initial=0)), -int(a.min(initial=0))) for a in (x, g)]
        channels = self.problem.channels
        assert channels is not None
        sums = g.size // channels.outputs
        constants = [abs(int(rule.value.real)) for sides in self.problem.boundary for rule in sides if rule.is_constant]
        bound, limit = max([most[0], *constants]) * growth(self.problem) * most[1] * sums, int(np.iinfo(self.dtype).max)
        if bound > limit:
            msg = f"{self.dtype} sums may overflow: max|x| * max|g| * sums = {bound} > {limit}; "
            raise DtypeError(msg + "describe the layer for a wider input, or compute in float64")
