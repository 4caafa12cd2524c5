import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from magnet.core.session import Session
from magnet.lm import Price, connect
from magnet.study.spec import load_study
from programs import Agent, AgentError, Client, MagnetCounselor
from programs.play import role_play
from prompts_frozen import Prompt
from signatures import ROLES
from tests.fake_server import FakeServer
from tests.running import ROOT, blocks, programs_on, seeds

Serve = Callable[..., FakeServer]


class Brief(dspy.Module):
    """A response generator of somebody's own: asks no model."""

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        return dspy.Prediction(reply=f"In short: {inputs['reflection']}")


async def test_an_agent_can_be_replaced_by_a_module_of_ones_own(server: FakeServer) -> None:
    counselor, client = programs_on(server)
    counselor.response = Brief()
    session = await role_play(counselor, client, seeds(1)[0], 1)
    exchange = session.exchanges[0]
    assert exchange.reply == f"In short: {exchange.candidates['reflection']}"
    assert server.count == 8
    assert Session.from_json(session.to_json()) == session


async def test_an_agent_can_be_given_another_prompt(server: FakeServer) -> None:
    counselor, client = programs_on(server)
    prompt = Prompt.parse("normalizing", b"[[user]]\nCalm them down: {history}\n")
    lm = counselor.normalizing.lm
    counselor.normalizing = Agent("normalizing", prompt)
    counselor.normalizing.lm = lm
    await role_play(counselor, client, seeds(1)[0], 1)
    own = [b for b in server.requests if "Calm them down: Counselor:" in str(b["messages"])]
    assert [m["role"] for m in own[0]["messages"]] == ["user"]


async def test_agents_without_an_lm_of_their_own_use_the_callers(server: FakeServer) -> None:
    with dspy.context(lm=connect(url=server.url)):
        session = await role_play(MagnetCounselor(), Client(), seeds(1)[0], 1)
    assert (len(session.exchanges), server.count) == (1, 9)


@pytest.mark.parametrize("role", ["planner", "reflection", "technique", "response"])
async def test_the_first_agent_to_give_up_stops_the_turn(serve: Serve, role: str) -> None:
    marks = {
        "planner": "techniques to pick from",
        "reflection": "Your way of working is reflection",
        "technique": "five to choose from",
        "response": "Draft by reflection",
    }
    bad = "" if role in ("reflection", "response") else "Dance!"
    server = serve(schemas=False, reply=lambda b, prompt: bad if marks[role] in prompt else None)
    session = Session(seed=seeds(1)[0])
    with pytest.raises(AgentError, match=f"{role}: malformed after 4 retries") as caught:
        await role_play(*programs_on(server), session.seed, 1, session=session)
    assert (caught.value.role, session.exchanges, session.plan) == (role, [], None)


def test_the_documented_study_loads(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    examples = [b for b in blocks(page) if "[lm.default]" in b]
    assert examples
    for example in examples:
        (tmp_path / "example.toml").write_text(example)
        study = load_study(str(tmp_path / "example.toml"))
        assert all(study.spec(role).url for role in ROLES)
    assert set(Price.model_fields) <= set(re.findall(r"\w+", page))
