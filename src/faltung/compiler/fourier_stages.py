"""The stages of a Fourier transform along the rows of a panel: every register lane is a transform of its own.

Forward stages decimate in frequency, inverse ones in time, with the radices in opposite order: each inverse stage
undoes its forward stage, and no digits are ever reversed. The spectrum stays in the order `order` gives.
Source: Cooley and Tukey (1965), Gentleman and Sande (1966); a radix of 8 as two transforms of 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from faltung.compiler.arithmetic import splat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.compiler.elements import Element
    from faltung.compiler.ir import Writer
    from faltung.compiler.isa import Isa

Pair = tuple[str, str]


def radices(size: int, isa: Isa) -> tuple[int, ...]:
    """Factor a power of two, or three times one, into stages that fit the registers: 32 hold a radix of 8, 16 one of 4.

    >>> from faltung.compiler.isa import ISAS
    >>> radices(256, ISAS["avx512"]), radices(96, ISAS["avx2"])
    ((8, 8, 4), (4, 4, 2, 3))
    """
    if size % 3 == 0:
        return (*(radices(size // 3, isa) if size > 3 else ()), 3)
    bits, most = size.bit_length() - 1, 3 if isa.rows * isa.vectors >= 16 else 2
    stages = max(1, -(-bits // most))
    return tuple(1 << (bits // stages + (i < bits % stages)) for i in range(stages))


def order(stages: Sequence[int]) -> np.ndarray:
    """Give the frequency at each place of a spectrum.

    >>> order((2, 4)).tolist()
    [0, 2, 4, 6, 1, 3, 5, 7]
    """
    found, done = np.zeros(1, np.int64), 1
    for radix in stages:
        found = (found[:, None] + done * np.arange(radix)[None, :]).ravel()
        done *= radix
    return found


def twiddles(stages: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Give the factors of all forward stages but the last, as (real, imaginary): for each j, those of q = 1, 2, ..."""
    parts, length = [np.zeros((0, 2))], math.prod(stages)
    for radix in stages[:-1]:
        j, q = np.arange(length // radix)[:, None], np.arange(1, radix)[None, :]
        parts.append(unit_roots(j * q, length, dtype).reshape(-1, 2))
        length //= radix
    return np.ascontiguousarray(np.concatenate(parts), dtype)


def unit_roots(turns: np.ndarray, length: int, dtype: np.dtype) -> np.ndarray:
    """Give exp(-2πi·turns/length) as (real, imaginary) of a type, from one that is wider where there is one."""
    wide = np.float64 if dtype.itemsize == 4 else np.longdouble
    # Quarter turns are exact, and the angle left is at most an eighth of a turn.
    quarter = (8 * (turns % length) + length) // (2 * length)
    rest = (4 * (turns % length) - quarter * length).astype(wide)
    angle = 4 * np.arctan(wide(1)) / (2 * length) * rest
    c, s = np.cos(angle).astype(dtype), -np.sin(angle).astype(dtype)
    real = np.choose(quarter % 4, [c, s, -c, -s])
    return np.stack([real, np.choose(quarter % 4, [s, -c, -s, c])], axis=-1)


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the rows of a panel lie: two base pointers and the bytes from row to row (a value or a number)."""

    real: str
    imaginary: str
    pitch: str | int


class Transform:
    """Writes the stages for panels of `lanes` transforms."""

    def __init__(self, w: Writer, isa: Isa, element: Element, lanes: int, stages: Sequence[int]) -> None:
        self.w, self.isa, self.element, self.lanes, self.stages = w, isa, element, lanes, tuple(stages)
        self.vector, self.size = element.vector(lanes), math.prod(stages)

    def forward(self, source: Rows, buffer: Rows, target: Rows, table: str) -> None:
        """Write all forward stages: the first reads `source`, the last writes `target`, between them is `buffer`."""
        last = len(self.stages) - 1
        for i in range(len(self.stages)):
            self.stage(i, source if i == 0 else buffer, target if i == last else buffer, table, inverse=False)

    def inverse(self, source: Rows, buffer: Rows, target: Rows, table: str) -> None:
        """Write all inverse stages."""
        last = len(self.stages) - 1
        for i in range(last, -1, -1):
            self.stage(i, source if i == last else buffer, target if i == 0 else buffer, table, inverse=True)

    def stage(self, i: int, source: Rows, target: Rows, table: str, *, inverse: bool) -> None:
        """Write one stage: a loop over the factors j, and in it over the blocks that share them."""
        w, radix = self.w, self.stages[i]
        length = math.prod(self.stages[i:])
        step, first = length // radix, self._first(i)
        inner, outer = self._apart(source.pitch, step, radix), self._apart(target.pitch, step, radix)
        with w.loop(step) as j:
            factors = w.offset(table, w.add(w.mul(j.index, 2 * (radix - 1) * self.element.bytes), first))
            with w.loop(self.size // length) as block:
                row = w.add(w.mul(block.index, length), j.index)
                values = self.load(source, row, inner)
                if inverse and step > 1:
                    values = self._turn(values, factors, conjugate=True)
                values = self.butterfly(values, inverse=inverse)
                if not inverse and step > 1:
                    values = self._turn(values, factors, conjugate=False)
                self.store(target, row, outer, values)

    def _first(self, i: int) -> int:
        """Give the byte where the factors of stage i begin."""
        count = sum(math.prod(self.stages[k + 1 :]) * (self.stages[k] - 1) for k in range(i))
        return 2 * self.element.bytes * count

    def _apart(self, pitch: str | int, step: int, radix: int) -> list[str | int]:
        return [pitch * step * q if isinstance(pitch, int) else self.w.mul(pitch, step * q) for q in range(radix)]

    def load(self, rows: Rows, row: str, apart: Sequence[str | int]) -> list[Pair]:
        """Load the points of one butterfly."""
        at = self.w.mul(row, rows.pitch)
        real, imaginary = self.w.offset(rows.real, at), self.w.offset(rows.imaginary, at)
        return [(self._read(real, a), self._read(imaginary, a)) for a in apart]

    def store(self, rows: Rows, row: str, apart: Sequence[str | int], values: Sequence[Pair]) -> None:
        """Store the points of one butterfly."""
        at = self.w.mul(row, rows.pitch)
        real, imaginary = self.w.offset(rows.real, at), self.w.offset(rows.imaginary, at)
        for a, value in zip(apart, values, strict=True):
            self._write(real, a, value[0])
            self._write(imaginary, a, value[1])

    def _read(self, pointer: str, at: str | int) -> str:
        return self.w.op(f"load {self.vector}, ptr {self.w.offset(pointer, at)}, align {self.element.bytes}")

    def _write(self, pointer: str, at: str | int, value: str) -> None:
        self.w.do(f"store {self.vector} {value}, ptr {self.w.offset(pointer, at)}, align {self.element.bytes}")

    def _turn(self, values: Sequence[Pair], factors: str, *, conjugate: bool) -> list[Pair]:
        """Multiply the points q = 1, 2, ... by their factors, which are the same for all lanes."""
        result, size = [values[0]], self.element.bytes
        for q, value in enumerate(values[1:]):
            c = splat(self.w, self.w.offset(factors, 2 * q * size), self.element, self.lanes)
            s = splat(self.w, self.w.offset(factors, (2 * q + 1) * size), self.element, self.lanes)
            result.append(self.product(value, (c, s), conjugate=conjugate))
        return result

    def product(self, x: Pair, y: Pair, *, conjugate: bool = False) -> Pair:
        """Give x · y, or x · conj(y): two products and two multiply-adds."""
        (a, b), (c, d) = x, y
        bd, bc = self._op("fmul", b, d), self._op("fmul", b, c)
        if conjugate:
            return self.multiply_add(a, c, bd), self.multiply_add(self._negative(a), d, bc)
        return self.multiply_add(a, c, self._negative(bd)), self.multiply_add(a, d, bc)

    def multiply_add(self, a: str, b: str, c: str) -> str:
        """Give a · b + c, fused where the instruction set does so."""
        if not self.isa.has_fma:
            return self._op("fadd", self._op("fmul", a, b), c)
        name = f"llvm.fma.v{self.lanes}{self.element.mangled}"
        return self.w.call(self.vector, name, (self.vector, a), (self.vector, b), (self.vector, c))

    def butterfly(self, x: Sequence[Pair], *, inverse: bool) -> list[Pair]:
        """Transform 1, 2, 3, 4 or 8 points."""
        if len(x) == 1:
            return list(x)
        if len(x) == 2:
            return [self._add(x[0], x[1]), self._sub(x[0], x[1])]
        if len(x) == 3:
            return self._three(x, inverse=inverse)
        even = self.butterfly(x[0::2], inverse=inverse)
        odd = self.butterfly(x[1::2], inverse=inverse)
        half = len(x) // 2
        result: list[Pair] = [("", "")] * len(x)
        for k in range(half):
            # In eighths of a turn; the sign of the exponent is that of the direction.
            result[k], result[k + half] = self._combine(even[k], odd[k], 4 * k // half, inverse=inverse)
        return result

    def _three(self, x: Sequence[Pair], *, inverse: bool) -> list[Pair]:
        """Give x0 + x1 + x2, and x0 - (x1 + x2)/2 ∓ i·√¾·(x1 - x2)."""
        total, difference = self._add(x[1], x[2]), self._sub(x[1], x[2])
        half, plus, minus = self._constant(-0.5), self._constant(math.sqrt(0.75)), self._constant(-math.sqrt(0.75))
        real, imaginary = (self.multiply_add(part, half, first) for part, first in zip(total, x[0], strict=True))
        first = (self.multiply_add(difference[1], plus, real), self.multiply_add(difference[0], minus, imaginary))
        second = (self.multiply_add(difference[1], minus, real), self.multiply_add(difference[0], plus, imaginary))
        return [self._add(x[0], total), *((second, first) if inverse else (first, second))]

    def _combine(self, e: Pair, o: Pair, eighths: int, *, inverse: bool) -> tuple[Pair, Pair]:
        """Give e ± o · exp(∓2πi·eighths/8)."""
        if eighths == 0:
            return self._add(e, o), self._sub(e, o)
        real, imaginary = o
        if eighths == 2:
            turned = (self._op("fsub", e[0], imaginary), self._op("fadd", e[1], real))
            other = (self._op("fadd", e[0], imaginary), self._op("fsub", e[1], real))
            return (turned, other) if inverse else (other, turned)
        # o·(±1 ∓ i)/√2: a sum, a difference, and one multiply-add for each of the four results.
        plus, minus = self._op("fadd", real, imaginary), self._op("fsub", real, imaginary)
        if eighths == 1:
            t, u, signs = (minus, plus, (1, 1)) if inverse else (plus, minus, (1, -1))
        else:
            t, u, signs = (plus, minus, (-1, 1)) if inverse else (minus, plus, (-1, -1))
        halves = [self._constant(sign * math.sqrt(0.5)) for sign in (*signs, -signs[0], -signs[1])]
        return (
            (self.multiply_add(t, halves[0], e[0]), self.multiply_add(u, halves[1], e[1])),
            (self.multiply_add(t, halves[2], e[0]), self.multiply_add(u, halves[3], e[1])),
        )

    def _constant(self, value: float) -> str:
        """Write a constant in every lane, rounded to the element's type (LLVM wants floats exact as doubles)."""
        rounded = np.float64(np.float32(value) if self.element.bits == 32 else value)
        return f"<{', '.join([f'{self.element.llvm} 0x{rounded.view(np.uint64):016X}'] * self.lanes)}>"

    def _op(self, name: str, a: str, b: str) -> str:
        return self.w.op(f"{name} {self.vector} {a}, {b}")

    def _negative(self, a: str) -> str:
        return self.w.op(f"fneg {self.vector} {a}")

    def _add(self, a: Pair, b: Pair) -> Pair:
        return self._op("fadd", a[0], b[0]), self._op("fadd", a[1], b[1])

    def _sub(self, a: Pair, b: Pair) -> Pair:
        return self._op("fsub", a[0], b[0]), self._op("fsub", a[1], b[1])
