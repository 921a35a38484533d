"""Files that appear whole: written under a temporary name, brought to disk, renamed; and what a kill left swept up."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# Nobody else ends a name so; what bears it belongs to a job that did not come to its end.
SUFFIX = ".faltung-part"


def put(path: Path, value: Any) -> None:
    """Write a file so that its name shows the old content or the new, and never a part of it.

    Raises:
        OSError: the disk is full or cannot be written; the temporary file is gone then.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "chunk"
    >>> put(path, b"samples")
    >>> path.read_bytes(), len(list(path.parent.iterdir()))
    (b'samples', 1)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        # The rename itself is on disk once the journal, written later, is.
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> int:
    """Remove the temporary files that killed processes left anywhere in a folder, and count them."""
    found = list(folder.rglob(f".*{SUFFIX}"))
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
