"""On the torus, where the Fourier transform makes the matrix diagonal, or leaves one small block for each frequency."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.analysis.structure import structure_of
from faltung.analysis.taps import taps_of
from faltung.errors import GeometryError, PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.analysis.taps import Taps
    from faltung.convolution import Convolution

# Entries of a dense matrix that is decomposed where the Fourier transform does not do it: 128 MiB of float64.
DENSE_ENTRIES = 1 << 24


class Symbol(NamedTuple):
    """The blocks of a circulant operator: at each frequency, what the input channels of a group give its outputs.

    `blocks` is (*frequencies, groups, outputs/groups, inputs/groups), complex, over the axes in `along` (numbered as in
    `Taps.axes`; carried ones have one frequency); `taps` is what it belongs to.
    """

    taps: Taps
    along: tuple[int, ...]
    blocks: np.ndarray

    def apply(self, blocks: np.ndarray, y: np.ndarray, channels: int) -> np.ndarray:
        """Multiply every frequency of y, (batch, outputs, *sizes), by a block; give (batch, channels, *sizes)."""
        taps, along = self.taps, tuple(2 + i for i in self.along)
        waves = np.fft.fftn(y, axes=along) if along else y.astype(complex)
        grouped = np.moveaxis(waves.reshape(taps.batch, taps.groups, -1, *taps.sizes), (0, 1, 2), (-1, -3, -2))
        result = np.moveaxis(blocks @ grouped, (-1, -3, -2), (0, 1, 2)).reshape(taps.batch, channels, *taps.sizes)
        return np.fft.ifftn(result, axes=along) if along else result


def symbol_of(taps: Taps) -> Symbol | None:
    """Transform the kernel of a circulant operator; None where an axis is not a torus with stride 1."""
    if not structure_of(taps).is_circulant or taps.rows == 0:
        return None
    along = tuple(i for i, sides in enumerate(taps.sides) if sides is not None)
    sizes = [axis.size if i in along else 1 for i, axis in enumerate(taps.axes)]
    column = np.zeros((*taps.weights.shape[:2], *sizes), np.complex128)
    places = [(axis.low - axis.dilation * np.arange(axis.taps)) % n for axis, n in zip(taps.axes, sizes, strict=True)]
    np.add.at(column, np.ix_(*map(np.arange, column.shape[:2]), *places), taps.weights)
    waves = np.fft.fftn(column, axes=tuple(2 + i for i in along)) if along else column
    grouped = waves.reshape(taps.groups, -1, *waves.shape[1:])
    return Symbol(taps, along, np.moveaxis(grouped, (0, 1, 2), (-3, -2, -1)))


def singular_values(c: Convolution, shape: int | Sequence[int]) -> np.ndarray:
    """Give all singular values of `matrix(c, shape)`, float64, in descending order: min(rows, columns) of them.

    Exact but for rounding (about 1e-15 of the largest). Where every filtered axis wraps around with stride 1 they are
    those of the Fourier transform of the kernel, one small block a frequency, in O(n log n); otherwise a dense SVD,
    which is refused beyond 2^24 entries. Raises PlanError there, and what `matrix` raises.
    Source: Gray (2006), section 3; for channels Sedghi, Gupta, Long, "The singular values of convolutional layers"
    (2019).

    >>> from faltung import Convolution
    >>> singular_values(Convolution([1.0, 1.0], boundary="wrap"), 4).round(12)
    array([2.        , 1.41421356, 1.41421356, 0.        ])
    """
    taps = taps_of(c, shape)
    symbol = symbol_of(taps)
    if symbol is None:
        return np.asarray(np.linalg.svd(dense_of(taps), compute_uv=False))
    values = np.linalg.svd(symbol.blocks, compute_uv=False)
    every = np.repeat(values.ravel(), taps.rows // (taps.outputs * prod(symbol.blocks.shape[:-3])))
    return np.sort(every)[::-1]


def dense_of(taps: Taps) -> np.ndarray:
    """Write the matrix out; PlanError where it is too large for that."""
    from faltung.analysis.matrix import matrix_of

    if taps.rows * taps.columns > DENSE_ENTRIES:
        msg = (
            f"the matrix is {taps.rows} x {taps.columns} and no axis makes it circulant; decomposing it densely is "
            f"done up to {DENSE_ENTRIES} entries. Use boundary='wrap' with stride 1, a smaller shape, or norm() for "
            "the largest singular value"
        )
        raise PlanError(msg)
    return np.asarray(matrix_of(taps).toarray())


def inverse(c: Convolution, shape: int | Sequence[int]) -> Convolution:
    """Invert a circular convolution of arrays of a shape: another circular convolution, with a kernel of the full size.

    Every filtered axis has to wrap around with stride 1, and there have to be as many output as input channels. The
    result is for arrays of this shape (along filtered axes) alone: inverse(c, shape)(c(x)) is x, to rounding times the
    condition number. Its kernel is float64 or complex128. Raises GeometryError where the operator is not such a torus,
    PlanError where it is singular to working precision, with the smallest singular value, and what `matrix` raises.
    Source: the convolution theorem.

    >>> from faltung import Convolution
    >>> c = Convolution([4.0, 1.0], boundary="wrap")
    >>> inverse(c, 5)(c([1.0, 2.0, 3.0, 5.0, 8.0])).round(12)
    array([1., 2., 3., 5., 8.])
    """
    taps = taps_of(c, shape)
    symbol = symbol_of(taps)
    if symbol is None or taps.inputs != taps.outputs or len(taps.shape) != len(taps.output_shape):
        msg = f"only a circular convolution with as many outputs as inputs is inverted by one: {structure_of(taps)!r}\n"
        raise GeometryError(msg + "use boundary='wrap' and stride=1 for this, or solve() for a least-squares answer")
    values = np.linalg.svd(symbol.blocks, compute_uv=False)
    least, most = float(values.min()), float(values.max())
    if least <= most * np.finfo(np.float64).eps * max(values.size, 1):
        msg = f"the operator is singular: its smallest singular value is {least:.3g}, its largest {most:.3g}; "
        raise PlanError(msg + "some waves are lost; use solve(..., regularisation=...) for a stable answer")
    return _convolution(c, symbol, np.linalg.inv(symbol.blocks))


def _convolution(c: Convolution, symbol: Symbol, blocks: np.ndarray) -> Convolution:
    """Make the circular convolution that has these blocks."""
    taps = symbol.taps
    waves = np.moveaxis(blocks, (-3, -2, -1), (0, 1, 2))
    kernel: Any = np.fft.ifftn(waves, axes=tuple(3 + i for i in symbol.along)) if symbol.along else waves
    if taps.weights.dtype.kind != "c":
        kernel = kernel.real
    window = kernel.reshape(taps.outputs, taps.inputs // taps.groups, *kernel.shape[3:])
    changed = {"flip": True, "mode": "same", "padding": None, "boundary": "wrap", "dilation": 1, "anchor": 0}
    if c.channels:
        return c.like(window, **changed)
    # The kernel's axes go back to the order in which the caller named them.
    window = window.reshape([n for i, n in enumerate(window.shape[2:]) if i in symbol.along])
    filtered, _ = c.geometry(taps.shape)
    order = sorted(range(len(filtered)), key=filtered.__getitem__)
    return c.like(window.transpose(np.argsort(order)), **changed)
