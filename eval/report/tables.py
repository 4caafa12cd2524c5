"""The paper's result tables, filled from runs: means, marks, margins; and tests of our own.

Two things are never mixed. As in the paper: an asterisk on each row that differs from MAGneT's by
a paired t-test at p < 0.05, uncorrected, and δ, MAGneT's margin over the best other row. This
project's own, apart: intervals and p-values that count clients, Holm's correction, effect sizes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from eval.report.evaluation import Evaluation, variants
from eval.report.layouts import Layout, Measure, layouts, members
from eval.report.methods import label
from eval.statistics import Paired, holm, paired

DEMONSTRATION = (
    "Demonstration only: the judge is the embedded model of 135 million parameters. Its scores "
    "show that the pipeline works and say nothing about the sessions."
)
#: Below this p a row is marked.
LEVEL = 0.05


@dataclass(frozen=True)
class Cell:
    """One method on one measure.

    Attributes:
        mean: over sessions that have a value; None where none has.
        sd: of those; None for fewer than two.
        n: sessions with a value.
        missing: finished sessions without one.
        test: the main row minus this one, seed by seed; None for the main row.
        p_holm: of the paired t-test, after Holm over the table.
        p_client_holm: of the test clustered by client, after Holm over the table.
    """

    measure: Measure
    method: str
    mean: float | None
    sd: float | None
    n: int
    missing: int
    test: Paired | None = None
    p_holm: float | None = None
    p_client_holm: float | None = None

    @property
    def mark(self) -> str:
        """An asterisk where the paired t-test tells it from the main row."""
        return "*" if self.test and self.test.p is not None and self.test.p < LEVEL else ""


@dataclass(frozen=True)
class Margin:
    """δ: by how much the main row is better than the best other row, on one measure.

    Attributes:
        over: the best other row; None where no other has a value.
        percent: of the other's size, positive where the main row is better; None where it would
            say nothing.
        near_zero: whether the other's mean is too near zero for a percentage.
    """

    measure: Measure
    over: str | None
    percent: float | None
    near_zero: bool = False


@dataclass(frozen=True)
class Table:
    """A filled table, by one judge over one comparison of runs."""

    layout: Layout
    judge: str
    run: str
    cells: list[Cell]
    margins: list[Margin]
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[str]:
        """Its methods, in order."""
        return list(dict.fromkeys(cell.method for cell in self.cells))

    def cell(self, measure: Measure, method: str) -> Cell:
        """One of its cells."""
        return next(c for c in self.cells if (c.measure, c.method) == (measure, method))


def tables(evaluation: Evaluation) -> list[Table]:
    """Every table of which the runs have a row beside the main one's, judge by judge."""
    qwen = evaluation.conditions.backbone == "qwen"
    return [
        table
        for judge in evaluation.judges
        for layout in layouts(qwen)
        if (table := fill(layout, evaluation, judge)) is not None
    ]


def variant_tables(evaluations: Sequence[Evaluation]) -> list[Table]:
    """Each arm of a method that occurs under several labels, against the first run's."""
    found = []
    for method, arms in variants(evaluations):
        first, *others = arms.methods
        for other in others:
            names = f"{label(other)} and {label(first)}"
            name = f"variants-{method}-{other.partition('@')[2]}"
            layout = Layout(None, None, name, f"{names}: CTRS, PANAS, WAI", (first, other), other)
            filled = (fill(layout, arms, judge) for judge in arms.judges)
            found += [table for table in filled if table is not None]
    return found


