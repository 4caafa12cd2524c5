"""The report's sessions: a small index, and each session packed by itself until it is opened."""

import base64
import gzip
from collections.abc import Sequence
from typing import Any

import orjson

from eval.report.evaluation import Evaluation, variants
from eval.report.layouts import subscale_measures
from eval.report.methods import arm, label, ordered
from eval.report.sessions import SessionFacts
from eval.scores import Score
from magnet.core.session import Exchange, Session
from signatures import SPECIALISTS


def for_script(data: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = orjson.dumps(data).decode()
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def pack(session: Session, scores: Sequence[Score]) -> str:
    """A session's text and scores, gzipped, in letters that need no escaping."""
    data = orjson.dumps(details(session, scores))
    return base64.b64encode(gzip.compress(data, compresslevel=6, mtime=0)).decode("ascii")


def details(session: Session, scores: Sequence[Score]) -> dict[str, Any]:
    """What the reader shows of an opened session."""
    plan = session.plan
    return {
        "form": session.seed.intake_form,
        "reason": session.seed.reason_counseling,
        "opening": [m.model_dump() for m in session.history[:2]],
        "plan": plan and {"technique": str(plan.technique), "text": plan.plan},
        "exchanges": [_exchange(exchange) for exchange in session.exchanges],
        "end": session.end or "exchanges",
        "models": session.provenance.get("models", {}),
        "scores": [
            [_judge(s, scores), s.scale, s.item, s.repeat, s.value, s.reason, s.raw or ""]
            for s in scores
        ],
    }


def _judge(score: Score, scores: Sequence[Score]) -> str:
    """The judge's name, with its id where another judge of the session bears it too."""
    shared = any(s.judge == score.judge and s.judge_id != score.judge_id for s in scores)
    return f"{score.judge} {score.judge_id}" if shared else score.judge


def _exchange(exchange: Exchange) -> dict[str, Any]:
    chosen = set(exchange.techniques)
    return {
        "candidates": [
            [SPECIALISTS[role].value if role in SPECIALISTS else role, text, is_chosen]
            for role, text in exchange.candidates.items()
            for is_chosen in [role in SPECIALISTS and SPECIALISTS[role] in chosen]
        ],
        "techniques": [technique.value for technique in exchange.techniques],
        "selector": exchange.technique_text,
        "reply": exchange.reply,
        "client": exchange.client_reply,
        "ended": exchange.ended,
    }


def index(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """What the list of sessions searches, filters and sorts by; scores by judge and subscale."""
    judges = list(dict.fromkeys(judge for one in evaluations for judge in one.judges if judge))
    measures = [(m.label, m.scale, m.name) for ms in subscale_measures().values() for m in ms]
    measures += [(f"PANAS {a} shift", "panas", a) for a in ("positive", "negative")]
    columns = [(judge, scale, name) for judge in judges for _, scale, name in measures]
    several = len(judges) > 1
    names = [f"{m}, {judge}" if several else m for judge in judges for m, _, _ in measures]
    apart = {method for method, _ in variants(evaluations)}
    values = evaluations[0].values if evaluations else {}  # the same for all comparisons
    cases = {case.key: case for one in evaluations for case in one.cases}
    called = {
        key: arm(case.method, case.run) if case.method in apart else case.method
        for key, case in cases.items()
    }
    return {
        "measures": names,
        "methods": {method: label(method) for method in ordered(called.values())},
        "sessions": [
            [
                case.key,
                called[case.key],
                case.attitude,
                case.seed_id,
                case.exchanges,
                case.end,
                case.cbt_technique,
                [_rounded(values.get(column, {}).get(case.key)) for column in columns],
            ]
            for case in _by_seed(list(cases.values()))
        ],
    }


def _by_seed(cases: Sequence[SessionFacts]) -> list[SessionFacts]:
    """Seeds in the order they were played, the methods of one beside each other."""
    order = {seed: n for n, seed in enumerate(dict.fromkeys(case.seed_id for case in cases))}
    return sorted(cases, key=lambda case: order[case.seed_id])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
