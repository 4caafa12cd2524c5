"""Modules and methods of one's own: played, counted, resumed, and refused with one sentence."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from magnet.core.journal import read_sessions
from magnet.lm import Meter, connect
from magnet.study.prepare import assign, prepare
from programs import Agent, AgentError, Client, Counselor, Moment
from programs.play import role_play
from tests.fake_server import FakeServer
from tests.running import (
    command,
    environment,
    magnet,
    programs_on,
    run,
    seeds,
    session_files,
    toml,
)
from tests.test_any_lm import plain

Serve = Callable[..., FakeServer]


def in_chat_format(body: dict[str, Any], prompt: str) -> str | None:
    """A reply to DSPy's chat format; None for other prompts."""
    _, found, asked = prompt.rpartition("Respond with the corresponding output fields")
    if not found:
        return None
    words = hashlib.sha256(f"{prompt}{body.get('seed')}".encode()).hexdigest()[:12]
    fields = re.findall(r"\[\[ ## (\w+) ## \]\]", asked)
    return "\n\n".join(f"[[ ## {name} ## ]]\nWe {name} {words}." for name in fields)


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


OWN = '''
import dspy
from magnet import Agent, Counselor, MagnetCounselor, Moment


class Plain(dspy.Module):
    """Synchronous, without one agent of the project's."""

    def __init__(self, prompts, profile):
        super().__init__()
        self.draft = dspy.Predict("client_information, history -> reply")
        self.planner = dspy.Predict("history -> idea")

    def forward(self, seed, history):
        said = "\\n".join(f"{m.role}: {m.message}" for m in history)
        idea = self.planner(history=said).idea
        return self.draft(client_information=seed.client_information, history=said + idea)


class Short(MagnetCounselor):
    """MAGneT without two of its specialists, and with a prompt of its own."""

    def __init__(self, prompts, profile):
        super().__init__(prompts, profile, planner=False)
        self.leave_out("solutions")


def direct(prompts, profile):
    return Direct(prompts, profile)


class Direct(Counselor):
    def __init__(self, prompts, profile):
        super().__init__(prompts, profile)
        self.response = self.agent("psych8k")

    async def reply(self, moment: Moment):
        return await self.response.acall(history=moment.history, draw=moment.draw)
'''
STUDY = """
methods = {methods}
sessions = 2
exchanges = 2
stages = {stages}
{more}
[lm.default]
url = "{url}"
"""
NAMES = ["Plain", "Short", "direct"]


def study(
    server: FakeServer,
    folder: Path,
    methods: list[str] | None = None,
    stages: tuple[str, ...] = ("generate",),
    more: str = "",
    code: str = OWN,
) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "ownmethods.py").write_text(code)
    chosen = [f"ownmethods:{name}" for name in NAMES] if methods is None else methods
    path = folder / "mine.toml"
    text = STUDY.format(
        methods=toml_list(chosen), stages=toml_list(stages), url=server.url, more=more
    )
    path.write_text(text)
    return path


def toml_list(values: Any) -> str:
    return "[" + ", ".join(toml(value) for value in values) + "]"


