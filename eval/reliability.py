"""A judge's report card: what it left out, how it varies when asked again, who agrees with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

import krippendorff
import numpy as np

from eval.scores import Score
from eval.statistics import finite
from signatures import RECORDS


@dataclass(frozen=True)
class ReportCard:
    """One judge on one scale.

    Attributes:
        asked: scores in the file.
        invalid: those without a value, or with one out of the scale's range.
        invalid_rate: invalid / asked.
        repeated: items that were asked more than once, with two valid answers or more.
        repeat_variance: mean variance over those; None where nothing was repeated.
    """

    judge: str
    scale: str
    asked: int
    invalid: int
    invalid_rate: float
    repeated: int
    repeat_variance: float | None


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha (interval) between judges on one scale.

    Attributes:
        judges: those who rated.
        units: items of sessions that two judges or more rated.
        alpha: None where it cannot be computed.
        reason: why not.
    """

    scale: str
    judges: tuple[str, ...]
    units: int
    alpha: float | None
    reason: str = ""


def _valid(score: Score) -> float | None:
    question = RECORDS.get(score.scale)
    if question is None or question.scale.scored(score.item, score.value) is None:
        return None
    return score.value


def report_cards(scores: Iterable[Score]) -> list[ReportCard]:
    """A card for each judge and scale, in the order they first appear."""
    asked: dict[tuple[str, str], int] = {}
    given: dict[tuple[str, str], dict[tuple[str, str], list[float]]] = {}
    for score in scores:
        key = (score.judge, score.scale)
        asked[key] = asked.get(key, 0) + 1
        answers = given.setdefault(key, {})
        if (value := _valid(score)) is not None:
            answers.setdefault((score.dialogue, score.item), []).append(value)
    cards = []
    for key, count in asked.items():
        repeated = [variance(v) for v in given[key].values() if len(v) > 1]
        invalid = count - sum(map(len, given[key].values()))
        spread = fmean(repeated) if repeated else None
        cards.append(ReportCard(*key, count, invalid, invalid / count, len(repeated), spread))
    return cards


def agreements(scores: Iterable[Score]) -> list[Agreement]:
    """Agreement of all judges, scale by scale; a judge's repeats count as their mean."""
    given: dict[str, dict[tuple[str, str], dict[str, list[float]]]] = {}
    for score in scores:
        units = given.setdefault(score.scale, {})
        if (value := _valid(score)) is not None:
            unit = units.setdefault((score.dialogue, score.item), {})
            unit.setdefault(score.judge, []).append(value)
    return [_agreement(scale, list(units.values())) for scale, units in given.items()]


def _agreement(scale: str, units: Sequence[dict[str, list[float]]]) -> Agreement:
    judges = tuple(dict.fromkeys(judge for unit in units for judge in unit))
    shared = [unit for unit in units if len(unit) > 1]
    if len(judges) < 2:
        return Agreement(scale, judges, 0, None, "fewer than two judges")
    if len(shared) < 2:
        return Agreement(scale, judges, len(shared), None, "fewer than two items rated by both")
    table = np.array([[fmean(u[j]) if j in u else np.nan for u in shared] for j in judges])
    if len(np.unique(table[~np.isnan(table)])) < 2:
        return Agreement(scale, judges, len(shared), None, "all ratings are equal")
    alpha = krippendorff.alpha(reliability_data=table, level_of_measurement="interval")
    return Agreement(scale, judges, len(shared), finite(alpha))
