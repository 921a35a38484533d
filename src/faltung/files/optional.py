"""Libraries that only stores need: imported when they are used, and asked for by name where they lack."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from faltung.errors import FileError


def need(module: str, what: str, extra: str = "zarr") -> Any:
    """Import a module, or say which extra brings it.

    Raises:
        FileError: the module is not installed.

    >>> need("nowhere", "a test")
    Traceback (most recent call last):
    faltung.errors.FileError: a test needs nowhere, which is not installed: pip install 'faltung[zarr]'
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = error.name or module
        msg = f"{what} needs {name}, which is not installed: pip install 'faltung[{extra}]'"
        raise FileError(msg) from None
