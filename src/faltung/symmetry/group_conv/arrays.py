"""Group convolution of arrays: features on a grid and on a finite group, after Cohen & Welling (2016).

Features are (N, fields · |G|, *sizes) with the group's index fastest. A group convolution is an ordinary layer whose
filter bank holds every kernel once for each element of the group, moved as that element moves the grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from faltung.convolution import Convolution
from faltung.errors import GeometryError, ProblemError
from faltung.symmetry.group_conv.action import acting
from faltung.symmetry.group_conv.bank import bank_index, check_even_handed, check_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from faltung.symmetry.elements import Array
    from faltung.symmetry.group_conv.action import GroupLike

__all__ = ["filter_bank", "group_conv", "group_pool"]


def filter_bank(weights: ArrayLike, group: GroupLike = "p4") -> Array:
    """Move every kernel by every element of a group: the bank with which an ordinary layer is a group convolution.

    Weights (out, in, *window) lift plain channels and give (out·|G|, in, *window); weights (out, in, |G|, *window)
    take group features and give (out·|G|, in·|G|, *window). The dtype stays, no value is computed.

    Raises:
        ProblemError: no finite group of permuted and flipped axes.
        GeometryError: weights of another rank, or a window that the group does not take to itself.

    >>> filter_bank([[[[1, 2], [3, 4]]]]).reshape(4, 2, 2).tolist()
    [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]
    """
    w, chosen = np.asarray(weights), acting(group)
    extra = w.ndim - 2 - chosen.ndim
    if extra not in (0, 1) or (extra and w.shape[2] != len(chosen)) or 0 in w.shape:
        axes = ", ".join("hwd"[: chosen.ndim])
        msg = f"weights of shape {w.shape} with {chosen.name}: give (out, in, {axes}) to lift plain channels, or "
        raise GeometryError(msg + f"(out, in, {len(chosen)}, {axes}) for group features")
    index = bank_index(chosen, w.shape[2 + extra :], w.shape[1], w.shape[0], "regular" if extra else "trivial")
    bank: Array = w.reshape(-1)[index]
    return bank


def group_conv(
    x: ArrayLike,
    weights: ArrayLike,
    group: GroupLike = "p4",
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    boundary: Any = "zero",
    bias: ArrayLike | None = None,
) -> Array:
    """Correlate features with kernels moved by every element of a group: moving x by g moves the result by g.

    x is (*batch, in, *sizes) for weights (out, in, *window), and (*batch, in·|G|, *sizes) for weights (out, in, |G|,
    *window); the result is (*batch, out·|G|, *sizes). ``padding`` samples of ``boundary`` are added on both sides of
    each axis, ``bias`` is one number an output field. Moving the result by g permutes its channels too: channel g·h
    comes from channel h, as the representation "regular" of `equivariance`.

    Every call expands the bank; to keep it, take ``Convolution(filter_bank(weights, group), flip=False,
    channels=True)``. The symmetry holds up to rounding, within the number of taps times the unit of the dtype, since
    moved kernels sum the same products in another order.

    Raises:
        ProblemError: no finite group of permuted and flipped axes.
        GeometryError: channels that do not fit, a window, stride or padding that differs between exchanged axes, or
            a size on which the strided grid is off centre; the text names sizes that work.

    >>> x = np.random.default_rng(0).standard_normal((1, 6, 6))
    >>> w = np.random.default_rng(1).standard_normal((2, 1, 3, 3))
    >>> y, turned = group_conv(x, w), group_conv(np.rot90(x, axes=(1, 2)), w)
    >>> y.shape, np.allclose(turned[1:4], np.rot90(y[:3], axes=(1, 2)))
    ((8, 4, 4), True)
    """
    chosen, bank, w = acting(group), filter_bank(weights, group), np.asarray(weights)
    strides, paddings = (_per_axis(v, chosen.ndim) for v in (stride, padding))
    check_even_handed(chosen, strides, "stride")
    check_even_handed(chosen, paddings, "padding")
    array = np.asarray(x)
    if array.ndim <= chosen.ndim or array.shape[-1 - chosen.ndim] != bank.shape[1]:
        msg = f"x of shape {array.shape} with weights {w.shape}: give (*batch, {bank.shape[1]}, *sizes), channels "
        raise GeometryError(msg + f"before the {chosen.ndim} axes that {chosen.name} move")
    check_grid(chosen, array.shape[-chosen.ndim :], bank.shape[2:], strides, paddings)
    sides = [(p, p) for p in paddings]
    y = Convolution(bank, flip=False, channels=True, stride=strides, padding=sides, boundary=boundary)(array)
    if bias is None:
        return y
    shifts = np.asarray(bias)
    if shifts.shape != w.shape[:1]:
        msg = f"bias of shape {shifts.shape}: give one number for each of the {w.shape[0]} output fields"
        raise GeometryError(msg)
    biased: Array = y + np.repeat(shifts, len(chosen)).reshape(-1, *(1,) * chosen.ndim).astype(y.dtype, copy=False)
    return biased


def group_pool(y: ArrayLike, group: GroupLike = "p4", kind: Literal["max", "mean"] = "max") -> Array:
    """Pool features over the group: (*batch, fields·|G|, *sizes) becomes (*batch, fields, *sizes), plain channels.

    What comes out moves with the input and its channels stay; pooled over the grid as well it is invariant.

    Raises:
        ProblemError: a kind other than max and mean, or no finite group.
        GeometryError: a number of channels that the group's order does not divide.

    >>> group_pool(np.arange(8.0).reshape(8, 1, 1)).ravel()
    array([3., 7.])
    """
    array, chosen = np.asarray(y), acting(group)
    axis = array.ndim - 1 - chosen.ndim
    if axis < 0 or array.shape[axis] % len(chosen):
        msg = f"features of shape {array.shape} hold no fields of {len(chosen)} channels before {chosen.ndim} axes"
        raise GeometryError(msg + f"; give (*batch, fields·{len(chosen)}, *sizes), or another group")
    if kind not in ("max", "mean"):
        msg = f'kind={kind!r} is unknown; give "max" or "mean"'
        raise ProblemError(msg)
    fields = array.reshape(*array.shape[:axis], -1, len(chosen), *array.shape[axis + 1 :])
    pooled: Array = fields.max(axis + 1) if kind == "max" else fields.mean(axis + 1)
    return pooled


def _per_axis(value: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    return (value,) * ndim if isinstance(value, (int, np.integer)) else tuple(value)
