import json
from typing import Any

import dspy
import pytest
from pydantic import TypeAdapter, ValidationError

from magnet.core.rng import Draw
from magnet.core.session import Session
from prompts_frozen import load_prompts
from signatures import AGENTS, QUESTIONS, SPECIALISTS, CBTPlan, CBTTechnique, Technique, Techniques
from signatures.scales import PANAS
from tests.fake_server import FakeServer
from tests.running import agent_on, inputs_for, programs_on, seeds

ANSWERS: dict[str, dict[str, Any]] = {
    "ctrs": {"score": 3, "reason": "So-so."},
    "wai": {"score": 7, "reason": "Plainly."},
    "panas": {"feelings": dict.fromkeys(PANAS.items, 2)},
    "planner": {"plan": CBTPlan(technique=CBTTechnique.PIE_CHART, plan="1. Draw it.")},
    "technique": {"techniques": [Technique.QUESTIONING, Technique.REFLECTION]},
    "client": {"reply": "I see.", "ended": False},
}


# A judge has an agent for each item, which differ in their prompts alone.
JUDGES = ["ctrs-focus", "wai-wai4", "panas-before", "panas-after"]
GENERATE = [name for name in AGENTS if name not in QUESTIONS]


def answer_of(role: str) -> dict[str, Any]:
    kind = role.removesuffix("-unplanned").partition("-")[0]
    return ANSWERS.get(kind, {"reply": "I hear you."})


def fields(outputs: dict[str, Any]) -> str:
    """The answer as DSPy's JSON format wants it."""
    dump = {
        k: v.model_dump(mode="json") if isinstance(v, CBTPlan) else v for k, v in outputs.items()
    }
    return json.dumps(dump)


@pytest.mark.parametrize("role", AGENTS)
def test_every_role_has_a_frozen_prompt_that_uses_all_its_inputs(role: str) -> None:
    assert load_prompts()[role].placeholders == set(AGENTS[role].signature.input_fields)


def test_the_prompts_name_every_technique_there_is_to_choose() -> None:
    planner, selector = load_prompts()["planner"].user, load_prompts()["technique"].user
    assert [t for t in CBTTechnique if t.value not in planner] == []
    assert [t for t in Technique if t.value not in selector] == []
    assert set(SPECIALISTS.values()) == set(Technique)


@pytest.mark.parametrize(
    "techniques",
    [[], ["Reflection"] * 2, ["Hugging"], ["Reflection", "Hugging"], "Reflection", None],
)
def test_the_techniques_type_refuses_none_unknown_and_repeated(techniques: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Techniques).validate_python(techniques)


