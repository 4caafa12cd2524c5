"""Setup in a world with a known rule (tests/planted.py), over real HTTP."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from magnet.study.spec import load_study
from optimize.arms import Verdict
from optimize.report import write
from optimize.rollout import OPTIMIZABLE
from optimize.run import optimize
from optimize.scoreboard import Board, Candidate
from optimize.search import Result
from tests import planted
from tests.fake_server import FakeServer
from tests.running import PLAN, command, environment, question, run, toml

pytestmark = pytest.mark.processes

Serve = Callable[..., FakeServer]


def settings(server: FakeServer, **more: Any) -> list[str]:
    """``--set`` of a small optimization; ``test=3`` stands for optimize.test=3."""
    usual = {"split": [1, 1, 1], "metric_calls": 300} | more
    pairs = [f"optimize.{key}={toml(value)}" for key, value in usual.items()]
    return [f"lm.default.url='{server.url}'", *pairs]


def optimized(
    server: FakeServer, tmp: Path, clients: int = 18, exchanges: int = 4, seed: int = 0, **more: Any
) -> Result:
    """An optimization in this process; its folder is ``tmp/out``."""
    sessions = planted.run_of(tmp / "run", clients, exchanges)
    study = load_study(str(sessions / "study.toml"), [*settings(server, **more), f"seed={seed}"])
    result, _ = optimize(study, sessions, None, tmp / "out", Console(quiet=True))
    return result


def line(server: FakeServer, tmp: Path, *args: object, **more: Any) -> list[str]:
    """The command of an optimization on ``tmp/run``."""
    pairs = [part for pair in settings(server, **more) for part in ("--set", pair)]
    given = ["--run", tmp / "run", "--out", tmp / "out", *pairs, *args]
    return command(*given, module="optimize.selector")


def arms(tmp: Path) -> dict[str, dict[str, Any]]:
    """The arms of a report by name."""
    report = json.loads((tmp / "out" / "report.json").read_bytes())
    return {arm["arm"]: arm for arm in report["arms"]}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["gepa", "miprov2"])
def test_a_planted_rule_is_found(serve: Serve, tmp_path: Path, optimizer: str) -> None:
    server = serve(reply=planted.planted(), record=False)
    result = optimized(server, tmp_path, optimizer=optimizer)
    found = arms(tmp_path)
    start, best = found["unoptimized"]["mean"], found["optimized"]["mean"]
    chosen = [e["techniques"][0][0] for e in found["optimized"]["examples"].values()]
    right = [
        planted.RULE[planted.stage_at(int(example.partition("/")[2]))].value
        for example in found["optimized"]["examples"]
    ]
    # Who follows the rule everywhere gets 5 or 6 of 6, by the judge's dice, and nobody more.
    follows = [c == r for c, r in zip(chosen, right, strict=True)]
    scores = [e["score"] for e in found["optimized"]["examples"].values()]
    most = sum(s if f else 11 / 12 for s, f in zip(scores, follows, strict=True)) / len(scores)
    assert (best - start) / (most - start) >= 0.9
    assert start < 0.35
    assert result.board.scored <= 300
    assert result.verdict.kind == "gain"
    assert found["optimized"]["mean"] > found["all techniques"]["mean"] > start
    assert found["random subset"]["difference"]["mean"] > 0
    assert found["frozen"]["p"] < 0.05


@pytest.mark.slow
def test_a_judge_that_throws_dice_is_no_gain(serve: Serve, tmp_path: Path) -> None:
    server = serve(reply=planted.planted("chance"), record=False)
    claims, tried = [], 0
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        small: dict[str, Any] = {
            "split": [1, 1, 2],
            "metric_calls": 40,
            "clients": 16,
            "exchanges": 2,
        }
        result = optimized(server, folder, seed=seed, **small)
        tried += result.best is not result.start
        claims.append(result.verdict.kind == "gain")
    # By chance half of the searches find what looks better on validation.
    assert tried >= 6
    assert sum(claims) <= 2


@pytest.mark.parametrize("optimizer", ["random-search", "simba"])
def test_every_optimiser_runs_to_its_end(serve: Serve, tmp_path: Path, optimizer: str) -> None:
    server = serve(reply=planted.planted(), record=False)
    result = optimized(server, tmp_path, 9, 2, optimizer=optimizer, metric_calls=60)
    assert result.stopped in ("", "60 windows are scored")
    assert result.board.scored > len(result.start.outcomes)
    assert len(result.arms) == 5


def test_markup_in_instructions_and_demos_stays_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> <img src=x>"
    start = Candidate(0, {evil: {"instructions": f"{evil} so", "demos": []}}, 0)
    best = Candidate(1, {evil: {"instructions": f"{evil} <b>now</b>", "demos": [{"q": evil}]}}, 3)
    result = Result(start, best, Board([], 9), [], Verdict("not measured", evil), evil)
    page = write(tmp_path, result, evil, {"Agent": evil, evil: evil}, {}).read_text()
    assert not re.search("<(script|img|b)\\b", page)
    assert "<mark>&lt;b&gt;now&lt;/b&gt;</mark>" in page
    assert "<summary>1 demos</summary>" in page
    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'" in page


def test_a_killed_search_pays_nothing_twice(serve: Serve, tmp_path: Path) -> None:
    calm = serve(reply=planted.planted())
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    small = {"metric_calls": 60, "workers": 4}
    optimized(calm, quiet, 9, 2, **small)
    server = serve(reply=planted.planted())
    planted.run_of(tmp_path / "run", 9, 2)
    goals = (40, 120, 200)
    for goal in goals:
        process = subprocess.Popen(
            line(server, tmp_path, **small),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        late = time.monotonic() + 60
        while process.poll() is None and server.count < goal and time.monotonic() < late:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = run(*line(server, tmp_path, **small))
    assert done.returncode == 0, done.stderr
    asked = Counter(map(question, server.requests))
    twice = sum(n - 1 for n in asked.values())
    assert twice <= len(goals) * 4  # what was on its way when the kill came
    assert set(asked) == set(map(question, calm.requests))
    assert arms(tmp_path) == arms(quiet)


def test_ctrl_c_keeps_the_best(serve: Serve, tmp_path: Path) -> None:
    server = serve(reply=planted.planted(), delay=0.01)
    planted.run_of(tmp_path / "run", 9, 2)
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        line(server, tmp_path), env=environment(), stdout=pipe, stderr=pipe, text=True
    )
    late, scored = time.monotonic() + 60, ""
    assert process.stdout is not None
    while "best so far" not in scored and time.monotonic() < late:
        scored = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, said + errors
    assert "Traceback" not in errors
    assert "The best so far is kept" in said
    artefact = json.loads((tmp_path / "out" / "selector.json").read_bytes())
    assert planted.rules(artefact["states"][0]["instructions"])
    assert artefact["verdict"] == "not measured"
    again = run(*line(server, tmp_path))
    assert again.returncode == 0
    assert arms(tmp_path)["optimized"]["mean"] > 0.8


def test_the_budget_keeps_back_what_the_comparison_takes(serve: Serve, tmp_path: Path) -> None:
    server = serve(reply=planted.planted("chance"), record=False)
    result = optimized(server, tmp_path, 9, 2, budget={"calls": 420})
    assert "budget" in result.stopped
    assert server.count <= 420
    assert [arm.missing for arm in result.arms] == [0] * 5


@pytest.mark.parametrize("kind", ["tokens", "money"])
def test_tokens_and_money_bind_the_search(serve: Serve, tmp_path: Path, kind: str) -> None:
    server = serve(reply=planted.planted("chance"), record=False)
    sessions = planted.run_of(tmp_path / "run", 9, 2)
    bound = {"tokens": 200_000, "money": 0.2}[kind]
    price = "lm.default.price={input = 1.0, output = 1.0}"
    own = [*settings(server), price, f"optimize.budget.{kind}={bound}"]
    study = load_study(str(sessions / "study.toml"), own)
    result, _ = optimize(study, sessions, None, tmp_path / "out", Console(quiet=True))
    assert "budget" in result.stopped
    usage = json.loads((tmp_path / "out" / "selector.json").read_bytes())["provenance"]["usage"]
    tokens = sum(u["input_tokens"] + u["output_tokens"] for u in usage.values())
    assert 100_000 < tokens <= 220_000  # calls under way still finish
    assert [arm.missing for arm in result.arms] == [0] * 5


def test_the_other_agents_prompts_stay_as_they_are(serve: Serve, tmp_path: Path) -> None:
    server = serve(reply=planted.planted())
    optimized(server, tmp_path, 9, 2, metric_calls=60, horizon=2)

    def shapes(marks: tuple[str, ...]) -> set[str]:
        """What agents are told beside their inputs, by their prompts' system splits."""
        found = {str(body["messages"][0]["content"]) for body in server.requests}
        return {text for text in found if any(mark in text for mark in marks)}

    from prompts_frozen import load_prompts

    prompts = load_prompts()
    for name in ("reflection", "response", "client", "ctrs-focus"):
        system = prompts[name].system
        assert system is not None
        assert shapes((system[:60],)) == {system}, name


