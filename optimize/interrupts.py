"""Around an optimizer: Ctrl-C stops it, and what it prints goes to a file."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from optimize.scoreboard import Board, Halt

#: Why a search stopped that its user stopped.
INTERRUPTED = "interrupted"


@contextmanager
def stopping(board: Board) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the search: some optimizers would swallow them and continue."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        board.halt(Halt(INTERRUPTED))
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
        if board.halted is not None and board.halted.why == INTERRUPTED:
            raise KeyboardInterrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def printing_to(path: Path) -> Iterator[None]:
    """What DSPy's optimizers print and log goes to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(time.strftime("\n# %Y-%m-%d %H:%M:%S\n"))
        handler = logging.StreamHandler(file)
        loggers = [logging.getLogger(name) for name in ("dspy", "optuna", "gepa")]
        before: list[tuple[logging.Logger, list[Any], bool, int]] = []
        for logger in loggers:
            before.append((logger, logger.handlers, logger.propagate, logger.level))
            logger.handlers, logger.propagate = [handler], False
            logger.setLevel(logging.INFO)
        try:
            with redirect_stdout(file), redirect_stderr(file):
                yield
        finally:
            for logger, handlers, propagate, level in before:
                logger.handlers, logger.propagate = handlers, propagate
                logger.setLevel(level)
