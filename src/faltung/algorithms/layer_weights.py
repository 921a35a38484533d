"""Packing the weights of a layer for the layer nest: [group, block, tap, lane], as fast as weights that change need."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.compiler import isa as isas
from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.compiler.pack_nest import FIELDS, PackNest
from faltung.runtime import workspace
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from faltung.algorithms.layer import Form

TABLES_KEPT = 8


class Table(NamedTuple):
    """The parameters of a packing call, the bands it points to, and what to add to the address of the weights."""

    parameters: np.ndarray
    bands: np.ndarray


class Packing:
    """How the weights of one layer are packed; tables are made once for each layout that comes along."""

    def __init__(self, groups: int, outputs: int, inputs: int, taps: int, form: Form, dtype: np.dtype) -> None:
        self.groups, self.outputs, self.inputs, self.taps = groups, outputs, inputs, taps
        self.form, self.dtype = form, dtype
        self.nest = PackNest(Element.of(dtype), isas.host().vector_bytes // dtype.itemsize)
        self._tables: Kept[tuple[int, ...], Table] = Kept(TABLES_KEPT)

    def pack(self, weight: np.ndarray, *, once: bool = False) -> np.ndarray:
        """Pack (groups, outputs, inputs, *window), any strides; with `once` for the next call of this thread only.

        Lanes without a channel hold anything, for nothing of them is stored.
        """
        weight = _regular(weight.astype(self.dtype, copy=False))
        shape = (self.groups, self.form.blocks, self.inputs * self.taps, self.form.width)
        packed = workspace.borrow_weights(shape, self.dtype) if once else workspace.aligned(shape, self.dtype)
        table = self._table(weight.strides)
        source = weight.__array_interface__["data"][0]
        compiled.get(self.nest)(table.parameters.ctypes.data, source, packed.ctypes.data)
        return packed

    def _table(self, strides: tuple[int, ...]) -> Table:
        found = self._tables.get(strides)
        if found is None:
            found = self._made(*strides)
            self._tables.keep(strides, found)
        return found

    def _made(self, group: int, output: int, channel: int, tap: int) -> Table:
        """List the bands of rows: for each group, register of channels and input channel one matrix of outputs x taps.

        Taps that lie backwards are read forwards and stored backwards.
        """
        form, item, lanes = self.form, self.dtype.itemsize, self.nest.lanes
        whole = tap == item and channel == self.taps * tap
        inputs, columns = (1, self.inputs * self.taps) if whole else (self.inputs, self.taps)
        backwards = tap < 0
        g, v, c = np.ix_(np.arange(self.groups), np.arange(0, self.outputs, lanes), np.arange(inputs))
        source = g * group + v * output + c * channel + (tap * (self.taps - 1) if backwards else 0)
        block, lane = np.divmod(v, form.width)
        row = c * self.taps + (self.taps - 1 if backwards else 0)
        target = (((g * form.blocks + block) * (self.inputs * self.taps) + row) * form.width + lane) * item
        rows = np.broadcast_to(np.minimum(self.outputs - v, lanes), source.shape)
        bands = np.ascontiguousarray(np.stack([source, target, rows], axis=-1).reshape(-1, 3), np.int64)
        pitch = form.width * item * (-1 if backwards else 1)
        values = {
            "bands": len(bands), "band_table": bands.ctypes.data, "row": output, "columns": columns, "pitch": pitch,
        }  # fmt: skip
        return Table(np.array([values[name] for name in FIELDS], np.int64), bands)


def _regular(weight: np.ndarray) -> np.ndarray:
    """Give (groups, outputs, inputs, taps), the taps one after the other in memory, forwards or backwards."""
    first, window = weight.shape[:3], weight.shape[3:]
    taps = int(np.prod(window))
    step = weight.strides[-1] if window and abs(weight.strides[-1]) == weight.itemsize else weight.itemsize
    expected, size = [], step
    for n in reversed(window):
        expected.append(size)
        size *= n
    regular = all(n == 1 or s == e for n, s, e in zip(window, weight.strides[3:], reversed(expected), strict=True))
    if taps == 1:
        step = weight.itemsize
    elif not regular:
        weight, step = np.ascontiguousarray(weight), weight.itemsize
    shape, strides = (*first, taps), (*weight.strides[:3], step)
    return np.lib.stride_tricks.as_strided(weight, shape, strides)