def test_a_window_may_go_on_for_several_exchanges(serve: Serve, tmp_path: Path) -> None:
    server = serve(reply=planted.planted(), record=False)
    result = optimized(server, tmp_path, 9, 2, metric_calls=20, horizon=3)
    window = next(iter(result.arms[0].outcomes.values())).detail
    assert [m["role"] for m in window["window"]] == ["client", *["counselor", "client"] * 3]
    assert len(window["techniques"]) == 3


@pytest.mark.parametrize("agent", OPTIMIZABLE)
def test_any_agent_of_the_counselor_can_be_tuned(serve: Serve, tmp_path: Path, agent: str) -> None:
    def reply(body: dict[str, Any], prompt: str) -> str:
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
        fields = schema.get("properties", {})
        if "plan" in fields:
            return json.dumps({"plan": PLAN.model_dump(mode="json")})
        if "steps" in fields:
            return json.dumps({"technique": PLAN.technique, "steps": ["Look."]})
        if "reply" in fields:
            return json.dumps({"reply": "Let us use Questioning now."})
        return planted.planted()(body, prompt)

    server = serve(reply=reply, record=False)
    result = optimized(server, tmp_path, 6, 2, agent=agent, metric_calls=12)
    names = [arm.name for arm in result.arms]
    assert names[:3] == ["optimized", "frozen", "unoptimized"]
    assert len(names) == (5 if agent == "technique" else 3)
    assert all(arm.missing == 0 for arm in result.arms)


