"""What judges say: one record an item, judge and repeat. A missing score has no number."""

from dataclasses import dataclass
from pathlib import Path

import orjson


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
    key: str = ""


def load_scores(run: Path) -> list[Score]:
    """The scores of a run directory; a torn last line, of a kill, is passed over.

    A later score of the same dialogue, judge, item and repeat replaces an earlier one.
    """
    path = run / "scores.jsonl"
    scores: dict[tuple[str, str, str, str, int], Score] = {}
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            score = Score(**orjson.loads(line))
        except (ValueError, TypeError):
            continue
        key = (score.dialogue, score.judge, score.scale, score.item, score.repeat)
        scores[key] = score
    return list(scores.values())
