"""From scores to the values of a session: items, subscales, and shifts of forms."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean

from eval.scores import Score
from signatures import Question, Scale


@dataclass(frozen=True)
class Value:
    """One session's value on one measure, by one judge.

    Attributes:
        measure: a subscale or an item.
        value: None where a score that it needs is missing.
    """

    dialogue: str
    method: str
    seed_id: str
    client_id: str
    attitude: str
    judge: str
    scale: str
    measure: str
    value: float | None


def values_of(scale: Scale, scores: Iterable[Score]) -> list[Value]:
    """Each session's values: subscales and items; of a form the shifts of its subscales."""
    scores = list(scores)
    if scale.form:
        return shift_values(scale, scores)
    items = item_values(scale.questions[0], scores)
    return [*subscale_values(scale, items), *items]


def item_values(question: Question, scores: Iterable[Score]) -> list[Value]:
    """Each session's items: the mean over those repeats that have a value.

    A session that was asked any item gets a value, or None, for each of them.

    Args:
        question: one of the scale's; scores recorded under its name are taken.
        scores: of any scale.
    """
    heads: dict[tuple[str, str], Score] = {}
    given: dict[tuple[str, str], dict[str, list[float]]] = {}
    for score in scores:
        if score.scale != question.record:
            continue
        key = (score.dialogue, score.judge)
        heads.setdefault(key, score)
        items = given.setdefault(key, {})
        if (value := question.scale.scored(score.item, score.value)) is not None:
            items.setdefault(score.item, []).append(value)
    return [
        value_of(head, question.record, item, mean_of(given[key].get(item, [])))
        for key, head in heads.items()
        for item in question.scale.items
    ]


def subscale_values(scale: Scale, items: Iterable[Value]) -> list[Value]:
    """Each session's subscales: means over items; missing where any item is missing."""
    heads: dict[tuple[str, str], Value] = {}
    known: dict[tuple[str, str], dict[str, float | None]] = {}
    for one in items:
        key = (one.dialogue, one.judge)
        heads.setdefault(key, one)
        known.setdefault(key, {})[one.measure] = one.value
    return [
        value_of(head, scale.name, subscale, whole_mean(known[key][i] for i in members))
        for key, head in heads.items()
        for subscale, members in scale.subscales.items()
    ]


def shift_values(scale: Scale, scores: Iterable[Score]) -> list[Value]:
    """Each session's shift on a form's subscales: after the session minus before it.

    An item's shift needs both its ratings; a subscale's needs those of all its items.
    """
    scores = list(scores)
    asked = {question.when: question for question in scale.questions}
    before = {
        (one.client_id, one.judge, one.measure): one.value
        for one in item_values(asked["before"], scores)
    }
    return subscale_values(scale, _changes(item_values(asked["after"], scores), before))


def _changes(
    after: Iterable[Value], before: dict[tuple[str, str, str], float | None]
) -> Iterator[Value]:
    for one in after:
        first = before.get((one.client_id, one.judge, one.measure))
        known = one.value is not None and first is not None
        change = one.value - first if known else None  # type: ignore[operator]
        yield value_of(one, one.scale, one.measure, change)


def value_of(head: Score | Value, scale: str, measure: str, value: float | None) -> Value:
    """A value of the session that ``head`` belongs to."""
    return Value(
        dialogue=head.dialogue,
        method=head.method,
        seed_id=head.seed_id,
        client_id=head.client_id,
        attitude=head.attitude,
        judge=head.judge,
        scale=scale,
        measure=measure,
        value=value,
    )


def mean_of(values: list[float]) -> float | None:
    """The mean; None of nothing."""
    return fmean(values) if values else None


def whole_mean(values: Iterable[float | None]) -> float | None:
    """The mean, missing where any value is.

    >>> whole_mean([2.0, 4.0]), whole_mean([2.0, None])
    (3.0, None)
    """
    there: list[float] = []
    for value in values:
        if value is None:
            return None
        there.append(value)
    return mean_of(there)
