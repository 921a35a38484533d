"""Tiles with samples that a transform would spread: NaN, Inf, and such as dwarf what a window holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms import direct
from faltung.algorithms.task import Rejection, Task
from faltung.errors import PlanError
from faltung.problem.boundary import Rule
from faltung.problem.geometry import Axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.algorithms.fourier_tiles import Place
    from faltung.algorithms.fourier_work import Worker


@dataclass(eq=False)
class Piece:
    """One tile of the pair: its samples, and what is known of its windows (None where none is so).

    `finite` and `size` are the samples with zeros for NaN and Inf, and their magnitudes.
    """

    tile: int
    place: Place
    original: np.ndarray
    finite: np.ndarray
    size: np.ndarray
    nan: np.ndarray | None = None
    zero: np.ndarray | None = None
    direct: np.ndarray | None = None

    @property
    def largest(self) -> float:
        """The largest finite magnitude."""
        return float(self.size.max(initial=0))

    @property
    def done(self) -> bool:
        """Whether no window is left for a transform."""
        known = [mask for mask in (self.nan, self.direct) if mask is not None]
        return bool(known) and bool(np.logical_or.reduce(known).all())


def repair(worker: Worker, tiles: Sequence[int]) -> None:
    """Do a pair of tiles that are loaded already, window by window as the definition has it where that matters."""
    pieces = [_piece(worker, part, tile) for part, tile in enumerate(tiles)]
    together = [piece for piece in pieces if not piece.done]
    calm = _calm(worker, together)
    if not calm or any(piece.direct is not None for piece in pieces):
        # The samples lie where the transform works.
        for piece in pieces:
            piece.original = piece.original.copy()
            piece.finite = piece.finite.copy()
    for group in [together] if calm else [[piece] for piece in together]:
        if not calm:
            _examine(worker, group[0])
        _transform(worker, pieces, group)
    for piece in pieces:
        _patch(worker, piece)


def dilated(mask: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """Say of each output whether any tap of its window meets the mask: a doubling number of taps, axis by axis."""
    for i, axis in enumerate(axes):
        front, have = (slice(None),) * i, 1
        while have < axis.taps:
            more = min(have, axis.taps - have)
            shift = more * axis.dilation
            mask, have = mask[(*front, slice(None, -shift))] | mask[(*front, slice(shift, None))], have + more
    return mask


def _piece(worker: Worker, part: int, tile: int) -> Piece:
    tiling, axes = worker.method.tiling, worker.method.tiling.view.axes
    place = tiling.place(tile % tiling.per_image)
    need = tuple(slice(0, n + axis.span - 1) for n, axis in zip(place.wanted, axes, strict=True))
    samples = worker.samples(part)[need]
    missing = np.isnan(samples)
    nan = dilated(missing, axes) if missing.any() else None
    if nan is not None and nan.all():
        return Piece(tile, place, samples, samples[:0], samples[:0], nan)
    finite = samples if nan is None else _without(samples, missing)
    size = np.abs(finite)
    piece = Piece(tile, place, samples, finite, size, nan)
    if np.isinf(piece.largest):
        infinite = np.isinf(size)
        # (A window with NaN and Inf is NaN.)
        piece.direct = dilated(infinite, axes)
        piece.finite, piece.size = _without(finite, infinite), _without(size, infinite)
    return piece


def _without(samples: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give a copy with zeros where the mask is."""
    rest = samples.copy()
    rest[mask] = 0
    return rest


def _calm(worker: Worker, group: Sequence[Piece]) -> bool:
    """Find windows that hold nothing, and say whether none is dwarfed by the group."""
    method = worker.method
    largest = max((piece.largest for piece in group), default=0.0)
    if largest and not method.loads.limits[0] <= largest <= method.loads.limits[1]:
        return False
    return not any(_dwarfed(worker, piece, largest).any() for piece in group)


def _dwarfed(worker: Worker, piece: Piece, largest: float) -> np.ndarray:
    axes = worker.method.tiling.view.axes
    bright, some = piece.size >= worker.method.dwarf * largest, piece.size != 0
    dark = ~dilated(bright, axes)
    if dark.any():
        piece.zero = dark.copy() if np.array_equal(bright, some) else ~dilated(some, axes)
        dark &= ~piece.zero
        for known in (piece.nan, piece.direct):
            if known is not None:
                dark &= ~known
    return dark


