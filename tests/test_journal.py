from collections.abc import Callable
from pathlib import Path

import pytest

from magnet.core.errors import UsageError
from magnet.core.journal import Journal, RunDirectory, unfinished
from magnet.core.session import Session
from tests.fake_server import FakeServer
from tests.running import empty_session, reproduce, session_files


async def test_a_journal_gives_back_what_was_played(
    played: tuple[Path, Session], run_dir: RunDirectory
) -> None:
    session = empty_session()
    assert run_dir.resume(session)[1] is None
    assert session.to_json() == played[1].to_json()


@pytest.mark.parametrize("exchanges", [1, 3])
async def test_a_last_line_torn_at_any_byte_is_dropped_and_said(
    played: tuple[Path, Session], exchanges: int
) -> None:
    path, whole = played
    lines = path.read_bytes().splitlines(keepends=True)[:exchanges]
    head, last = b"".join(lines[:-1]), lines[-1]
    for cut in range(len(last)):
        path.write_bytes(head + last[:cut])
        session = empty_session()
        journal, dropped = Journal.open(path, session)
        assert session.exchanges == whole.exchanges[: exchanges - 1]
        assert session.plan == (whole.plan if exchanges > 1 else None)
        assert (dropped is None) == (cut == 0)
        assert cut == 0 or "session_0001: the incomplete last line" in str(dropped)
        assert path.read_bytes() == head  # what is appended next stands on a line of its own
    session.plan = whole.plan
    session.exchanges.append(whole.exchanges[exchanges - 1])
    journal.append(session)
    assert path.read_bytes() == head + last


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda line: line[: len(line) // 2] + b"\n",
    "no line break": lambda line: line.rstrip(b"\n"),
    "overwritten": lambda line: b"\x00" * (len(line) - 1) + b"\n",
    "text": lambda line: b"exchange two\n",
    "number": lambda line: b"5\n",
    "null": lambda line: b"null\n",
    "word": lambda line: b'"reply"\n',
    "list": lambda line: b"[]\n",
    "empty object": lambda line: b"{}\n",
    "half an exchange": lambda line: b'{"reply": "Hm."}\n',
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


@pytest.mark.processes
def test_a_run_tells_of_the_torn_line_and_loses_nothing_else(
    server: FakeServer, out: Path, tmp_path: Path
) -> None:
    stopped = reproduce(server, out, sessions=1, exchanges=3, budget__calls=20)
    assert stopped.returncode == 1, stopped.stderr
    with (out / "journal" / "session_0001.jsonl").open("ab") as file:
        file.write(b'{"candidates":{"refl')
    resumed = reproduce(server, out, sessions=1, exchanges=3)
    assert resumed.returncode == 0, resumed.stderr
    assert "session_0001: the incomplete last line of its journal was dropped" in resumed.stdout
    reproduce(server, tmp_path / "whole", sessions=1, exchanges=3)
    assert session_files(out) == session_files(tmp_path / "whole")
