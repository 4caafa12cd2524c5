from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnet.core.errors import UsageError
from magnet.core.files import write_atomically
from magnet.core.journal import RunDirectory, read_sessions
from magnet.core.session import Session
from tests.fake_server import FakeServer
from tests.running import IDENTITY, reproduce, under_way


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
    with pytest.raises(UsageError, match="is not empty and is not a run directory"):
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


@pytest.mark.processes
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
    part = run_dir.sessions / ".session_0001.json.tmp"
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


def test_usage_sums_torn_by_a_power_cut_begin_anew(run_dir: RunDirectory) -> None:
    (run_dir.path / "usage.json").write_bytes(b"")
    assert run_dir.load_usage() == {}
