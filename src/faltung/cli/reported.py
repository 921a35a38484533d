"""How a command ends that fails on purpose: one message, exit code 2."""

import functools
from collections.abc import Callable

import typer

from faltung.errors import FaltungError


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """Show what faltung raises on purpose as one message and exit code 2."""

    @functools.wraps(command)
    def run(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
        except FaltungError as error:
            typer.echo(f"faltung: {error}", err=True)
            raise typer.Exit(2) from None
        except MemoryError as error:
            typer.echo(f"faltung: not enough memory: {error}", err=True)
            raise typer.Exit(2) from None

    return run
