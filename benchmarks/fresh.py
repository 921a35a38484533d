"""Fresh Python processes, with bytecode as an installed package has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def run(code: str, *arguments: object, kernels: Path | None = None) -> Any:
    """Run code that prints JSON, with `kernels` as faltung's cache folder; time none but later runs."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": _bytecode().name}
    environment |= {"FALTUNG_CACHE_DIR": str(kernels)} if kernels else {}
    for variable in ("PYTHONDONTWRITEBYTECODE", "FALTUNG_CACHE", "FALTUNG_JIT"):
        environment.pop(variable, None)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@cache
def _bytecode() -> TemporaryDirectory[str]:
    """Keep bytecode of our own: a checkout may have none, and numpy's must be no better off than faltung's."""
    return TemporaryDirectory()
