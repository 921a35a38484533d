"""Which weight each tap of a group convolution's filter bank is, and on which sizes the result keeps the symmetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from faltung.errors import GeometryError, ProblemError
from faltung.symmetry.group_conv.action import flipped_axes, matrices, quotients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.symmetry.elements import Array, Group

Input: TypeAlias = Literal["trivial", "regular"]


def tap_sources(group: Group, window: Sequence[int]) -> Array:
    """Return the array whose entry [g, l] is the tap g⁻¹l of a kernel, taps counted in C order about the centre.

    Raises:
        GeometryError: a window that the group does not take to itself.

    >>> from faltung.symmetry import rotations90
    >>> tap_sources(rotations90(), (2, 2)).tolist()
    [[0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]]
    """
    window = tuple(window)
    check_even_handed(group, window, "window")
    # Twice the distance from the centre is whole for odd and even sizes.
    grid = np.stack(np.meshgrid(*[np.arange(k) for k in window], indexing="ij")).reshape(len(window), -1)
    last = np.array(window)[:, None] - 1
    # The matrices are orthogonal, so that the transpose is the inverse.
    sources = np.swapaxes(matrices(group), 1, 2) @ (2 * grid - last)
    taps: Array = np.ravel_multi_index(tuple(np.moveaxis((sources + last) // 2, 1, 0)), window)
    return taps


def bank_index(group: Group, window: Sequence[int], in_fields: int, out_fields: int, input: Input) -> Array:  # noqa: A002  it is the face's word
    """Return which entry of the weights each entry of the expanded filter bank is.

    With ``input="trivial"`` the weights are w[o, i, l] and the bank is w[o, i, g⁻¹l] at [(o, g), i, l]; with
    ``"regular"`` they are w[o, i, h, l], and the bank is w[o, i, g⁻¹h, g⁻¹l] at [(o, g), (i, h), l] (Cohen & Welling,
    Group equivariant convolutional networks, 2016, eq. 10 and 11). The group's index runs fastest.

    Raises:
        GeometryError: a window that the group does not take to itself.

    >>> from faltung.symmetry import rotations90
    >>> bank_index(rotations90(), (2, 2), 1, 1, "trivial").reshape(4, 4).tolist()
    [[0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]]
    """
    taps: Array = tap_sources(group, window)[:, None, :]
    if input == "regular":
        taps = taps + quotients(group)[:, :, None] * taps.shape[-1]
    count, planes, _ = taps.shape
    weights = planes * taps.shape[-1]  # of one pair of fields
    pairs = np.arange(0, out_fields * in_fields * weights, weights).reshape(out_fields, 1, in_fields, 1, 1)
    # Half the memory, as large as the bank itself in single precision.
    small = np.int32 if out_fields * in_fields * weights < 2**31 else np.int64
    index: Array = np.add(pairs.astype(small), taps.astype(small)[:, None])
    return index.reshape(out_fields * count, in_fields * planes, *window)


def planes_of(group: Group, input: Any) -> int:  # noqa: A002  it is the face's word
    """Return how many channels a field of the input has. Raises ProblemError for an unknown kind."""
    if input not in ("trivial", "regular"):
        msg = (
            f'input={input!r} is unknown; give "trivial" (plain channels) or "regular" ({len(group)} channels a field)'
        )
        raise ProblemError(msg)
    return len(group) if input == "regular" else 1


def check_even_handed(group: Group, numbers: Sequence[int], what: str) -> None:
    """Refuse numbers per axis that differ between axes which the group exchanges, or of another rank."""
    if len(numbers) != group.ndim:
        msg = f"{what} {tuple(numbers)} is for {len(numbers)} axes, and {group.name} act on {group.ndim}"
        raise GeometryError(msg)
    changes = np.any(np.abs(matrices(group)) @ numbers != numbers, axis=1)
    if changes.any():
        name = group.elements[int(changes.argmax())].name
        msg = f"{what} {tuple(numbers)} is not the same after {name}; give the axes that {group.name} exchange "
        raise GeometryError(msg + "the same number")


def check_grid(
    group: Group, sizes: Sequence[int], window: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> None:
    """Refuse sizes on which the strided grid is not centred along an axis that the group reverses.

    The window's first place is ``-padding`` and the last ``size + padding - window``, so that the samples between
    the first and the last must be a multiple of the stride: (n + 2p - k) % s == 0.

    Raises:
        GeometryError: naming the numbers and the nearest sizes that work.

    >>> from faltung.symmetry import reflections
    >>> check_grid(reflections(ndim=1), (9,), (3,), (2,), (1,))
    >>> check_grid(reflections(ndim=1), (8,), (3,), (2,), (1,))
    Traceback (most recent call last):
    ...
    faltung.errors.GeometryError: size 8, window 3, stride 2 and padding 1 leave 1 sample over at one edge \
((8 + 2·1 - 3) % 2 = 1), so the strided grid is off centre and reflections do not take it to itself; take size 7 or 9, \
or window 2 or 4
    """
    flipped = flipped_axes(group)
    for axis, (n, k, s, p) in enumerate(zip(sizes, window, stride, padding, strict=True)):
        room = n + 2 * p - k
        if room < 0:
            msg = f"window {k} does not fit into size {n} with padding {p}; give at least {k - n} samples more"
            raise GeometryError(msg)
        over = room % s
        if over and axis in flipped:
            near = " or ".join(str(v) for v in (n - over, n + s - over) if v + 2 * p >= k)
            kernels = " or ".join(str(v) for v in (k - s + over, k + over) if v > 0)
            msg = f"size {n}, window {k}, stride {s} and padding {p} leave {over} sample{'s' * (over > 1)} over at "
            msg += (
                f"one edge (({n} + 2·{p} - {k}) % {s} = {over}), so the strided grid is off centre and {group.name} do "
            )
            raise GeometryError(msg + f"not take it to itself; take size {near}, or window {kernels}")
