"""A bar on the terminal for runs of minutes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Item = TypeVar("Item")


def track(items: Sequence[Item], what: str) -> Iterable[Item]:
    """Give the items one by one, and show on a terminal how far they are."""
    return _drawn(items, what) if sys.stderr.isatty() else items


def _drawn(items: Sequence[Item], what: str) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import track as draw

    yield from draw(items, what, console=Console(stderr=True), transient=True)