def test_methods_of_ones_own_are_played_judged_compared_and_reported(
    server: FakeServer, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    path = study(
        server,
        tmp_path / "study",
        ["magnet", *(f"ownmethods:{name}" for name in NAMES)],
        ("generate", "judge", "report"),
        'scales = ["ctrs"]\nleave_out = ["normalizing"]\nworkers = 3',
    )
    done = run(*command(path, "--out", out), cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    sessions = list(read_sessions(out))
    assert [s.method for s in sessions[:4]] == ["magnet", *NAMES]
    by = {s.method: s for s in sessions}
    assert set(by["Plain"].usage) == {"planner", "response", "client"}
    assert by["Plain"].usage["response"].answers == 2
    assert set(by["Short"].exchanges[0].candidates) == {
        "reflection",
        "questioning",
        "psychoeducation",
    }
    assert set(by["direct"].usage) == {"response", "client"}
    usage = json.loads((out / "usage.json").read_bytes())
    for role in ("planner", "response", "client"):
        played = [s.usage[role] for s in sessions if role in s.usage]
        assert usage[role]["calls"] == sum(use.answers for use in played)
        assert usage[role]["input_tokens"] == sum(use.input_tokens or 0 for use in played)
    whole = json.loads((out / "provenance.json").read_bytes())
    assert set(whole["identity"]["sources"]) == {f"ownmethods:{name}" for name in NAMES}
    tables = next(out.rglob("tables.md")).read_text()
    assert all(name in tables for name in NAMES)
    compared = magnet("compare", out)
    assert compared.returncode == 0
    assert all(name in compared.stdout for name in NAMES)


def test_a_run_of_ones_own_method_is_resumed_to_the_same_bytes(
    server: FakeServer, tmp_path: Path
) -> None:
    path = study(server, tmp_path / "study")
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(*command(path, "--out", one), cwd=tmp_path).returncode == 0
    stopped = run(*command(path, "--out", two, "--set", "budget.calls=9"), cwd=tmp_path)
    assert stopped.returncode == 1
    assert "budget of 9 calls" in stopped.stdout
    assert run(*command(path, "--out", two), cwd=tmp_path).returncode == 0
    assert session_files(one) == session_files(two)


def test_a_run_does_not_go_on_with_other_code(server: FakeServer, tmp_path: Path) -> None:
    folder, out = tmp_path / "study", tmp_path / "run"
    path = study(server, folder)
    assert run(*command(path, "--out", out), cwd=tmp_path).returncode == 0
    asked = server.count
    study(server, folder, code=OWN + "\n# changed\n")
    done = run(*command(path, "--out", out), cwd=tmp_path)
    assert (done.returncode, server.count) == (2, asked)
    assert "sources" in done.stderr


def test_print_estimate_and_doctor_know_them(server: FakeServer, tmp_path: Path) -> None:
    path = study(server, tmp_path / "study")
    printed = run(*command(path, "--print"), cwd=tmp_path)
    assert "ownmethods:Plain" in printed.stdout
    estimated = run(*command(path, "--estimate"), cwd=tmp_path)
    assert estimated.returncode == 0, estimated.stderr
    assert {"planner", "response", "client"} <= set(estimated.stdout.split())
    examined = magnet("doctor", path)
    assert examined.returncode == 0, examined.stdout
    assert server.count == 0


def test_a_bug_in_ones_own_code_stops_the_run_with_its_place(
    server: FakeServer, tmp_path: Path
) -> None:
    code = OWN.replace("idea = self", "idea = self.nothing").replace(".nothing.planner", ".nothing")
    path = study(server, tmp_path / "study", ["ownmethods:Plain"], code=code)
    done = run(*command(path, "--out", tmp_path / "run"), cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Plain: AttributeError" in done.stdout
    assert "ownmethods.py, line" in done.stdout


WRONG = {
    "no module": ("nomodule:Mine", "", "no module named 'nomodule'"),
    "no attribute": ("ownmethods:Nobody", "", "has no 'Nobody'"),
    "no form": ("ownmethods:", "", "write your own as module:attribute"),
    "no package": ("ownmethods.inner:X", "", "no module named 'ownmethods.inner'"),
    "a name that ships": ("ownmethods:cactus", "", "has the name of an included method"),
    "an import that fails": ("ownmethods:X", "import nosuchthing", "ModuleNotFoundError"),
    "an error on import": ("ownmethods:X", "x = 1 / 0", "ZeroDivisionError: division by zero"),
    "bad syntax": ("ownmethods:X", "def (:", "SyntaxError"),
    "no class": ("ownmethods:X", "X = 3", "is not a class or function but 'int'"),
    "no module made": ("ownmethods:X", "def X(p, f): return 3", "is not a dspy.Module but 'int'"),
    "no arguments": ("ownmethods:X", "def X(): pass", "cannot be called with (prompts, profile)"),
    "no forward": (
        "ownmethods:X",
        "import dspy\nclass X(dspy.Module):\n def __init__(self, p, f): super().__init__()",
        "has neither forward nor aforward",
    ),
    "other inputs": (
        "ownmethods:X",
        "import dspy\nclass X(dspy.Module):\n def __init__(self, p, f): super().__init__()\n"
        " def forward(self, text): pass",
        "asks for 'text'",
    ),
    "no reply": (
        "ownmethods:X",
        "from magnet import Counselor\nclass X(Counselor): pass",
        "that defines no reply",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_method_that_will_not_do_is_refused_before_anything_is_spent(
    server: FakeServer, tmp_path: Path, case: str
) -> None:
    method, code, message = WRONG[case]
    path = study(server, tmp_path / "study", [method], code=code)
    done = run(*command(path, "--out", tmp_path / "run"), cwd=tmp_path)
    assert (done.returncode, server.count) == (2, 0)
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_two_methods_of_one_name_are_refused(server: FakeServer, tmp_path: Path) -> None:
    path = study(server, tmp_path / "study", ["ownmethods:Plain", "other:Plain"])
    done = run(*command(path), cwd=tmp_path)
    assert done.returncode == 2
    assert "named twice" in done.stderr


def test_agents_that_differ_by_method_are_both_in_the_identity(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "study"))
    path = study(server, tmp_path / "study", ["magnet-c", "ownmethods:Short"])
    prompts = prepare(str(path), []).identity["prompts"]
    assert prompts["response"] != prompts["Short.response"]


def test_the_contract_is_exported() -> None:
    import magnet

    assert magnet.Counselor is Counselor
    assert magnet.Moment is Moment
    assert environment()["PYTHONPATH"]
