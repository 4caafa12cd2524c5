"""Exported datasets: read by ``datasets`` itself, with a card that tells the truth."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import datasets
import jinja2
import pytest
import yaml
from huggingface_hub import DatasetCard

from eval.dialogues import load_dialogues
from magnet.core.errors import UsageError
from magnet.core.journal import read_sessions
from magnet.core.session import transcript
from magnet.dataset.export import MANIFEST, NEAR, export
from magnet.dataset.pairs import Pair, messages_for, read_pairs
from magnet.dataset.rows import LINEAGE, Format, row_of
from magnet.stages.adopt import adopt
from prompts_frozen.sets import lock
from tests.fake_run import play
from tests.running import ANSI, ROOT, command, magnet, run, seeds

FORMATS = get_args(Format)
LICENSE = "Apache-2.0 (this project)"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clients with three attitudes each, two methods."""
    out = tmp_path_factory.mktemp("export") / "first-run"
    return play(out, ("magnet", "psych8k"), sessions=12, stages='["generate"]')


@pytest.fixture
def copied(played: Path, tmp_path: Path) -> Path:
    """The run, to be changed."""
    return Path(shutil.copytree(played, tmp_path / "copy"))


def load(folder: Path, cache: Path) -> Any:
    """What a user gets."""
    datasets.disable_progress_bars()
    return datasets.load_dataset(str(folder), cache_dir=str(cache))


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def front(folder: Path) -> dict[str, Any]:
    """The card's YAML."""
    _, text, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return dict(yaml.safe_load(text))


def body(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]


def expected(pair: Pair, format_: str) -> dict[str, Any]:
    """A row's own columns, said once more."""
    system, user, reply = (m["content"] for m in messages_for(pair))
    if format_ in ("chat", "parquet"):
        return {"messages": messages_for(pair)}
    if format_ == "sharegpt":
        said = zip(("system", "human", "gpt"), (system, user, reply), strict=True)
        return {"conversations": [{"from": who, "value": text} for who, text in said]}
    if format_ == "pairs":
        return {"prompt": f"{system}\n\n{user}", "completion": reply}
    return {
        "client_information": pair.seed.client_information,
        "reason_counseling": pair.seed.reason_counseling,
        "history": transcript(pair.history),
        "response": reply,
    }


@pytest.mark.parametrize("format_", FORMATS)
def test_datasets_reads_every_format(played: Path, tmp_path: Path, format_: Format) -> None:
    export(played, format_, tmp_path / "data", "magnet")
    loaded = load(tmp_path / "data", tmp_path / "cache")
    pairs = read_pairs(played, "magnet")
    assert {split: len(rows) for split, rows in loaded.items()} == {
        "train": 12,
        "validation": 6,
        "test": 6,
    }
    for split, rows in loaded.items():
        for row, pair in zip(rows, pairs.of(split), strict=True):
            own = {name: value for name, value in row.items() if name not in LINEAGE}
            assert own == expected(pair, format_)
            assert (row["method"], row["session"], row["turn"]) == (
                "magnet",
                pair.session,
                pair.exchange,
            )
    row, pair = loaded["train"][0], pairs.of("train")[0]
    assert {name: row[name] for name in ("seed", "client", "attitude", "model", "license")} == {
        "seed": pair.seed.seed_id,
        "client": pair.seed.client_id,
        "attitude": pair.seed.attitude,
        "model": "fake-model",
        "license": LICENSE,
    }
    assert row["prompts_sha256"] == pair.lineage["prompts_sha256"]
    assert row["seeds_sha256"] == pair.lineage["seeds_sha256"]
    # No row has a commit (the run saw no git) or a source; the columns are of strings even so.
    assert row["commit"] is None
    for name in ("commit", "adopted"):
        assert loaded["train"].features[name] == datasets.Value("string")


def test_a_row_names_the_counselor_s_models_alone(played: Path) -> None:
    pair = read_pairs(played, "magnet").pairs[0]
    models = {"response": "big", "planner": "big", "technique": "art", "client": "other"}
    mixed = dataclasses.replace(pair, lineage={**pair.lineage, "models": models})
    assert row_of(mixed, "chat", "ours", None)["model"] == "art, big"
    unknown = dataclasses.replace(pair, lineage={**pair.lineage, "models": None})
    assert row_of(unknown, "chat", "ours", None)["model"] is None


