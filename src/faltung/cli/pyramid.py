"""``faltung pyramid``: a face of `faltung.files.pyramid`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faltung.cli.job import Watch, integers, size
from faltung.files.memory import few_arenas
from faltung.files.pyramid import pyramid

if TYPE_CHECKING:
    from collections.abc import Callable


def make_pyramid(
    source: str, target: str, say: Callable[[str], object], *, axes: str | None, max_memory: str | None,
    chunks: str | None, **options: Any,
) -> None:  # fmt: skip
    """Write the levels; ``say`` receives one line about each."""
    few_arenas()
    with Watch() as watch:
        shapes = pyramid(
            source, target, axes=integers("--axes", axes), max_memory=size("--max-memory", max_memory),
            chunks=integers("--chunks", chunks), progress=lambda _, progress: watch(progress), **options,
        )  # fmt: skip
    for level, shape in enumerate(shapes):
        say(f"{target}/{level}: {' x '.join(map(str, shape))}")
