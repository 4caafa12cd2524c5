"""Held, not held or undecidable: how one part of a claim of the paper is decided.

By a 95% interval over clients: *held* where the whole interval agrees with the claim, *not held*
where the whole interval contradicts it, otherwise *undecidable*.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from eval.report.evaluation import Evaluation
from eval.report.layouts import Measure
from eval.report.lexicon import FIGURES, Lexicon
from eval.report.methods import label
from eval.report.tables import best_of, summary
from eval.statistics import Interval, cluster_bootstrap, codes, complete, finite

Verdict = Literal["held", "not held", "undecidable"]
_Column = Mapping[str, float | None]

_NO_DATA = "data missing"
_NO_INTERVAL = "no interval: fewer than three clients"
_BOTH = "the interval allows both"


@dataclass(frozen=True)
class Finding:
    """One part of a claim, and what was observed.

    Attributes:
        row: the method it is about.
        what: measure or metric.
        claimed: what the paper says of it.
        observed: ours; None where data are missing.
        interval: of it, 95%, clients resampled.
        verdict: see the module.
        pairs: seeds it is based on.
        why: it is undecidable.
        over: what it was compared with.
        percent: whether it is a percentage.
        places: digits after the point.
    """

    row: str
    what: str
    claimed: str
    observed: float | None = None
    interval: Interval | None = None
    verdict: Verdict = "undecidable"
    pairs: int = 0
    why: str = ""
    over: str = ""
    percent: bool = False
    places: int = 2


@dataclass(frozen=True)
class Data:
    """What claims are decided on.

    Attributes:
        evaluation: one comparison.
        judge: a judge's label.
        lexicon: the sessions' words; without it nothing is decided on diversity.
    """

    evaluation: Evaluation
    judge: str
    lexicon: Lexicon | None = None

    def columns(self, measure: Measure, rows: Sequence[str]) -> dict[str, _Column]:
        """Value by seed of each row that has a value."""
        found = {
            row: self.evaluation.column(
                self.judge, measure.scale, measure.name, row, measure.attitude
            )
            for row in rows
        }
        return {row: c for row, c in found.items() if any(v is not None for v in c.values())}


#: Decides one part of a claim.
Test = Callable[[Data], Finding]


def direction(
    measure: Measure, ours: str, theirs: Sequence[str], sign: int = 1, worst: bool = False
) -> Test:
    """Whether a row lies above the best of others, or below it.

    Args:
        measure: on which.
        ours: the row.
        theirs: the others.
        sign: 1 for above, -1 for below.
        worst: compare with the lowest of the others instead.
    """

    def test(data: Data) -> Finding:
        def decide(low: float, high: float) -> tuple[bool, bool]:
            return min(sign * low, sign * high) > 0, max(sign * low, sign * high) < 0

        claimed = "higher" if sign > 0 else "lower"
        return _on_difference(data, measure, ours, theirs, worst, claimed, decide)

    return test


def same(measure: Measure, ours: str, theirs: Sequence[str]) -> Test:
    """Whether two rows are about the same: the whole interval within ``measure.near``."""
    near = measure.near

    def decide(low: float, high: float) -> tuple[bool, bool]:
        return -near < low and high < near, low > near or high < -near

    def test(data: Data) -> Finding:
        claimed = f"about the same (±{near:g})"
        return _on_difference(data, measure, ours, theirs, False, claimed, decide)

    return test


def number(
    what: str, measures: Sequence[Measure], ours: str, theirs: Sequence[str], paper: float
) -> Test:
    """Whether the excess over the best other row, mean over measures, is the paper's number.

    Held where the interval contains the number and not zero; not held where it excludes the
    number; undecidable where it contains both.

    Args:
        what: is measured.
        measures: each has its own best other row.
        ours: the row.
        theirs: the others.
        paper: its number, in per cent.
    """

    def decide(low: float, high: float) -> tuple[bool, bool]:
        there = low <= paper <= high
        return there and not low <= 0 <= high, not there

    def test(data: Data) -> Finding:
        pairs = [_pair(data, measure, ours, theirs) for measure in measures]
        columns = [column for pair in pairs if pair for column in pair[1:]]
        seeds = complete(*columns)[0] if all(pairs) else []
        claimed = f"{paper:+.1f} %"
        if not seeds:
            return Finding(label(ours), what, claimed, why=_NO_DATA, percent=True)
        table = np.array([[column[seed] for seed in seeds] for column in columns], dtype=float)
        groups = codes([data.evaluation.clients[seed] for seed in seeds])
        observed = finite(excess(*table, np.ones(len(seeds))))
        interval = cluster_bootstrap(table, groups, excess) if observed is not None else None
        over = ", ".join(dict.fromkeys(label(pair[0]) for pair in pairs if pair))
        verdict, why = _decided(interval, decide)
        return Finding(
            *(label(ours), what, claimed, observed, interval, verdict, len(seeds), why, over),
            percent=True,
            places=1,
        )

    return test


def diverse(figure: str, ours: str, theirs: Sequence[str]) -> Test:
    """Whether a metric of ``eval.report.lexicon`` is higher than the best other row's."""

    def test(data: Data) -> Finding:
        what, claimed, evaluation = FIGURES[figure], "higher", data.evaluation
        present = [method for method in theirs if method in evaluation.methods]
        if data.lexicon is None or ours not in evaluation.methods or not present:
            return Finding(label(ours), what, claimed, why=_NO_DATA)
        rows = {r.method: r.figures[figure] for r in data.lexicon.rows(evaluation, "released")}
        best = max(present, key=lambda method: rows[method] or 0.0)
        observed, interval, pairs = data.lexicon.difference(evaluation, ours, best, figure)
        verdict, why = _decided(interval, lambda low, high: (low > 0, high < 0))
        return Finding(
            *(label(ours), what, claimed, observed, interval, verdict, pairs, why, label(best)),
            places=4,
        )

    return test


