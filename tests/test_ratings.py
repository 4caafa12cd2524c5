"""A judge optimized to agree with people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from magnet.core.errors import UsageError
from magnet.study.spec import load_study
from optimize.ratings import read_ratings
from optimize.run import optimize
from tests import planted
from tests.fake_server import FakeServer
from tests.running import command, run

Serve = Callable[..., FakeServer]
HEAD = "session,item,rating,rater\n"


def strict(body: dict[str, Any], prompt: str) -> str:
    """A judge that gives 5 until its instructions say how people rate; its writer learns that."""
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    fields = schema.get("properties", {})
    if "new_instruction" in fields:
        lows = sorted(set(re.findall(r"People gave (\d)", prompt)))
        return json.dumps({"new_instruction": f"Rate as people do: {lows[0] if lows else 5}"})
    told = re.search(r"Rate as people do: (\d)", str(body["messages"][0]["content"]))
    return json.dumps({"score": int(told[1]) if told else 5, "reason": "So it is."})


def rated(tmp: Path, clients: int = 9, item: str = "focus", rating: int = 2) -> tuple[Path, Path]:
    """A run, and a CSV in which two people rated each of its sessions."""
    sessions = planted.run_of(tmp / "run", clients, 2)
    lines = [
        f"session_{n:04d},{item},{rating},{who}" for n in range(1, clients + 1) for who in "ab"
    ]
    path = tmp / "people.csv"
    path.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return sessions, path


@pytest.mark.parametrize("agent", ["judge", "ctrs-focus"])
def test_a_judge_learns_to_rate_as_people_do(serve: Serve, tmp_path: Path, agent: str) -> None:
    server = serve(reply=strict)
    sessions, people = rated(tmp_path)
    own = [f"lm.default.url='{server.url}'", f"optimize.agent='{agent}'"]
    own += ["optimize.split=[1,1,1]", "optimize.metric_calls=40"]
    study = load_study(str(sessions / "study.toml"), own)
    result, _ = optimize(study, sessions, people, tmp_path / "out", Console(quiet=True))
    means = {arm.name: arm.mean for arm in result.arms}
    assert means == {"optimized": 1.0, "frozen": 0.5, "unoptimized": 0.5}
    artefact = json.loads((tmp_path / "out" / f"{agent}.json").read_bytes())
    assert [s["agent"] for s in artefact["states"]] == ["ctrs-focus"]
    assert "Rate as people do: 2" in artefact["states"][0]["instructions"]


def test_several_items_are_tuned_at_once(serve: Serve, tmp_path: Path) -> None:
    server = serve(reply=strict, record=False)
    sessions, people = rated(tmp_path)
    more = "\n".join(f"session_{n:04d},wai4,3," for n in range(1, 10))
    people.write_text(people.read_text() + more + "\n", encoding="utf-8")
    own = [f"lm.default.url='{server.url}'", "optimize.agent='judge'", "optimize.split=[1,1,1]"]
    study = load_study(str(sessions / "study.toml"), own)
    result, _ = optimize(study, sessions, people, tmp_path / "out", Console(quiet=True))
    assert sorted(result.best.state) == ["ctrs-focus", "wai-wai4"]
    assert max(arm.mean or 0 for arm in result.arms) == result.arms[0].mean


def test_ratings_are_averaged_over_raters(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(HEAD + "session_0001,focus,2,a\nsession_0001,ctrs-focus,5,b\n", "utf-8")
    one = read_ratings(path, planted.sessions(2), "judge")
    assert [(r.id, r.rating) for r in one] == [("session_0001/ctrs-focus", 3.5)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("session,item\nsession_0001,focus\n", "no column 'rating'"),
        (HEAD + "session_0009,focus,2,a\n", "line 2: the run has no finished session"),
        (HEAD + "session_0001,mood,2,a\n", "line 2: 'mood' is not an item"),
        (HEAD + "session_0001,focus,7,a\n", "line 2: '7' is not a rating"),
        (HEAD + "session_0001,focus,good,a\n", "line 2: 'good' is not a rating"),
        (HEAD + "session_0001,wai4,0,a\n", "line 2: '0' is not a rating"),
        (HEAD, "has no rating"),
    ],
)
def test_bad_ratings_are_refused_by_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        read_ratings(path, planted.sessions(2), "judge")


def test_an_unreadable_file_ends_with_one_message(server: FakeServer, tmp_path: Path) -> None:
    sessions = planted.run_of(tmp_path / "run", 3, 2)
    args = ["--run", sessions, "--ratings", tmp_path / "none.csv"]
    done = run(*command(*args, module="optimize.selector"))
    assert done.returncode == 2
    assert "ratings: cannot read" in done.stderr
    assert "Traceback" not in done.stderr
