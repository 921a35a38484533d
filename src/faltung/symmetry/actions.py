"""How an element of a group acts on an array: exactly where it takes samples to samples, else by interpolation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faltung.errors import DtypeError, GeometryError
from faltung.symmetry.elements import DIGITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.symmetry.elements import Array, Beyond, Element, Group, Sampling

ORDER = 3  # of the splines


def act(element: Element, array: Array, axes: Sequence[int], group: Group) -> Array:
    """Return the array moved along ``axes`` and its values changed; shape and, where exact, dtype stay.

    Whole shifts, flips and permutations of axes copy samples. Shifts by fractions that wrap multiply the Fourier
    transform; everything else is a cubic spline (scipy.ndimage), zero where it reads outside.

    Raises:
        GeometryError: the axes it exchanges differ in size, or a shift is not shorter than its axis.
        DtypeError: integers would have to be interpolated.

    >>> from faltung.symmetry import rotations90
    >>> act(rotations90().elements[1], np.arange(4).reshape(2, 2), (0, 1), rotations90())
    array([[1, 3],
           [0, 2]])
    """
    moved = move(element, array, axes, group.beyond, group.sampling) if element.moves else array
    if element.gain == 1 and not element.offset:
        return moved
    if moved.dtype.kind not in "fc":
        msg = f"gain and offset act on real or complex numbers, and the array has dtype {moved.dtype}; "
        raise DtypeError(msg + "convert it first, as in x.astype(float)")
    changed: Array = (moved * element.gain + element.offset).astype(moved.dtype)
    return changed


def move(element: Element, array: Array, axes: Sequence[int], beyond: Beyond, sampling: Sampling) -> Array:
    """Return the array moved along ``axes``, its values unchanged."""
    sizes = [array.shape[a] for a in axes]
    check_grid(element, sizes)
    if element.permutes_axes:
        turned = _permute(element, array, axes)
        return _shift(turned, element.shift, axes, beyond, sampling)
    _interpolable(element, array)
    return _spline(element, array, axes)


def check_grid(element: Element, sizes: Sequence[int]) -> None:
    """Refuse a grid that the element does not map to itself, with GeometryError."""
    grid = " x ".join(map(str, sizes))
    exchanged = np.abs(np.array(element.matrix)) > 10.0**-DIGITS
    for i, j in zip(*np.nonzero(exchanged), strict=True):
        if sizes[i] != sizes[j]:
            msg = f"{element.name} does not act on a grid of {grid}: the axes it mixes must have equal sizes; "
            raise GeometryError(msg + f"crop or pad the input to {' x '.join([str(min(sizes))] * len(sizes))}")
    for size, distance in zip(sizes, element.shift, strict=True):
        if abs(distance) >= size:
            msg = f"{element.name} is too far for a grid of {grid}; give a larger input or a shorter shift"
            raise GeometryError(msg)


def _permute(element: Element, array: Array, axes: Sequence[int]) -> Array:
    """Apply the linear part: axis i of the result is the axis j of the array with A[i, j] = ±1."""
    matrix = np.round(np.array(element.matrix)).astype(int)
    source = [int(np.flatnonzero(row)[0]) for row in matrix]
    order = list(range(array.ndim))
    for i, j in enumerate(source):
        order[axes[i] % array.ndim] = axes[j] % array.ndim
    flips = tuple(axes[i] for i, j in enumerate(source) if matrix[i, j] < 0)
    return np.flip(array.transpose(order), flips)


def _shift(array: Array, distances: Sequence[float], axes: Sequence[int], beyond: Beyond, sampling: Sampling) -> Array:
    for axis, distance in zip(axes, distances, strict=True):
        whole = round(distance)
        if abs(distance - whole) < 10.0**-DIGITS:
            array = np.roll(array, whole, axis)
            if beyond == "crop" and whole:
                array = _cleared(array, whole, axis)
        else:
            _interpolable(f"a shift by {distance:g}", array)
            array = _between(array, distance, axis, beyond, sampling)
    return array


def _cleared(array: Array, distance: int, axis: int) -> Array:
    """Put zeros where a rolled array shows what came around the edge."""
    cleared = np.moveaxis(array.copy(), axis, 0)
    cleared[slice(None, distance) if distance > 0 else slice(distance, None)] = 0
    return np.moveaxis(cleared, 0, axis)


def _between(array: Array, distance: float, axis: int, beyond: Beyond, sampling: Sampling) -> Array:
    if sampling == "fourier":
        size = array.shape[axis]
        shape = [1] * array.ndim
        shape[axis] = size
        frequencies = np.fft.fftfreq(size).reshape(shape)
        phases = np.exp(-2j * np.pi * frequencies * distance)
        if size % 2 == 0:
            # The Nyquist frequency stands for both of its signs, so that real arrays stay real.
            phases.reshape(-1)[size // 2] = np.cos(np.pi * distance)
        moved = np.fft.ifft(np.fft.fft(array, axis=axis) * phases, axis=axis)
        return (moved if array.dtype.kind == "c" else moved.real).astype(array.dtype)
    from scipy import ndimage

    vector = [0.0] * array.ndim
    vector[axis] = distance
    shifted: Array = ndimage.shift(
        array.astype(np.result_type(array, np.float64)), vector, order=ORDER,
        mode="grid-wrap" if beyond == "wrap" else "constant",
    )  # fmt: skip
    return shifted.astype(array.dtype)


def _spline(element: Element, array: Array, axes: Sequence[int]) -> Array:
    """Sample plane by plane with scipy.ndimage, which reads its input at A⁻¹(p - c - t) + c."""
    from scipy import ndimage

    back = np.linalg.inv(np.array(element.matrix, float))
    front = np.moveaxis(array, axes, range(-len(axes), 0))
    centre = (np.array(front.shape[-len(axes) :]) - 1) / 2
    origin = centre - back @ (centre + np.array(element.shift))
    planes = front.reshape(-1, *front.shape[-len(axes) :]).astype(np.result_type(array, np.float64))
    for i, plane in enumerate(planes):
        planes[i] = ndimage.affine_transform(plane, back, origin, order=ORDER)
    moved: Array = np.moveaxis(planes.reshape(front.shape), range(-len(axes), 0), axes)
    return moved.astype(array.dtype)


def stays_inside(element: Element, sizes: Sequence[int], beyond: Beyond) -> Array:
    """Return, for each sample of a grid, whether the element reads it from inside the grid.

    >>> from faltung.symmetry import shifts
    >>> stays_inside(shifts(1, ndim=1).elements[0], (3,), "crop")
    array([False,  True,  True])
    """
    if beyond == "wrap":
        return np.ones(tuple(sizes), bool)
    centre = (np.array(sizes) - 1) / 2
    places = np.stack(np.meshgrid(*[np.arange(n) for n in sizes], indexing="ij"), axis=-1)
    back = np.linalg.inv(np.array(element.matrix, float))
    read = (places - centre - np.array(element.shift)) @ back.T + centre
    slack = 10.0**-DIGITS
    inside: Array = np.all((read >= -slack) & (read <= np.array(sizes) - 1 + slack), axis=-1)
    return inside


def _interpolable(what: Element | str, array: Array) -> None:
    if array.dtype.kind not in "fc":
        name = what if isinstance(what, str) else what.name
        msg = f"{name} reads between samples, which needs real or complex numbers, and the array has dtype "
        raise DtypeError(msg + f"{array.dtype}; convert it first, as in x.astype(float)")