def test_the_card_declares_the_features_that_the_rows_have(played: Path, tmp_path: Path) -> None:
    export(played, "parquet", tmp_path / "data")
    inferred = datasets.Dataset.from_parquet(
        str(tmp_path / "data" / "data" / "train.parquet"), cache_dir=str(tmp_path / "cache")
    ).features
    declared = datasets.Features._from_yaml_list(
        front(tmp_path / "data")["dataset_info"]["features"]
    )
    assert declared == inferred


def test_the_card_s_front_matter(played: Path, tmp_path: Path) -> None:
    export(played, "chat", tmp_path / "data")
    known = front(tmp_path / "data")
    assert known["license"] == "apache-2.0"
    assert known["size_categories"] == ["n<1K"]
    assert "synthetic" in known["tags"]
    assert known["configs"][0]["data_files"][0] == {"split": "train", "path": "data/train.jsonl"}
    datasets.DatasetInfo._from_yaml_dict(known["dataset_info"])
    card = DatasetCard.load(tmp_path / "data" / "README.md")
    assert card.data.to_dict() == known
    assert card.text.startswith("\n# Counselling sessions of first-run")


def test_the_card_fills_every_name_of_its_template(
    played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = functools.partial(jinja2.Template, undefined=jinja2.StrictUndefined)
    monkeypatch.setattr(jinja2, "Template", strict)
    export(played, "chat", tmp_path / "data")


def test_the_card_tells_what_is_in_it(played: Path, tmp_path: Path) -> None:
    export(played, "chat", tmp_path / "data")
    text = body(tmp_path / "data")
    provenance = json.loads((played / "provenance.json").read_bytes())
    for said in (
        "| train | 24 | 12 | 2 |",
        "| test | psych8k | neutral | 1 | 2 |",
        provenance["seeds"]["sha256"],
        provenance["prompts"]["sha256"]["planner"],
        "| response | fake-model | 0.3 | 60 | the server's | chat |",
        "never for clinical use",
        "no person took part",
        "| most exchanges per session | 2 |",
        "90:10:50 in the order of the seed file",
        "| answers of planner cut off by the token limit | 0 of 12 (0.0%) |",
        "Sessions left out: none.",
    ):
        assert said in text
    assert "{{" not in text
    assert str(tmp_path) not in text


def test_a_prompt_set_of_the_user_s_own_is_rendered(played: Path, tmp_path: Path) -> None:
    mine = tmp_path / "my-prompts"
    shutil.copytree(ROOT / "prompts_frozen" / "ours", mine)
    prompt = mine / "tuned-psych8k.txt"
    prompt.write_text("[[user]]\n{history}\nYou say {{{history}}}:\n", encoding="utf-8")
    lock(mine)
    export(played, "chat", tmp_path / "data", "psych8k", str(mine))
    row = load(tmp_path / "data", tmp_path / "cache")["train"][0]
    said = transcript(read_pairs(played, "psych8k").pairs[0].history)
    assert [m["role"] for m in row["messages"]] == ["user", "assistant"]
    assert row["messages"][0]["content"] == f"{said}\nYou say {{{{{said}}}}}:"
    text = body(tmp_path / "data")
    assert "| prompt set of the rows | my-prompts |" in text
    assert hashlib.sha256(prompt.read_bytes()).hexdigest() in text
    assert not [name for name, data in content(tmp_path / "data").items() if str(mine) in str(data)]


def test_the_authors_seeds_make_the_data_gpl(copied: Path, tmp_path: Path) -> None:
    for path in [copied / "provenance.json", *(copied / "sessions").iterdir()]:
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(LICENSE, "GPL-2.0 (CACTUS)"), encoding="utf-8")
    export(copied, "pairs", tmp_path / "data")
    assert front(tmp_path / "data")["license"] == "gpl-2.0"
    assert "GPL-2.0 (CACTUS): the licence of the seeds" in body(tmp_path / "data")
    loaded = load(tmp_path / "data", tmp_path / "cache")
    assert set(loaded["test"]["license"]) == {"GPL-2.0 (CACTUS)"}


