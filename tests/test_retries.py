import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from magnet.core.rng import Draw
from programs import Agent, AgentError
from tests.fake_server import FakeServer, serving
from tests.running import agent_on, inputs_for

#: What the agent's record calls a server's fault.
REASON = {
    "429": "rate_limit",
    "500": "server",
    "503": "server",
    "408": "timeout",
    "reset": "transport",
    "truncate": "transport",
    "hang": "timeout",
    "empty": "malformed",
    "malformed": "malformed",
}


def seeds_of(server: FakeServer) -> list[Any]:
    return [body["seed"] for body in server.requests]


async def ask(agent: Agent) -> Any:
    async with asyncio.timeout(15):  # far above any pause that these tests leave to the agent
        return await agent.acall(draw=Draw((1, "client")), **inputs_for(agent.role))


@pytest.mark.parametrize("role", ["planner", "reflection"])
@pytest.mark.parametrize("kind", REASON)
async def test_one_fault_is_borne_counted_and_asked_again(
    serve: Callable[..., FakeServer], kind: str, role: str
) -> None:
    server = serve(faults=lambda n: kind if n == 1 else None)
    answer = await ask(agent_on(server, role, timeout=1 if kind == "hang" else 20))
    assert answer.call.retries == {REASON[kind]: 1}
    assert server.count == 2
    first, second = seeds_of(server)
    assert (first != second) == (REASON[kind] == "malformed")  # faults change no text
    assert answer.call.seed == second


async def test_seeds_change_with_unreadable_answers_alone(
    serve: Callable[..., FakeServer],
) -> None:
    faults = ["malformed", "500", "malformed", "reset", "429", None]
    server = serve(faults=lambda n: faults[n - 1])
    answer = await ask(agent_on(server, "client"))
    a, b, b2, c, c2, c3 = seeds_of(server)
    assert len({a, b, c}) == 3
    assert (b2, c2, c3) == (b, c, c)
    reasons = {"malformed": 2, "server": 1, "transport": 1, "rate_limit": 1}
    assert answer.call.retries == reasons
    again = serve(faults=lambda n: faults[n - 1])
    await ask(agent_on(again, "client"))
    assert seeds_of(again) == seeds_of(server)


async def test_without_a_draw_the_server_chooses_the_seed(server: FakeServer) -> None:
    await agent_on(server, "reflection").acall(**inputs_for("reflection"))
    assert "seed" not in server.requests[0]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that agents wait, which they still do."""
    waited: list[float] = []
    sleep = asyncio.sleep

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await sleep(seconds)

    own = SimpleNamespace(sleep=wait, TaskGroup=asyncio.TaskGroup)
    monkeypatch.setattr("programs.agent.asyncio", own)
    return waited


async def test_the_servers_retry_after_takes_the_place_of_the_agents_own_pause(
    serve: Callable[..., FakeServer], pauses: list[float]
) -> None:
    server = serve(faults=lambda n: "429" if n < 3 else None, retry_after="0.01")
    answer = await ask(agent_on(server, "client", pause=1000))
    assert answer.call.retries == {"rate_limit": 2}
    assert pauses == [0.01, 0.01]


@pytest.mark.parametrize(
    "header", [None, "", "0", "-5", "soon", "nan", "Fri, 31 Dec 2066 23:59:59 GMT"]
)
async def test_a_retry_after_that_says_nothing_leaves_the_agents_own_pause(
    serve: Callable[..., FakeServer], header: str | None, pauses: list[float]
) -> None:
    server = serve(faults=lambda n: "429" if n < 4 else None, retry_after=header)
    answer = await ask(agent_on(server, "client", pause=0.01))
    assert answer.call.retries == {"rate_limit": 3}
    assert pauses == [pytest.approx(p, rel=0.21) for p in (0.01, 0.02, 0.04)]


@pytest.mark.parametrize("kind", ["429", "500", "reset", "truncate"])
async def test_a_lasting_fault_is_given_up_after_its_bound(
    serve: Callable[..., FakeServer], kind: str
) -> None:
    server = serve(faults=lambda n: kind)
    agent = agent_on(server, "reflection")
    agent.faults = 3
    with pytest.raises(AgentError, match=r"reflection: .* after 3 retries") as caught:
        await ask(agent)
    error = caught.value
    assert (error.role, error.code, error.retries) == (
        "reflection",
        REASON[kind],
        {REASON[kind]: 3},
    )
    assert server.count == 4


@pytest.mark.parametrize("role", ["planner", "technique", "client"])
@pytest.mark.parametrize("kind", ["empty", "malformed"])
async def test_unreadable_answers_are_given_up_after_their_bound(
    serve: Callable[..., FakeServer], kind: str, role: str
) -> None:
    server = serve(faults=lambda n: kind)
    agent = agent_on(server, role)
    agent.tries = 3
    with pytest.raises(AgentError) as caught:
        await ask(agent)
    assert (caught.value.code, caught.value.retries) == ("malformed", {"malformed": 2})
    assert len(set(seeds_of(server))) == server.count == 3


async def test_a_dead_server_is_given_up_with_what_is_wrong() -> None:
    with serving(FakeServer()) as server:
        agent = agent_on(server, "reflection")
        await ask(agent)
    agent.faults = 2
    with pytest.raises(AgentError, match=r"transport after 2 retries: .*[Cc]onnect") as caught:
        await ask(agent)
    assert caught.value.retries == {"transport": 2}


@pytest.mark.parametrize(
    ("status", "complaint", "code"),
    [
        ("400", "temperature is out of range", "invalid_request"),
        ("400", "This model's maximum context length is 8192 tokens", "context_window_exceeded"),
        ("413", "the context window is too small", "context_window_exceeded"),
        ("422", "bad body", "invalid_request"),
        ("401", "bad key", "auth"),
        ("403", "not for you", "auth"),
        ("402", "no money left", "billing"),
        ("404", "no such model", "unsupported_model"),
    ],
)
async def test_what_repeating_cannot_mend_is_not_repeated(
    serve: Callable[..., FakeServer], status: str, complaint: str, code: str
) -> None:
    server = serve(faults=lambda n: status, complaint=complaint)
    with pytest.raises(AgentError, match=complaint) as caught:
        await ask(agent_on(server, "reflection"))
    assert (caught.value.code, caught.value.retries) == (code, {})
    assert server.count == 1
