"""Seeds split by client as in the paper's appendix E."""

import json

import pytest

from magnet.core.seeds import load_seeds, split_by_client


@pytest.fixture
def paper_sized(tmp_path):
    """150 clients, three entries each, as the authors' file has them."""
    from importlib.resources import files

    ours = json.loads((files("magnet.core") / "seeds.json").read_text(encoding="utf-8"))
    entries = []
    for client in range(150):
        for attitude in range(3):
            entry = json.loads(json.dumps(ours[attitude]))
            entry["AI_client"]["intake_form"] += f"\nFile {client}"
            entries.append(entry)
    path = tmp_path / "seeds.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return load_seeds(path).seeds


def test_the_parts_are_the_paper_s_index_ranges(paper_sized):
    train, validation, test = split_by_client(paper_sized)
    assert train == paper_sized[:270]
    assert validation == paper_sized[270:300]
    assert test == paper_sized[300:]


def test_no_client_is_in_two_parts_whatever_the_order(paper_sized):
    mixed = sorted(paper_sized, key=lambda s: s.seed_id[::-1])
    parts = [{s.client_id for s in part} for part in split_by_client(mixed)]
    assert [len(p) for p in parts] == [90, 10, 50]
    assert not (parts[0] & parts[1])
    assert not ((parts[0] | parts[1]) & parts[2])


def test_other_numbers_of_clients_keep_the_proportion():
    parts = split_by_client(load_seeds().seeds, (2, 1, 1))
    assert [len(p) for p in parts] == [6, 3, 3]
