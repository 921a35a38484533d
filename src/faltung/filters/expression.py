"""The text of filters that were made from filters."""

from __future__ import annotations

from dataclasses import dataclass

SUM, PRODUCT, ATOM = 1, 2, 3  # how strongly the parts of an expression bind


@dataclass(frozen=True)
class Expression:
    """How a filter was put together: in Python, as a formula, and the formulas of its parts.

    >>> a, b = leaf("box(size=2)", "box", "k = 1/2"), leaf("sobel()", "sobel", "k = [-1, 0, 1]")
    >>> whole = scaled(2, combined(a, "-", combined(a, "@", b)))
    >>> whole.text
    '2 * (box(size=2) - box(size=2) @ sobel())'
    >>> whole.formula
    'k = 2·(box - box ∗ sobel), where box: k = 1/2; sobel: k = [-1, 0, 1]'
    """

    text: str
    symbols: str
    binds: int
    parts: tuple[str, ...]

    @property
    def formula(self) -> str:
        """The formula, and those of the filters in it."""
        return f"k = {self.symbols}, where {'; '.join(self.parts)}"


def leaf(label: str, name: str, formula: str) -> Expression:
    """Return the expression of a filter that was not put together."""
    return Expression(label, name, ATOM, (f"{name}: {formula}",))


def combined(left: Expression, sign: str, right: Expression) -> Expression:
    """Return ``left sign right`` for ``@``, ``+`` and ``-``."""
    binds = PRODUCT if sign == "@" else SUM
    text = f"{_bound(left, binds, left.text)} {sign} {_bound(right, binds + 1, right.text)}"
    symbol = "∗" if sign == "@" else sign
    symbols = f"{_bound(left, binds, left.symbols)} {symbol} {_bound(right, binds + 1, right.symbols)}"
    return Expression(text, symbols, binds, tuple(dict.fromkeys(left.parts + right.parts)))


def scaled(factor: object, what: Expression) -> Expression:
    """Return ``factor * what``."""
    text, symbols = _bound(what, ATOM, what.text), _bound(what, ATOM, what.symbols)
    return Expression(f"{factor} * {text}", f"{factor}·{symbols}", PRODUCT, what.parts)


def negated(what: Expression) -> Expression:
    """Return ``-what``."""
    text, symbols = _bound(what, ATOM, what.text), _bound(what, ATOM, what.symbols)
    return Expression(f"-{text}", f"-{symbols}", PRODUCT, what.parts)


def _bound(part: Expression, strength: int, text: str) -> str:
    return text if part.binds >= strength else f"({text})"
