"""The stage ``report`` of a study: its tables, and a page to read the sessions in."""

from pathlib import Path

from rich.console import Console

from magnet.console.tables import print_line
from magnet.stages.outcome import Outcome
from magnet.study.spec import Study


def check(study: Study) -> str:
    """Nothing can be wrong before there are sessions; see ``magnet.stages.Stage``."""
    return "report: tables and a page, written into the run"


def run(study: Study, folder: Path, outcome: Outcome, console: Console) -> None:
    """Writes the report of what is finished, unless nothing is."""
    if not outcome.finished:
        return
    from eval.report.page import PAGE, write_report

    written = write_report([folder])
    print_line(console, f"Tables: {written / 'tables.md'}")
    print_line(console, f"Open in a browser: {written / PAGE}")
