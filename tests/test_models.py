from collections.abc import Callable
from pathlib import Path

import pytest

from magnet.core.errors import UsageError
from magnet.lm import LMSpec, Meter, connect, resolve
from magnet.lm.spec import spec_for
from magnet.lm.wire import endpoint
from magnet.study.prepare import resolve_models
from magnet.study.spec import load_study
from signatures import ROLES
from tests.fake_server import FakeServer, serving
from tests.running import reproduce, session_files

Serve = Callable[..., FakeServer]
DEFAULT = {
    "url": "http://one.example/v1",
    "model": "one",
    "key_env": "ONE_KEY",
    "price": {"input": 1, "output": 2},
    "wire": "completions",
    "template": "llama3",
    "temperature": 0.1,
    "max_tokens": 99,
    "extra": {"top_k": 3},
}


def test_the_only_model_of_a_server_is_found(serve: Serve) -> None:
    assert resolve(LMSpec(url=serve(models=("only",)).url)).model == "only"


def test_several_models_are_listed_for_a_choice(serve: Serve) -> None:
    server = serve(models=("small", "large"))
    with pytest.raises(UsageError, match=r"offers 2 models: small, large(.|\n)*lm\.client\.model"):
        resolve(LMSpec(url=server.url), "client")
    assert resolve(LMSpec(url=server.url, model="large")).model == "large"


def test_an_unknown_model_is_refused_with_those_there_are(serve: Serve) -> None:
    server = serve(models=("small", "large"))
    with pytest.raises(UsageError, match=r"not offer 'medium'(.|\n)*small, large"):
        resolve(LMSpec(url=server.url, model="medium"))


def test_a_server_without_a_list_of_models_takes_the_studys_word(serve: Serve) -> None:
    server = serve(models=())
    assert resolve(LMSpec(url=server.url, model="mine")).model == "mine"
    with pytest.raises(UsageError, match="offers 0 models"):
        resolve(LMSpec(url=server.url))


def test_a_server_that_is_not_there_is_named() -> None:
    with serving(FakeServer()) as server:
        url = server.url
    with pytest.raises(UsageError, match=f"{url} does not answer"):
        resolve(LMSpec(url=url))


def test_the_embedded_lm_has_one_model() -> None:
    with pytest.raises(UsageError, match=r"not gpt-x(.|\n)*lm\.default\.url"):
        resolve(LMSpec(model="gpt-x"))


async def test_a_script_connects_in_one_line(serve: Serve) -> None:
    server = serve(reply=lambda body, prompt: "Hello.")
    lm = connect(url=server.url, temperature=0.5, min_p=0.05, extra={"top_k": 7})
    assert await lm.acall("Say hello.") == ["Hello."]
    assert lm("Say hello.") == ["Hello."]  # and from synchronous code
    sent = server.requests[0]
    assert (sent["temperature"], sent["min_p"], sent["top_k"]) == (0.5, 0.05, 7)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_takes_over_what_it_does_not_set(role: str) -> None:
    spec = spec_for(role, {"default": DEFAULT, role: {"temperature": 0.9}})
    assert spec == LMSpec(**DEFAULT | {"temperature": 0.9})
    assert spec_for(role, {"default": DEFAULT}) == LMSpec(**DEFAULT)


@pytest.mark.parametrize("field", ["key_env", "model", "price", "wire", "template"])
def test_a_role_with_its_own_url_takes_over_sampling_but_no_connection(field: str) -> None:
    spec = spec_for("client", {"default": DEFAULT, "client": {"url": "http://two.example"}})
    assert getattr(spec, field) == getattr(LMSpec(), field)
    assert (spec.url, spec.temperature, spec.max_tokens) == ("http://two.example", 0.1, 99)
    assert spec.extra == {"top_k": 3}


def test_equal_models_are_asked_for_once(server: FakeServer) -> None:
    study = load_study("demo", [f"lm.default.url='{server.url}'"])
    specs, lms = resolve_models(study, ROLES, Meter())
    assert {spec.model for spec in specs.values()} == {"fake-model"}
    assert specs.keys() == lms.keys() == set(ROLES)


def test_two_servers_share_a_run_and_the_key_reaches_only_its_own(
    serve: Serve, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_KEY", "of one alone")
    one, two = serve(models=("one",), key="of one alone"), serve(models=("two",))
    done = reproduce(
        one,
        out,
        sessions=1,
        lm__default__key_env="ONE_KEY",
        lm__default__price={"input": 1000, "output": 1000},
        lm__client__url=two.url,
        lm__client__temperature=0.9,
    )
    assert done.returncode == 0, done.stderr
    assert (len(one.requests), len(two.requests)) == (1 + 2 * 7, 2)
    assert all("Authorization" not in body["headers"] for body in two.requests)
    assert {body["temperature"] for body in two.requests} == {0.9}
    assert {body["model"] for body in two.requests} == {"two"}
    (session,) = session_files(out).values()
    assert b'"client": "two"' in session
    assert b'"planner": "one"' in session


def test_a_run_does_not_go_on_with_another_model(serve: Serve, out: Path) -> None:
    first = serve(models=("one",))
    assert reproduce(first, out, sessions=1, exchanges=1).returncode == 0
    done = reproduce(serve(models=("two",)), out, sessions=1, exchanges=1)
    assert done.returncode == 2
    assert "was played by one" in done.stderr


def test_a_query_stays_behind_the_path() -> None:
    there = endpoint("http://host/api?route=a", "chat")
    assert there.calls == "http://host/api/v1/chat/completions?route=a"
    assert there.models == "http://host/api/v1/models?route=a"
