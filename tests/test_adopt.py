"""Sessions from elsewhere as a run: hidden copies, duplicates, and what is said of their origin."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eval.report.evaluation import load
from magnet.core.errors import UsageError
from magnet.core.journal import read_provenance, read_sessions
from magnet.dataset.pairs import read_pairs
from magnet.stages.adopt import adopt
from tests.running import magnet, seeds

pytestmark = pytest.mark.processes


def released(number: int, reply: str = "Since when?", **more: Any) -> dict[str, Any]:
    """A session in the authors' format, on one of our seeds."""
    entry = seeds(number)[-1].entry
    said = ("Hello.", "I am tired.", reply, "Since May.")
    dialogue = [
        {"role": ("counselor", "client")[at % 2], "message": text} for at, text in enumerate(said)
    ]
    plan = {"cbt_technique": "Reality Testing", "cbt_plan": "1. Look at it together."}
    return (
        {key: entry[key] for key in ("AI_client", "AI_counselor")}
        | plan
        | {"dialogue": dialogue}
        | more
    )


def packed(path: Path, records: Mapping[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, record in records.items():
            archive.writestr(name, record if isinstance(record, str) else json.dumps(record))
    return path


def adopted(source: Path, out: Path, method: str | None = None) -> list[str]:
    """What was said."""
    said: list[str] = []
    adopt(source, out, method, said.append)
    return said


def content(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "sessions").iterdir()}


HIDDEN = {
    "data/.ipynb_checkpoints/session_1-checkpoint.json": released(1, "An older draft?"),
    "data/.ipynb_checkpoints/session_2-checkpoint.json": released(2),
    "data/._session_1.json": "\0 resource fork",
    "__MACOSX/data/._session_2.json": "\0 resource fork",
}
SEEN = {"data/session_2.json": released(2), "data/session_1.json": released(1)}
LINE = "Hidden files were skipped: 4, in __MACOSX (1), data/.* (1), data/.ipynb_checkpoints (2)"


def test_hidden_copies_are_skipped_and_counted(tmp_path: Path, out: Path) -> None:
    archive = packed(tmp_path / "theirs.zip", SEEN | HIDDEN)
    done = magnet("adopt", archive, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [LINE, f"2 dialogues are in {out}"]
    folder = tmp_path / ".hidden" / "theirs"  # what is named by the user is read
    shutil.unpack_archive(archive, folder)
    assert adopted(folder, tmp_path / "again") == [LINE]
    assert content(out) == content(tmp_path / "again")
    measured = magnet("diversity", archive, "--tokenizer", "words", "--json")
    assert json.loads(measured.stdout)["sessions"] == 2
    assert LINE in measured.stderr


def test_a_source_of_hidden_files_alone_holds_nothing(tmp_path: Path, out: Path) -> None:
    with pytest.raises(UsageError, match="contains no dialogues"):
        adopt(packed(tmp_path / "theirs.zip", HIDDEN), out)
    assert not out.exists()


def test_a_damaged_zip_is_one_clear_error(tmp_path: Path, out: Path) -> None:
    archive = packed(tmp_path / "theirs.zip", SEEN)
    raw = archive.read_bytes()
    archive.write_bytes(raw.replace(b"I am tired", b"I am tored"))
    done = magnet("adopt", archive, "--out", out)
    assert done.returncode == 2
    assert "cannot be unpacked" in done.stderr
    assert "Traceback" not in done.stderr


def test_equal_records_of_one_seed_become_one(tmp_path: Path, out: Path) -> None:
    copies = {"data/copy/session_2.json": released(2), "data/session_7.json": released(1)}
    said = adopted(packed(tmp_path / "theirs.zip", SEEN | copies), out)
    assert said == ["Duplicates dropped (same method, seed and messages as another): 2"]
    assert [s.seed.seed_id for s in read_sessions(out)] == [s.seed_id for s in seeds(2)]


def test_two_versions_of_a_session_are_refused_and_nothing_written(
    tmp_path: Path, out: Path
) -> None:
    source = packed(tmp_path / "theirs.zip", SEEN | {"b/session_1.json": released(1, "Why?")})
    done = magnet("adopt", source, "--out", out)
    assert done.returncode == 2
    for words in ("data/session_1.json", "b/session_1.json", seeds(1)[0].seed_id):
        assert words in done.stderr
    assert not out.exists()


def test_lines_of_jsonl_are_told_apart_likewise(tmp_path: Path, out: Path) -> None:
    def line(text: str, **more: str) -> str:
        return json.dumps({"messages": [{"role": "user", "content": text}], **more}) + "\n"

    source = tmp_path / "chats.jsonl"
    one, other = line("I cannot sleep.", seed_id="a"), line("I sleep.", seed_id="a")
    source.write_text(one + line("I sleep.", seed_id="b") + one)
    assert adopted(source, out)[0] == (
        "Duplicates dropped (same method, seed and messages as another): 1"
    )
    assert len(list(read_sessions(out))) == 2
    source.write_text(one + other)
    with pytest.raises(UsageError, match=r"line 1 and line 2 are different .* same seed, a"):
        adopt(source, tmp_path / "refused")
    source.write_text(one + line("I sleep.", seed_id="a", method="other"))
    assert adopted(source, tmp_path / "two") == []  # of two methods
    with pytest.raises(UsageError, match="sessions of 'theirs' on the same seed"):
        adopt(source, tmp_path / "refused", "theirs")


def test_where_the_seed_is_not_known_nothing_is_a_duplicate(tmp_path: Path, out: Path) -> None:
    chat = {"history": [{"role": "client", "message": "Hello."}]}
    other = {"history": [{"role": "client", "message": "Good day."}]}
    records = {"a/session_1.json": chat, "b/session_1.json": other, "b/session_2.json": chat}
    assert adopted(packed(tmp_path / "theirs.zip", records), out) == []
    assert len(list(read_sessions(out))) == 3
    assert read_provenance(out)["seeds"]["clients"] is None


def test_the_provenance_says_what_is_true_and_no_more(tmp_path: Path, out: Path) -> None:
    source = packed(tmp_path / "theirs.zip", SEEN | {"data/session_4.json": released(4)})
    adopt(source, out)
    whole = read_provenance(out)
    assert set(whole) == {"identity", "adopted", "study", "prompts", "models", "seeds"}
    assert whole["study"] == {"name": "theirs", "methods": ["theirs"]}
    assert whole["prompts"] == {"set": None}
    assert whole["models"] == {}
    assert whole["seeds"] == {"source": str(source), "entries": 3, "clients": 2}
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert whole["adopted"]["sha256"] == sha256
    assert whole["adopted"]["sessions"] == 3
    assert (out / "study.toml").read_bytes() == b""


def test_a_folder_is_known_by_its_files_names_and_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    shutil.unpack_archive(packed(tmp_path / "theirs.zip", SEEN), folder)

    def sha256(name: str) -> str:
        adopt(folder, tmp_path / name)
        return str(read_provenance(tmp_path / name)["adopted"]["sha256"])

    first = sha256("first")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "session_1-checkpoint.json").write_text("{}")
    assert sha256("hidden") == first
    (folder / "data" / "session_1.json").rename(folder / "data" / "session_3.json")
    renamed = sha256("renamed")
    (folder / "data" / "session_3.json").write_text(json.dumps(released(1, "Why?")))
    assert len({first, renamed, sha256("changed")}) == 3


def test_a_run_goes_on_with_its_own_source_alone(tmp_path: Path, out: Path) -> None:
    source = packed(tmp_path / "theirs.zip", SEEN)
    adopt(source, out)
    before = content(out)
    moved = shutil.copy(source, tmp_path / "moved.zip")
    assert adopt(Path(moved), out, "theirs") == 2
    assert content(out) == before
    with pytest.raises(UsageError, match="belongs to another study"):
        adopt(source, out, "renamed")
    packed(source, SEEN | {"data/session_3.json": released(3)})
    with pytest.raises(UsageError, match="belongs to another study"):
        adopt(source, out)
    assert content(out) == before


def test_every_reader_of_a_run_takes_an_adopted_one(tmp_path: Path, out: Path) -> None:
    more = {f"c/session_{n}.json": released(n, method="cactus") for n in (1, 2, 3)}
    adopt(packed(tmp_path / "theirs.zip", SEEN | more), out)
    rows = json.loads(magnet("compare", out, "--json").stdout)
    shown = [(r["method"], r["sessions"], r["unfinished"], r["messages"]) for r in rows]
    assert shown == [("cactus", 3, {}, 12), ("theirs", 2, {}, 8)]
    assert {r[key] for r in rows for key in ("calls", "tokens", "seconds")} == {None}
    assert "unknown" in magnet("compare", out).stdout
    [evaluation] = load([out])
    assert (len(evaluation.cases), evaluation.planned) == (5, 5)
    facts = dict(evaluation.conditions.facts([]))
    assert facts == {"Study": "theirs", "Seeds": str(tmp_path / "theirs.zip")}
    assert len(read_pairs(out).pairs) == 5
    for line in (
        ["show", out],
        ["show", out, "1"],
        ["report", out],
        ["diversity", out, "--tokenizer", "words"],
        ["export", out, "--out", tmp_path / "data"],
    ):
        done = magnet(*line)
        assert done.returncode == 0, done.stderr
    card = (tmp_path / "data" / "README.md").read_text(encoding="utf-8")
    assert "| adopted from | theirs.zip |" in card
    assert f"| sha256 of the source | {read_provenance(out)['adopted']['sha256']} |" in card
    assert "profile" not in card
