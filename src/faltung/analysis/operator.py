"""The convolution as a linear operator, and its adjoint, without writing the matrix down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.analysis.taps import check_output, taps_of
from faltung.convolution import Convolution
from faltung.problem.dtypes import resolve
from faltung.runtime.scatter import scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from faltung.analysis.taps import Taps


def adjoint(c: Convolution, y: ArrayLike, shape: int | Sequence[int]) -> np.ndarray:
    """Apply the adjoint, Aᴴ y for the A of `matrix(c, shape)`, to an output of the convolution.

    `y` has the shape `c.output_shape(shape)`, the result has `shape`: each output hands its value back to the samples
    it was computed from. Half floats are computed in f32, integers in int64; f32, f64 and complex numbers stay. It is
    exact but for rounding, in a fixed order of sums: <c(x), y> = <x, adjoint(c, y)>.
    Raises GeometryError where shapes do not fit, BoundaryError where a constant other than 0 is read.
    Source: (E C)ᴴ = Eᴴ Cᴴ: a full convolution with the conjugate kernel, stride by zeros put in between, and the
    extension folded back (Dumoulin and Visin 2016, section 4).

    >>> c = Convolution([1, 2, 4], flip=False, boundary="edge", stride=2)
    >>> adjoint(c, [1, 10], 4)
    array([ 3, 14, 20, 40])
    """
    return Adjoint(taps_of(c, shape))(y)


class Adjoint:
    """The adjoint for arrays of one shape, prepared for many calls."""

    def __init__(self, taps: Taps) -> None:
        self.taps = taps
        self._maps = taps.maps()
        self._full = _transposed(taps)

    def __call__(self, y: ArrayLike) -> np.ndarray:
        """Apply it to an output."""
        taps, y = self.taps, np.asarray(y)
        check_output(taps, y)
        y = y.astype(_summed_in(y.dtype), copy=False).reshape(taps.batch, taps.outputs, *taps.outs)
        if 0 in (*taps.outs, *taps.sizes, taps.batch):
            return np.zeros(taps.shape, resolve(y.dtype, taps.weights.dtype, None).output)
        spread = self._full(_spread(y, [axis.stride for axis in taps.axes]))
        sizes = (taps.batch, taps.inputs, *taps.sizes)
        return scatter(spread, [None, None, *self._maps], sizes, overwrite=True).reshape(taps.shape)


def linear_operator(c: Convolution, shape: int | Sequence[int]) -> Any:
    """Wrap a convolution of arrays of a shape as a scipy.sparse.linalg.LinearOperator.

    matvec calls the convolution itself, rmatvec its exact adjoint; both take vectors in C order and leave f32 in f32.
    It serves lsqr, svds, cg, and PyLops (`pylops.aslinearoperator`). Its dtype is float64, or
    complex128 for a complex kernel; integer vectors are computed in float64.
    Raises GeometryError where the shape does not fit, BoundaryError where a constant other than 0 is read.

    >>> op = linear_operator(Convolution([1.0, -1.0], mode="valid"), 4)
    >>> op @ np.array([1.0, 2.0, 4.0, 8.0]), op.H @ np.array([1.0, 0.0, 0.0])
    (array([1., 2., 4.]), array([-1.,  1.,  0.,  0.]))
    """
    from scipy.sparse.linalg import LinearOperator

    taps = taps_of(c, shape)
    back = Adjoint(taps)
    dtype = np.dtype(np.complex128 if taps.weights.dtype.kind == "c" else np.float64)

    def floating(v: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(v, np.float64 if v.dtype.kind in "biu" else None).reshape(shape)

    def forward(v: np.ndarray) -> np.ndarray:
        return c(floating(v, taps.shape)).ravel()

    def backward(v: np.ndarray) -> np.ndarray:
        return back(floating(v, taps.output_shape)).ravel()

    return LinearOperator((taps.rows, taps.columns), matvec=forward, rmatvec=backward, dtype=dtype)


def _transposed(taps: Taps) -> Convolution:
    """Describe Cᴴ, from the dense outputs to the extended input: inputs and outputs change places in every group."""
    outputs, inputs, *window = taps.weights.shape
    if inputs == outputs == 1:
        # One channel is a filter of the other axes, which runs faster than a layer.
        axes = tuple(i for i, sides in enumerate(taps.sides) if sides is not None)
        dilation = tuple(taps.axes[i].dilation for i in axes)
        kernel = taps.weights.conj().reshape([taps.axes[i].taps for i in axes])
        along = tuple(2 + i for i in axes)
        return Convolution(kernel, mode="full", boundary="zero", dilation=dilation, axes=along)
    grouped = taps.weights.reshape(taps.groups, outputs // taps.groups, inputs, *window).swapaxes(1, 2)
    kernel = grouped.conj().reshape(taps.inputs, outputs // taps.groups, *window)
    dilation = tuple(axis.dilation for axis in taps.axes)
    return Convolution(kernel, channels=True, groups=taps.groups, mode="full", boundary="zero", dilation=dilation)


def _spread(y: np.ndarray, strides: list[int]) -> np.ndarray:
    """Put stride - 1 zeros between the outputs of each axis."""
    if all(stride == 1 for stride in strides):
        return y
    sizes = [stride * (n - 1) + 1 for stride, n in zip(strides, y.shape[2:], strict=True)]
    spread = np.zeros((*y.shape[:2], *sizes), y.dtype)
    spread[:, :, *(slice(None, None, stride) for stride in strides)] = y
    return spread


def _summed_in(dtype: np.dtype) -> np.dtype:
    if dtype.kind in "biu":
        return np.dtype(np.int64)
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype.newbyteorder("=")
