"""Lines and tables on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def print_line(console: Console, text: str) -> None:
    """Prints text as it is: no markup, no colours of Rich's own, lines as long as they are."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def print_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows under their columns, the first to the left, the others to the right."""
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table, highlight=False)
