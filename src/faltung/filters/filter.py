"""A kernel that remembers where it came from, and that can be put together from others."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import DtypeError, GeometryError, ProblemError
from faltung.filters import checks, expression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faltung.filters.expression import Expression


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Filter:
    """A named kernel: an array, its formula, and the parameters it was made from.

    ``kernel`` is a read-only array of any rank, ``float64`` or, where the taps are whole numbers, ``int64``.
    ``formula`` gives the tap at offset ``i`` from the middle. ``anchor`` is the tap that lies on the output sample,
    as an index into ``kernel``, ``size // 2`` along each axis unless given. ``np.asarray(f)`` is the kernel.

    Filters of one rank make filters, in the algebra of their impulse responses:

    ``a @ b``
        applies ``b``, then ``a``: the full convolution of the kernels, with ``n_a + n_b - 1`` taps along each axis.
    ``a + b``, ``a - b``
        sum and difference of what they give: the taps with the anchors on each other, zeros around the smaller.
    ``c * a``, ``a * c``, ``a / c``, ``-a``
        multiples; ``c`` is a finite real or complex number.

    Whole taps stay whole (but for ``/``). The anchors add under ``@``; two even sizes make an odd one whose anchor is
    one beyond its middle, which `centred` mends with a column of zeros.

    Raises:
        GeometryError: an anchor outside the kernel, or filters of different rank put together.
        ProblemError: a factor that is not finite, or 0 as divisor.
        DtypeError: whole taps that would not fit into 64 bits.

    >>> import numpy as np
    >>> f = Filter("identity", np.ones((1, 1), np.int64), "k[i] = 1")
    >>> f
    identity(): k[i] = 1, 1x1 int64
    >>> np.asarray(f)
    array([[1]])
    >>> step = Filter("step", [-1, 1], "k = [-1, 1]")
    >>> (step @ step).kernel, (step @ step).anchor
    (array([ 1, -2,  1]), (2,))
    >>> 3 * step - step
    3 * step() - step(): k = 3·step - step, where step: k = [-1, 1], 2 int64
    """

    name: str
    kernel: np.ndarray[Any, Any]
    formula: str
    parameters: dict[str, object]
    anchor: tuple[int, ...]
    expression: Expression | None

    # Operators with NumPy's arrays and scalars on the left come here too.
    __array_priority__ = 1000

    def __init__(
        self,
        name: str,
        kernel: Any,
        formula: str,
        parameters: dict[str, object] | None = None,
        anchor: int | Sequence[int] | None = None,
        expression: Expression | None = None,
    ) -> None:
        taps = np.array(kernel)
        taps.setflags(write=False)
        values = (name, taps, formula, dict(parameters or {}), _anchor(anchor, taps.shape), expression)
        for field, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, field, value)

    @property
    def ndim(self) -> int:
        """The number of axes of the kernel."""
        return self.kernel.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of taps along each axis."""
        return tuple(self.kernel.shape)

    @property
    def is_centred(self) -> bool:
        """Whether the anchor is the default one, ``size // 2`` along each axis."""
        return self.anchor == tuple(n // 2 for n in self.shape)

    def centred(self) -> Filter:
        """Return the same filter with its anchor at ``size // 2``: taps of 0 are added where it was not.

        For whatever takes a kernel but no anchor. A NaN or an infinity of the data also spoils the result under a
        tap of 0, so the window of the original is the better one.

        >>> (Filter("step", [-1, 1], "k = [-1, 1]") @ Filter("mean", [0.5, 0.5], "k = 1/2")).centred().kernel
        array([-0.5,  0. ,  0.5,  0. ])
        """
        # Beyond the middle, taps are missing at the end: one fewer than would make it odd. Before it, at the start.
        ends = [(max(0, n - 1 - 2 * a), max(0, 2 * a - n)) for n, a in zip(self.shape, self.anchor, strict=True)]
        kernel = np.pad(self.kernel, ends)
        return Filter(self.name, kernel, self.formula, self.parameters, expression=self.expression)

    def __matmul__(self, other: object) -> Filter:
        if not isinstance(other, Filter):
            _refuse_array(self, "@", other)
            return NotImplemented
        _same_rank(self, "@", other)
        from faltung.functional import convolve

        kernel = convolve(_wide(self.kernel), _wide(other.kernel), mode="full", threads=1)
        anchor = [a + b for a, b in zip(self.anchor, other.anchor, strict=True)]
        return _made(kernel, anchor, expression.combined(_text(self), "@", _text(other)))

    def __add__(self, other: object) -> Filter:
        if not isinstance(other, Filter):
            _refuse_array(self, "+", other)
            return NotImplemented
        return _added(self, "+", other)

    def __sub__(self, other: object) -> Filter:
        if not isinstance(other, Filter):
            _refuse_array(self, "-", other)
            return NotImplemented
        return _added(self, "-", other)

    def __mul__(self, factor: complex) -> Filter:
        if not _is_number(factor):
            _refuse_array(self, "*", factor)
            return NotImplemented
        return _scaled(self, _plain(factor), expression.scaled(_plain(factor), _text(self)))

    __rmul__ = __mul__

    def __rmatmul__(self, other: object) -> Filter:
        _refuse_array(self, "@", other)
        return NotImplemented

    def __radd__(self, other: object) -> Filter:
        _refuse_array(self, "+", other)
        return NotImplemented

    def __rsub__(self, other: object) -> Filter:
        _refuse_array(self, "-", other)
        return NotImplemented

    def __truediv__(self, divisor: complex) -> Filter:
        if not _is_number(divisor):
            _refuse_array(self, "/", divisor)
            return NotImplemented
        if divisor == 0:
            msg = f"{self.label} / 0: give a divisor other than 0"
            raise ProblemError(msg)
        return self.__mul__(1 / _plain(divisor))

    def __neg__(self) -> Filter:
        return _scaled(self, -1, expression.negated(_text(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.kernel, dtype=dtype, copy=copy)

    @property
    def label(self) -> str:
        """The filter as it is written in Python: its name and its parameters, or how it was put together."""
        if self.expression:
            return self.expression.text
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.parameters.items())})"

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape)) or "scalar"
        anchor = "" if self.is_centred else f", anchor {self.anchor}"
        return f"{self.label}: {self.formula}, {size} {self.kernel.dtype}{anchor}"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling an array drops its read-only flag; going through the constructor sets it again.
        return Filter, (self.name, self.kernel, self.formula, self.parameters, self.anchor, self.expression)


