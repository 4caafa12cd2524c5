"""How a command runs, and how it ends: bad input with one message and exit code 2."""

import sys
from collections.abc import Callable

import typer

from magnet.core.errors import UsageError

#: Exit codes: all sessions finished; some left (faults, budget); interrupted. Bad input is 2.
FINISHED, LEFT, INTERRUPTED = 0, 1, 130


def run_app(typer_app: typer.Typer) -> None:
    """Runs a command line; bad input ends with one message and exit code 2."""
    try:
        typer_app()
    except UsageError as error:
        sys.stderr.write(f"Error: {error}\n")
        raise SystemExit(2) from None


def run_module(name: str, command: Callable[..., None]) -> None:
    """Runs a module's one command, as ``python -m NAME``."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name=f"python -m {name}")(command)
    run_app(alone)
