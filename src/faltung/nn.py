"""The channelled face: layers on (N, C, *axes) of any rank, and their gradients, as functions of NumPy arrays.

Kernels are never flipped and never conjugated, and shapes are those of torch: weights (C_out, C_in/groups, *window),
those of a transposed layer (C_in, C_out/groups, *window), so that it is the adjoint of the convolution with the same
weight. `padding` is an int, one per axis, a (low, high) pair per axis, or "valid", "same:torch", "same:tf".

>>> import numpy as np
>>> x, weight = np.arange(6.0).reshape(1, 1, 6), np.array([[[1.0, 0, -1]], [[1, 1, 1]]])
>>> conv(x, weight, padding=1, stride=2)
array([[[-1., -2., -2.],
        [ 1.,  6., 12.]]])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.arrays import convolved, is_dask
from faltung.errors import GeometryError
from faltung.layers import description
from faltung.layers.activation import after, finish
from faltung.layers.local import Local
from faltung.layers.run import grouped, run_layer, run_transposed
from faltung.layers.weights import weight_gradient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    PerAxis = int | Sequence[int]
    Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]

__all__ = [
    "conv",
    "conv_input_gradient",
    "conv_transpose",
    "conv_weight_gradient",
    "locally_connected",
    "locally_connected_gradients",
]


def conv(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    boundary: Any = "zero",
    activation: str | None = None,
    *,
    threads: int | None = None,
) -> np.ndarray:
    """Convolve feature maps as a layer does: ``y[n, o, j] = b[o] + Σ w[o, c, t] x[n, c, stride·j + dilation·t - low]``.

    Parameters
    ----------
    x : array (N, C_in, *sizes), or without N; of a Dask array the result is one, and lazy
    weight : array (C_out, C_in/groups, *window); C_in = groups and C_out a multiple of it makes a depthwise layer
    bias : array (C_out,)
    stride, dilation : int or one per axis
    padding : int, one per axis, a (low, high) pair per axis, or a named rule
        "same:torch" gives as many outputs as inputs for stride 1, the odd sample of padding at the end; "same:tf" gives
        ceil(n / stride) outputs for any stride; "valid" pads nothing.
    boundary : what the padding holds, any rule of `Convolution`, one for all, per axis or per side
    activation : "relu", "leaky_relu" (slope 0.01), "relu6", "silu" or "gelu" (by erf), applied to the result

    Returns
    -------
    array (N, C_out, *outs) with ``(n + low + high - dilation·(k - 1) - 1) // stride + 1`` outputs along each axis.
        Dtypes follow `correlate`: f32 and f64 stay, f16 is summed in f32, integers are exact. Sums differ from the
        exact ones by at most γ_{n+2} Σ|w||x| for n taps; the bias and the activation round once more each (silu and
        gelu three times).

    Raises GeometryError for shapes that do not fit, groups that do not divide, an output that would be empty;
    DtypeError for integer sums that may overflow.

    >>> conv(np.ones((1, 4)), np.ones((2, 1, 3)), bias=[0.0, -2.5], padding="same:torch", activation="relu")
    array([[2. , 3. , 3. , 2. ],
           [0. , 0.5, 0.5, 0. ]])
    """
    weight = np.asarray(weight)
    if is_dask(x):
        return convolved(x, weight, bias, activation, threads, stride, padding, dilation, groups, boundary)
    x = np.asarray(x)
    problem = description.layer(x, weight, stride, padding, dilation, groups, boundary)
    return run_layer(problem, grouped(weight, groups), x, threads, after(bias, activation))


def conv_transpose(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    groups: int = 1,
    dilation: PerAxis = 1,
    boundary: Any = "zero",
    activation: str | None = None,
    *,
    threads: int | None = None,
) -> np.ndarray:
    """Apply the adjoint of `conv` as a layer: every sample spreads the kernel over the outputs it would have read.

    ``y[n, o, stride·i + dilation·t - low] += w[c, o, t] x[n, c, i]``, with ``(n - 1)·stride - low - high +
    dilation·(k - 1) + output_padding + 1`` outputs along each axis. What falls beyond the edges is dropped for
    boundary "zero", and folded back to the samples that another rule would have read there. `weight` is
    (C_in, C_out/groups, *window): that of the convolution it is the adjoint of. The rest is as for `conv`.

    Raises GeometryError for shapes that do not fit and for an output_padding that is not less than the stride or the
    dilation, BoundaryError for a constant other than 0, whose operation has no adjoint.

    >>> conv_transpose(np.ones((1, 2)), np.array([[[1.0, 2, 3]]]), stride=2)
    array([[1., 2., 4., 2., 3.]])
    """
    x, weight = np.asarray(x), np.asarray(weight)
    sizes = description.transposed_sizes(x.shape, weight.shape, stride, padding, output_padding, dilation, groups)
    forward = description.forward_of(sizes, x, weight, stride, padding, dilation, groups, boundary)
    return finish(run_transposed(forward, weight, x, threads), after(bias, activation), weight.ndim - 2)


def conv_input_gradient(
    grad: ArrayLike,
    weight: ArrayLike,
    input_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    boundary: Any = "zero",
    *,
    threads: int | None = None,
) -> np.ndarray:
    """Give the gradient of a scalar by the input of `conv`, from that by its output: the exact adjoint.

    `grad` has the shape of the output, the result `input_shape`. Borders of every boundary rule hand their gradient
    back to the samples they were read from; sums are those of `conv`, in a fixed order.
    Raises GeometryError for shapes that do not fit, BoundaryError for a constant other than 0.

    >>> conv_input_gradient(np.ones((1, 3)), np.ones((1, 1, 3)), (1, 3), padding=1, boundary="edge")
    array([[3., 3., 3.]])
    """
    grad, weight = np.asarray(grad), np.asarray(weight)
    shape = tuple(int(n) for n in input_shape)
    forward = description.layer_of(shape, grad.dtype, weight, stride, padding, dilation, groups, boundary)
    description.check_gradient(forward, grad)
    return run_transposed(forward, weight, grad, threads)


def conv_weight_gradient(
    grad: ArrayLike,
    x: ArrayLike,
    weight_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    boundary: Any = "zero",
    *,
    threads: int | None = None,
) -> np.ndarray:
    """Give the gradient of a scalar by the weight of `conv`: ``Σ grad[n, o, j] x[n, c, stride·j + dilation·t - low]``.

    `grad` has the shape of the output, the result `weight_shape`. The sums run over blocks of pixels in a fixed order
    (see `docs/precision.md` for their bound). That of the bias is ``grad.sum`` over all axes but the channels'.
    Raises GeometryError for shapes that do not fit.

    >>> conv_weight_gradient(np.ones((1, 3)), np.arange(5.0).reshape(1, 5), (1, 1, 3))
    array([[[3., 6., 9.]]])
    """
    grad, x = np.asarray(grad), np.asarray(x)
    weight = description.Weight(tuple(int(n) for n in weight_shape), np.result_type(x, grad))
    forward = description.layer(x, weight, stride, padding, dilation, groups, boundary)
    description.check_gradient(forward, grad)
    return weight_gradient(forward, x, grad, threads)


def locally_connected(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    boundary: Any = "zero",
    activation: str | None = None,
) -> np.ndarray:
    """Apply a layer whose weights are not shared: every output has a window of its own.

    ``y[n, o, j] = b[o, j] + Σ w[o, c, j, t] x[n, c, stride·j + dilation·t - low]``, with `weight`
    (C_out, C_in/groups, *outs, *window) and `bias` (C_out,) or (C_out, *outs). The rest is as for `conv`: it is what
    a convolution would be without parameter sharing. Sums are matrix products of NumPy, in floating point.

    >>> locally_connected(np.ones((1, 3)), np.array([[[[1.0, 1], [2, 3]]]]))
    array([[2., 5.]])
    """
    x, weight = np.asarray(x), np.asarray(weight)
    local = Local.of(x, weight.shape, stride, padding, dilation, groups, boundary)
    return finish(local.forward(x, weight), after(bias, activation), len(local.window))


def locally_connected_gradients(
    grad: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    boundary: Any = "zero",
) -> tuple[np.ndarray, np.ndarray]:
    """Give the gradients by input and by weight of `locally_connected`, from that by its output.

    >>> locally_connected_gradients(np.ones((1, 2)), np.arange(3.0)[None], np.array([[[[1.0, 1], [2, 3]]]]))[0]
    array([[1., 3., 3.]])
    """
    grad, x, weight = np.asarray(grad), np.asarray(x), np.asarray(weight)
    local = Local.of(x, weight.shape, stride, padding, dilation, groups, boundary)
    if grad.shape != local.output_shape:
        msg = f"grad has the shape {grad.shape}, but the output of this layer has {local.output_shape}"
        raise GeometryError(msg)
    return local.input_gradient(grad, weight), local.weight_gradient(grad, x)
