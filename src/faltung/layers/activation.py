"""What follows the sums of a layer: bias and activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import DtypeError, GeometryError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ACTIVATIONS = ("relu", "leaky_relu", "relu6", "silu", "gelu")
SLOPE = 0.01


def finish(y: np.ndarray, bias: ArrayLike | None, activation: str | None, rank: int) -> np.ndarray:
    """Add the bias (C_out,) or (C_out, *outs) and apply the activation, in place; NaN stays NaN.

    Raises GeometryError for a bias of another shape or an unknown activation, DtypeError where integers would have to
    be rounded.
    """
    if activation is not None and activation not in ACTIVATIONS:
        msg = f"unknown activation {activation!r}; there are {', '.join(map(repr, ACTIVATIONS))}, or None"
        raise GeometryError(msg)
    if bias is not None:
        y += _fitting(np.asarray(bias), y, rank)
    if activation is not None:
        if y.dtype.kind not in "iu" or activation in ("relu", "relu6"):
            _APPLY[activation](y)
        else:
            msg = f"activation={activation!r} of {y.dtype} sums would have to be rounded; convert the input to float"
            raise DtypeError(msg)
    return y


def _fitting(bias: np.ndarray, y: np.ndarray, rank: int) -> np.ndarray:
    channels, outs = y.shape[-rank - 1], y.shape[y.ndim - rank :]
    if bias.shape not in ((channels,), (channels, *outs)):
        msg = f"the bias has the shape {bias.shape}, but the layer has {channels} output channels; give ({channels},)"
        raise GeometryError(msg)
    if not np.can_cast(bias.dtype, y.dtype, "same_kind"):
        msg = f"the bias is {bias.dtype}, but the sums are {y.dtype}; convert the input, or round the bias"
        raise DtypeError(msg)
    return bias.reshape(channels, *((1,) * rank)) if bias.ndim == 1 else bias


def _relu(y: np.ndarray) -> None:
    np.maximum(y, 0, out=y)


def _leaky_relu(y: np.ndarray) -> None:
    np.multiply(y, SLOPE, out=y, where=y < 0)


def _relu6(y: np.ndarray) -> None:
    np.clip(y, 0, 6, out=y)


def _silu(y: np.ndarray) -> None:
    from scipy.special import expit

    y *= expit(y)


def _gelu(y: np.ndarray) -> None:
    from scipy.special import ndtr

    y *= ndtr(y)


_APPLY = {"relu": _relu, "leaky_relu": _leaky_relu, "relu6": _relu6, "silu": _silu, "gelu": _gelu}
