"""The command line. Nothing is imported before a command runs but what parses it."""

from __future__ import annotations

import signal
import sys
import threading


def main() -> None:
    """Run ``faltung`` with the arguments of the process."""
    from faltung.cli.app import app

    # SIGTERM ends the process without unwinding; as an exception it lets a half-written file be removed.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    app()
