"""What a convolution does to waves: its frequency response, what a stride folds together, and Bochner's criterion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.analysis.taps import weights_of
from faltung.analysis.window import windows
from faltung.errors import GeometryError
from faltung.problem import geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.convolution import Convolution

FREQUENCIES = {1: 512, 2: 128}
MORE_AXES = 32


class Aliases(NamedTuple):
    """What a stride folds together, for each frequency of the output.

    `frequencies` are the output's, ascending, one array per axis. `sources` has one array (stride, n/stride) per axis:
    the input frequencies that end there; the first row is the frequency itself, the others are its aliases. `response`
    is that of the input at all of them: for each axis, first (..., *strides), then (..., *n/strides).
    """

    frequencies: tuple[np.ndarray, ...]
    sources: tuple[np.ndarray, ...]
    response: np.ndarray

    @property
    def leakage(self) -> np.ndarray:
        """The share of each output frequency's energy that comes from aliases, for white input: 0 is none."""
        ndim = len(self.frequencies)
        first = self.response.ndim - 2 * ndim
        power = np.abs(self.response) ** 2
        total = power.sum(axis=tuple(range(first, first + ndim)))
        own = power[(..., *(0,) * ndim, *(slice(None),) * ndim)]
        return np.asarray(np.divide(total - own, total, out=np.zeros_like(total), where=total > 0))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Spectrum:
    """The frequency response on a grid: a wave exp(2πi f·x) comes out multiplied by the response at f.

    `frequencies` holds, for each filtered axis, ascending frequencies in cycles per unit of the spacing, from
    -1/(2·spacing) on. `response` is complex128, one axis per filtered axis; before them a bank has its filters, and a
    layer (outputs, inputs/groups). `tolerance` is that of `is_nonnegative`.
    """

    frequencies: tuple[np.ndarray, ...]
    response: np.ndarray
    spacing: tuple[float, ...]
    stride: tuple[int, ...]
    groups: int | None
    tolerance: float

    @property
    def magnitude(self) -> np.ndarray:
        """By how much each wave is amplified: |response|."""
        return np.asarray(np.abs(self.response))

    @property
    def phase(self) -> np.ndarray:
        """By how much each wave is advanced, in radians from -π to π."""
        return np.asarray(np.angle(self.response))

    @property
    def is_nonnegative(self) -> bool:
        """Whether the response is real and nowhere negative on the grid, to `tolerance` times its largest magnitude.

        By Bochner's theorem the filter is then a positive-definite, shift-invariant kernel k(x - x') on this torus: a
        covariance. For the grid without ends it is so up to what happens between the frequencies. A layer is one where
        its matrices are Hermitian and positive semi-definite (Cramér); a bank where all its filters are.
        Source: Bochner (1932); Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), section 4.2.1.
        """
        allowed = self.tolerance * float(self.magnitude.max(initial=0.0))
        if self.groups is None:
            return bool((np.abs(self.response.imag) <= allowed).all() and (self.response.real >= -allowed).all())
        outputs, inputs = self.response.shape[:2]
        if outputs != inputs * self.groups:
            return False
        blocks = self.response.reshape(self.groups, inputs, inputs, -1).transpose(0, 3, 1, 2)
        adjoint = blocks.conj().swapaxes(-1, -2)
        hermitian = bool((np.abs(blocks - adjoint) <= 2 * allowed).all())
        return hermitian and bool((np.linalg.eigvalsh((blocks + adjoint) / 2) >= -allowed).all())

    def aliases(self) -> Aliases:
        """Group the frequencies that the stride folds together (all by themselves for stride 1).

        After a stride s, frequencies that differ by multiples of 1/(s·spacing) cannot be told apart. Raises
        GeometryError where the number of frequencies is no multiple of the stride.
        """
        ndim = len(self.frequencies)
        first = self.response.ndim - ndim
        response, found, sources = self.response, [], []
        for i, (own, s) in enumerate(zip(self.frequencies, self.stride, strict=True)):
            n = len(own)
            if n % s:
                msg = f"{n} frequencies on axis {i} do not fall into groups of {s}; ask for a multiple of the stride"
                raise GeometryError(msg)
            kept = n // s
            index = np.arange(kept) - kept // 2 + np.arange(s)[:, None] * kept
            index = (index + n // 2) % n
            found.append(own[index[0]])
            sources.append(own[index])
            response = response.take(index, axis=first + 2 * i)
        order = [*range(first), *range(first, first + 2 * ndim, 2), *range(first + 1, first + 2 * ndim, 2)]
        return Aliases(tuple(found), tuple(sources), response.transpose(order))

    def __repr__(self) -> str:
        grid = " x ".join(str(len(f)) for f in self.frequencies)
        limits = ", ".join(f"{0.5 / h:g}" for h in self.spacing)
        gain = self.magnitude
        kind = "real and nowhere negative" if self.is_nonnegative else "not a covariance"
        return (
            f"<Spectrum of {grid} frequencies up to {limits} cycles per unit: magnitude {gain.min(initial=np.inf):.4g} "
            f"to {gain.max(initial=0):.4g}, {kind}>"
        )


def spectrum(
    c: Convolution,
    shape: int | Sequence[int] | None = None,
    *,
    spacing: float | Sequence[float] = 1.0,
    tolerance: float = 1e-12,
) -> Spectrum:
    """Give the frequency response of a convolution on a grid of frequencies.

    H(f) = Σ_t w[t]·exp(2πi f·offset(t)), where tap t reads the sample at that offset from the output (counted from the
    anchor, k//2 by default; without it modes and paddings shift the phase). `shape` is the number of frequencies, one
    for all or one per filtered axis: on a torus of that size these are exactly the eigenvalues. None takes enough to
    show the kernel. `spacing` is the distance of two samples, one for all or one per filtered axis, in any unit.
    Borders play no part; the stride only in `aliases`. Errors are those of an FFT: a few 1e-16 of Σ|w|.
    Raises GeometryError for shapes and spacings that are not positive or do not match the axes.
    Source: Oppenheim and Schafer, "Discrete-Time Signal Processing", chapter 2.

    >>> from faltung import Convolution
    >>> s = spectrum(Convolution([0.25, 0.5, 0.25]), 4, spacing=0.1)
    >>> s.frequencies[0], s.magnitude
    (array([-5. , -2.5,  0. ,  2.5]), array([0. , 0.5, 1. , 0.5]))
    """
    axes = windows(c)
    ndim = len(axes)
    spacings = _spacings(spacing, ndim)
    if shape is None:
        least = FREQUENCIES.get(ndim, MORE_AXES)
        wanted = [max(least, 4 * window.span) for window in axes]
        sizes = tuple(-(-n // (2 * w.stride)) * 2 * w.stride for n, w in zip(wanted, axes, strict=True))
    else:
        sizes = geometry.per_axis(shape, ndim, "shape", least=1)
    weights = weights_of(c, tuple(range(ndim)), [window.taps for window in axes])
    column = np.zeros((*weights.shape[:2], *sizes), np.complex128)
    places = [-offsets % n for offsets, n in zip(_offsets(c), sizes, strict=True)]
    np.add.at(column, np.ix_(*map(np.arange, weights.shape[:2]), *places), weights)
    along = tuple(range(2, 2 + ndim))
    response = np.fft.fftshift(np.fft.fftn(column, axes=along), axes=along) if along else column
    if not c.channels:
        response = response[:, 0] if c.filters is not None else response[0, 0]
    frequencies = tuple(np.fft.fftshift(np.fft.fftfreq(n, h)) for n, h in zip(sizes, spacings, strict=True))
    groups = c.groups if c.channels else None
    return Spectrum(frequencies, response, spacings, tuple(w.stride for w in axes), groups, tolerance)


def _offsets(c: Convolution) -> list[np.ndarray]:
    """Give the distance of every tap of the flipped kernel from the anchor, along each axis."""
    centred = geometry.resolve(c.window, c.window, dilation=c.dilation, anchor=c.anchor, flip=c.flip)
    return [axis.dilation * np.arange(axis.taps) - axis.low for axis in centred]


def _spacings(spacing: float | Sequence[float], ndim: int) -> tuple[float, ...]:
    given = [float(h) for h in np.atleast_1d(np.asarray(spacing, float))]
    spacings = given * ndim if np.ndim(spacing) == 0 else given
    if len(spacings) != ndim or not all(0 < h < float("inf") for h in spacings):
        msg = f"spacing={spacing!r} for {ndim} filtered axes; give one positive number, or one per axis"
        raise GeometryError(msg)
    return tuple(spacings)
