import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnet.errors import UsageError
from magnet.journal import Journal, RunDirectory, read_sessions, unfinished, write_atomically
from magnet.roleplay import role_play
from magnet.session import Session
from tests.fake_server import FakeServer
from tests.running import empty_session, programs_on, reproduce, session_files, under_way

IDENTITY = {"seed": 1, "models": {"client": {"temperature": 0.7}}, "prompts": {"client": "a"}}


@pytest.fixture
def run_dir(out: Path) -> Any:
    directory = RunDirectory(out)
    directory.open("seed = 1", {"identity": IDENTITY})
    yield directory
    directory.close()


@pytest.fixture
async def played(server: FakeServer, run_dir: RunDirectory) -> tuple[Path, Session]:
    """The journal of three turns, and their session."""
    session = empty_session()
    journal, _ = run_dir.resume(session)

    async def keep(session: Session) -> None:
        journal.append(session)

    await role_play(*programs_on(server), session.seed, 3, session=session, on_turn=keep)
    return journal.path, session


async def test_a_journal_gives_back_what_was_played(
    played: tuple[Path, Session], run_dir: RunDirectory
) -> None:
    session = empty_session()
    assert run_dir.resume(session)[1] is None
    assert session.to_json() == played[1].to_json()


@pytest.mark.parametrize("turns", [1, 3])
async def test_a_last_line_torn_at_any_byte_is_dropped_and_said(
    played: tuple[Path, Session], turns: int
) -> None:
    path, whole = played
    lines = path.read_bytes().splitlines(keepends=True)[:turns]
    head, last = b"".join(lines[:-1]), lines[-1]
    for cut in range(len(last)):
        path.write_bytes(head + last[:cut])
        session = empty_session()
        journal, dropped = Journal.open(path, session)
        assert session.turns == whole.turns[: turns - 1]
        assert session.plan == (whole.plan if turns > 1 else None)
        assert (dropped is None) == (cut == 0)
        assert cut == 0 or "session_0001: the torn last line" in str(dropped)
        assert path.read_bytes() == head  # what is appended next stands on a line of its own
    session.plan = whole.plan
    session.turns.append(whole.turns[turns - 1])
    journal.append(session)
    assert path.read_bytes() == head + last


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda line: line[: len(line) // 2] + b"\n",
    "no line break": lambda line: line.rstrip(b"\n"),
    "overwritten": lambda line: b"\x00" * (len(line) - 1) + b"\n",
    "text": lambda line: b"turn two\n",
    "number": lambda line: b"5\n",
    "null": lambda line: b"null\n",
    "word": lambda line: b'"reply"\n',
    "list": lambda line: b"[]\n",
    "empty object": lambda line: b"{}\n",
    "half a turn": lambda line: b'{"reply": "Hm."}\n',
    "wrong type": lambda line: line.replace(b'"ended":false', b'"ended":"perhaps"'),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_damage_before_the_last_line_is_refused_by_file_and_line(
    played: tuple[Path, Session], damage: str
) -> None:
    path, _ = played
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + DAMAGE[damage](second) + third + third)
    with pytest.raises(UsageError, match=f"{path}, line 2: damaged"):
        Journal.open(path, empty_session())


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("seed", 2, "seed differ"),
        ("models", {"client": {"temperature": 0.5}}, r"models\.client\.temperature differ"),
        ("prompts", {"client": "b"}, r"prompts\.client differ"),
    ],
)
def test_a_directory_of_another_study_is_refused_by_what_differs(
    run_dir: RunDirectory, key: str, value: Any, named: str
) -> None:
    run_dir.close()
    with pytest.raises(UsageError, match=f"belongs to another study: {named}"):
        RunDirectory(run_dir.path).open("", {"identity": IDENTITY | {key: value}})


def test_a_folder_of_other_things_is_left_alone(out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        RunDirectory(out).open("", {"identity": IDENTITY})
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"{'a"])
def test_a_provenance_file_of_something_else_is_refused_by_name(out: Path, content: bytes) -> None:
    out.mkdir()
    (out / "provenance.json").write_bytes(content)
    with pytest.raises(UsageError, match="provenance"):
        RunDirectory(out).open("", {"identity": IDENTITY})


def test_a_run_killed_while_it_made_its_folders_is_taken_up(out: Path) -> None:
    (out / "sessions").mkdir(parents=True)
    directory = RunDirectory(out)
    directory.open("", {"identity": IDENTITY})
    directory.close()


def test_a_directory_in_use_is_refused(run_dir: RunDirectory) -> None:
    with pytest.raises(UsageError, match="in use by another process"):
        RunDirectory(run_dir.path).open("", {"identity": IDENTITY})


def test_a_second_process_is_refused_while_the_first_is_under_way(
    serve: Callable[..., FakeServer], out: Path
) -> None:
    server = serve(delay=0.2)
    with under_way(server, out, 10, exchanges=20) as first:
        second = reproduce(server, out, exchanges=20)
        assert first.poll() is None, "the first ended before the second began"
    assert (second.returncode, "in use by another process" in second.stderr) == (2, True)


async def test_half_written_files_never_count(
    played: tuple[Path, Session], run_dir: RunDirectory
) -> None:
    part = run_dir.sessions / ".session_0001.json.part"
    part.write_text('{"id": "session_0001", ')
    assert run_dir.finished() == set()
    assert list(read_sessions(run_dir.path)) == []
    run_dir.close()
    run_dir.open("seed = 1", {"identity": IDENTITY})
    assert not part.exists()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"


async def test_a_published_session_is_finished_even_if_its_journal_stayed(
    played: tuple[Path, Session], run_dir: RunDirectory
) -> None:
    path, session = played
    journal = path.read_bytes()
    run_dir.publish(session)
    assert not path.exists()
    path.write_bytes(journal)  # killed between the two steps
    assert run_dir.finished() == {"session_0001"}
    assert list(unfinished(run_dir.path)) == []


def test_usage_sums_torn_by_a_power_cut_end_in_no_traceback(run_dir: RunDirectory) -> None:
    (run_dir.path / "usage.json").write_bytes(b"")
    with contextlib.suppress(UsageError):
        assert run_dir.load_usage() == {}


def test_a_run_tells_of_the_torn_line_and_loses_nothing_else(
    server: FakeServer, out: Path, tmp_path: Path
) -> None:
    stopped = reproduce(server, out, sessions=1, exchanges=3, budget__calls=20)
    assert stopped.returncode == 1, stopped.stderr
    with (out / "journal" / "session_0001.jsonl").open("ab") as file:
        file.write(b'{"candidates":{"refl')
    resumed = reproduce(server, out, sessions=1, exchanges=3)
    assert resumed.returncode == 0, resumed.stderr
    assert "session_0001: the torn last line of its journal was dropped" in resumed.stdout
    reproduce(server, tmp_path / "whole", sessions=1, exchanges=3)
    assert session_files(out) == session_files(tmp_path / "whole")
