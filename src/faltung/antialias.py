"""Down-sampling that respects translations: blur first, or keep the grid that a shift cannot change.

>>> from faltung.antialias import polyphase_pool
>>> polyphase_pool([1, 0, 5, 1]), polyphase_pool([0, 5, 1, 1])
(array([1, 5]), array([5, 1]))
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.convolution import Convolution
from faltung.errors import GeometryError
from faltung.plan.plan import as_array
from faltung.problem import dtypes as rules
from faltung.problem import geometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    PerAxis = int | Sequence[int]


def blur_pool(
    x: ArrayLike,
    window: PerAxis = 3,
    stride: PerAxis = 2,
    axes: PerAxis | None = None,
    boundary: Any = "reflect",
    *,
    threads: int | None = None,
) -> np.ndarray:
    """Blur with a binomial window, then keep every stride-th sample: anti-aliased down-sampling.

    The window of size k holds the binomial coefficients of k - 1, divided by 2^(k-1), along each axis: (1, 2, 1)/4 for
    3. Output j is centred on sample stride·j; an even window has one more sample after that than before. An axis of n
    samples keeps ceil(n / stride). `axes` are the last ones, as many as `window` or `stride` has entries, or all where
    both are numbers. Floats keep their dtype, 8- and 16-bit integers give float32, wider ones float64; the error is
    that of `correlate`. Raises GeometryError and BoundaryError for what has no meaning.
    Source: Zhang, "Making convolutional networks shift-invariant again" (ICML 2019).

    >>> blur_pool([0.0, 0.0, 4.0, 0.0, 0.0, 0.0])
    array([0., 2., 0.])
    """
    array = as_array(x)
    named = _axes(array.ndim, axes, window, stride)
    sizes = geometry.per_axis(window, len(named), "window", least=1)
    kernel = np.ones(())
    for size in sizes:
        kernel = np.multiply.outer(kernel, [math.comb(size - 1, i) / 2 ** (size - 1) for i in range(size)])
    blur = Convolution(
        kernel, flip=False, padding=[((size - 1) // 2, size // 2) for size in sizes], boundary=boundary,
        stride=geometry.per_axis(stride, len(named), "stride", least=1), axes=named,
    )  # fmt: skip
    return blur(array, threads=threads)


def polyphase_pool(
    x: ArrayLike,
    stride: PerAxis = 2,
    axes: PerAxis | None = None,
    order: float = 2,
    *,
    batch_axes: PerAxis = (),
    return_phase: bool = False,
) -> Any:
    """Keep the one of the stride-spaced grids whose samples are largest: exactly equivariant to circular shifts.

    An array has Π stride grids (polyphase components); that of the largest norm Σ|x|^order is returned, as it is.
    Whatever the circular shift of the input along `axes`, the output is the same up to a circular shift, bit for bit;
    and where the shift is a multiple of the stride, it is that multiple. Hence the norms are correctly rounded sums,
    which no order of the samples changes; grids of equal norm are compared by the lexicographically largest of their
    circular shifts; and those that are equal in this as well are circular shifts of each other, of which the first
    serves.

    Parameters
    ----------
    x : array of any real, integer or complex dtype, which the output keeps; each size is a multiple of the stride
    stride : int or one per axis
    axes : the pooled axes; by default the last ones, as many as `stride` has entries, or all where it is a number
        All other axes share one choice, as the channels of an image do.
    order : positive number, or infinity for the largest |x|
    batch_axes : carried axes along which each entry makes a choice of its own, such as 0 for a batch of images
    return_phase : whether to give the chosen grid as well: its first index along each pooled axis (in the last axis of
        an integer array whose first axes are the batch axes), so that it is x[phase::stride]

    Raises
    ------
    GeometryError : for sizes that are no multiples of the stride, whose grids no circular shift would exchange.

    Examples
    --------
    >>> polyphase_pool([1, 7, 2, 5], return_phase=True)
    (array([7, 5]), array([1]))

    Source: Chaman and Dokmanić, "Truly shift-invariant convolutional neural networks" (CVPR 2021), whose norms depend
    on the order of summation, and whose ties are left to the order of the grids.
    """
    array = as_array(x)
    rules.kind_of(array.dtype)
    named = _axes(array.ndim, axes, stride)
    strides = geometry.per_axis(stride, len(named), "stride", least=1)
    batch = geometry.normalize_axes(batch_axes, array.ndim, np.size(batch_axes))
    _check(array, named, strides, batch, order)
    # Batch axes first, the pooled ones last.
    moved = np.moveaxis(array, (*batch, *named), (*range(len(batch)), *range(-len(named), 0)))
    shape = moved.shape[: moved.ndim - len(named)] + tuple(
        array.shape[a] // s for a, s in zip(named, strides, strict=True)
    )
    out = np.empty(shape, array.dtype)
    phases = np.zeros((*shape[: len(batch)], len(named)), np.int64)
    every = list(itertools.product(*map(range, strides)))
    for entry in np.ndindex(*shape[: len(batch)]):
        grids = [
            moved[(*entry, ..., *(slice(p, None, s) for p, s in zip(phase, strides, strict=True)))] for phase in every
        ]
        best = _largest(grids, len(named), float(order)) if out.size else 0
        out[entry], phases[entry] = grids[best], every[best]
    result = np.ascontiguousarray(np.moveaxis(out, (*range(len(batch)), *range(-len(named), 0)), (*batch, *named)))
    return (result, phases) if return_phase else result


def _axes(ndim: int, axes: PerAxis | None, *given: Any) -> tuple[int, ...]:
    """Give the axes that are named, or the last as many as a parameter has entries, or all."""
    counts = [len(value) for value in given if geometry.is_sequence(value)]
    if axes is None:
        axes = tuple(range(-counts[0], 0)) if counts else tuple(range(ndim))
    return geometry.normalize_axes(axes, ndim, np.size(axes))


def _check(array: np.ndarray, axes: Sequence[int], strides: Sequence[int], batch: Sequence[int], order: Any) -> None:
    for axis, stride in zip(axes, strides, strict=True):
        size = array.shape[axis]
        if size % stride:
            msg = f"axis {axis} has {size} samples, no multiple of the stride {stride}, so a circular shift would mix "
            raise GeometryError(msg + f"the grids; pad it to {size + stride - size % stride}, or crop it")
    if set(axes) & set(batch):
        msg = f"axis {(set(axes) & set(batch)).pop()} is among the pooled axes {axes} and the batch_axes {batch}"
        raise GeometryError(msg + "; name it once")
    if isinstance(order, bool) or not isinstance(order, (int, float, np.number)) or not order > 0:
        msg = f"order={order!r}: the norm needs a positive exponent, or infinity for the largest |x|"
        raise GeometryError(msg)


def _largest(grids: Sequence[np.ndarray], rank: int, order: float) -> int:
    """Choose a grid by rules that circular shifts along its last `rank` axes cannot change."""
    norms = _norms(grids, order)
    tied = [i for i, norm in enumerate(norms) if norm == max(norms)]
    if len(tied) == 1 or all(grids[i].tobytes() == grids[tied[0]].tobytes() for i in tied):
        return tied[0]
    ranks = _shift_ranks([grids[i] for i in tied], rank)
    # Ranks are compared across grids: the first that holds the largest shift of all.
    return tied[int(np.argmax([some.max() for some in ranks]))]


def _norms(grids: Sequence[np.ndarray], order: float) -> list[tuple[float, ...]]:
    """Give (NaN, infinities, Σ|x|^order) of each grid; sums that could be the largest are correctly rounded."""
    moduli = _moduli(grids)
    counts = [(int(np.isnan(m).sum()), int(np.isinf(m).sum())) for m in moduli]
    norms: list[tuple[float, ...]] = [(*count, -1.0) for count in counts]
    first = [i for i, count in enumerate(counts) if count == max(counts)]
    finite = [np.where(np.isfinite(moduli[i]), moduli[i], 0) if any(counts[i]) else moduli[i] for i in first]
    if np.isinf(order):
        sums = [float(m.max(initial=0)) for m in finite]
    else:
        terms = _powers(finite, order)
        sums = [float(t.sum()) for t in terms]
        # Sums in double precision are that near to the exact ones (Higham 2002, section 4.2).
        near = max(sums) * (1 - 4 * terms[0].size * 2.0**-53)
        sums = [math.fsum(t) if total >= near else -1.0 for t, total in zip(terms, sums, strict=True)]
    for i, total in zip(first, sums, strict=True):
        norms[i] = (*counts[i], total)
    return norms


def _moduli(grids: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Give all |x| in double precision, scaled by one power of two so that the largest lies from 1/2 to 2.

    Each is made of operations that round correctly, whatever its place in memory.
    """
    complex_ = rules.kind_of(grids[0].dtype) == "complex"
    parts = [[grid.real, grid.imag] if complex_ else [grid] for grid in grids]
    wide = [[np.abs(part.astype(np.float64)).ravel() for part in pair] for pair in parts]
    largest = max(float(np.max(part, initial=0, where=np.isfinite(part))) for pair in wide for part in pair)
    shift = -math.frexp(largest)[1]
    with np.errstate(under="ignore"):
        scaled = [[np.ldexp(part, shift) for part in pair] for pair in wide]
        return [np.sqrt(pair[0] * pair[0] + pair[1] * pair[1]) if complex_ else pair[0] for pair in scaled]


