"""A run directory from a fake server, and made-up scores for its sessions."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.scores import FILE, Score
from magnet.core.journal import read_sessions
from magnet.core.session import Session
from signatures import RECORDS, Question
from tests.fake_server import FakeServer, serving
from tests.running import command, run

SETTINGS = {"sessions": 6, "exchanges": 2, "lm.default.price": "{input = 0.5, output = 1.5}"}


def play(out: Path, methods: Sequence[str], model: str = "fake-model", **settings: Any) -> Path:
    """Runs the demo study against a fake server in a process of its own."""
    with serving(FakeServer(record=False, models=(model,))) as server:
        given: dict[str, Any] = {
            "lm.default.url": repr(server.url),
            "methods": json.dumps(list(methods)),
        }
        given |= SETTINGS | settings
        pairs = [part for k, v in given.items() for part in ("--set", f"{k}={v}")]
        done = run(*command("demo", "--out", out, *pairs), COLUMNS="200")
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def judged(out: Path, methods: Sequence[str], **settings: Any) -> Path:
    """A played run with made-up scores."""
    play(out, methods, **settings)
    judge(out)
    return out


def number(*parts: object) -> int:
    """A number that its parts decide."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def made_up(session: Session, judge: str, question: Question, repeats: int = 1) -> list[Score]:
    """Scores of a session on a question's scale, or of its client before it."""
    before, seed, scale = question.when == "before", session.seed, question.scale
    bonus = 0 if before else {"magnet": 1, "tuned-magnet": 1}.get(session.method, 0)
    width = scale.high - scale.low

    def value(item: str, repeat: int) -> int:
        drawn = number(seed.seed_id, session.method, item, repeat) % width
        return scale.low + min(width, bonus + drawn)

    return [
        Score(
            dialogue=seed.client_id if before else session.id,
            method="" if before else session.method,
            seed_id="" if before else seed.seed_id,
            client_id=seed.client_id,
            attitude="" if before else seed.attitude,
            judge=judge,
            scale=question.record,
            item=item,
            repeat=repeat,
            value=value(item, repeat),
            reason=f"Made up for {item}.",
        )
        for item in scale.items
        for repeat in range(repeats)
    ]


def judge(run: Path, judges: Sequence[str] = ("gpt-4o-mini",), repeats: int = 1) -> list[Score]:
    """Writes made-up scores of all scales into a run; returns them."""
    scores: dict[tuple[str, str, str, str, int], Score] = {}
    for session in read_sessions(run):
        for name in judges:
            for question in RECORDS.values():
                for score in made_up(session, name, question, repeats):
                    key = (score.dialogue, name, score.scale, score.item, score.repeat)
                    scores[key] = score
    write(run, list(scores.values()))
    return list(scores.values())


def write(run: Path, scores: Sequence[Score]) -> None:
    """Writes a run's score file."""
    lines = [json.dumps(dataclasses.asdict(score)) for score in scores]
    (run / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
