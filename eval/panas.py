"""PANAS: the Positive and Negative Affect Schedule, and its shift over a session.

Watson, D., Clark, L. A., & Tellegen, A. (1988). Development and validation of brief measures of
positive and negative affect: The PANAS scales. Journal of Personality and Social Psychology,
54(6), 1063-1070. https://doi.org/10.1037/0022-3514.54.6.1063

Twenty emotions from 1 to 5. A judge rates the client of an intake form once (``panas_before``),
and again after each session (``panas_after``); the shift is after minus before.
"""

from collections.abc import Iterable

from eval.scale import Scale, Value, value_of, whole_mean
from eval.scores import Score
from signatures import FEELINGS

POSITIVE, NEGATIVE = FEELINGS[:10], FEELINGS[10:]


def _asked(name: str) -> Scale:
    subscales = {"positive": POSITIVE, "negative": NEGATIVE}
    return Scale(name=name, items=(*POSITIVE, *NEGATIVE), low=1, high=5, subscales=subscales)


BEFORE, AFTER = _asked("panas_before"), _asked("panas_after")


def shifts(scores: Iterable[Score]) -> list[Value]:
    """``positive`` and ``negative`` shift of each session and judge, scale ``panas``.

    An emotion's shift needs both its ratings; a session's shift needs those of all ten emotions.
    """
    scores = list(scores)
    before = {
        (one.client_id, one.judge, one.measure): one.value for one in BEFORE.item_values(scores)
    }
    heads: dict[tuple[str, str], Value] = {}
    changes: dict[tuple[str, str], dict[str, float | None]] = {}
    for after in AFTER.item_values(scores):
        key = (after.dialogue, after.judge)
        heads.setdefault(key, after)
        first = before.get((after.client_id, after.judge, after.measure))
        known = after.value is not None and first is not None
        change = after.value - first if known else None  # type: ignore[operator]
        changes.setdefault(key, {})[after.measure] = change
    return [
        value_of(head, "panas", affect, whole_mean(changes[key][e] for e in emotions))
        for key, head in heads.items()
        for affect, emotions in AFTER.subscales.items()
    ]
