"""The report's tables as files: Markdown, LaTeX and CSV, one a table and all together."""

import csv
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from eval.claims import Claim
from eval.evaluation import Evaluation
from eval.grid import Grid, latex, markdown
from eval.present import as_grid, slug
from eval.records import records
from eval.summaries import cards_grid, claims_grid
from eval.tables import Table
from magnet.journal import write_atomically

USE = "Synthetic text for research, never clinical use."
DEMONSTRATION = (
    "Demonstration only: the judge is the embedded model of 135 million parameters. Its scores "
    "show that the pipeline works and say nothing about the sessions."
)


def notes_text() -> str:
    """The note that goes with every report."""
    return (files("eval") / "notes.md").read_text(encoding="utf-8")


def aside_grids(evaluation: Evaluation, claims: Sequence[tuple[str, list[Claim]]]) -> list[Grid]:
    """The claims by judge, and the judges' report cards."""
    grids = [claims_grid(found, judge, evaluation.name) for judge, found in claims]
    if evaluation.cards:
        grids.append(cards_grid(evaluation.cards, evaluation.agreement))
    return grids


def write_tables(out: Path, tables: Sequence[Table], asides: Sequence[Grid], demo: bool) -> None:
    """Writes ``tables/``, ``tables.md``, ``tables.csv`` and ``NOTES.md``.

    Args:
        out: the report's folder.
        tables: filled.
        asides: claims and report cards.
        demo: whether a judge is the embedded model.
    """
    folder = out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("table[0-9][0-9]-*"):
        old.unlink()
    judges = {table.judge for table in tables}
    parts = {table.part for table in tables}
    for table in tables:
        apart = [table.judge] * (len(judges) > 1) + [table.part] * (len(parts) > 1)
        name, grid = slug(table, apart), as_grid(table)
        _write(folder / f"{name}.md", markdown(grid))
        _write(folder / f"{name}.tex", latex(grid, name))
        _write(folder / f"{name}.csv", to_csv([table]))
    head = f"# Tables\n\n{USE}\n" + (f"\n**{DEMONSTRATION}**\n" if demo else "")
    grids = [*asides, *map(as_grid, tables)]
    _write(out / "tables.md", "\n".join([head, *map(markdown, grids)]))
    _write(out / "tables.csv", to_csv(tables))
    _write(out / "NOTES.md", notes_text())


def to_csv(tables: Sequence[Table]) -> str:
    """Tables as one CSV; a number that is not there is an empty field."""
    rows = [record for table in tables for record in records(table)]
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    write_atomically(path, text.encode(), durable=False)
