"""The transposition of a square of registers, by shuffles that every instruction set has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faltung.compiler.elements import Element
    from faltung.compiler.ir import Writer

# Shuffles within 16 bytes are one cheap instruction everywhere; beyond that, 16 bytes move as a whole.
QUARTER = 16


def transpose(w: Writer, rows: list[str], element: Element) -> list[str]:
    """Transpose as many registers as each has lanes, in log2(lanes) stages of one shuffle a register.

    A stage takes neighbours (a, b) to the even elements of both and the odd elements of both; halves of the list are
    then the even and the odd columns. First elements move within 16 bytes of each register, then these as a whole.
    """
    lanes = len(rows)
    inside = min(lanes, QUARTER // element.bytes)
    groups = [_stages(w, rows[i : i + inside], element, lanes, 1, inside) for i in range(0, lanes, inside)]
    columns: list[str] = []
    across = [_stages(w, [group[j] for group in groups], element, lanes, inside, lanes) for j in range(inside)]
    for block in range(lanes // inside):
        columns += [across[j][block] for j in range(inside)]
    return columns


def _stages(w: Writer, rows: list[str], element: Element, lanes: int, unit: int, span: int) -> list[str]:
    """Transpose the `unit`s within every `span` elements of the rows."""
    vector, count = element.vector(lanes), span // unit
    for _ in range(count.bit_length() - 1):
        halves = []
        for parity in (0, 1):
            mask = _mask(lanes, unit, span, parity)
            text = f"<{lanes} x i32> <{', '.join(f'i32 {m}' for m in mask)}>"
            halves.append(
                [
                    w.op(f"shufflevector {vector} {a}, {vector} {b}, {text}")
                    for a, b in zip(rows[::2], rows[1::2], strict=True)
                ]
            )
        rows = halves[0] + halves[1]
    return rows


def _mask(lanes: int, unit: int, span: int, parity: int) -> list[int]:
    """Take the even (or odd) units of every span of two registers.

    >>> _mask(4, 1, 4, 0), _mask(4, 2, 4, 1)
    ([0, 2, 4, 6], [2, 3, 6, 7])
    """
    mask: list[int] = []
    for start in range(0, lanes, span):
        for register in (0, lanes):
            for first in range(start + parity * unit, start + span, 2 * unit):
                mask += range(register + first, register + first + unit)
    return mask