def _powers(moduli: Sequence[np.ndarray], order: float) -> list[np.ndarray]:
    with np.errstate(under="ignore"):
        if order == 1:
            return list(moduli)
        if order == 2:
            return [m * m for m in moduli]
        # A power need not round alike at every place of an array: each value is raised once, in order of size.
        values, which = np.unique(np.stack(moduli), return_inverse=True)
        return list((values**order)[which].reshape(len(moduli), -1))


def _shift_ranks(grids: Sequence[np.ndarray], rank: int) -> list[np.ndarray]:
    """Number all circular shifts of all grids in lexicographic order: by the place in a grid at which they start.

    Equal shifts get equal numbers. Numbers of shorter stretches are put together to those of longer ones, as suffix
    arrays are made (Karp, Miller and Rosenberg 1972), axis by axis. Samples are compared by their bits: any order
    will do that tells different ones apart.
    """
    places = grids[0].shape[grids[0].ndim - rank :]
    ranks = _sample_ranks(grids, places)
    for axis in range(rank, 0, -1):
        length = 1
        while length < places[axis - 1]:
            before = ranks.max() + 1
            pairs = ranks * before + np.roll(ranks, -length, axis)
            ranks = np.unique(pairs, return_inverse=True)[1].reshape(ranks.shape)
            length *= 2
            if ranks.max() + 1 == before:
                # What twice the length does not tell apart, no length does.
                break
    return list(ranks)


def _sample_ranks(grids: Sequence[np.ndarray], places: tuple[int, ...]) -> np.ndarray:
    """Number the samples, which are vectors along the carried axes."""
    native = [grid.astype(grid.dtype.newbyteorder("="), copy=False) for grid in grids]
    vectors = [grid.reshape(-1, math.prod(places)).T for grid in native]
    bits = np.ascontiguousarray(np.concatenate(vectors)).view(np.uint8)
    if bits.shape[1] in (1, 2, 4, 8):
        bits = bits.view(f"u{bits.shape[1]}").ravel()
    ranks = np.unique(bits, axis=0, return_inverse=True)[1]
    return ranks.reshape(len(grids), *places).astype(np.int64)
