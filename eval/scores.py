"""What judges say: one record an item, judge and repeat. A missing score has no number."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from magnet.core.errors import UsageError
from magnet.core.files import read_lines

#: The file of a run directory that judges append to: one JSON object a line, keys as in Score.
FILE = "scores.jsonl"


@dataclass(frozen=True)
class Score:
    """One judgement.

    Attributes:
        dialogue: id of the dialogue, such as ``session_0001``; for PANAS before, the client's.
        method: the generation system; "" for PANAS before, which sees no session.
        seed_id: client and attitude.
        client_id: the client.
        attitude: positive, neutral, negative or "".
        judge: name of the judge, as the study or command calls it.
        scale: ``ctrs``, ``wai``, ``panas_before`` or ``panas_after``.
        item: such as ``understanding`` (CTRS), ``wai4`` (WAI), ``Interested`` (PANAS).
        repeat: which of several askings, from 0.
        value: as the judge gave it, not reversed; None where no reply could be read.
        expected: probability-weighted value, where log-probabilities were asked for and given.
        reason: the judge's explanation, "" where it gave none.
        raw: the judge's words where no value could be read.
        judge_id: what makes it this judge: hash of model, settings and prompts. Judges of one name
            with different ones are different judges; "" where it is not known.
        key: hash of all that decides the answer (what was shown, judge, prompt, settings,
            repeat): a question whose key is known is not asked again.
    """

    dialogue: str
    method: str
    seed_id: str
    client_id: str
    attitude: str
    judge: str
    scale: str
    item: str
    repeat: int
    value: float | None
    expected: float | None = None
    reason: str = ""
    raw: str | None = None
    judge_id: str = ""
    key: str = ""


_FIELDS = frozenset(field.name for field in fields(Score))


def load_scores(run: Path) -> list[Score]:
    """The scores of a run directory, in the order of their first writing.

    A later line replaces an earlier one of the same dialogue, judge (name and ``judge_id``), scale,
    item and repeat. A torn last line is left out; a run that nobody judged has none.

    Raises:
        UsageError: a line before the last is damaged.
    """
    scores: dict[tuple[str, str, str, str, str, int], Score] = {}
    for score in read_lines(run / FILE, _score, _damaged, by_hand=True):
        judge = (score.judge, score.judge_id)
        key = (score.dialogue, *judge, score.scale, score.item, score.repeat)
        scores[key] = score
    return list(scores.values())


def _score(record: dict[str, Any]) -> Score:
    return Score(**{k: v for k, v in record.items() if k in _FIELDS})


def _damaged(place: str, error: Exception) -> UsageError:
    return UsageError(f"{place}: not a score: {error}", "Delete the line to judge the item again.")