def test_adopted_sessions_have_the_licence_that_is_given(played: Path, tmp_path: Path) -> None:
    export(played, "authors", tmp_path / "theirs", "magnet")
    adopt(tmp_path / "theirs" / "sessions", tmp_path / "adopted")
    export(tmp_path / "adopted", "chat", tmp_path / "without")
    assert front(tmp_path / "without")["license"] == "unknown"
    text = body(tmp_path / "without")
    assert "Unknown. Find out before you share" in text
    assert "Models and sampling settings are unknown." in text
    assert "| plans cut off by the token limit | not recorded |" in text
    export(tmp_path / "adopted", "chat", tmp_path / "given", license_="CC-BY-4.0")
    assert front(tmp_path / "given")["license"] == "cc-by-4.0"
    row = load(tmp_path / "given", tmp_path / "cache")["train"][0]
    assert (row["license"], row["adopted"], row["model"]) == ("CC-BY-4.0", "session_1", None)


def test_the_authors_session_files_hold_the_sessions(played: Path, tmp_path: Path) -> None:
    export(played, "authors", tmp_path / "data", "magnet")
    sessions = [s for s in read_sessions(played) if s.method == "magnet"]
    files = list(load_dialogues(tmp_path / "data" / "sessions"))
    assert [d.id for d in files] == [f"session_{int(s.id[8:])}" for s in sessions]
    for dialogue, session in zip(files, sessions, strict=True):
        assert list(dialogue.messages) == session.history
        assert dialogue.client_id == session.seed.client_id
        assert session.plan is not None
        assert dialogue.record is not None
        assert dialogue.record["cbt_plan"] == session.plan.plan


def test_the_same_export_gives_the_same_bytes(played: Path, tmp_path: Path) -> None:
    for format_ in FORMATS:
        export(played, format_, tmp_path / "one")
        first = content(tmp_path / "one")
        export(played, format_, tmp_path / "two")
        export(played, format_, tmp_path / "one")  # over itself
        assert content(tmp_path / "one") == content(tmp_path / "two") == first
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"one", "two"}


def test_a_split_without_sessions_has_no_file(copied: Path, tmp_path: Path) -> None:
    clients = list(dict.fromkeys(seed.client_id for seed in seeds(12)))
    split = tmp_path / "split.csv"
    split.write_text("client_id,split\n" + "".join(f"{c},validation\n" for c in clients[:2]))
    export(copied, "chat", tmp_path / "data", split_file=split)
    loaded = load(tmp_path / "data", tmp_path / "cache")
    assert {s: len(rows) for s, rows in loaded.items()} == {"validation": 24}
    text = body(tmp_path / "data")
    assert "There is no file for train and test, which would be empty." in text
    assert "There is nothing to compare" in text
    assert 'data["validation"][0]' in text
    assert "12 not in the split file" in text


def test_near_duplicates_are_counted_and_listed(copied: Path, tmp_path: Path) -> None:
    for number in (1, 19):  # MAGneT's first session of the first client and of the last
        path = copied / "sessions" / f"session_{number:04d}.json"
        whole = json.loads(path.read_bytes())
        whole["turns"][0]["reply"] = "That sounds like a lot to carry alone."
        path.write_text(json.dumps(whole), encoding="utf-8")
    export(copied, "chat", tmp_path / "data", "magnet")
    assert "| counselor reply | test | train | 1 of 6 (16.7%) |" in body(tmp_path / "data")
    lines = (tmp_path / "data" / NEAR).read_text(encoding="utf-8").splitlines()
    same = "counselor reply,test,session_0019 exchange 1,train,session_0001 exchange 1,1.0,1"
    assert same in lines


