"""Parameter sharing, entry by entry: which weight of the kernel stands where in the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.analysis.taps import entries_of, taps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.convolution import Convolution


class Sharing(NamedTuple):
    """The entries of the matrix before duplicates are summed; four int64 arrays of one length.

    Output `rows[i]` takes sample `columns[i]` with weight `factors[i]` · kernel.ravel()[`parameters[i]`] (its conjugate
    where a filter correlates). A factor other than 1 comes from an odd boundary rule.
    """

    rows: np.ndarray
    columns: np.ndarray
    parameters: np.ndarray
    factors: np.ndarray


def sharing(c: Convolution, shape: int | Sequence[int]) -> Sharing:
    """Map every edge between an input and an output sample to the parameter that it shares.

    Inputs, outputs and parameters are counted in C order, parameters in `c.kernel` as given (flipped for a convolution;
    a bank or layer stacked). Away from the borders a parameter stands on one diagonal: one kernel at every position;
    a folded border gives several entries one place, whose weights the matrix sums. Taps beyond a zero edge are absent.
    Raises what `matrix` raises. Needs 32 bytes for each of the entries: taps times outputs.

    >>> from faltung import Convolution
    >>> shared = sharing(Convolution([5, 6], flip=False, boundary="edge"), 3)
    >>> list(zip(*(a.tolist() for a in shared[:3])))
    [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 1), (2, 1, 0), (2, 2, 1)]
    """
    taps = taps_of(c, shape)
    numbers = np.arange(c.kernel.size).reshape(c.kernel.shape)
    places = taps_of(c.like(list(numbers) if c.filters is not None else numbers), shape).weights
    inputs = int(taps.weights.shape[1])
    group = np.arange(taps.outputs) // (taps.outputs // taps.groups)
    channels = np.broadcast_to(np.arange(taps.outputs)[:, None], (taps.outputs, inputs)).ravel()
    sources = (group[:, None] * inputs + np.arange(inputs)).ravel()
    # The batch and the channels, then one axis after the other: every entry meets every entry of the next axis.
    rows = np.add.outer(np.arange(taps.batch) * taps.outputs, channels).ravel()
    columns = np.add.outer(np.arange(taps.batch) * taps.inputs, sources).ravel()
    weights = np.add.outer(np.zeros(taps.batch, np.int64), np.arange(len(channels))).ravel()
    factors = np.ones(len(rows), np.int64)
    for axis, sides in zip(taps.axes, taps.sides, strict=True):
        entries = entries_of(axis, sides, np.arange(axis.out))
        rows = np.add.outer(rows * axis.out, entries.rows).ravel()
        columns = np.add.outer(columns * axis.size, entries.columns).ravel()
        weights = np.add.outer(weights * axis.taps, entries.taps).ravel()
        factors = np.multiply.outer(factors, entries.factors).ravel()
    order = np.lexsort((weights, columns, rows))
    return Sharing(rows[order], columns[order], places.ravel()[weights[order]], factors[order])
