"""Specialists left out: who is asked, what the others are shown, what may be chosen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnet.core.errors import UsageError
from magnet.core.journal import read_sessions
from magnet.core.session import Session
from magnet.study.prepare import prepare
from programs import RELEASED, Agent, AgentError, MagnetCounselor
from programs.play import role_play
from programs.state import apply_state
from prompts_frozen import Prompt, load_prompts
from prompts_frozen.authors import import_prompts
from signatures import SPECIALISTS, Technique
from tests.fake_server import FakeServer
from tests.running import (
    agent_on,
    command,
    magnet,
    programs_on,
    reproduce,
    reproduce_args,
    run,
    seeds,
)
from tests.test_released import UPSTREAM

Serve = Callable[..., FakeServer]
DRAFT = {
    "reflection": "Draft by reflection",
    "questioning": "Draft by questioning",
    "solutions": "Draft by providing solutions",
    "normalizing": "Draft by normalization",
    "psychoeducation": "Draft by psycho-education",
}


def response_prompts(server: FakeServer) -> list[str]:
    texts = ["\n".join(m["content"] for m in body["messages"]) for body in server.requests]
    return [text for text in texts if "Draft by" in text]


def choices(server: FakeServer) -> list[list[str]]:
    """What the selector might choose from, by its schemas."""
    schemas = [
        b["response_format"]["json_schema"] for b in server.requests if "response_format" in b
    ]
    found = [s["schema"]["properties"]["techniques"] for s in schemas if s["name"] == "technique"]
    assert all(one["maxItems"] == len(one["items"]["enum"]) for one in found)
    return [one["items"]["enum"] for one in found]


@pytest.mark.parametrize(
    "gone", [("normalizing",), ("reflection", "psychoeducation"), tuple(SPECIALISTS)[1:]]
)
async def test_a_specialist_set_to_none_is_left_out(
    server: FakeServer, gone: tuple[str, ...]
) -> None:
    counselor, client = programs_on(server)
    for role in gone:
        setattr(counselor, role, None)
    session = await role_play(counselor, client, seeds(1)[0], 2)
    there = [role for role in SPECIALISTS if role not in gone]
    for exchange in session.exchanges:
        assert list(exchange.candidates) == there
        assert not {SPECIALISTS[role] for role in gone} & set(exchange.techniques)
    for prompt in response_prompts(server):
        assert [role for role, draft in DRAFT.items() if draft in prompt] == there
        assert "\n\n\n" not in prompt
        assert "None" not in prompt
    assert [set(c) for c in choices(server)] == [{SPECIALISTS[role] for role in there}] * 2
    assert Session.from_json(session.to_json()) == session


async def test_it_may_be_left_out_and_come_back_between_turns(server: FakeServer) -> None:
    counselor, client = programs_on(server)
    whole, kept = counselor.response.prompt_sha256, counselor.solutions
    said = []
    for value in (kept, None, kept):
        counselor.solutions = value
        await role_play(counselor, client, seeds(1)[0], 1)
        said.append("Draft by providing solutions" in response_prompts(server)[-1])
    assert said == [True, False, True]
    assert counselor.response.prompt_sha256 == whole
    assert counselor.response.signature.input_fields.keys() >= set(SPECIALISTS)


async def test_what_is_chosen_in_words_is_dropped_and_asked_again_if_nothing_remains(
    serve: Serve,
) -> None:
    said = iter(["Normalization", "Normalization, Reflection"])

    def reply(body: dict[str, Any], prompt: str) -> str | None:
        return next(said) if "five to choose from" in prompt else None

    server = serve(schemas=False, reply=reply)
    counselor, client = programs_on(server)
    counselor.normalizing = None
    session = await role_play(counselor, client, seeds(1)[0], 1)
    assert session.exchanges[0].techniques == [Technique.REFLECTION]
    assert session.usage["technique"].retries == 1


async def test_the_scripts_free_words_are_asked_again_too(serve: Serve) -> None:
    said = iter(["Normalization.", "Reflection and Normalization", "Be kind."])
    server = serve(reply=lambda b, p: next(said) if "five to choose from" in p else None)
    profile = RELEASED.model_copy(update={"clean_up": "words"})
    agent = Agent("technique", profile=profile)
    agent.lm = agent_on(server, "technique").lm
    agent.leave_out(["normalizing"])
    inputs = {"plan": "A plan.", "history": "Client: Hello."}
    assert (await agent.acall(**inputs)).techniques == "Reflection"
    assert (await agent.acall(**inputs)).techniques == "Be kind."


async def test_a_tuned_selector_and_response_generator_do_without_too(server: FakeServer) -> None:
    counselor, client = programs_on(server)
    counselor.psychoeducation = None
    for agent in (counselor.technique, counselor.response):
        apply_state(agent, {"instructions": "Do it well.", "demos": []})
    await role_play(counselor, client, seeds(1)[0], 1)
    [choice] = choices(server)
    assert Technique.PSYCHOEDUCATION not in choice
    assert "psychoeducation" not in str(server.requests[-2]["messages"])


async def test_all_five_cannot_be_left_out(server: FakeServer) -> None:
    counselor, client = programs_on(server)
    for role in SPECIALISTS:
        setattr(counselor, role, None)
    with pytest.raises(UsageError, match="all five specialists"):
        await role_play(counselor, client, seeds(1)[0], 1)
    with pytest.raises(UsageError, match="all five specialists"):
        MagnetCounselor().leave_out(*SPECIALISTS)


@pytest.mark.parametrize("part", ["technique", "planner"])
async def test_planner_and_selector_are_left_out_as_the_program_is_made(
    server: FakeServer, part: str
) -> None:
    counselor, client = programs_on(server)
    setattr(counselor, part, None)
    with pytest.raises(UsageError, match=rf"MagnetCounselor\({part}=False"):
        await role_play(counselor, client, seeds(1)[0], 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[system]]\nMind {normalizing}.\n[[user]]\n{reflection}\n", "system part"),
        ("[[user]]\n{reflection}\n{normalizing}\n", "another input"),
        ("[[user]]\nNormalizing:\n\n{normalizing}\n\nAnswer.\n", "heading"),
    ],
)
def test_a_paragraph_that_cannot_be_cut_is_told(text: str, why: str) -> None:
    prompt = Prompt.parse("response", text.encode())
    with pytest.raises(UsageError, match=why):
        Agent("response", prompt).leave_out(["normalizing"])


def test_what_remains_of_a_prompt_has_a_hash_of_its_own() -> None:
    prompt = load_prompts()["response"]
    hashes = {prompt.cut(*gone).sha256 for gone in ((), ("solutions",), ("reflection",))}
    assert len(hashes) == 3
    assert prompt.cut("history") is prompt


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason="needs the authors' repository")
def test_the_authors_prompts_lose_the_paragraph_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    load_prompts.cache_clear()
    try:
        import_prompts(str(UPSTREAM))
        for name in ("response", "response-to-plan", "response-free"):
            whole = load_prompts("authors")[name]
            cut = whole.cut("normalizing")
            assert cut.placeholders == whole.placeholders - {"normalizing"}
            assert whole.raw is not None
            assert cut.raw is not None
            lost = len(whole.user) - len(cut.user)
            assert len(whole.raw) - len(cut.raw) == lost < 60
            assert cut.raw.replace(cut.user, whole.user) == whole.raw
    finally:
        load_prompts.cache_clear()


@pytest.mark.processes
def test_a_study_leaves_them_out_of_all_its_magnet_methods(server: FakeServer, out: Path) -> None:
    methods = ["magnet", "magnet-c-t", "psych8k"]
    done = reproduce(server, out, methods=methods, leave_out=["normalizing"], sessions=1)
    assert done.returncode == 0, done.stderr
    for session in read_sessions(out):
        assert session.provenance["leave_out"] == ["normalizing"]
        there = 0 if session.method == "psych8k" else 4
        assert {len(exchange.candidates) for exchange in session.exchanges} == {there}
        assert "normalizing" not in session.usage
    whole = json.loads((out / "provenance.json").read_bytes())
    assert whole["identity"]["leave_out"] == ["normalizing"]
    assert whole["prompts"]["sha256"]["response"] != load_prompts()["response"].sha256
    assert reproduce(server, out, methods=methods, leave_out=["solutions"]).returncode == 2
    assert magnet("show", out, "1").returncode == 0


def test_the_identity_of_other_studies_is_as_before() -> None:
    before = prepare("demo", []).identity
    assert "leave_out" not in before
    assert before["prompts"]["response"] == load_prompts()["response"].sha256
    assert prepare("demo", ["leave_out=[]"]).identity == before
    other = prepare("demo", ["leave_out=['solutions', 'reflection']"]).identity
    assert other["leave_out"] == ["reflection", "solutions"]
    assert prepare("demo", ["leave_out=['reflection', 'solutions']"]).identity == other


@pytest.mark.processes
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"leave_out": ["normalising"]},
            "unknown specialist 'normalising'; did you mean 'normalizing'",
        ),
        ({"leave_out": list(SPECIALISTS)}, "all five specialists are left out"),
        (
            {"leave_out": ["normalizing"], "methods": ["cactus", "psych8k"]},
            "leave_out: the methods cactus, psych8k have no specialists",
        ),
    ],
)
def test_what_cannot_be_left_out_is_told_before_anything_is_spent(
    server: FakeServer, out: Path, settings: dict[str, Any], message: str
) -> None:
    done = reproduce(server, out, **settings)
    assert (done.returncode, server.count, out.exists()) == (2, 0, False)
    assert message in " ".join(done.stderr.split())
    arguments = reproduce_args(server, out, **settings)
    asked = [part for part in arguments if part not in ("--out", str(out))]
    examined = magnet("doctor", *asked)
    assert examined.returncode != 0
    assert "Traceback" not in examined.stderr


@pytest.mark.processes
def test_print_estimate_and_doctor_know_it(server: FakeServer, out: Path) -> None:
    line = reproduce_args(server, out, leave_out=["normalizing"])
    printed = run(*command(*line, "--print"))
    assert 'leave_out = [\n    "normalizing",\n]' in printed.stdout
    estimated = run(*command(*line, "--estimate")).stdout
    assert "reflection" in estimated
    assert "normalizing" not in estimated
    settings = [part for part in line if part not in ("--out", str(out))]
    examined = magnet("doctor", *settings)
    assert examined.returncode == 0
    assert "normalizing" not in examined.stdout


async def test_a_module_in_the_selectors_place_is_held_to_it(server: FakeServer) -> None:
    import dspy

    class Fixed(dspy.Module):
        def forward(self, history: str) -> dspy.Prediction:
            return dspy.Prediction(techniques=[Technique.NORMALIZATION])

    counselor, client = programs_on(server)
    counselor.technique = Fixed()
    counselor.normalizing = None
    with pytest.raises(AgentError, match="only Normalization is chosen"):
        await role_play(counselor, client, seeds(1)[0], 1)


@pytest.mark.processes
def test_an_agent_that_is_left_out_cannot_be_tuned(server: FakeServer, out: Path) -> None:
    line = reproduce_args(server, out, leave_out=["normalizing"])
    done = run(*command(*line, "--agent", "normalizing", "--estimate", module="optimize.selector"))
    assert (done.returncode, server.count) == (2, 0)
    assert "normalizing is left out of this study" in done.stderr
