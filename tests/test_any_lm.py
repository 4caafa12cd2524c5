"""A plain dspy.LM as an agent's model: what it sends, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dspy
import pytest

from magnet.core.rng import Draw
from magnet.lm import connect
from programs import Agent, AgentError, Client, Judge, MagnetCounselor
from programs.play import role_play
from programs.state import apply_state
from signatures import AGENTS
from tests.fake_server import FakeServer
from tests.running import agent_on, inputs_for, seeds

Serve = Callable[..., FakeServer]


def plain(server: FakeServer, **options: Any) -> dspy.LM:
    usual = {"cache": False, "temperature": 0.4, "max_tokens": 77}
    return dspy.LM(
        "openai/fake-model", api_base=f"{server.url}/v1", api_key="none", **usual | options
    )


def with_plain(server: FakeServer, name: str, **options: Any) -> Agent:
    agent = Agent(name, pause=0.001)
    agent.lm = plain(server, **options)
    return agent


def optimized(agent: Agent) -> Agent:
    apply_state(agent, {"instructions": "Do it well.", "demos": []})
    return agent


@pytest.mark.parametrize("name", sorted(AGENTS))
async def test_any_agent_sends_the_same_messages_and_schema(server: FakeServer, name: str) -> None:
    for agent in (agent_on(server, name, max_tokens=77), with_plain(server, name)):
        await agent.acall(draw=Draw((1, "a")), **inputs_for(name))
    ours, theirs = server.requests
    for key in ("messages", "seed", "response_format"):
        assert ours.get(key) == theirs.get(key)
    assert theirs["temperature"] == 0.4
    assert theirs["max_completion_tokens"] == 77  # DSPy's word for it on OpenAI's wire
    assert "api_key" not in str(theirs).replace("'headers'", "")


@pytest.mark.parametrize("name", ["technique", "response", "planner"])
async def test_a_tuned_agent_sends_the_same_messages_and_schema(
    server: FakeServer, name: str
) -> None:
    for agent in (agent_on(server, name), with_plain(server, name)):
        answer = await optimized(agent).acall(draw=Draw((1, "a")), **inputs_for(name))
        assert answer.call.output_tokens
    ours, theirs = server.requests
    for key in ("messages", "seed", "response_format"):
        assert ours[key] == theirs[key]


@pytest.mark.parametrize("change", [lambda agent: agent, optimized], ids=["frozen", "optimized"])
@pytest.mark.parametrize("usage", [True, False])
async def test_tokens_and_model_are_recorded(
    serve: Serve, usage: bool, change: Callable[[Agent], Agent]
) -> None:
    server = serve(usage=usage, finish="length")
    agent = change(with_plain(server, "technique"))
    call = (await agent.acall(**inputs_for("technique"))).call
    assert (call.model, call.finish) == ("fake-model", "length")
    assert (call.input_tokens is not None, call.output_tokens is not None) == (usage, usage)


def test_a_synchronous_caller_gets_the_same(server: FakeServer) -> None:
    answer = with_plain(server, "reflection")(**inputs_for("reflection"))
    assert answer.reply
    assert answer.call.input_tokens > 0


@pytest.mark.parametrize("change", [lambda agent: agent, optimized], ids=["frozen", "optimized"])
async def test_a_refused_schema_is_left_out_from_then_on(
    serve: Serve, change: Callable[[Agent], Agent]
) -> None:
    server = serve(schemas="refuse", reply=lambda body, prompt: "Reflection, Questioning")
    agent = change(with_plain(server, "technique"))
    for _ in range(2):
        answer = await agent.acall(**inputs_for("technique"))
        assert answer.call.retries == {}
    assert ["response_format" in body for body in server.requests] == [True, False, False]


async def test_an_unreadable_answer_is_not_taken_from_dspys_cache(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dspy, "cache", type(dspy.cache)(False, True, "", memory_max_entries=50))
    server = serve(faults=lambda n: "malformed" if n == 1 else None)
    agent = with_plain(server, "technique", cache=True)
    answer = await agent.acall(**inputs_for("technique"))
    assert answer.call.retries == {"malformed": 1}
    assert server.count == 2


@pytest.mark.parametrize(("fault", "code"), [("401", "auth"), ("400", "invalid_request")])
async def test_what_repeating_does_not_mend_is_an_agents_error(
    serve: Serve, fault: str, code: str
) -> None:
    server = serve(faults=lambda _: fault)
    with pytest.raises(AgentError) as caught:
        await with_plain(server, "reflection").acall(**inputs_for("reflection"))
    assert caught.value.code == code


async def test_faults_are_borne(serve: Serve) -> None:
    server = serve(faults=lambda n: "500" if n == 1 else None)
    agent = with_plain(server, "reflection", num_retries=0)
    answer = await agent.acall(**inputs_for("reflection"))
    assert answer.call.retries == {"server": 1}


async def test_a_session_is_played_by_the_configured_lm(server: FakeServer) -> None:
    counselor = MagnetCounselor()
    assert counselor.technique is not None
    counselor.technique.lm = connect(url=server.url, temperature=0.0)
    with dspy.context(lm=plain(server)):
        session = await role_play(counselor, Client(), seeds(1)[0], 2)
    assert len(session.exchanges) == 2
    assert all(use.input_tokens for use in session.usage.values())
    assert {call.model for exchange in session.exchanges for call in exchange.calls} == {
        "fake-model"
    }
    cold = [body for body in server.requests if body["temperature"] == 0]
    assert len(cold) == 2


async def test_a_judge_asks_it_and_reads_log_probabilities(serve: Serve) -> None:
    server = serve(usage=True)
    judge = Judge(scales=("ctrs",), expected=True)
    judge.set_lm(plain(server, temperature=0.0))
    answer = await judge.acall(question="ctrs-focus", conversation="Client: Hello.")
    assert answer.score in range(7)
    assert answer.call.input_tokens > 0
    assert server.requests[0]["top_logprobs"] == 20


async def test_options_of_the_lm_itself_reach_the_server(server: FakeServer) -> None:
    agent = with_plain(server, "reflection", top_p=0.9, extra_body={"top_k": 5}, rollout_id=3)
    await agent.acall(**inputs_for("reflection"))
    sent = server.requests[0]
    assert sent["top_p"] == 0.9
    assert "rollout_id" not in sent
    assert sent.get("top_k") == 5


@pytest.mark.filterwarnings("ignore:Implementing custom LMs:DeprecationWarning")
async def test_an_lm_class_of_ones_own_will_do() -> None:
    class Echo(dspy.BaseLM):
        def forward(self, prompt: Any = None, messages: Any = None, **options: Any) -> Any:
            message = {"role": "assistant", "content": f"You said: {messages[-1]['content'][-20:]}"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
            return {"model": "echo", "choices": [choice], "usage": usage}

        async def aforward(self, prompt: Any = None, messages: Any = None, **options: Any) -> Any:
            return self.forward(prompt, messages, **options)

    agent = Agent("reflection")
    agent.lm = Echo("echo")
    answer = await agent.acall(**inputs_for("reflection"))
    assert answer.reply.startswith("You said")
    assert (answer.call.input_tokens, answer.call.model) == (7, "echo")
