"""Filled tables as rows of text."""

from collections.abc import Iterable

from eval.grid import Grid
from eval.methods import label
from eval.numbers import interval, number, p_value
from eval.tables import Row, Table

_LONG = (
    "Measure",
    "Method",
    "Mean",
    "SD",
    "n",
    "Missing",
    "Δ %",
    "Difference",
    "95% interval",
    "p",
    "p, by client",
)


def title(table: Table) -> str:
    """The table's number, name, and whose scores of what it holds."""
    where = [f"judge {table.judge}"] if table.judge else []
    where += [f"run {table.part}"] if table.part else []
    end = f" ({', '.join(where)})" if where else ""
    return f"Table {table.layout.number}. {table.layout.title}{end}"


def slug(table: Table, names: Iterable[str]) -> str:
    """Its file name, with the judge's and the run's where there are several.

    Args:
        table: the table.
        names: what tells it from others of its number.
    """
    safe = ["".join(c if c.isalnum() or c in "-." else "-" for c in name)[:40] for name in names]
    return "-".join([f"table{table.layout.number:02d}-{table.layout.name}", *safe])


def as_grid(table: Table) -> Grid:
    """A table for reading."""
    return _wide(table) if table.layout.wide else _long(table)


def _explained(table: Table) -> list[str]:
    if not any(row.reference for row in table.rows):
        return list(table.notes)
    first, *more = table.layout.against
    against = "the best baseline of each measure" if more else label(first)
    stars = (
        f"Δ % and stars: against {against}. * p < 0.05, ** p < 0.01, *** p < 0.001: "
        "paired t-test, after Holm over the table."
    )
    return [stars, *table.notes]


def _long(table: Table) -> Grid:
    rows, before = [], None
    for row in table.rows:
        found = row.difference
        rows.append(
            [
                "" if row.measure.label == before else row.measure.label,
                label(row.method),
                number(row.mean) + row.stars,
                number(row.sd),
                str(row.n),
                str(row.missing),
                number(row.delta, 1, signed=True),
                number(found.mean if found else None, signed=True),
                interval(found.cluster_interval if found else None),
                p_value(row.p),
                p_value(row.p_cluster),
            ]
        )
        before = row.measure.label
    notes = _explained(table)
    if any(row.reference for row in table.rows):
        notes.insert(
            1,
            "Difference: mean over seeds; its interval is a BCa bootstrap over clients; p by "
            "client has standard errors clustered by client. Both p after Holm.",
        )
    return Grid(title(table), _LONG, rows, notes, words=2)


def _wide(table: Table) -> Grid:
    methods = list(dict.fromkeys(row.method for row in table.rows))
    compared = list(dict.fromkeys(row.method for row in table.rows if row.reference))
    cells = {(row.measure, row.method): row for row in table.rows}
    usual = max(row.n + row.missing for row in table.rows)
    rows = []
    for measure in dict.fromkeys(row.measure for row in table.rows):
        line = [f"{measure.scale.upper()}: {measure.label}" if _mixed(table) else measure.label]
        line += [_cell(cells[measure, method], usual) for method in methods]
        for method in compared:
            one = cells[measure, method]
            over = f" ({label(one.reference)})" if one.reference else ""
            line.append(number(one.delta, 1, signed=True) + over)
        rows.append(line)
    heads = [f"Δ % {label(m)}" if len(compared) > 1 else "Δ %" for m in compared]
    note = f"Mean ± SD over n = {usual} sessions, none missing, unless a cell says otherwise."
    columns = ["Item", *map(label, methods), *heads]
    return Grid(title(table), columns, rows, [note, *_explained(table)])


def _mixed(table: Table) -> bool:
    return len({row.measure.scale for row in table.rows}) > 1


def _cell(row: Row, usual: int) -> str:
    spread = f" ± {number(row.sd)}" if row.sd is not None else ""
    counts = f" (n {row.n}, {row.missing} missing)" if row.missing or row.n != usual else ""
    return f"{number(row.mean)}{row.stars}{spread}{counts}"