@pytest.mark.parametrize(
    "plan",
    [
        {"technique": "Hypnosis", "plan": "1. Ask."},
        {"technique": "Reality Testing", "plan": "  "},
        {"technique": "Reality Testing"},
        {"plan": "1. Ask."},
    ],
)
def test_a_plan_needs_a_known_technique_and_words(plan: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CBTPlan.model_validate(plan)


@pytest.mark.parametrize("role", [*GENERATE, *JUDGES])
@pytest.mark.parametrize("change", ["demos", "instructions"])
async def test_an_optimized_agent_speaks_dspys_format_and_answers_in_types(
    serve: Any, role: str, change: str
) -> None:
    server = serve(reply=lambda body, prompt: fields(answer_of(role)))
    agent = agent_on(server, role)
    before = agent.optimized
    if change == "demos":
        agent.demos = [dspy.Example(**inputs_for(role, "of the demo"), **answer_of(role))]
    else:
        agent.signature = agent.signature.with_instructions("Answer in the spirit of a test.")
    assert (before, agent.optimized) == (False, True)
    answer = await agent.acall(**inputs_for(role))
    assert {name: answer[name] for name in answer_of(role)} == answer_of(role)
    sent = str(server.requests[0]["messages"])
    assert "[[ ## " in sent
    assert ("of the demo" if change == "demos" else "in the spirit of a test") in sent


UNREADABLE = ["", "no fields", *({"techniques": t} for t in ([], ["Hugging"], ["Reflection"] * 2))]


@pytest.mark.parametrize("bad", UNREADABLE, ids=str)
async def test_an_optimized_agents_unreadable_answer_is_asked_again(serve: Any, bad: Any) -> None:
    said = [bad if isinstance(bad, str) else fields(bad), fields(answer_of("technique"))]
    server = serve(reply=lambda body, prompt: said.pop(0))
    agent = agent_on(server, "technique")
    agent.signature = agent.signature.with_instructions("Choose.")
    answer = await agent.acall(**inputs_for("technique"))
    assert answer.techniques == answer_of("technique")["techniques"]
    assert answer.call.retries == {"malformed": 1}


async def test_an_optimized_agent_samples_as_a_frozen_one(serve: Any) -> None:
    server = serve(reply=lambda body, prompt: fields({"reply": "So."}) if "[[" in prompt else None)
    agent = agent_on(server, "response", min_p=0.05, extra={"top_k": 0}, temperature=0.3)
    draw, inputs = Draw((1,)), inputs_for("response")
    await agent.acall(draw=draw, **inputs)
    agent.signature = agent.signature.with_instructions("Answer.")
    await agent.acall(draw=draw, **inputs)
    apart = ("messages", "headers", "response_format")
    frozen, optimized = ({k: v for k, v in b.items() if k not in apart} for b in server.requests)
    assert frozen == optimized
    wanted = server.requests[1]["response_format"]["json_schema"]["schema"]
    assert wanted["properties"] == {"reply": {"type": "string"}}


@pytest.mark.parametrize("role", [*GENERATE, *JUDGES])
async def test_an_optimized_agent_asks_a_constrained_server_for_its_outputs(
    server: FakeServer, role: str
) -> None:
    agent = agent_on(server, role).loosen()
    answer = await agent.acall(**inputs_for(role))
    schema = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == list(AGENTS[role].signature.output_fields)
    assert set(answer.keys()) >= set(AGENTS[role].signature.output_fields)


async def test_an_optimized_client_may_end_the_session(serve: Any) -> None:
    said = [fields({"reply": r, "ended": True}) for r in ("Bye.", "", "Enough. [/END]")]
    server = serve(reply=lambda body, prompt: said.pop(0))
    agent = agent_on(server, "client").loosen()
    answers = [await agent.acall(**inputs_for("client")) for _ in range(3)]
    assert [(a.reply, a.ended) for a in answers] == [
        ("Bye.", True),
        (None, True),
        ("Enough.", True),
    ]


async def test_a_loosened_agent_sees_what_its_frozen_prompt_shows(server: FakeServer) -> None:
    counselor, _ = programs_on(server)
    seed = seeds(1)[0]
    counselor.reflection.loosen()
    history = Session(seed=seed).history
    await counselor.acall(seed=seed, history=history)
    sent = [str(b["messages"]) for b in server.requests if "[[ ## " in str(b["messages"])]
    assert len(sent) == 1
    assert "[[ ## reason ## ]]" not in sent[0].rpartition("'role': 'user'")[2]
    assert load_prompts()["reflection"].instructions[:60] in sent[0]


@pytest.mark.parametrize("role", [*GENERATE, *JUDGES])
async def test_a_frozen_agent_sends_its_prompt_whatever_adapter_the_caller_uses(
    server: FakeServer, role: str
) -> None:
    inputs = inputs_for(role)
    with dspy.context(adapter=dspy.JSONAdapter()):
        answer = await agent_on(server, role).acall(**inputs)
    system, user = load_prompts()[role].render(inputs)
    assert [m["content"] for m in server.requests[-1]["messages"]] == [system, user]
    assert set(answer.keys()) >= set(AGENTS[role].signature.output_fields)


async def test_optimizing_one_agent_leaves_the_others_prompts_as_they_are(serve: Any) -> None:
    def reply(body: dict[str, Any], prompt: str) -> str | None:
        return fields({"reply": "Optimized."}) if "[[ ## " in prompt else None

    server = serve(reply=reply)
    counselor, _ = programs_on(server)
    seed = seeds(1)[0]
    history, draw = Session(seed=seed).history, Draw((1, seed.seed_id))
    await counselor.acall(seed=seed, history=history, draw=draw)
    frozen = [body["messages"] for body in server.requests]
    counselor.response.demos = [dspy.Example(reply="A demo.")]
    server.requests.clear()
    said = await counselor.acall(seed=seed, history=history, draw=draw)
    after = [body["messages"] for body in server.requests]
    assert said.reply == "Optimized."
    assert [m for m in frozen if m not in after] == frozen[-1:]  # the response generator's alone