def elsewhere(row: str, what: str, claimed: str, why: str) -> Test:
    """What sessions and their scores cannot decide."""
    return lambda data: Finding(label(row), what, claimed, why=why)


def excess(*columns: np.ndarray, axis: int = -1) -> Any:
    """Per cent by which sums exceed those of their partners, averaged over pairs of columns.

    Args:
        columns: ours, theirs, ours, theirs, ..., and the number of seeds, which is not used.
        axis: of the sum.
    """
    sums = [column.sum(axis=axis) for column in columns[:-1]]
    ratios = [a / b for a, b in zip(sums[::2], sums[1::2], strict=True)]
    return 100 * (sum(ratios) / len(ratios) - 1)


def _on_difference(
    data: Data,
    measure: Measure,
    ours: str,
    theirs: Sequence[str],
    worst: bool,
    claimed: str,
    decide: Callable[[float, float], tuple[bool, bool]],
) -> Finding:
    pair = _pair(data, measure, ours, theirs, worst)
    seeds = complete(*pair[1:])[0] if pair else []
    if pair is None or not seeds:
        return Finding(label(ours), measure.label, claimed, why=_NO_DATA)
    other, first, second = pair
    sides = (np.array([side[s] for s in seeds], dtype=float) for side in (first, second))
    differences = np.subtract(*sides)
    groups = codes([data.evaluation.clients[seed] for seed in seeds])
    observed = float(differences.mean())
    interval = cluster_bootstrap(differences[None], groups, _mean)
    if len(set(groups)) > 2 and np.allclose(differences, observed, rtol=0, atol=1e-12):
        interval = observed, observed  # no resample differs from another
    verdict, why = _decided(interval, decide)
    return Finding(
        *(label(ours), measure.label, claimed, observed, interval, verdict, len(seeds), why),
        over=label(other),
    )


def _pair(
    data: Data, measure: Measure, ours: str, theirs: Sequence[str], worst: bool = False
) -> tuple[str, _Column, _Column] | None:
    """The best of the others (or the lowest), our column and its; None where one is missing."""
    sides = data.columns(measure, (ours, *theirs))
    cells = [summary(measure, row, sides[row]) for row in theirs if row in sides]
    other = min(cells, key=lambda c: c.mean or 0.0, default=None) if worst else best_of(cells)
    if other is None or ours not in sides:
        return None
    return other.method, sides[ours], sides[other.method]


def _mean(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> Any:
    return sums.sum(axis=axis) / counts.sum(axis=axis)


def _decided(
    interval: Interval | None, decide: Callable[[float, float], tuple[bool, bool]]
) -> tuple[Verdict, str]:
    """The verdict by a test that says whether an interval agrees with or contradicts the claim."""
    if interval is None:
        return "undecidable", _NO_INTERVAL
    agrees, contradicts = decide(*interval)
    if agrees:
        return "held", ""
    return ("not held", "") if contradicts else ("undecidable", _BOTH)