def _anchor(given: int | Sequence[int] | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    if given is None:
        return tuple(n // 2 for n in shape)
    anchor = checks.per_axis("anchor", given, len(shape))
    if any(not checks.whole(a) or not 0 <= a < n for a, n in zip(anchor, shape, strict=True)):
        size = "x".join(map(str, shape))
        msg = f"anchor is {given!r}; give the index of a tap of the {size} kernel, from 0, one per axis"
        raise GeometryError(msg)
    return tuple(int(a) for a in anchor)


def _text(f: Filter) -> Expression:
    return f.expression or expression.leaf(f.label, f.name, f.formula)


def _made(kernel: Any, anchor: Sequence[int], how: Expression) -> Filter:
    return Filter(how.text, kernel, how.formula, anchor=anchor, expression=how)


def _refuse_array(f: Filter, sign: str, other: object) -> None:
    if isinstance(other, np.ndarray):
        # NumPy would take the kernel for a plain array: f @ x would be a product of matrices.
        msg = (
            f"{f.name} {sign} array: a filter goes with filters and numbers; faltung.correlate(x, f) applies it, "
            "np.asarray(f) is its array of taps"
        )
        raise TypeError(msg)


def _same_rank(a: Filter, sign: str, b: Filter) -> None:
    if a.ndim != b.ndim:
        msg = (
            f"{a.label} {sign} {b.label}: the kernels have {a.ndim} and {b.ndim} axes, and filters are put together "
            f"axis by axis; make both with ndim={max(a.ndim, b.ndim)}"
        )
        raise GeometryError(msg)


def _wide(kernel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # Taps read from a file may be narrow integers or bools, whose sums would not fit.
    return kernel.astype(np.int64) if kernel.dtype.kind in "biu" else kernel


def _added(a: Filter, sign: str, b: Filter) -> Filter:
    _same_rank(a, sign, b)
    first, second = _wide(a.kernel), _wide(b.kernel)
    dtype = np.result_type(first, second)
    if dtype.kind == "i":
        _fits(_largest(first) + _largest(second))
    anchor = np.maximum(a.anchor, b.anchor)
    after = np.maximum(np.subtract(a.shape, a.anchor), np.subtract(b.shape, b.anchor))
    kernel = np.zeros(anchor + after, dtype)
    for taps, own, add in ((first, a.anchor, np.add), (second, b.anchor, np.add if sign == "+" else np.subtract)):
        box = tuple(slice(at - o, at - o + n) for at, o, n in zip(anchor, own, taps.shape, strict=True))
        kernel[box] = add(kernel[box], taps)
    return _made(kernel, [int(i) for i in anchor], expression.combined(_text(a), sign, _text(b)))


def _scaled(f: Filter, factor: Any, how: Expression) -> Filter:
    if not (np.isfinite(factor) if isinstance(factor, complex) else checks.finite(factor)):
        msg = f"{how.text}: the factor is {factor!r}; give a finite number"
        raise ProblemError(msg)
    kernel = _wide(f.kernel)
    if kernel.dtype.kind == "i" and isinstance(factor, int):
        _fits(abs(factor) * _largest(kernel))
    return _made(kernel * factor, f.anchor, how)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, complex, np.number)) and not isinstance(value, bool)


def _plain(factor: Any) -> Any:
    # A NumPy scalar would impose its precision on the taps.
    return factor.item() if isinstance(factor, np.generic) else factor


def _largest(kernel: np.ndarray[Any, Any]) -> int:
    return max(int(kernel.max(initial=0)), -int(kernel.min(initial=0)))


def _fits(bound: int) -> None:
    if bound > np.iinfo(np.int64).max:
        msg = f"whole taps up to {bound} do not fit into 64 bits; make one of the filters float64, as in 1.0 * f"
        raise DtypeError(msg)
