"""A rating scale: items, range, subscales, and how items become the values of a session."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from eval.scores import Score


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


@dataclass(frozen=True)
class Scale:
    """A scale of items that share one range.

    Attributes:
        name: as scores name it.
        items: in the scale's order.
        low: the least an item can get.
        high: the most.
        subscales: the items of each.
        reversed: items where less is better; they count as ``low + high - x``.
    """

    name: str
    items: tuple[str, ...]
    low: int
    high: int
    subscales: Mapping[str, tuple[str, ...]]
    reversed: frozenset[str] = field(default_factory=frozenset)

    def scored(self, item: str, value: float | None) -> float | None:
        """An item's value in the direction of the scale; None for none or one out of range."""
        if value is None or not self.low <= value <= self.high:
            return None
        return self.low + self.high - value if item in self.reversed else value

    def item_values(self, scores: Iterable[Score]) -> list[Value]:
        """Each session's items: the mean over those repeats that have a value.

        A session that was asked any item gets a record for each of them.
        """
        heads: dict[tuple[str, str], Score] = {}
        given: dict[tuple[str, str], dict[str, list[float]]] = {}
        for score in scores:
            if score.scale != self.name:
                continue
            key = (score.dialogue, score.judge)
            heads.setdefault(key, score)
            items = given.setdefault(key, {})
            if (value := self.scored(score.item, score.value)) is not None:
                items.setdefault(score.item, []).append(value)
        return [
            value_of(head, self.name, item, mean_of(given[key].get(item, [])))
            for key, head in heads.items()
            for item in self.items
        ]

    def subscale_values(self, scores: Iterable[Score]) -> list[Value]:
        """Each session's subscales: means over items; missing where any item is missing."""
        heads: dict[tuple[str, str], Value] = {}
        items: dict[tuple[str, str], dict[str, float | None]] = {}
        for one in self.item_values(scores):
            key = (one.dialogue, one.judge)
            heads.setdefault(key, one)
            items.setdefault(key, {})[one.measure] = one.value
        return [
            value_of(head, self.name, subscale, whole_mean(items[key][i] for i in members))
            for key, head in heads.items()
            for subscale, members in self.subscales.items()
        ]


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
