from collections.abc import Callable
from typing import Any

import pytest

from magnet.core.errors import UsageError
from magnet.core.rng import Draw
from magnet.lm import LMSpec, resolve
from prompts_frozen import load_prompts
from signatures import AGENTS
from tests.fake_server import FakeServer
from tests.running import agent_on, inputs_for
from tests.test_signatures import GENERATE, JUDGES

Serve = Callable[..., FakeServer]


HEAD = "<|start_header_id|>{}<|end_header_id|>\n\n"


def asked(server: FakeServer, role: str, **spec: Any) -> dict[str, Any]:
    """The body that one call of the role sends."""
    agent_on(server, role, **spec)(draw=Draw((1,)), **inputs_for(role))
    return server.requests[-1]


def test_llama3_prompts_have_llama3s_special_tokens(server: FakeServer) -> None:
    system, user = load_prompts()["client"].render(inputs_for("client"))
    body = asked(server, "client", wire="completions", template="llama3")
    assert body["path"] == "/v1/completions"
    assert body["prompt"] == (
        f"{HEAD.format('system')}{system}<|eot_id|>"
        f"{HEAD.format('user')}{user}<|eot_id|>"
        f"{HEAD.format('assistant')}"
    )


def test_chatml_prompts_have_chatmls_special_tokens(server: FakeServer) -> None:
    system, user = load_prompts()["client"].render(inputs_for("client"))
    body = asked(server, "client", wire="completions", template="chatml")
    assert body["prompt"] == (
        f"<|im_start|>system\n{system}<|im_end|>\n"
        f"<|im_start|>user\n{user}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("template", ["llama3", "chatml"])
@pytest.mark.parametrize("role", ["planner", "technique", "response"])
async def test_the_completions_wire_answers_in_types(
    server: FakeServer, role: str, template: str
) -> None:
    agent = agent_on(server, role, wire="completions", template=template)
    answer = await agent.acall(**inputs_for(role))
    assert all(answer[name] for name in AGENTS[role].signature.output_fields)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
@pytest.mark.parametrize("wire", ["chat", "completions"])
def test_the_servers_url_may_end_in_v1_or_not(server: FakeServer, path: str, wire: str) -> None:
    server.url += path
    body = asked(server, "client", wire=wire, template="chatml")
    assert body["path"] == {"chat": "/v1/chat/completions", "completions": "/v1/completions"}[wire]


def test_sampling_settings_are_sent_as_given(server: FakeServer) -> None:
    spec = {"temperature": 0.25, "max_tokens": 77, "top_p": 0.9, "min_p": 0.1}
    body = asked(server, "client", extra={"top_k": 5, "repeat_penalty": 1.25}, **spec)
    sent = {key: body[key] for key in spec}
    assert sent == spec
    assert (body["top_k"], body["repeat_penalty"], body["model"]) == (5, 1.25, "fake-model")
    assert body["seed"] == Draw((1, "client", 0)).seed


def test_unset_sampling_settings_are_left_to_the_server(server: FakeServer) -> None:
    body = asked(server, "client", max_tokens=0)
    assert not {"max_tokens", "top_p", "min_p", "top_k", "stop", "response_format"} & body.keys()


@pytest.mark.parametrize("wire", ["chat", "completions"])
@pytest.mark.parametrize("role", [*GENERATE, *JUDGES])
def test_a_schema_goes_with_the_typed_answers_alone(
    server: FakeServer, role: str, wire: str
) -> None:
    sent = asked(server, role, wire=wire, template="chatml").get("response_format")
    typed = {"planner", "technique", "technique-unplanned", *JUDGES}
    if role not in typed:
        assert sent is None
        return
    assert sent is not None
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["name"] == role
    assert sent["json_schema"]["schema"]["additionalProperties"] is False
    assert "uniqueItems" not in str(sent)  # vLLM's grammar compiler refuses it


def test_the_study_may_do_without_schemas(server: FakeServer) -> None:
    assert "response_format" not in asked(server, "planner", structured=False)


@pytest.mark.parametrize("role", ["planner", "technique"])
async def test_a_server_that_refuses_schemas_is_asked_in_plain_text_from_then_on(
    serve: Serve, role: str
) -> None:
    server = serve(schemas="refuse")
    agent = agent_on(server, role)
    answers = [await agent.acall(**inputs_for(role)) for _ in range(2)]
    assert ["response_format" in body for body in server.requests] == [True, False, False]
    assert all(a.call.retries == {} and a[next(iter(a.keys()))] for a in answers)


@pytest.mark.parametrize("role", ["planner", "technique"])
async def test_a_server_that_ignores_schemas_is_read_as_text(serve: Serve, role: str) -> None:
    server = serve(schemas=False)
    answer = await agent_on(server, role).acall(**inputs_for(role))
    assert answer.call.retries == {}
    assert "response_format" in server.requests[0]


@pytest.mark.parametrize("wire", ["chat", "completions"])
async def test_an_answer_cut_by_the_token_limit_is_marked(serve: Serve, wire: str) -> None:
    server = serve(finish="length")
    agent = agent_on(server, "client", wire=wire, template="chatml")
    answer = await agent.acall(**inputs_for("client"))
    assert answer.call.finish == "length"


def test_the_completions_wire_needs_a_template(server: FakeServer) -> None:
    with pytest.raises(UsageError, match=r"lm\.default: the completions wire needs a template"):
        resolve(LMSpec(url=server.url, wire="completions"))