def _foreign(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")


def _added(folder: Path) -> None:
    (folder / "data" / "notes.txt").write_text("mine")


def _edited(folder: Path) -> None:
    with (folder / "README.md").open("a") as file:
        file.write("mine")


@pytest.mark.parametrize(
    ("first", "spoil", "complaint"),
    [
        (False, _foreign, "is not empty and is not an export"),
        (True, _added, r"holds data/notes.txt, which is not part of the export"),
        (True, _edited, r"README.md has been changed since it was exported"),
        (False, Path.touch, "is a file"),
    ],
)
def test_nothing_of_the_user_s_is_overwritten(
    played: Path, tmp_path: Path, first: bool, spoil: Callable[[Path], None], complaint: str
) -> None:
    folder = tmp_path / "data"
    if first:
        export(played, "chat", folder)
    spoil(folder)
    before = folder.read_bytes() if folder.is_file() else content(folder)
    with pytest.raises(UsageError, match=complaint):
        export(played, "pairs", folder)
    assert before == (folder.read_bytes() if folder.is_file() else content(folder))


def test_an_export_that_fails_leaves_the_earlier_one(played: Path, tmp_path: Path) -> None:
    export(played, "chat", tmp_path / "data")
    before = content(tmp_path / "data")
    with pytest.raises(UsageError, match="no finished session of 'cactus'"):
        export(played, "chat", tmp_path / "data", "cactus")
    assert content(tmp_path / "data") == before
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        export(played, "chat", tmp_path / "file" / "data")


def test_an_empty_folder_will_do(played: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    export(played, "chat", tmp_path / "data")
    assert (tmp_path / "data" / MANIFEST).is_file()


FIRST = seeds(1)[0]


@pytest.mark.processes
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "cactus"], ["no finished session of 'cactus'", "magnet (12), psych8k (12)"]),
        (["--format", "csv"], ["'csv' is not one of", "sharegpt"]),
        (["--prompts", "nobody's"], ['no prompt set "nobody\'s"']),
        (
            ["--license", "MIT"],
            [f"already records its seeds' licence, {LICENSE}", "Omit --license"],
        ),
        (["--split", "twice.csv"], [f"client {FIRST.client_id} is in two splits"]),
        (["--split", "wide.csv"], ["unknown column 'note'", "client_id,split or seed_id,split"]),
        (["--split", "none.csv"], ["cannot read", "none.csv"]),
    ],
)
def test_the_command_says_what_is_wrong(
    played: Path, tmp_path: Path, options: list[str], said: list[str]
) -> None:
    twice = f"client_id,split\n{FIRST.client_id},train\n{FIRST.client_id},test\n"
    (tmp_path / "twice.csv").write_text(twice)
    (tmp_path / "wide.csv").write_text("client_id,split,note\n")
    line = command("export", played, "--out", tmp_path / "data", *options, module="magnet.cli")
    done = run(*line, cwd=tmp_path)
    assert done.returncode == 2
    for text in said:
        assert text in " ".join(done.stderr.split())
    assert not (tmp_path / "data").exists()


@pytest.mark.processes
def test_the_command_prints_what_it_wrote(copied: Path, tmp_path: Path) -> None:
    (copied / "flags.csv").write_text("session,reason\nsession_0001,off topic\n")
    done = magnet("export", copied, "--out", tmp_path / "data", "--method", "magnet")
    assert done.returncode == 0, done.stderr
    text = ANSI.sub("", done.stdout)
    assert "train         10         5        2" in text
    assert "Sessions left out, flagged: off topic: 1" in text
    assert str(tmp_path / "data" / "README.md") in text
    missing = magnet("export", tmp_path / "nowhere", "--out", tmp_path / "x")
    assert missing.returncode == 2
    assert "is not a run directory" in missing.stderr


@pytest.mark.processes
def test_without_pyarrow_parquet_is_refused_and_json_is_written(
    played: Path, tmp_path: Path
) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from magnet.cli import main; main()"
    line = command("export", played, "--out", tmp_path / "data", code=code)
    refused = run(*line, "--format", "parquet")
    assert refused.returncode == 2
    assert "pip install 'magnet-sessions[export]'" in refused.stderr
    assert not (tmp_path / "data").exists()
    assert run(*line, "--format", "chat").returncode == 0
    assert (tmp_path / "data" / "data" / "train.jsonl").is_file()
