"""What the paper claims in its text, beside what these runs show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval import methods
from eval.evaluation import Evaluation
from eval.layouts import Measure, subscale_measures
from eval.statistics import Interval, cluster_bootstrap, codes, complete, finite
from eval.tables import best_of, summary


@dataclass(frozen=True)
class Claim:
    """One claim and what was observed.

    Attributes:
        text: the claim.
        paper: its number, in per cent.
        observed: ours, on the seeds where all values are there; None where data are missing.
        interval: BCa bootstrap interval of it, 95%, clients resampled.
        pairs: seeds it stands on.
        excess: whether the numbers say by how much one is better; else they are a share.
        differences: why the two numbers cannot be held against each other; empty if they can.
    """

    text: str
    paper: float
    observed: float | None
    interval: Interval | None
    pairs: int
    differences: tuple[str, ...]
    excess: bool = True


def claims(evaluation: Evaluation, judge: str) -> list[Claim]:
    """The paper's claims, by one judge."""
    sub = subscale_measures()
    general, cbt = sub["ctrs"]
    whole = (*sub["ctrs"], *sub["wai"])
    ours = (methods.MAIN, methods.BASELINES, False)
    tuned = (methods.TUNED, methods.TUNED_BASELINES, True)
    return [
        _claim("CTRS general over the best baseline", 3.2, (general,), *ours, evaluation, judge),
        _claim("CTRS CBT-specific over the best baseline", 4.3, (cbt,), *ours, evaluation, judge),
        _claim(
            "Tuned model over the best tuned baseline, mean of the CTRS and WAI subscales",
            6.9,
            whole,
            *tuned,
            evaluation,
            judge,
        ),
        Claim(
            "Expert comparisons that prefer MAGneT",
            77.2,
            None,
            None,
            0,
            ("data missing: no experts' answers in these runs",),
            excess=False,
        ),
    ]


def _claim(
    text: str,
    paper: float,
    measures: Sequence[Measure],
    method: str,
    baselines: Sequence[str],
    tuned: bool,
    evaluation: Evaluation,
    judge: str,
) -> Claim:
    columns: list[dict[str, float | None]] = []
    for measure in measures:
        by_method = {
            m: evaluation.column(judge, measure.scale, measure.name, m)
            for m in (method, *baselines)
        }
        best = best_of([summary(measure, m, by_method[m]) for m in baselines])
        if best is not None and by_method[method]:
            columns += [by_method[method], by_method[best.method]]
    seeds = complete(*columns)[0] if len(columns) == 2 * len(measures) else []
    why = evaluation.setting.differences(judge, tuned)
    if not seeds:
        return Claim(text, paper, None, None, 0, ("data missing", *why))
    table = np.array([[column[seed] for seed in seeds] for column in columns], dtype=float)
    groups = codes([evaluation.clients[seed] for seed in seeds])
    observed = finite(excess(*table, np.ones(len(seeds))))
    interval = cluster_bootstrap(table, groups, excess) if observed is not None else None
    return Claim(text, paper, observed, interval, len(seeds), tuple(why))


def excess(*columns: np.ndarray, axis: int = -1) -> Any:
    """Per cent by which sums exceed those of their partners, averaged over pairs of columns.

    Args:
        columns: ours, theirs, ours, theirs, ..., and the number of seeds, which is not used.
        axis: of the sum.
    """
    sums = [column.sum(axis=axis) for column in columns[:-1]]
    ratios = [a / b for a, b in zip(sums[::2], sums[1::2], strict=True)]
    return 100 * (sum(ratios) / len(ratios) - 1)
