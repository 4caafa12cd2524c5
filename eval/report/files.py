"""The report's tables as files: Markdown, LaTeX and CSV, one a table and all together."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from eval.render.grid import Grid, latex, markdown
from eval.report.grids import grids, slug
from eval.report.records import records
from eval.report.tables import DEMONSTRATION, Table
from magnet.core.files import write_atomically

USE = "Synthetic text for research, never clinical use."
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Piece:
    """A table as it is written.

    Attributes:
        name: of its files.
        grid: for reading.
        records: its numbers, whole; none where another file has them.
        opened: whether the page shows it unfolded.
        prose: whether its cells are too long for LaTeX's columns.
    """

    name: str
    grid: Grid
    records: Sequence[Record] = ()
    opened: bool = True
    prose: bool = False


def notes_text() -> str:
    """The note that goes with every report."""
    return (files("eval.report") / "notes.md").read_text(encoding="utf-8")


def pieces(tables: Sequence[Table]) -> Iterator[Piece]:
    """The files of result tables; names tell judges and runs apart where there are several."""
    judges, runs = {t.judge for t in tables}, {t.run for t in tables}
    for table in tables:
        apart = [table.judge] * (len(judges) > 1) + [table.run] * (len(runs) > 1)
        for kind, grid in grids(table):
            own = records(table) if kind != "tests" else ()
            yield Piece(slug(table, kind, filter(None, apart)), grid, own, kind == "means")


def write_tables(out: Path, written: Sequence[Piece], tables: Sequence[Table], demo: bool) -> None:
    """Writes ``tables/``, ``tables.md``, ``tables.csv`` and ``NOTES.md``.

    Args:
        out: the report's folder.
        written: all tables, in the order of reading.
        tables: the result tables, whose records are in ``tables.csv``.
        demo: whether a judge is the embedded model.
    """
    folder = out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():  # of an earlier report of other runs
        if old.suffix in (".md", ".tex", ".csv"):
            old.unlink()
    for piece in written:
        _write(folder / f"{piece.name}.md", markdown(piece.grid))
        if not piece.prose:
            _write(folder / f"{piece.name}.tex", latex(piece.grid, piece.name))
        if piece.records:
            _write(folder / f"{piece.name}.csv", to_csv(piece.records))
    head = f"# Tables\n\n{USE}\n" + (f"\n**{DEMONSTRATION}**\n" if demo else "")
    _write(out / "tables.md", "\n".join([head, *(markdown(piece.grid) for piece in written)]))
    _write(out / "tables.csv", to_csv([r for table in tables for r in records(table)]))
    _write(out / "NOTES.md", notes_text())


def to_csv(rows: Iterable[Record]) -> str:
    """Records as CSV; a number that is not there is an empty field."""
    listed = list(rows)
    text = io.StringIO()
    if listed:
        writer = csv.DictWriter(text, list(listed[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    write_atomically(path, text.encode(), durable=False)
