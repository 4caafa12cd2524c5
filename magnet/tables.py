"""Tables on the terminal."""

import dataclasses
import sys
from collections.abc import Sequence

import orjson
from rich.console import Console
from rich.table import Table

from magnet.compare import MethodRow
from magnet.progress import money_text


def print_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows under their columns, the first to the left, the others to the right."""
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table, highlight=False)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def print_compare(rows: Sequence[MethodRow], as_json: bool) -> None:
    """Prints the methods side by side, as a table or as JSON."""
    if as_json:
        data = orjson.dumps([dataclasses.asdict(r) for r in rows], option=orjson.OPT_INDENT_2)
        sys.stdout.write(data.decode() + "\n")
        return
    lines = [
        [
            row.method,
            str(row.sessions),
            ", ".join(f"{n} {why}" for why, n in sorted(row.unfinished.items())) or "0",
            f"{row.messages:,}",
            _number(row.calls),
            _number(row.tokens),
            money_text(row.money) or "-",
            _number(row.seconds),
        ]
        for row in rows
    ]
    columns = "method sessions unfinished messages calls tokens money seconds".split()
    print_table(Console(), columns, lines)