def test_unreadable_answers_and_missing_scores_are_counted(serve: Serve, tmp_path: Path) -> None:
    world = planted.planted()

    def reply(body: dict[str, Any], prompt: str) -> str:
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
        fields = schema.get("properties", {})
        if "score" in fields and "number 1." in prompt:
            return "I would rather not say."
        if "techniques" in fields and "File 2" in prompt:
            return "no such technique at all"
        return world(body, prompt)

    server = serve(reply=reply, record=False)
    result = optimized(server, tmp_path, 9, 2, metric_calls=60)
    left = {id for part in result.left_out.values() for id in part}
    assert left == {"session_0002/1", "session_0002/2"}
    known = [s for s in (o.score for o in result.start.outcomes.values()) if s is not None]
    assert len(known) == len(result.start.outcomes) - len(left)


def test_a_server_that_goes_away_ends_the_search_and_loses_nothing(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(reply=planted.planted(), faults=lambda n: "401" if n > 150 else None)
    planted.run_of(tmp_path / "run", 9, 2)
    done = run(*line(server, tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "rerun the same command to resume" in done.stdout
    paid, before = {question(body) for body in server.requests[:150]}, server.count
    assert len(paid) == 150 < before
    server.faults = lambda n: None
    again = run(*line(server, tmp_path))
    assert again.returncode == 0, again.stdout + again.stderr
    asked = server.requests[before:]
    assert asked
    assert [body for body in asked if question(body) in paid] == []


@pytest.mark.parametrize(
    ("args", "more", "says"),
    [
        (["--optimizer", "gradient"], {}, "optimize.optimizer"),
        (["--agent", "client"], {}, "not an agent that can be optimized"),
        (["--agent", "judge"], {}, "--ratings"),
        (["--horizon", "0"], {}, "optimize.horizon"),
        (["--budget-calls", "10"], {}, "leaves nothing to search with"),
        ([], {"metric_calls": 3}, "scoring the start takes"),
        ([], {"options": {"speed": 3}}, "has no option 'speed'"),
        ([], {"colour": 3}, "unknown key 'optimize.colour'"),
        ([], {"split": [1, 1, 40]}, "split is empty"),
        (["--run", "nowhere"], {}, "cannot read nowhere"),
    ],
)
def test_bad_input_is_refused_before_anything_is_spent(
    serve: Serve, tmp_path: Path, args: list[str], more: dict[str, Any], says: str
) -> None:
    server = serve(reply=planted.planted())
    planted.run_of(tmp_path / "run", 6, 2)
    done = run(*line(server, tmp_path, *args, **more))
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert server.count == 0


def test_an_estimate_spends_nothing_and_holds(serve: Serve, tmp_path: Path) -> None:
    server = serve(reply=planted.planted(), record=False)
    planted.run_of(tmp_path / "run", 9, 2)
    done = run(*line(server, tmp_path, "--estimate", metric_calls=30))
    assert done.returncode == 0, done.stderr
    assert server.count == 0
    total = int(done.stdout.split("together, at most")[1].split()[1].replace(",", ""))
    done = run(*line(server, tmp_path, metric_calls=30))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out" / "selector.json").read_bytes())["provenance"]["usage"]
    assert server.count - written["optimizer"]["calls"] <= total
    assert "optimized" in done.stdout
    assert "--selector" in done.stdout


@pytest.mark.parametrize("agent", ["client", "hypnotist", "judge", "ctrs-focus"])
def test_what_cannot_be_tuned_is_refused_before_a_session_is_played(
    server: FakeServer, tmp_path: Path, agent: str
) -> None:
    args = ["--agent", agent, "--out", tmp_path / "out", "--set", f"lm.default.url='{server.url}'"]
    done = run(*command(*args, module="optimize.selector"))
    assert done.returncode == 2
    assert f"{agent}" in done.stderr
    assert server.count == 0
    assert not (tmp_path / "out").exists()


def test_without_a_run_the_study_plays_its_sessions_first(serve: Serve, tmp_path: Path) -> None:
    server = serve(reply=planted_or_played)
    own = [f"lm.{role}.url='{server.url}'" for role in ("default",)]
    pairs = [part for pair in own for part in ("--set", pair)]
    line_ = command(*pairs, "--out", tmp_path / "out", module="optimize.selector")
    guess = run(*line_, "--estimate")
    assert guess.returncode == 0, guess.stderr
    assert server.count == 0
    assert "8 sessions" in guess.stdout
    done = run(*line_)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "out" / "sessions-run" / "sessions").iterdir())) == 8
    before = server.count
    again = run(*line_)
    assert again.returncode == 0
    assert server.count == before


def planted_or_played(body: dict[str, Any], prompt: str) -> str:
    """The planted world, with a planner."""
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
    if "steps" in schema.get("properties", {}):
        return json.dumps({"technique": PLAN.technique, "steps": ["Look.", "See.", "Go."]})
    return planted.planted()(body, prompt)


@pytest.mark.parametrize("optimizer", ["gepa", "miprov2", "random-search", "simba"])
def test_litellm_is_never_loaded(serve: Serve, tmp_path: Path, optimizer: str) -> None:
    server = serve(reply=planted.planted(), record=False)
    planted.run_of(tmp_path / "run", 6, 2)
    args = line(server, tmp_path, optimizer=optimizer, metric_calls=24)[3:]
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('loaded:', 'litellm' in sys.modules, flush=True))\n"
        "from optimize.selector import main\nmain()"
    )
    done = run(*command(*args, code=code))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loaded: False" in done.stdout
