import copy
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from magnet.core.errors import UsageError
from magnet.core.seeds import load_seeds
from tests.running import ROOT

AUTHORS = ROOT.parent / "shared/upstream/arxiv2025-MAGneT/dataset/data.json"
SHIPPED = ROOT / "magnet/core/seeds.json"


@pytest.fixture
def entries() -> list[dict[str, Any]]:
    return list(json.loads(SHIPPED.read_text(encoding="utf-8")))


def write(folder: Path, content: Any) -> Path:
    path = folder / "seeds.json"
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(data)
    return path


def test_twelve_seeds_ship_four_clients_in_three_attitudes() -> None:
    file = load_seeds()
    assert (len(file.seeds), file.clients, file.license) == (12, 4, "Apache-2.0 (this project)")
    assert len({seed.seed_id for seed in file.seeds}) == 12
    assert Counter(seed.attitude for seed in file.seeds) == dict.fromkeys(
        ("positive", "neutral", "negative"), 4
    )
    assert set(Counter(seed.client_id for seed in file.seeds).values()) == {3}
    assert file.sha256 == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()


def test_the_same_entry_has_the_same_id_in_every_file(
    tmp_path: Path, entries: list[dict[str, Any]]
) -> None:
    entries[3]["Response"] = "a field that the authors' scripts know"
    file = load_seeds(write(tmp_path, entries[3:]))
    assert [s.seed_id for s in file.seeds] == [s.seed_id for s in load_seeds().seeds[3:]]
    assert file.seeds[0].entry == entries[3]  # carried along as it stands
    assert file.license is None


def test_clients_of_the_same_name_are_told_apart(
    tmp_path: Path, entries: list[dict[str, Any]]
) -> None:
    twin = copy.deepcopy(entries[0])
    twin["AI_client"]["intake_form"] += "\nAnother story."
    file = load_seeds(write(tmp_path, [entries[0], twin]))
    assert file.clients == 2


FIELDS = [
    "AI_client",
    "AI_client.intake_form",
    "AI_client.attitude",
    "AI_client.attitude_instruction",
    "AI_counselor",
    "AI_counselor.CBT",
    "AI_counselor.CBT.client_information",
    "AI_counselor.CBT.reason_counseling",
    "AI_counselor.CBT.init_history_counselor",
    "AI_counselor.CBT.init_history_client",
]


def with_field(entries: list[dict[str, Any]], field: str, value: Any) -> list[dict[str, Any]]:
    *tables, last = field.split(".")
    table = entries[1]
    for name in tables:
        table = table[name]
    if value is None:
        del table[last]
    else:
        table[last] = value
    return entries


@pytest.mark.parametrize("value", [None, "", " \n", 7, ["x"]], ids=str)
@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_or_wrong_field_is_named_with_file_and_entry(
    tmp_path: Path, entries: list[dict[str, Any]], field: str, value: Any
) -> None:
    path = write(tmp_path, with_field(entries, field, value))
    with pytest.raises(UsageError, match=re.escape(f"{path}, entry 2: {field}")):
        load_seeds(path)


def test_an_unknown_attitude_is_refused_with_those_there_are(
    tmp_path: Path, entries: list[dict[str, Any]]
) -> None:
    path = write(tmp_path, with_field(entries, "AI_client.attitude", "grumpy"))
    with pytest.raises(UsageError, match=r"entry 2: AI_client\.attitude: .*'positive', 'neutral'"):
        load_seeds(path)


def test_a_client_may_stand_in_a_file_once_an_attitude(
    tmp_path: Path, entries: list[dict[str, Any]]
) -> None:
    path = write(tmp_path, [*entries[:3], entries[1]])
    with pytest.raises(UsageError, match=rf"{path}, entry 4: .*\(neutral\) .*twice"):
        load_seeds(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b'[{"AI_client": ', "is not JSON"),
        (b"[\xff]", "is not JSON"),
        ({"AI_client": {}}, "is not a JSON list"),
        ([], "is not a JSON list"),
        ([7], "entry 1: "),
        ([None], "entry 1: "),
        ([[]], "entry 1: "),
    ],
)
def test_a_file_of_anything_else_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(UsageError, match=f"{path}.*{message}"):
        load_seeds(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.json: No such file(.|\n)*'ours'"):
        load_seeds(tmp_path / "none.json")
    with pytest.raises(UsageError, match="cannot read"):
        load_seeds(tmp_path)


@pytest.mark.skipif(not AUTHORS.is_file(), reason="needs the authors' repository beside this one")
def test_the_authors_dataset_loads_as_it_is() -> None:
    file = load_seeds(AUTHORS)
    assert (len(file.seeds), file.clients) == (60, 20)
    assert len({seed.seed_id for seed in file.seeds}) == 60
