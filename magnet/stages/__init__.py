"""What a study does, one stage per file, and what runs them.

``generate`` and ``judge`` run side by side (``magnet.stages.run``). Every other stage comes after
them: a module of its name here with ``check`` and ``run``, and its name in
``magnet.study.spec.STAGES``.
"""

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console

from magnet.stages.outcome import Outcome
from magnet.study.spec import STAGES, Study


class Stage(Protocol):
    """A stage that comes after the sessions."""

    def check(self, study: Study) -> str:
        """Checks all that needs no sessions, before anything is spent.

        Returns:
            What was found, for ``magnet doctor``.

        Raises:
            UsageError: something will not do.
        """

    def run(self, study: Study, folder: Path, outcome: Outcome, console: Console) -> None:
        """Does its work on a run directory, and prints what came out."""


def after(study: Study) -> list[Stage]:
    """The study's stages after its sessions, in the order of ``STAGES``."""
    names = [name for name in STAGES[2:] if name in study.stages]
    return [cast(Stage, import_module(f"magnet.stages.{name}")) for name in names]
