import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from magnet.core.errors import UsageError
from magnet.lm import LMSpec, resolve
from magnet.study.spec import load_study
from programs import AgentError
from tests.fake_server import FakeServer
from tests.running import agent_on, inputs_for, reproduce

pytestmark = pytest.mark.processes

KEY = "sk-" + "0123456789" * 3  # put together here: the checkout holds nothing like a key
Serve = Callable[..., FakeServer]


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def everything(error: BaseException) -> str:
    """All that a traceback would show of it."""
    return repr(error) + "".join(traceback.format_exception(error))


@pytest.mark.usefixtures("_key")
async def test_the_key_travels_as_a_bearer(serve: Serve) -> None:
    server = serve(key=KEY)
    await agent_on(server, "client", key_env="TEST_KEY").acall(**inputs_for("client"))
    assert server.requests[0]["headers"]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize("tail", ["", "/", "/chat/completions"])
async def test_the_key_travels_as_api_key_to_an_azure_deployment(serve: Serve, tail: str) -> None:
    server = serve(key=KEY)
    base = server.url
    server.url = f"{base}/openai/deployments/gpt-x{tail}?api-version=2024-10-21"
    agent = agent_on(server, "client", key_env="TEST_KEY")
    await agent.acall(**inputs_for("client"))
    sent = server.requests[0]
    assert sent["path"] == "/openai/deployments/gpt-x/chat/completions?api-version=2024-10-21"
    assert sent["headers"]["api-key"] == KEY
    assert "Authorization" not in sent["headers"]
    assert sent["model"] == "gpt-x"


@pytest.mark.usefixtures("_key")
async def test_without_key_env_no_key_is_sent(server: FakeServer) -> None:
    await agent_on(server, "client").acall(**inputs_for("client"))
    assert KEY not in str(server.requests)
    assert not {"Authorization", "api-key"} & server.requests[0]["headers"].keys()


@pytest.mark.parametrize("value", [None, ""])
def test_an_unset_variable_is_named(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(UsageError, match="TEST_KEY is not set"):
        resolve(LMSpec(url=server.url, key_env="TEST_KEY"))
    assert server.requests == []


@pytest.mark.usefixtures("_key")
def test_a_refused_key_is_told_without_the_key(serve: Serve) -> None:
    server = serve(key="another")  # the server's message repeats the key it was sent
    with pytest.raises(UsageError, match=r"rejects the key(.|\n)*key_env") as caught:
        resolve(LMSpec(url=server.url, key_env="TEST_KEY"))
    assert KEY not in everything(caught.value)
    assert "api_key" not in str(caught.value)  # DSPy's own advice, which leads astray here


@pytest.mark.usefixtures("_key")
async def test_no_error_and_no_repr_holds_the_key(serve: Serve) -> None:
    server = serve()
    agent = agent_on(server, "client", key_env="TEST_KEY")
    server.key = "another"
    with pytest.raises(AgentError, match=r"\[key\]") as caught:
        await agent.acall(**inputs_for("client"))
    assert KEY not in everything(caught.value)
    assert KEY not in repr(agent) + repr(agent.lm)


@pytest.mark.parametrize("azure", [False, True])
async def test_white_space_around_the_key_is_not_part_of_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, azure: bool
) -> None:
    monkeypatch.setenv("TEST_KEY", f"{KEY}\n")  # as the content of a key file comes
    server = serve(key=KEY)
    server.url += "/openai/deployments/gpt-x" if azure else ""
    answer = await agent_on(server, "client", key_env="TEST_KEY").acall(**inputs_for("client"))
    assert answer.reply


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{KEY}@host/v1",
        f"https://{KEY}@host/v1",
        f"https://host/v1?api-key={KEY}",
        f"https://host/v1?key={KEY}",
        f"https://host/v1?api_key={KEY}",
        f"https://host/v1?API-Key={KEY}",
        f"https://host/v1?access_token={KEY}",
        f"https://host/openai/deployments/x?api-version=1&subscription-key={KEY}",
    ],
)
def test_a_url_with_a_key_in_it_is_refused_unseen(url: str) -> None:
    with pytest.raises(UsageError, match="the URL contains a key") as caught:
        load_study("demo", [f"lm.default.url='{url}'"])
    assert KEY not in everything(caught.value)


@pytest.mark.parametrize("key", ["key", "api_key", "key_env"])
def test_a_key_in_the_study_is_refused_unseen(key: str) -> None:
    with pytest.raises(UsageError, match=rf"lm\.default\.{key}") as caught:
        load_study("demo", [f"lm.default.{key}='{KEY}'"])
    assert KEY not in everything(caught.value)


@pytest.mark.parametrize("fault", [None, "401", "400", "500"])
def test_a_run_leaves_no_trace_of_the_key(
    serve: Serve, out: Path, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    said = f"Incorrect API key provided: {KEY}"
    server = serve(key=KEY, complaint=said, faults=lambda n: fault if n > 5 else None)
    done = reproduce(server, out, hasty=True, sessions=1, lm__default__key_env="TEST_KEY")
    assert done.returncode == (1 if fault else 0), done.stderr
    assert server.requests[0]["headers"]["Authorization"] == f"Bearer {KEY}"
    written = b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())
    assert b"TEST_KEY" in written  # the name of the variable, never what is in it
    assert KEY.encode() not in written
    assert KEY not in done.stdout + done.stderr
