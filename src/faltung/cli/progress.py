"""A progress bar for work that turns out to be long."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Item = TypeVar("Item")

PATIENCE = 0.5  # seconds before a bar appears


def track(items: Sequence[Item], patience: float = PATIENCE) -> Iterator[Item]:
    """Yield items, with a bar on the terminal's error stream once they have taken longer than ``patience``."""
    if len(items) < 2 or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    started = time.perf_counter()
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task("filtering", total=len(items))
    try:
        for done, item in enumerate(items):
            if not bar.live.is_started and time.perf_counter() - started > patience:
                bar.start()
            bar.update(task, completed=done)
            yield item
    finally:
        if bar.live.is_started:
            bar.stop()
