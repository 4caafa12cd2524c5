import json
from pathlib import Path
from typing import Any

import pytest

from magnet.core.errors import UsageError
from magnet.core.journal import read_session
from signatures import SPECIALISTS
from tests.fake_server import FakeServer, serving
from tests.running import magnet, reproduce, session_files

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three sessions, one of them stopped in its second exchange."""
    out = tmp_path_factory.mktemp("show") / "run"
    long = "This model's maximum context length is 8192 tokens"
    with serving(FakeServer(faults=lambda n: "400" if n == 12 else None, complaint=long)) as server:
        done = reproduce(server, out, sessions=3, workers=1)
    assert done.returncode == 1, done.stderr
    return out


@pytest.fixture
def session(finished: Path) -> dict[str, Any]:
    return dict(json.loads(session_files(finished)["session_0002.json"]))


def test_a_run_is_shown_a_line_a_session_and_the_unfinished_with_their_reason(
    finished: Path, session: dict[str, Any]
) -> None:
    lines = magnet("show", finished).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["session_0002", "session_0003", "session_0001"]
    assert session["turns"][0]["reply"][:60] in lines[0]
    assert "unfinished: context_window_exceeded" in lines[2]


@pytest.mark.parametrize("name", ["2", "session_0002", "session_0002.json"])
def test_a_session_is_shown_whole(finished: Path, session: dict[str, Any], name: str) -> None:
    shown = magnet("show", finished, name).stdout
    assert f"Plan ({session['cbt_technique']})" in shown
    for line in session["cbt_plan"].splitlines():
        assert line in shown
    for message in session["history"]:
        assert f"{message['role'].capitalize()}: {message['message']}" in shown
    for exchange in session["turns"]:
        assert ", ".join(exchange["techniques"]) in shown
        for role, draft in exchange["candidates"].items():
            mark = "*" if SPECIALISTS[role] in exchange["techniques"] else " "
            assert f"{mark} {role}: {draft}" in shown


def test_one_turn_is_shown_alone(finished: Path, session: dict[str, Any]) -> None:
    shown = magnet("show", finished, 2, "--exchange", 2).stdout
    first, second = session["turns"]
    assert second["reply"] in shown
    assert second["client_reply"] in shown
    assert first["reply"] not in shown
    assert session["history"][0]["message"] not in shown


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["99"], "no finished session '99'"),
        (["1"], "no finished session '1'"),
        (["session_0099"], "Finished: session_0002 to session_0003"),
        (["2", "--exchange", "3"], "has exchanges 1 to 2, not 3"),
        (["2", "--exchange", "0"], "has exchanges 1 to 2, not 0"),
    ],
)
def test_what_is_not_there_is_refused(finished: Path, args: list[str], message: str) -> None:
    done = magnet("show", finished, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.startswith("Error: ")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    done = magnet("show", tmp_path)
    assert (done.returncode, "is not a run directory" in done.stderr) == (2, True)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"id": 1}', "null"])
def test_a_file_that_is_no_session_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "session_0001.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=f"{file} is not a session file"):
        read_session(file)


def test_text_with_markup_in_it_is_shown_as_it_is(finished: Path, tmp_path: Path) -> None:
    data = json.loads(session_files(finished)["session_0002.json"])
    data["turns"][0]["reply"] = "So [bold]that[/bold] is [red]it[/END]?"
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "session_0001.json").write_text(json.dumps(data))
    for args in ([], ["1"]):
        assert "So [bold]that[/bold] is [red]it[/END]?" in magnet("show", tmp_path, *args).stdout
