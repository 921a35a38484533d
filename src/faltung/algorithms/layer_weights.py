"""Packing the weights of a layer for the layer nest, as fast as weights that change from call to call need.

They lie as [group, block, 1 + tap, lane]; the first row is for the bias.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faltung.compiler import kernels as compiled
from faltung.compiler.elements import Element
from faltung.compiler.pack_nest import FIELDS, PackNest
from faltung.runtime import workspace
from faltung.runtime.kept import Kept

if TYPE_CHECKING:
    from faltung.algorithms.layer import Form

TABLES_KEPT = 8
MANY = 4  # columns, from where turning a square of registers costs less than moving them one by one


class Table(NamedTuple):
    """The parameters of a packing call, and the bands that they point to."""

    parameters: np.ndarray
    bands: np.ndarray


class Packing:
    """How the weights of one layer are packed; tables are made once for each layout that comes along."""

    def __init__(self, counts: tuple[int, int, int], window: tuple[int, ...], form: Form, dtype: np.dtype) -> None:
        (self.groups, self.outputs, self.inputs), self.window, self.taps = counts, window, math.prod(window)
        self.form, self.dtype = form, dtype
        self.nest = PackNest(Element.of(dtype), form.width // form.vectors)
        self._tables: Kept[tuple[int, ...], Table] = Kept(TABLES_KEPT)

    def pack(self, weight: np.ndarray, *, once: bool = False) -> np.ndarray:
        """Pack (groups, outputs, inputs, *window), any strides; with `once` for the next call of this thread only.

        Lanes without a channel hold anything, for nothing of them is stored.
        """
        weight = weight.astype(self.dtype, copy=False)
        shape = (self.groups, self.form.blocks, 1 + self.inputs * self.taps, self.form.width)
        packed = workspace.borrow_weights(shape, self.dtype) if once else workspace.aligned(shape, self.dtype)
        table = self._table(weight.strides)
        source = weight.__array_interface__["data"][0]
        compiled.get(self.nest)(table.parameters.ctypes.data, source, packed.ctypes.data)
        return packed

    def put_bias(self, packed: np.ndarray, bias: np.ndarray) -> None:
        """Fill the first rows of packed weights from a bias (groups, outputs)."""
        row, whole = packed[:, :, 0, :], self.outputs // self.form.width
        if whole:
            full = bias[:, : whole * self.form.width]
            row[:, :whole] = full.reshape(self.groups, whole, self.form.width)
        if whole < self.form.blocks:
            rest = bias[:, whole * self.form.width :]
            row[:, whole, : rest.shape[1]] = rest

    def _table(self, strides: tuple[int, ...]) -> Table:
        found = self._tables.get(strides)
        if found is None:
            found = self._made(*strides)
            self._tables.keep(strides, found)
        return found

    def _made(self, group: int, output: int, channel: int, *window: int) -> Table:
        """List the bands of rows: for each group, register of channels and input channel a matrix of outputs x taps.

        Taps that lie backwards are read forwards and stored backwards; those that lie apart come one by one.
        """
        form, item, lanes = self.form, self.dtype.itemsize, self.nest.lanes
        offsets, step = self._taps(window)
        sizes = (self.groups, self.outputs, self.inputs, *self.window)
        end = item + sum(max((n - 1) * s, 0) for n, s in zip(sizes, (group, output, channel, *window), strict=True))
        inputs, columns, row = self.inputs, self.taps, np.zeros(1, np.int64)
        if step == item and channel == self.taps * item:
            inputs, columns = 1, self.inputs * self.taps
        elif step == -item:
            row, offsets = row + self.taps - 1, offsets[-1:]
        elif step != item:
            columns, row = 1, np.arange(self.taps)
        offsets = offsets[: len(row)]
        g, v, c, t = np.ix_(range(self.groups), range(0, self.outputs, lanes), range(inputs), range(len(row)))
        source = g * group + v * output + c * channel + offsets[t]
        block, lane = np.divmod(v, form.width)
        first = (g * form.blocks + block) * (1 + self.inputs * self.taps) + 1
        target = (first + c * self.taps + row[t]) * form.width + lane
        rows = np.broadcast_to(np.minimum(self.outputs - v, lanes), source.shape)
        bands = np.stack([source, target * item, rows], axis=-1).reshape(-1, 3).astype(np.int64)
        # Those in which a register can be read from the last row come first; each kind as it lies in memory.
        wide = (bands[:, 0] + (bands[:, 2] - 1) * output + lanes * item <= end) & (columns >= MANY) & (output > 0)
        bands = np.ascontiguousarray(bands[np.lexsort((bands[:, 0], ~wide))])
        values = {
            "bands": len(bands), "band_table": bands.ctypes.data, "row": output, "columns": columns,
            "pitch": form.width * item * (-1 if step == -item else 1), "wide": int(wide.sum()),
        }  # fmt: skip
        return Table(np.array([values[name] for name in FIELDS], np.int64), bands)

    def _taps(self, strides: tuple[int, ...]) -> tuple[np.ndarray, int]:
        """Give the byte offset of every tap, and the step between them; 0 where it is not the same everywhere."""
        offsets = np.zeros(1, np.int64)
        for n, stride in zip(self.window, strides, strict=True):
            offsets = (offsets[:, None] + stride * np.arange(n)).ravel()
        steps = set(np.diff(offsets).tolist()) or {self.dtype.itemsize}
        return offsets, steps.pop() if len(steps) == 1 else 0
