import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import dspy
import pytest

from magnet.core.rng import Draw
from magnet.core.session import Session
from programs import AgentError
from programs.play import role_play
from tests.fake_server import FakeServer
from tests.running import programs_on, question, seeds

Serve = Callable[..., FakeServer]
#: What the authors' evaluators look for in a session file.
AUTHORS_KEYS = {
    "example",
    "AI_client",
    "AI_counselor",
    "cbt_technique",
    "cbt_plan",
    "cost",
    "history",
}


async def play(server: FakeServer, exchanges: int = 3, **options: Any) -> Session:
    return await role_play(*programs_on(server), seeds(1)[0], exchanges, **options)


def of_role(server: FakeServer, mark: str) -> list[str]:
    """The prompts that hold the mark, in order."""
    return [p for p, _ in map(question, server.requests) if mark in p]


@pytest.mark.parametrize("exchanges", [1, 3])
async def test_a_session_has_two_messages_and_two_an_exchange(
    server: FakeServer, exchanges: int
) -> None:
    session = await play(server, exchanges)
    seed = seeds(1)[0]
    assert [m.role for m in session.history] == ["counselor", "client"] * (1 + exchanges)
    assert [m.message for m in session.history[:2]] == [seed.greeting, seed.opening]
    assert server.count == 1 + 8 * exchanges
    for exchange in session.exchanges:
        assert len(exchange.candidates) == 5
        assert 1 <= len(exchange.techniques) == len(set(exchange.techniques)) <= 5


async def test_one_plan_is_made_and_passed_on_to_every_choice(server: FakeServer) -> None:
    session = await play(server)
    assert session.plan is not None
    assert len(of_role(server, "techniques to pick from")) == 1
    choices = of_role(server, "five to choose from")
    assert len(choices) == 3
    steps = session.plan.plan.splitlines()
    assert all(session.plan.technique in c and steps[0] in c for c in choices)


async def test_drafts_and_techniques_reach_the_reply_and_the_reply_the_client(
    server: FakeServer,
) -> None:
    session = await play(server, 2)
    merged, heard = of_role(server, "Draft by reflection"), of_role(server, "Who you are")
    for number, exchange in enumerate(session.exchanges):
        assert all(draft in merged[number] for draft in exchange.candidates.values())
        assert ", ".join(exchange.techniques) in merged[number]
        assert f"Counselor: {exchange.reply}" in heard[number]
    assert f"Client: {session.exchanges[0].client_reply}" in heard[1]


@pytest.mark.parametrize(
    ("mark", "last"), [("Thank you, bye. [/END]", "Thank you, bye."), ("[/END]", None)]
)
async def test_the_client_may_leave_early(serve: Serve, mark: str, last: str | None) -> None:
    asked: list[str] = []

    def reply(body: dict[str, Any], prompt: str) -> str | None:
        asked.extend([prompt] if "Who you are" in prompt else [])
        return mark if len(asked) == 2 and "Who you are" in prompt else None

    session = await play(serve(reply=reply), 5)
    assert (len(session.exchanges), session.end) == (2, "client")
    assert session.exchanges[-1].ended
    final = session.history[-1]
    expected = ("client", last) if last else ("counselor", session.exchanges[-1].reply)
    assert (final.role, final.message) == expected
    assert session.to_json()["end"] == "client"


async def test_a_session_file_gives_the_session_back_and_has_the_authors_keys(
    server: FakeServer,
) -> None:
    session = await play(server, 2)
    session.cost = {"USD": 0.5}
    data = json.loads(json.dumps(session.to_json()))
    assert Session.from_json(data) == session
    assert data.keys() >= AUTHORS_KEYS
    assert data["history"] == [m.model_dump() for m in session.history]
    assert data["example"] == session.seed.entry
    assert session.plan is not None
    assert data["cbt_technique"] == session.plan.technique
    assert data["cost"] == {"USD": 0.5}


async def test_the_same_seed_gives_the_same_session_and_another_seed_another(
    server: FakeServer,
) -> None:
    first, second, third = [await play(server, random_seed=n) for n in (1, 1, 2)]
    assert first.to_json() == second.to_json()
    assert all(a.reply != b.reply for a, b in zip(first.exchanges, third.exchanges, strict=True))


async def test_without_a_seed_the_server_samples_freely(server: FakeServer) -> None:
    await play(server, 1, random_seed=None)
    assert all("seed" not in body for body in server.requests)


async def test_no_two_calls_of_a_run_share_prompt_and_seed(server: FakeServer) -> None:
    programs = programs_on(server)
    for seed in seeds(3):
        await role_play(*programs, seed, 2)
    asked = [body["seed"] for body in server.requests]
    assert len(set(asked)) == len(asked) == 3 * (1 + 2 * 8)


async def test_the_order_of_work_changes_nothing(server: FakeServer) -> None:
    programs = programs_on(server)
    alone = [await role_play(*programs, seed, 2) for seed in seeds(4)]
    together = await asyncio.gather(*(role_play(*programs, s, 2) for s in reversed(seeds(4))))
    assert [s.to_json() for s in reversed(together)] == [s.to_json() for s in alone]


async def test_a_session_goes_on_where_it_stopped(server: FakeServer) -> None:
    whole = await play(server, 3)
    begun = await play(server, 1)
    again = await play(server, 3, session=begun)
    assert again is begun
    assert again.to_json() == whole.to_json()


async def test_an_agent_that_gives_up_leaves_the_finished_turns(serve: Serve) -> None:
    session, seen = Session(seed=seeds(1)[0]), []

    async def keep(session: Session) -> None:
        seen.append(len(session.exchanges))

    server = serve(faults=lambda n: "400" if n == 2 * 8 + 4 else None)
    with pytest.raises(AgentError, match="invalid_request"):
        await play(server, 3, session=session, on_exchange=keep)
    assert (len(session.exchanges), seen) == (2, [1, 2])


def test_programs_can_be_called_without_async_from_any_thread(server: FakeServer) -> None:
    counselor, client = programs_on(server)
    seed, said = seeds(1)[0], []
    draw = Draw((0, seed.seed_id, 1))

    def call() -> None:
        with dspy.context():
            answer = counselor(seed=seed, history=Session(seed=seed).history, draw=draw)
            said.append(answer.reply)
            said.append(client(seed=seed, history=Session(seed=seed).history).reply)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(30)
    assert len(said) == 2
    session = asyncio.run(play(server, 1))
    assert said[0] == session.exchanges[0].reply


def test_a_seed_depends_on_its_place_alone_and_stays_the_same_for_ever() -> None:
    place = Draw((42, "c0ffee-positive")).at(1).at("reflection", 0)
    assert place.seed == Draw((42, "c0ffee-positive", 1, "reflection", 0)).seed == 203445017
