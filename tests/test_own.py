"""Modules of one's own in an agent's place: played and counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import dspy
import pytest

from magnet.lm import Meter, connect
from magnet.study.prepare import assign
from programs import Agent, AgentError, Client
from programs.play import role_play
from tests.fake_server import FakeServer
from tests.running import (
    in_chat_format,
    programs_on,
    seeds,
)
from tests.test_any_lm import plain

Serve = Callable[..., FakeServer]


@pytest.fixture
def server(serve: Serve) -> FakeServer:
    return serve(reply=in_chat_format)


class Merge(dspy.Module):
    """Synchronous, with a plain predictor."""

    def __init__(self) -> None:
        super().__init__()
        self.merge = dspy.Predict("reflection, questioning -> reply")

    def forward(self, reflection: str, questioning: str) -> dspy.Prediction:
        return self.merge(reflection=reflection, questioning=questioning)


async def test_a_synchronous_module_takes_an_agents_place_and_is_counted(
    server: FakeServer,
) -> None:
    meter = Meter()
    counselor, client = programs_on(server, meter)
    counselor.response = Merge()
    counselor.response.merge.lm = counselor.reflection.lm.copy()
    session = await role_play(counselor, client, seeds(1)[0], 2)
    reflection, response = session.usage["reflection"], session.usage.get("response")
    assert response is None  # the engine is that of the role reflection, and says so
    assert reflection.answers == 4
    assert meter.roles["reflection"].calls == 4
    assert reflection.input_tokens == meter.roles["reflection"].input_tokens


@pytest.mark.parametrize("ours", [True, False])
async def test_plain_predictors_are_counted_under_their_place(
    server: FakeServer, ours: bool
) -> None:
    lm = connect(url=server.url) if ours else plain(server)
    counselor, client = programs_on(server)
    counselor.response = Merge()
    counselor.normalizing = dspy.Predict("history -> reply")
    counselor.solutions = dspy.ChainOfThought("client_information, history -> reply")
    with dspy.context(lm=lm):
        session = await role_play(counselor, client, seeds(1)[0], 2)
    assert len(session.exchanges) == 2
    for role in ("response", "normalizing", "solutions"):
        used = session.usage[role]
        assert used.answers == 2
        assert used.input_tokens
        assert used.output_tokens is not None
    assert sum(used.answers for used in session.usage.values()) == server.count


async def test_calls_of_ours_in_a_plain_module_can_be_repeated(server: FakeServer) -> None:
    counselor, client = programs_on(server)
    counselor.response = Merge()
    with dspy.context(lm=connect(url=server.url)):
        first, again, other = [
            await role_play(counselor, client, seeds(1)[0], 2, random_seed=n) for n in (1, 1, 2)
        ]
    assert first.history == again.history != other.history


async def test_synchronous_modules_hold_nobody_up(server: FakeServer) -> None:
    class Slow(dspy.Module):
        def forward(self) -> dspy.Prediction:
            time.sleep(0.3)
            return dspy.Prediction(reply="At last.")

    counselor, client = programs_on(server)
    counselor.response = Slow()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await role_play(counselor, client, seeds(1)[0], 1)
    ticking.cancel()
    assert ticks > 5


async def test_agents_inside_a_module_keep_their_own_record(server: FakeServer) -> None:
    class Both(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.agent = Agent("reflection")
            self.plain = dspy.Predict("text -> reply")

        async def aforward(self, seed: Any, history: Any) -> dspy.Prediction:
            said = await self.agent.acall(
                client_information=seed.client_information,
                reason=seed.reason_counseling,
                history="Client: Hello.",
            )
            return await self.plain.acall(text=said.reply)

    with dspy.context(lm=connect(url=server.url)):
        session = await role_play(Both(), Client(), seeds(1)[0], 1)
    assert {role: use.answers for role, use in session.usage.items()} == {
        "reflection": 1,
        "response": 1,
        "client": 1,
    }


async def test_the_users_own_usage_tracker_is_told_of_every_call_once(server: FakeServer) -> None:
    counselor, client = programs_on(server)
    counselor.response = Merge()
    with dspy.context(lm=connect(url=server.url)), dspy.track_usage() as tracker:
        await role_play(counselor, client, seeds(1)[0], 1)
    assert sum(map(len, tracker.usage_data.values())) == server.count == 9


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("text", r"returned no dspy.Prediction with 'reply'"),
        (dspy.Prediction(answer="text"), r"returned no dspy.Prediction with 'reply'"),
    ],
)
async def test_a_wrong_answer_is_an_agents_error(
    server: FakeServer, answer: Any, message: str
) -> None:
    class Odd(dspy.Module):
        def forward(self, **inputs: Any) -> Any:
            return answer

    counselor, client = programs_on(server)
    counselor.response = Odd()
    with pytest.raises(AgentError, match=message):
        await role_play(counselor, client, seeds(1)[0], 1)


async def test_a_module_that_fails_says_where(server: FakeServer) -> None:
    class Broken(dspy.Module):
        def forward(self, **inputs: Any) -> Any:
            raise KeyError("gone")

    counselor, client = programs_on(server)
    counselor.response = Broken()
    with pytest.raises(AgentError, match=r"Broken: KeyError: 'gone' \(.*test_own.py, line \d+\)"):
        await role_play(counselor, client, seeds(1)[0], 1)


def test_a_plain_predictor_bears_a_fault(serve: Serve) -> None:
    server = serve(reply=in_chat_format, faults=lambda n: "429" if n == 1 else None)
    module = assign(Merge(), {"response": connect(url=server.url)})
    assert module(reflection="a", questioning="b").reply
    assert server.count == 2
