import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnet.core.session import Session
from magnet.lm import Budget, LMSpec, Meter, Price, make_lm, resolve
from programs import AgentError
from signatures import SPECIALISTS
from tests.fake_server import FakeServer
from tests.running import agent_on, inputs_for, reproduce

Serve = Callable[..., FakeServer]


async def test_usage_is_counted_by_role_with_failed_calls(serve: Serve) -> None:
    server = serve(faults=lambda n: {2: "500", 4: "empty"}.get(n))
    meter = Meter()
    for role in ("client", "response"):
        await agent_on(server, role, meter).acall(**inputs_for(role))
    await agent_on(server, "client", meter).acall(**inputs_for("client"))
    calls = {role: (usage.calls, usage.failed) for role, usage in meter.roles.items()}
    assert calls == {"client": (3, 0), "response": (2, 1)}  # an empty answer is an answer
    assert meter.total().calls == server.count == 5


async def test_tokens_are_those_the_server_reports(server: FakeServer) -> None:
    meter = Meter()
    call = (await agent_on(server, "client", meter).acall(**inputs_for("client"))).call
    size = len(json.dumps(server.requests[0]["messages"])) // 4
    assert (call.input_tokens, meter.roles["client"].input_tokens) == (size, size)
    assert call.output_tokens == meter.roles["client"].output_tokens > 0
    assert call.model == "fake-model"


async def test_a_call_asked_twice_costs_twice(serve: Serve) -> None:
    once = (await agent_on(serve(), "client").acall(**inputs_for("client"))).call
    server = serve(faults=lambda n: "malformed" if n == 1 else None)
    twice = (await agent_on(server, "client").acall(**inputs_for("client"))).call
    assert twice.input_tokens == 2 * once.input_tokens


async def test_answers_without_token_counts_stay_unknown(serve: Serve) -> None:
    meter = Meter()
    agent = agent_on(serve(usage=False), "client", meter)
    call = (await agent.acall(**inputs_for("client"))).call
    assert (call.input_tokens, call.output_tokens) == (None, None)
    assert (meter.total().unknown, meter.total().input_tokens) == (1, 0)


async def test_money_is_summed_by_currency(server: FakeServer) -> None:
    meter = Meter()
    for role, currency in (("client", "EUR"), ("response", "USD"), ("planner", None)):
        price = {"input": 2, "output": 8, "currency": currency} if currency else None
        await agent_on(server, role, meter, price=price).acall(**inputs_for(role))
    client = meter.roles["client"]
    exact = (client.input_tokens * 2 + client.output_tokens * 8) / 1e6
    assert client.money == {"EUR": pytest.approx(exact)}
    assert meter.total().money.keys() == {"EUR", "USD"}
    assert meter.roles["planner"].money == {}


@pytest.mark.parametrize("bound", [0, 1, 3])
async def test_no_call_passes_the_budget_of_calls(serve: Serve, bound: int) -> None:
    server = serve(faults=lambda n: "500" if n == 1 else None)  # a failed call counts too
    meter = Meter(Budget(calls=bound))
    agent = agent_on(server, "client", meter)

    async def go_on() -> None:
        for _ in range(5):
            await agent.acall(**inputs_for("client"))

    with pytest.raises(AgentError, match=f"the budget of {bound} calls is spent") as caught:
        await go_on()
    assert caught.value.code == "budget"
    assert server.count == meter.total().calls == bound


@pytest.mark.parametrize(
    ("budget", "said"), [({"tokens": 300}, "300 tokens"), ({"money": 0.3}, "0.3 money")]
)
async def test_tokens_and_money_stop_the_call_after_their_bound(
    server: FakeServer, budget: dict[str, Any], said: str
) -> None:
    meter = Meter(Budget(**budget))
    price = {"input": 1000, "output": 1000}
    agent = agent_on(server, "client", meter, price=price)
    spent: list[float] = []

    async def go_on() -> None:
        for _ in range(9):
            await agent.acall(**inputs_for("client"))
            total = meter.total()
            tokens = total.input_tokens + total.output_tokens
            spent.append(tokens if "tokens" in budget else total.money["USD"])

    with pytest.raises(AgentError, match=f"the budget of {said} is spent"):
        await go_on()
    (bound,) = budget.values()
    assert spent[-1] >= bound
    assert all(sum_ < bound for sum_ in spent[:-1])
    assert server.count == len(spent) < 9


async def test_the_next_invocation_goes_on_counting(server: FakeServer) -> None:
    first = Meter()
    await agent_on(server, "client", first).acall(**inputs_for("client"))
    second = Meter(Budget(calls=2))
    second.load(json.loads(json.dumps(first.dump())))
    agent = agent_on(server, "client", second)
    await agent.acall(**inputs_for("client"))
    with pytest.raises(AgentError, match="budget"):
        await agent.acall(**inputs_for("client"))
    assert second.roles["client"].input_tokens == 2 * first.roles["client"].input_tokens


def test_a_run_reports_what_the_server_counted(server: FakeServer, out: Path) -> None:
    price = {"input": 3, "output": 5, "currency": "EUR"}
    done = reproduce(server, out, lm__default__price=price)
    assert done.returncode == 0, done.stderr
    usage = json.loads((out / "usage.json").read_text())
    assert sum(role["calls"] for role in usage.values()) == server.count
    assert usage.keys() == {*SPECIALISTS, "planner", "technique", "response", "client"}
    files = [json.loads(p.read_bytes()) for p in (out / "sessions").iterdir()]
    for role, sums in usage.items():
        assert sums["input_tokens"] == sum(f["usage"][role]["input_tokens"] for f in files)
        assert sums["output_tokens"] == sum(f["usage"][role]["output_tokens"] for f in files)
    money = sum(role["money"]["EUR"] for role in usage.values())
    assert sum(f["cost"]["EUR"] for f in files) == pytest.approx(money, abs=1e-5)
    assert f"EUR {money:.2f}" in done.stdout
    assert Session.from_json(files[0]).usage["client"].answers == 2


def test_two_roles_on_one_server_are_metered_apart(server: FakeServer) -> None:
    meter = Meter()
    spec = resolve(LMSpec(url=server.url, price=Price(input=1, output=1)))
    for role in ("planner", "judge"):
        make_lm(spec, role, meter)("Hello")
    assert {role: usage.calls for role, usage in meter.roles.items()} == {"planner": 1, "judge": 1}
