"""Smooth activations of a register of sums: x·σ(x) and x·Φ(x), by polynomials, for what no machine has an instruction.

    exp(x) = 2ⁿ exp(r), n = round(x / ln 2), exp(r) by Taylor's series on |r| <= ln(2)/2
    Φ(-|x|) = exp(-x²/2) · t · P(2t - 1) / 2, t = 3 / (3 + |x|/√2), P = erfcx(3 (1 - t) / t) / t

P interpolates at Chebyshev's points, with coefficients computed to 40 digits: relative errors of 2e-7 in single and
8e-16 in double precision. Infinities and NaN become what the formulas make of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.compiler.arithmetic import constant, multiply_add

if TYPE_CHECKING:
    from faltung.compiler.elements import Element
    from faltung.compiler.ir import Writer
    from faltung.compiler.isa import Isa

SINGLE = (
    0.35800230503082275,
    0.29446473717689514,
    0.19674274325370789,
    0.10349059104919434,
    0.03984341770410538,
    0.008933821693062782,
    -0.00040889621595852077,
    -0.0009910109220072627,
    -0.0001714378740871325,
    7.026003731880337e-05,
    2.3468417566618882e-05,
)
DOUBLE = (
    0.3580023023627799,
    0.29446481772329297,
    0.1967427857013676,
    0.10348908730032906,
    0.03984258709573409,
    0.00894241153786806,
    -0.0004041388749870603,
    -0.0010113539570887728,
    -0.00018276990598902794,
    9.225899512771738e-05,
    3.5853885449595844e-05,
    -1.013156283309012e-05,
    -5.82374722681329e-06,
    1.5800864969572258e-06,
    9.223786145720273e-07,
    -3.2794192935327655e-07,
    -1.3698477467135753e-07,
    7.23798791311114e-08,
    1.647213179132514e-08,
    -1.3159668631609655e-08,
    -1.1137746412760201e-09,
    1.3405666455077527e-09,
    -1.1365971769947809e-11,
)


@dataclass(frozen=True)
class Format:
    """What is particular to a precision.

    `lowest` and `highest` bound arguments of exp whose result is a normal number; ln 2 is `high` + `low`, of which the
    former has so few bits that its multiples are exact; `magic` is so large that adding it rounds to integers.
    """

    lowest: float
    highest: float
    high: float
    low: float
    magic: float
    mantissa: int
    one: int
    order: int
    taps: tuple[float, ...]


FORMATS = {
    4: Format(-87.0, 88.0, 0.693359375, -2.12194440e-4, 1.5 * 2**23, 23, 0x3F800000, 7, SINGLE),
    8: Format(
        -708.0, 709.0, 6.93147180369123816490e-01, 1.90821492927058770002e-10, 1.5 * 2**52, 52, 0x3FF << 52, 13, DOUBLE
    ),
}


class Smooth:
    """Writes the activations for registers of one type."""

    def __init__(self, w: Writer, isa: Isa, element: Element, lanes: int) -> None:
        self.w, self.isa, self.element, self.lanes = w, isa, element, lanes
        self.vector, self.mask = element.vector(lanes), f"<{lanes} x i1>"
        self.format = FORMATS[element.bytes]

    def silu(self, x: str) -> str:
        """Give x / (1 + exp(-x))."""
        e = self._exponential(self._two("fsub", self._all(-0.0), x))
        return self._two("fdiv", x, self._two("fadd", e, self._all(1.0)))

    def gelu(self, x: str) -> str:
        """Give x·Φ(x), Φ the normal distribution function."""
        size = self.w.call(self.vector, f"llvm.fabs.v{self.lanes}{self.element.mangled}", (self.vector, x))
        distance = self._two("fadd", self._two("fmul", size, self._all(math.sqrt(0.5))), self._all(3.0))
        t = self._two("fdiv", self._all(3.0), distance)
        series = self._polynomial(self._add(t, self._all(2.0), self._all(-1.0)), self.format.taps)
        bell = self._exponential(self._two("fmul", self._two("fmul", x, x), self._all(-0.5)))
        tail = self._two("fmul", self._two("fmul", self._two("fmul", t, series), self._all(0.5)), bell)
        other = self._two("fsub", self._all(1.0), tail)
        return self._two("fmul", x, self._where("fcmp olt", x, self._all(0.0), tail, other))

    def _exponential(self, x: str) -> str:
        """Give exp(x): 0 below the smallest normal number, Inf above the largest."""
        f, integer = self.format, f"<{self.lanes} x i{8 * self.element.bytes}>"
        least, most = self._all(f.lowest), self._all(f.highest)
        inside = self._where("fcmp olt", x, least, least, x)
        inside = self._where("fcmp ogt", inside, most, most, inside)
        shifted = self._add(inside, self._all(1 / math.log(2)), self._all(f.magic))
        n = self._two("fsub", shifted, self._all(f.magic))
        r = self._add(n, self._all(-f.low), self._add(n, self._all(-f.high), inside))
        e = self._polynomial(r, [1 / math.factorial(i) for i in range(f.order + 1)])
        # The last bits of the shifted number are n; moved to the exponent they are 2ⁿ, and what is above is gone.
        bits = self.w.op(f"bitcast {self.vector} {shifted} to {integer}")
        bits = self.w.op(f"shl {integer} {bits}, {self._whole(f.mantissa)}")
        bits = self.w.op(f"add {integer} {bits}, {self._whole(f.one)}")
        e = self._two("fmul", e, self.w.op(f"bitcast {integer} {bits} to {self.vector}"))
        e = self._where("fcmp olt", x, least, self._all(0.0), e)
        return self._where("fcmp ogt", x, most, self._all(math.inf), e)

    def _polynomial(self, x: str, coefficients: tuple[float, ...] | list[float]) -> str:
        """Evaluate by Horner's rule."""
        *rest, y = (self._all(c) for c in coefficients)
        for c in reversed(rest):
            y = self._add(y, x, c)
        return y

    def _add(self, a: str, b: str, c: str) -> str:
        return multiply_add(self.w, self.isa, self.element, self.lanes, a, b, c)

    def _two(self, operation: str, a: str, b: str) -> str:
        return self.w.op(f"{operation} {self.vector} {a}, {b}")

    def _where(self, comparison: str, a: str, b: str, yes: str, no: str) -> str:
        chosen = self.w.op(f"{comparison} {self.vector} {a}, {b}")
        return self.w.op(f"select {self.mask} {chosen}, {self.vector} {yes}, {self.vector} {no}")

    def _all(self, value: float) -> str:
        return constant(self.element, self.lanes, value)

    def _whole(self, value: int) -> str:
        return f"<{', '.join([f'i{8 * self.element.bytes} {value}'] * self.lanes)}>"
