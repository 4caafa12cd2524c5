"""Answers kept by content."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from magnet.core.errors import UsageError
from magnet.core.rng import Draw
from magnet.lm import LMSpec, Meter, make_lm, resolve
from magnet.lm.http import Engine
from magnet.lm.memo import Memo, MemoEngine
from programs import Agent, AgentError
from tests.fake_server import FakeServer
from tests.running import inputs_for

Serve = Callable[..., FakeServer]


def asking(
    server: FakeServer,
    memo: Memo,
    meter: Meter | None = None,
    fresh: Callable[[str, int], int] | None = None,
    **spec: Any,
) -> Agent:
    """A specialist whose answers are kept."""

    def wrap(engine: Engine) -> MemoEngine:
        return MemoEngine(engine, memo, fresh)

    agent = Agent("reflection", pause=0.001)
    resolved = resolve(LMSpec(url=server.url, **spec))
    agent.lm = make_lm(resolved, "reflection", meter or Meter(), wrap)
    return agent


async def test_the_same_question_is_asked_once_and_answered_alike(
    server: FakeServer, tmp_path: Path
) -> None:
    memo, inputs = Memo(tmp_path / "memo.jsonl"), inputs_for("reflection")
    agent = asking(server, memo)
    first = await agent.acall(**inputs, draw=Draw((1,)))
    again = await agent.acall(**inputs, draw=Draw((1,)))
    assert server.count == 1
    assert again.reply == first.reply
    assert again.call == first.call  # tokens, model and seed, as if it had been asked
    other = await agent.acall(**inputs, draw=Draw((2,)))
    assert server.count == 2
    assert other.reply != first.reply
    assert memo.hits == 1


async def test_another_process_finds_the_answers(server: FakeServer, tmp_path: Path) -> None:
    path, inputs = tmp_path / "memo.jsonl", inputs_for("reflection")
    price = {"input": 2.0, "output": 4.0}
    meter = Meter()
    first = await asking(server, Memo(path), meter, price=price).acall(**inputs)
    memo, later = Memo(path), Meter()
    memo.count_into(later)
    assert later.dump() == meter.dump()
    again = await asking(server, memo, later, price=price).acall(**inputs)
    assert (server.count, again.reply) == (1, first.reply)
    assert later.dump() == meter.dump()  # what is known costs nothing


async def test_who_asks_at_the_same_time_shares_a_call(serve: Serve) -> None:
    server = serve(delay=0.05)
    agent, inputs = asking(server, Memo()), inputs_for("reflection")
    answers = await asyncio.gather(*(agent.acall(**inputs) for _ in range(5)))
    assert server.count == 1
    assert len({a.reply for a in answers}) == 1


async def test_a_fault_is_not_kept(serve: Serve) -> None:
    server = serve(faults=lambda n: "401" if n == 1 else None)
    agent, inputs = asking(server, Memo()), inputs_for("reflection")
    with pytest.raises(AgentError, match="auth"):
        await agent.acall(**inputs)
    assert (await agent.acall(**inputs)).reply
    assert server.count == 2


async def test_other_settings_are_another_question(server: FakeServer) -> None:
    memo, inputs = Memo(), inputs_for("reflection")
    for temperature in (0.1, 0.2):
        await asking(server, memo, temperature=temperature).acall(**inputs)
    assert server.count == 2


async def test_a_writer_gets_another_answer_each_time_and_the_same_ones_again(
    server: FakeServer, tmp_path: Path
) -> None:
    path, inputs = tmp_path / "memo.jsonl", inputs_for("reflection")

    async def three() -> list[str]:
        agent = asking(server, Memo(path), fresh=lambda key, n: int(key[:6], 16) + n)
        return [(await agent.acall(**inputs)).reply for _ in range(3)]

    first, again = await three(), await three()
    assert len(set(first)) == 3
    assert again == first
    assert server.count == 3


async def test_copies_of_a_program_share_their_models(server: FakeServer) -> None:
    agent = asking(server, Memo(), meter := Meter())
    copied = agent.deepcopy()
    await agent.acall(**inputs_for("reflection"))
    await copied.acall(**inputs_for("reflection"))
    assert server.count == 1
    assert meter.total().calls == 1
    assert isinstance(copied.lm, dspy.LM)


@pytest.mark.parametrize("torn", [b'{"key": "ab', b"\xff"])
async def test_a_torn_last_line_goes(server: FakeServer, tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "memo.jsonl"
    await asking(server, Memo(path)).acall(**inputs_for("reflection"))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert len(Memo(path).answers) == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "memo.jsonl"
    good = json.dumps({"key": "a", "text": "b"})
    path.write_text(f"{good}\n{line}\n{good}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 2: damaged"):
        Memo(path)
