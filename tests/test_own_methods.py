"""Methods of one's own: played, judged, resumed, and refused with one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnet.core.journal import read_sessions
from magnet.study.prepare import prepare
from programs import Counselor, Moment
from tests.fake_server import FakeServer
from tests.running import (
    command,
    environment,
    in_chat_format,
    magnet,
    run,
    session_files,
    toml,
)

pytestmark = pytest.mark.processes

Serve = Callable[..., FakeServer]


@pytest.fixture
def server(serve: Serve) -> FakeServer:
    return serve(reply=in_chat_format)


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