def _examine(worker: Worker, piece: Piece) -> None:
    """Mark the windows that a tile by itself dwarfs; all of them where it leaves the range of a transform."""
    limits, largest = worker.method.loads.limits, piece.largest
    if largest and not limits[0] <= largest <= limits[1]:
        marked = np.ones(piece.place.wanted, bool)
    else:
        marked = _dwarfed(worker, piece, largest)
    if marked.any():
        piece.direct = marked if piece.direct is None else marked | piece.direct


def _transform(worker: Worker, pieces: Sequence[Piece], group: Sequence[Piece]) -> None:
    wanted = [piece in group and not piece.done for piece in pieces]
    if not any(wanted):
        return
    loaded = all(yes and not piece.finite.flags.owndata for piece, yes in zip(pieces, wanted, strict=True))
    if not loaded or not np.isfinite(worker.sizes[:, 0]).all():
        finite = [piece.finite.copy() if yes else None for piece, yes in zip(pieces, wanted, strict=True)]
        for part in (0, 1):
            worker.fill(part, finite[part] if part < len(finite) else None)
    worker.transform([piece.tile if yes else None for piece, yes in zip(pieces, wanted, strict=True)])


def _patch(worker: Worker, piece: Piece) -> None:
    """Write the outputs that the transform could not give."""
    method = worker.method
    whole = piece.done
    if all(mask is None or not mask.any() for mask in (piece.zero, piece.nan, piece.direct)):
        return
    for filter_ in range(len(method.spectra)):
        values, known = _values(worker, piece, filter_)
        worker.stores.patch(worker, filter_, piece.tile, piece.place, values, None if whole else known)


def _values(worker: Worker, piece: Piece, filter_: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the outputs of a tile as far as they are known without a transform, and where they are."""
    dtype = worker.method.out_dtype
    gap = np.nan if dtype.kind == "f" else 0
    if piece.nan is not None and piece.direct is None and piece.zero is None:
        return np.full(piece.place.wanted, gap, dtype), piece.nan
    values = np.zeros(piece.place.wanted, dtype)
    known = np.zeros(piece.place.wanted, bool) if piece.zero is None else piece.zero.copy()
    if piece.direct is not None and piece.direct.any():
        box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(piece.direct))
        found = np.zeros_like(values)
        found[box] = _direct(worker, piece, box)[filter_]
        values = np.where(piece.direct, found, values)
        known |= piece.direct
    if piece.nan is not None:
        values[piece.nan] = gap
        known |= piece.nan
    return values, known


def _direct(worker: Worker, piece: Piece, box: tuple[slice, ...]) -> np.ndarray:
    """Sum the taps of a box of outputs directly."""
    method, task = worker.method, worker.method.task
    axes = method.tiling.view.axes
    samples = np.ascontiguousarray(
        piece.original[tuple(slice(b.start, b.stop + axis.span - 1) for b, axis in zip(box, axes, strict=True))]
    )
    geometry = tuple(
        Axis(n, axis.taps, 1, axis.dilation, 0, b.stop - b.start)
        for n, axis, b in zip(samples.shape, axes, box, strict=True)
    )
    problem = replace(
        task.problem, shape=samples.shape, axes=tuple(range(samples.ndim)), geometry=geometry,
        boundary=((Rule("zero"), Rule("zero")),) * samples.ndim,
        dtypes=replace(task.problem.dtypes, input=method.accumulate), filters=len(task.kernels),
    )  # fmt: skip
    kernels = tuple(kernel.reshape([axis.taps for axis in axes]) for kernel in task.kernels)
    answer = direct.propose(Task(problem, method.accumulate, kernels, task.facts, task.tolerance))
    if isinstance(answer, Rejection):
        msg = f"a tile must be summed directly, but {answer.reason}; use algorithm='numpy'"
        raise PlanError(msg)
    summed = answer.prepare()
    found = np.empty((len(kernels), *summed.out_shape), method.out_dtype)
    summed.run(samples.reshape(summed.in_shape), found, 1)
    return found.reshape(len(kernels), *problem.map_shape)
