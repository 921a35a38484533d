"""What follows the sums of a layer: bias and activation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.errors import DtypeError, GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

ACTIVATIONS = ("relu", "leaky_relu", "relu6", "silu", "gelu")
SLOPE = 0.01


class After(NamedTuple):
    """What is done to sums: a bias (C_out,) or (C_out, *outs) is added, an activation applied."""

    bias: np.ndarray | None = None
    activation: str | None = None


NOTHING = After()


def after(bias: ArrayLike | None, activation: str | None) -> After:
    """Put both together."""
    return (
        NOTHING
        if bias is None and activation is None
        else After(None if bias is None else np.asarray(bias), activation)
    )


def check(wanted: After, channels: int, outs: Sequence[int], dtype: np.dtype) -> None:
    """Refuse what does not fit sums (channels, *outs) of a dtype.

    Raises GeometryError for a bias of another shape or an unknown activation, DtypeError where integers would have to
    be rounded.
    """
    bias, activation = wanted
    if activation is not None and activation not in ACTIVATIONS:
        msg = f"unknown activation {activation!r}; there are {', '.join(map(repr, ACTIVATIONS))}, or None"
        raise GeometryError(msg)
    if bias is not None and bias.shape not in ((channels,), (channels, *outs)):
        msg = f"the bias has the shape {bias.shape}, but the layer has {channels} output channels; give ({channels},)"
        raise GeometryError(msg)
    if bias is not None and not np.can_cast(bias.dtype, dtype, "same_kind"):
        msg = f"the bias is {bias.dtype}, but the sums are {dtype}; convert the input, or round the bias"
        raise DtypeError(msg)
    if activation not in (None, "relu", "relu6") and dtype.kind in "iu":
        msg = f"activation={activation!r} of {dtype} sums would have to be rounded; convert the input to float"
        raise DtypeError(msg)


def finish(y: np.ndarray, wanted: After, rank: int) -> np.ndarray:
    """Add the bias and apply the activation, in place, to sums with `rank` axes after the channels; NaN stays NaN.

    Raises what `check` raises.
    """
    if wanted is NOTHING:
        return y
    channels, outs = y.shape[-rank - 1], y.shape[y.ndim - rank :]
    check(wanted, channels, outs, y.dtype)
    bias, activation = wanted
    if bias is not None:
        y += bias.reshape(channels, *((1,) * rank)) if bias.ndim == 1 else bias
    if activation is not None:
        _APPLY[activation](y)
    return y


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
