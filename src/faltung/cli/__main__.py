"""``python -m faltung.cli`` is ``faltung``."""

from faltung.cli import main

main()
