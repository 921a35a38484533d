"""What a tiling needs once: factors, kernels' spectra, tables of panels, in the order of the compiled nests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from faltung.compiler import isa as isas
from faltung.compiler.fourier_stages import order, radices, twiddles, unit_roots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.fourier_tiles import Tiling


# Extended precision is ten times as slow: beyond this many points spectra are made in double precision.
WIDE_POINTS = 1 << 17


def stage_lists(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Give the radices along each axis of a tile."""
    return [radices(n, isas.host()) for n in shape]


def laid(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Give the extents of a plane in memory: rows an odd number of registers apart.

    Rows a power of two apart would meet in few sets of the first cache (measured: a quarter slower).
    """
    lanes = isas.host().vector_bytes // itemsize
    return (*shape[:-1], (shape[-1] // lanes | 1) * lanes)


def strides_of(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Give the strides of a C-contiguous array."""
    return tuple(math.prod(shape[i + 1 :]) * itemsize for i in range(len(shape)))


def factor_tables(shape: tuple[int, ...], dtype: np.dtype) -> list[np.ndarray]:
    """Give the factors of the transforms along each axis of a tile."""
    return [twiddles(stages, dtype) for stages in stage_lists(shape)]


def spectrum(kernel: np.ndarray, tiling: Tiling, dtype: np.dtype) -> np.ndarray:
    """Give the conjugate spectrum of a kernel over N, in the order in which the nest of the last axis meets it.

    It is worked out in a wider type where `is_wide`, and then rounded once.
    """
    work = np.longdouble if dtype.itemsize == 8 and is_wide(tiling.points, dtype) else np.float64
    spread = np.zeros([axis.span for axis in tiling.view.axes], work)
    spread[tuple(slice(None, None, axis.dilation) for axis in tiling.view.axes)] = kernel.reshape(
        [axis.taps for axis in tiling.view.axes]
    )
    whole = np.conj(np.fft.fftn(spread, tiling.size, range(spread.ndim))) / tiling.points
    lists = [order(stages) for stages in stage_lists(tiling.shape)]
    if not tiling.bridged:
        return _packed(whole[np.ix_(*lists)], dtype)
    # Place (p, q) of the tile holds frequency f(p) + rows·f(q).
    return _packed(whole[lists[0][:, None] + tiling.shape[0] * lists[1][None, :]], dtype)


def bridge(tiling: Tiling, dtype: np.dtype) -> np.ndarray:
    """Give the factors between the two axes of a bridged tile: exp(-2πi·f·j/N), f in the order of the first axis."""
    columns = tiling.shape[1]
    frequency = order(stage_lists(tiling.shape)[0])
    roots = unit_roots(frequency[:, None] * np.arange(columns)[None, :], tiling.points, dtype)
    return _packed(roots[..., 0] + 1j * roots[..., 1], dtype)


def is_wide(points: int, dtype: np.dtype) -> bool:
    """Say whether a kernel's spectrum is worked out in a type wider than the one it is rounded to."""
    return dtype.itemsize == 4 or (points <= WIDE_POINTS and np.finfo(np.longdouble).eps < np.finfo(dtype).eps)


def _packed(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Order (rows, columns) as panels of one register's rows: column after column, the real parts, the imaginary."""
    lanes, columns = isas.host().vector_bytes // dtype.itemsize, values.shape[-1]
    panels = values.reshape(-1, lanes, columns).transpose(0, 2, 1)
    packed = np.empty((panels.shape[0], columns, 2, lanes), dtype)
    packed[:, :, 0], packed[:, :, 1] = panels.real, panels.imag
    return packed


def axis_panels(shape: tuple[int, ...], axis: int, itemsize: int, wanted: tuple[int, ...] | None = None) -> np.ndarray:
    """List where the panels along an axis start in a tile: the bytes of all rows that do not belong to that axis.

    `wanted` leaves out rows beyond those extents of the axes between.
    """
    strides = strides_of(laid(shape, itemsize), itemsize)
    places = np.zeros(1, np.int64)
    for i in range(len(shape) - 1):
        if i != axis:
            extent = shape[i] if wanted is None or i < axis else min(wanted[i], shape[i])
            places = (places[:, None] + strides[i] * np.arange(extent)[None, :]).ravel()
    return places
