"""Filled tables as rows of text."""

from collections.abc import Iterable, Iterator

from eval.render.grid import SPREAD, Grid
from eval.render.numbers import NONE, interval, number, p_value
from eval.report.layouts import MEASURES
from eval.report.methods import label
from eval.report.tables import Cell, Margin, Table

_NEAR_ZERO = "≈0"
_PAPER_MEASURES = (
    "CTRS: understanding, interpersonal effectiveness, collaboration, guided discovery, focus, "
    "strategy (0 to 6). PANAS: shift of positive and negative affect (less is better) by client "
    "attitude. WAI: 1 to 7."
)
_TESTS = (
    "Measure",
    "Compared with",
    "Pairs",
    "Difference",
    "95% interval",
    "p",
    "p, Holm",
    "p, by client",
    "by client, Holm",
    "dz",
)


def slug(table: Table, kind: str, names: Iterable[str]) -> str:
    """A grid's file name, with the judge's and the run's where there are several.

    Args:
        table: the table.
        kind: ``means``, ``sd`` or ``tests``.
        names: what tells it from others of its number.
    """
    layout = table.layout
    numbered = layout.spread if kind == "sd" else layout.number
    head = [f"table{numbered:02d}"] if numbered else []
    tail = [kind] if kind != "means" else []
    return "-".join([*head, *map(_safe, [layout.name, *tail, *names])])


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in name)[:40]


def grids(table: Table) -> Iterator[tuple[str, Grid]]:
    """A table's grids by kind: means, means with SD where the paper has them, our own tests."""
    yield "means", _paper_grid(table, spread=False)
    if table.layout.spread is not None or table.layout.number is None:
        yield "sd", _paper_grid(table, spread=True)
    if any(cell.test for cell in table.cells):
        yield "tests", _tests_grid(table)


def _title(table: Table, numbered: int | None, more: str = "") -> str:
    where = [f"judge {table.judge}"] * bool(table.judge) + [f"run {table.run}"] * bool(table.run)
    end = f" ({', '.join(where)})" if where else ""
    head = f"Table {numbered}. " if numbered else ""
    return f"{head}{table.layout.title}{more}{end}"


def _paper_grid(table: Table, spread: bool) -> Grid:
    numbered = table.layout.spread if spread else table.layout.number
    measures = table.layout.measures
    rows = [
        [label(row), *(_value(table.cell(m, row), spread) for m in measures)] for row in table.rows
    ]
    if any(margin.over for margin in table.margins):
        rows.append(["δ %", *map(_margin, table.margins)])
    return Grid(
        _title(table, numbered, ", mean and SD" if spread else ""),
        ["Method", *(measure.short for measure in measures)],
        rows,
        [*_legend(table), *table.notes],
        groups=[measure.group for measure in measures],
    )


def _value(cell: Cell, spread: bool) -> str:
    sd = f"{SPREAD}{number(cell.sd)}" if spread and cell.sd is not None else ""
    return f"{number(cell.mean)}{cell.mark}{sd}"


def _margin(margin: Margin) -> str:
    return _NEAR_ZERO if margin.near_zero else number(margin.percent, 1, signed=True)


def _legend(table: Table) -> Iterator[str]:
    main = label(table.layout.main)
    if table.layout.measures == MEASURES:
        yield _PAPER_MEASURES
    if any(cell.test for cell in table.cells):
        yield f"* differs from {main}: paired t-test, p < 0.05, uncorrected."
    over: dict[str, list[str]] = {}
    for margin in table.margins:
        if margin.over:
            name = f"{margin.measure.group} {margin.measure.short}"
            over.setdefault(label(margin.over), []).append(name)
    if len(table.rows) > 2 and over:
        usual = max(over, key=lambda name: len(over[name]))
        others = [f"{name} for {', '.join(where)}" for name, where in over.items() if name != usual]
        yield f"δ: {main}'s margin over the best other row: {'; '.join([usual, *others])}."
    elif over:
        yield f"δ: {main}'s margin over the other row."
    if any(margin.near_zero for margin in table.margins):
        yield f"{_NEAR_ZERO}: the other row's mean is too near zero for a percentage."


def _tests_grid(table: Table) -> Grid:
    rows, before, measures = [], None, table.layout.measures
    for cell in sorted((c for c in table.cells if c.test), key=lambda c: measures.index(c.measure)):
        test = cell.test
        assert test is not None
        rows.append(
            [
                "" if cell.measure.label == before else cell.measure.label,
                label(cell.method),
                str(test.n),
                number(test.mean, signed=True),
                interval(test.cluster_interval),
                p_value(test.p),
                p_value(cell.p_holm),
                p_value(test.p_cluster),
                p_value(cell.p_client_holm),
                NONE if test.dz is None else number(test.dz, signed=True),
            ]
        )
        before = cell.measure.label
    note = (
        f"Difference: {label(table.layout.main)} minus the other row, mean over the seeds that "
        "both have. Interval: BCa bootstrap over clients. p: the paper's paired t-test; by "
        "client: standard errors clustered by client. Holm: over all comparisons of this table."
    )
    number_ = table.layout.number
    title = _title(table, None, ": tests")
    head = f"To table {number_}, ours. " if number_ else "Ours. "
    return Grid(head + title, _TESTS, rows, [note, *table.notes], words=2)
