"""Small tables of numbers, as text and as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align the first column left and the others right.

    >>> print(text(["", "n"], [["taps", "9"], ["MACs", "1 000"]]))
              n
    taps      9
    MACs  1 000
    """
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write the same as a table for a notebook."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def number(value: int | None) -> str:
    """Write an integer in groups of three; a dash where there is none.

    >>> number(3_000_000_000), number(None)
    ('3 000 000 000', '-')
    """
    return "-" if value is None else f"{value:,}".replace(",", " ")


def memory(size: int) -> str:
    """Write a number of bytes with its unit.

    >>> memory(400), memory(4_000_000)
    ('400 B', '3.81 MiB')
    """
    scaled, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while scaled >= 1024 and len(units) > 1:
        scaled, units = scaled / 1024, units[1:]
    return f"{scaled:.3g} {units[0]}"


def duration(seconds: float | None) -> str:
    """Write a time with its unit; a dash where there is none.

    >>> duration(0.00123), duration(None)
    ('1.23 ms', '-')
    """
    if seconds is None:
        return "-"
    unit, scale = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)) if seconds * s >= 1), ("ns", 1e9))
    return f"{seconds * scale:.3g} {unit}"