def fill(layout: Layout, evaluation: Evaluation, judge: str) -> Table | None:
    """A table by one judge; None where the runs have no row of their own for it.

    MAGneT alone is a row of table 3, but no ablation.
    """
    rows = members(layout, evaluation.methods)
    alone = rows == [layout.main] and layout.name == "ablations"
    if alone or not evaluation.own.intersection(rows):
        return None
    cells, margins = [], []
    for measure in layout.measures:
        columns = {
            row: evaluation.column(judge, measure.scale, measure.name, row, measure.attitude)
            for row in rows
        }
        made = [_cell(measure, row, columns, layout.main, evaluation.clients) for row in rows]
        cells += made
        margins.append(margin(measure, made, layout.main))
    cells = _corrected(cells)
    return Table(layout, judge, evaluation.name, cells, margins, _notes(evaluation, judge, cells))


def _cell(
    measure: Measure,
    row: str,
    columns: Mapping[str, Mapping[str, float | None]],
    main: str,
    clients: Mapping[str, str],
) -> Cell:
    cell = summary(measure, row, columns[row])
    if row == main or main not in columns or cell.mean is None:
        return cell
    return replace(cell, test=paired(columns[main], columns[row], clients))


def summary(measure: Measure, method: str, column: Mapping[str, float | None]) -> Cell:
    """Mean, SD and counts of a column."""
    there = [value for value in column.values() if value is not None]
    mean = fmean(there) if there else None
    sd = stdev(there) if len(there) > 1 else None
    return Cell(measure, method, mean, sd, len(there), len(column) - len(there))


def best_of(cells: Sequence[Cell]) -> Cell | None:
    """The cell with the best mean; the first of equals; None where none has one."""
    there = [cell for cell in cells if cell.mean is not None]
    sign = -1 if there and there[0].measure.lower else 1
    return max(there, key=lambda cell: sign * (cell.mean or 0.0)) if there else None


def margin(measure: Measure, cells: Sequence[Cell], main: str) -> Margin:
    """The main row's margin over the best other one."""
    ours = next((cell.mean for cell in cells if cell.method == main), None)
    best = best_of([cell for cell in cells if cell.method != main])
    if ours is None or best is None or best.mean is None:
        return Margin(measure, best.method if best else None, None)
    if abs(best.mean) < measure.near:
        return Margin(measure, best.method, None, near_zero=True)
    return Margin(measure, best.method, percent(ours, best.mean, measure.lower))


def percent(ours: float, theirs: float, lower: bool = False) -> float:
    """Per cent of the other's size by which ours is better.

    >>> percent(5.0, 4.0), percent(-1.0, -2.0), percent(-3.0, -2.0, lower=True)
    (25.0, 50.0, 50.0)
    """
    return 100 * (theirs - ours if lower else ours - theirs) / abs(theirs)


def _corrected(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with Holm's correction over all comparisons of the table."""
    p = holm([cell.test.p if cell.test else None for cell in cells])
    p_client = holm([cell.test.p_cluster if cell.test else None for cell in cells])
    return [
        replace(cell, p_holm=a, p_client_holm=b)
        for cell, a, b in zip(cells, p, p_client, strict=True)
    ]


def _notes(evaluation: Evaluation, judge: str, cells: Sequence[Cell]) -> list[str]:
    notes = []
    if evaluation.conditions.demonstration(judge):
        notes.append(DEMONSTRATION)
    if all(cell.n == 0 for cell in cells):
        return [*notes, "No scores: nobody has judged these sessions on these scales."]
    if gaps := [f"{label(c.method)}, {c.measure.label}: {c.missing}" for c in cells if c.missing]:
        shown = "; ".join(gaps[:12]) + (f"; and {len(gaps) - 12} more" if len(gaps) > 12 else "")
        notes.append(f"Sessions without a value, left out of the mean: {shown}.")
    reasons: dict[str, list[str]] = {}
    tested = [cell for cell in cells if cell.test]
    for cell in tested:
        for reason in cell.test.reasons if cell.test else ():
            reasons.setdefault(reason, []).append(f"{cell.measure.label} of {label(cell.method)}")
    for reason, where in reasons.items():
        which = "; ".join(where) if len(where) < len(tested) else "all comparisons"
        notes.append(f"Not computed ({reason}): {which}.")
    return notes
