"""The paper's tables, filled from runs: means, comparisons with the best baseline, stars."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from eval.evaluation import Evaluation
from eval.layouts import Layout, Measure, layouts, members
from eval.methods import MAIN, label
from eval.statistics import Paired, holm, paired, stars


@dataclass(frozen=True)
class Row:
    """One method on one measure.

    Attributes:
        mean: over sessions that have a value; None where none has.
        sd: of those; None for fewer than two.
        n: sessions with a value.
        missing: finished sessions without one.
        reference: the method it is held against; None where it is not.
        delta: per cent by which its mean exceeds the reference's.
        difference: the paired comparison.
        p: of the paired t-test, after Holm over the table.
        p_cluster: of the test clustered by client, after Holm over the table.
    """

    measure: Measure
    method: str
    mean: float | None
    sd: float | None
    n: int
    missing: int
    reference: str | None = None
    delta: float | None = None
    difference: Paired | None = None
    p: float | None = None
    p_cluster: float | None = None

    @property
    def stars(self) -> str:
        """The mark of its p."""
        return stars(self.p)


@dataclass(frozen=True)
class Table:
    """A filled table, by one judge over one comparison of runs."""

    layout: Layout
    judge: str
    part: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)


def tables(evaluation: Evaluation) -> list[Table]:
    """Every table of which the runs have a method of its own, judge by judge."""
    return [
        table
        for judge in evaluation.judges
        for layout in layouts()
        if (table := fill(layout, evaluation, judge)) is not None
    ]


def fill(layout: Layout, evaluation: Evaluation, judge: str) -> Table | None:
    """A table by one judge; None where the runs hold none of its own methods."""
    present = members(layout, evaluation.methods)
    alone = layout.against == (MAIN,)  # MAGneT without an ablation is no ablation table
    if not set(present).difference(layout.against if alone else ()):
        return None
    rows = [
        row
        for measure in layout.measures
        for row in _rows(layout, measure, present, evaluation, judge)
    ]
    notes = _notes(layout, evaluation, judge, rows)
    return Table(layout, judge, evaluation.name, corrected(rows), notes)


def _rows(
    layout: Layout, measure: Measure, present: Sequence[str], evaluation: Evaluation, judge: str
) -> Iterator[Row]:
    columns = {
        method: evaluation.column(judge, measure.scale, measure.name, method, measure.attitude)
        for method in present
    }
    plain = {method: summary(measure, method, column) for method, column in columns.items()}
    best = best_of([plain[m] for m in layout.against if m in plain])
    for method, row in plain.items():
        if best is None or method in layout.against or row.mean is None:
            yield row
            continue
        yield replace(
            row,
            reference=best.method,
            delta=delta(row.mean, best.mean),
            difference=paired(columns[method], columns[best.method], evaluation.clients),
        )


def summary(measure: Measure, method: str, column: dict[str, float | None]) -> Row:
    """Mean, SD and counts of a column."""
    there = [value for value in column.values() if value is not None]
    mean = fmean(there) if there else None
    sd = stdev(there) if len(there) > 1 else None
    return Row(measure, method, mean, sd, len(there), len(column) - len(there))


def best_of(rows: Sequence[Row]) -> Row | None:
    """The row with the best mean; the first of equals; None where no row has one."""
    there = [row for row in rows if row.mean is not None]
    sign = -1 if there and there[0].measure.lower else 1
    return max(there, key=lambda row: sign * (row.mean or 0.0)) if there else None


def delta(mean: float, reference: float | None) -> float | None:
    """Per cent by which a mean exceeds a reference, of the reference's size.

    >>> delta(5.0, 4.0), delta(-1.0, -2.0), delta(1.0, 0.0)
    (25.0, 50.0, None)
    """
    return 100 * (mean - reference) / abs(reference) if reference else None


def corrected(rows: Sequence[Row]) -> list[Row]:
    """The rows with Holm's correction over all their comparisons."""
    compared = [row.difference for row in rows]
    p = holm([d.p if d else None for d in compared])
    p_cluster = holm([d.p_cluster if d else None for d in compared])
    return [replace(r, p=a, p_cluster=b) for r, a, b in zip(rows, p, p_cluster, strict=True)]


def _notes(layout: Layout, evaluation: Evaluation, judge: str, rows: Sequence[Row]) -> list[str]:
    notes = []
    if evaluation.setting.demonstration(judge):
        notes.append(
            "Demonstration only: the judge is the embedded model of 135 million parameters; "
            "these scores say nothing about the sessions."
        )
    if all(row.n == 0 for row in rows):
        notes.append("No scores: nobody has judged these sessions on this scale.")
    elif all(row.reference is None for row in rows):
        names = ", ".join(map(label, layout.against))
        notes.append(f"No comparison: it takes scored sessions of {names} and of another method.")
    compared = [row for row in rows if row.difference]
    places: dict[str, list[str]] = {}
    for row in compared:
        for reason in row.difference.reasons if row.difference else ():
            places.setdefault(reason, []).append(f"{row.measure.label} of {label(row.method)}")
    for reason, where in places.items():
        which = "; ".join(where) if len(where) < len(compared) else "all comparisons"
        notes.append(f"Not computed ({reason}): {which}.")
    return notes
