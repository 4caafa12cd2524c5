"""What a search leaves behind, and its use in a run and in judging."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from magnet.core.errors import UsageError
from programs import Agent
from programs.artefact import Artefact, load, save, state_for
from programs.state import state_of
from signatures import CBTPlan, CBTTechnique, Technique
from tests.fake_server import FakeServer
from tests.running import agent_on, command, inputs_for, reproduce, reproduce_args, run

Serve = Callable[..., FakeServer]
TOLD = "Choose as the test says."
DEMO = dspy.Example(
    plan=CBTPlan(technique=CBTTechnique.PIE_CHART, plan="1. Draw it."),
    history="Counselor: Hello.\nClient: Hm.",
    techniques=[Technique.QUESTIONING],
)


def artefact(agent: str = "technique", *, demos: bool = True, told: str = TOLD) -> Artefact:
    """Of an agent optimized by hand."""
    optimized = Agent(agent)
    optimized.signature = optimized.signature.with_instructions(told)
    optimized.demos = [DEMO] if demos else []
    states = [state_for(agent, state_of(optimized))]
    return Artefact(states=states, verdict="not shown", finding="No gain shown.", provenance={})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path, "technique", artefact())
    return tmp_path


async def test_a_loaded_agent_sends_what_the_tuned_one_sent(
    server: FakeServer, folder: Path
) -> None:
    optimized, loaded = agent_on(server, "technique"), agent_on(server, "technique")
    optimized.signature = optimized.signature.with_instructions(TOLD)
    optimized.demos = [DEMO]
    assert load(folder).apply([loaded]) == ["technique"]
    for agent in (optimized, loaded):
        await agent.acall(**inputs_for("technique"))
    first, second = (body["messages"] for body in server.requests)
    assert first == second
    assert TOLD in first[0]["content"]
    assert loaded.prompt_sha256 == optimized.prompt_sha256 != Agent("technique").prompt_sha256


def test_it_is_json_alone(folder: Path) -> None:
    data = json.loads((folder / "selector.json").read_bytes())
    assert data["states"][0]["instructions"] == TOLD
    assert data["states"][0]["demos"][0]["techniques"] == ["Questioning"]
    assert load(folder) == load(folder / "selector.json")


def _other_signature(data: dict[str, Any]) -> None:
    data["states"][0]["signature"]["inputs"]["mood"] = {"type": "string"}


def _other_type(data: dict[str, Any]) -> None:
    data["states"][0]["signature"]["outputs"]["techniques"] = {"type": "string"}


def _no_agent(data: dict[str, Any]) -> None:
    data["states"][0]["agent"] = "hypnotist"


def _bad_demo(data: dict[str, Any]) -> None:
    data["states"][0]["demos"][0]["techniques"] = ["Hugging"]


def _newer(data: dict[str, Any]) -> None:
    data["magnet_artefact"] = 2


def _field_gone(data: dict[str, Any]) -> None:
    del data["states"][0]["instructions"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_other_signature, "its inputs differ in mood"),
        (_other_type, "its outputs differ in techniques"),
        (_no_agent, "'hypnotist', which is not an agent"),
        (_bad_demo, "a demo of 'technique' is damaged"),
        (_newer, "has format 2"),
        (_field_gone, "states.0.instructions: Field required"),
    ],
)
def test_a_changed_artefact_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], says: str
) -> None:
    path = folder / "selector.json"
    data = json.loads(path.read_bytes())
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        load(folder)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "cannot read"),
        (lambda p: p.mkdir(), "no artefacts"),
        (lambda p: p.write_text("{"), "not one of this project's"),
    ],
)
def test_what_is_no_artefact_is_refused(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    path = tmp_path / "there"
    make(path)
    with pytest.raises(UsageError, match=says):
        load(path)


def test_a_run_uses_it_and_says_so(server: FakeServer, folder: Path, out: Path) -> None:
    args = [*reproduce_args(server, out), "--selector", folder]
    done = run(*command(*args))
    assert done.returncode == 0, done.stderr
    selector = [b for b in server.requests if TOLD in str(b["messages"][0]["content"])]
    assert len(selector) == 4  # two sessions of two exchanges
    whole = json.loads((out / "provenance.json").read_bytes())
    assert whole["optimized"][0]["agents"] == ["technique"]
    assert whole["optimized"][0]["verdict"] == "not shown"
    session = json.loads((out / "sessions" / "session_0001.json").read_bytes())
    assert session["provenance"]["optimized"] == ["technique"]
    # The same run directory is not taken up by the frozen selector, nor by another artefact.
    frozen = reproduce(server, out)
    assert frozen.returncode == 2
    assert "prompts.technique" in frozen.stderr
    save(folder, "technique", artefact(told="Choose otherwise."))
    other = run(*command(*args))
    assert other.returncode == 2
    assert "prompts.technique" in other.stderr


def test_a_study_without_the_agent_refuses_it(server: FakeServer, folder: Path, out: Path) -> None:
    args = [*reproduce_args(server, out, methods=["magnet-t", "cactus"]), "--selector", folder]
    done = run(*command(*args))
    assert done.returncode == 2
    assert "have no agent 'technique'" in done.stderr
    assert server.count == 0


def test_runs_without_one_are_named_as_before(server: FakeServer, out: Path) -> None:
    assert reproduce(server, out).returncode == 0
    whole = json.loads((out / "provenance.json").read_bytes())
    assert "optimized" not in whole
    assert "optimized" not in whole["identity"]
    assert "optimize" not in whole["identity"]
    session = json.loads((out / "sessions" / "session_0001.json").read_bytes())
    assert "optimized" not in session["provenance"]


@pytest.mark.processes
def test_a_tuned_judge_is_asked_anew(server: FakeServer, out: Path, tmp_path: Path) -> None:
    assert reproduce(server, out).returncode == 0
    usual = ["--scales", "ctrs", "--set", f"lm.judge.url='{server.url}'"]
    judge = command("judge", out, *usual, module="magnet.cli")
    assert run(*judge).returncode == 0
    before = server.count
    assert run(*judge).returncode == 0
    assert server.count == before  # nothing is asked twice
    optimized = Agent("ctrs-focus")
    optimized.signature = optimized.signature.with_instructions("Rate as people do.")
    states = [state_for("ctrs-focus", state_of(optimized))]
    made = Artefact(states=states, verdict="gain", finding="Better.", provenance={})
    path = save(tmp_path, "ctrs-focus", made)
    done = run(*judge, "--set", f"optimized=['{path}']")
    assert done.returncode == 0, done.stderr
    assert server.count == before + 2  # the one item of both sessions
    assert "Rate as people do." in str(server.requests[-1]["messages"])
