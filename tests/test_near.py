"""Near-duplicates across splits, against a count by hand."""

from __future__ import annotations

import csv
import io
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet.core.seeds import Split
from magnet.core.session import Message
from magnet.dataset.near_duplicates import find_near, near, to_csv
from magnet.dataset.pairs import Pair, PairSet
from tests.running import seeds

TEXTS = st.lists(st.text("ab .", max_size=12), max_size=8)


def likeness(one: str, other: str) -> float:
    """Jaccard index of word pairs, text ends included."""
    sets = [set(pairwise(["", *re.findall(r"\w+", text.casefold()), ""])) for text in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@given(TEXTS, TEXTS, st.sampled_from([0.2, 0.6, 1.0]))
def test_it_finds_what_comparing_all_with_all_finds(
    held: list[str], known: list[str], threshold: float
) -> None:
    expected: dict[int, tuple[Any, ...]] = {}
    for i, text in enumerate(held):
        scores = [likeness(text, other) for other in known]
        if scores and max(scores) >= threshold:
            enough = sum(score >= threshold for score in scores)
            expected[i] = (scores.index(max(scores)), pytest.approx(max(scores)), enough)
    assert {i: tuple(rest) for i, *rest in near(held, known, threshold)} == expected


def test_blocks_of_many_texts_are_counted_right() -> None:
    known = [f"common words here number {n}" for n in range(700)]
    held = [f"Common words here: number {n}!" for n in range(699, -1, -1)]
    found = list(near(held, known, 1.0))
    assert [(i, j, matches) for i, j, _, matches in found] == [(n, 699 - n, 1) for n in range(700)]
    assert {matches for *_, matches in near(held, known, 0.5)} == {700}


def test_order_of_words_counts_and_case_and_marks_do_not() -> None:
    assert [s for *_, s, _ in near(["It sounds HARD."], ["it sounds hard"])] == [1.0]
    assert list(near(["one two three four"], ["four three two one"])) == []


@pytest.fixture
def pair_set() -> PairSet:
    """Two clients of ours in training, one each held out."""
    first, second, third, fourth = seeds(12)[::3]
    long = "You have carried this for a long time, and it makes sense that you are tired of it"
    said: list[tuple[Split, int, str]] = [
        ("train", 0, long + " now."),
        ("train", 1, "What would a good week look like?"),
        ("validation", 2, long + ", I think."),
        ("test", 3, "WHAT would a good week look like"),
        ("test", 3, "..."),
    ]
    clients = (first, second, third, fourth)
    pairs = [
        Pair(split, "magnet", f"session_{n:04d}", 1, history(), reply, clients[client], {})
        for n, (split, client, reply) in enumerate(said, 1)
    ]
    return PairSet(pairs, {}, {}, {})


def history() -> tuple[Message, ...]:
    return (Message(role="client", message="I am tired."),)


def test_held_out_replies_are_set_against_earlier_splits(pair_set: PairSet) -> None:
    report = find_near(pair_set)
    replies = [n for n in report.found if n.kind == "counselor reply"]
    assert [(n.split, n.text, n.like_split, n.like_text, n.matches) for n in replies] == [
        ("validation", "session_0003 exchange 1", "train", "session_0001 exchange 1", 1),
        ("test", "session_0004 exchange 1", "train", "session_0002 exchange 1", 1),
    ]
    assert replies[0].similarity == round(likeness(*(pair_set.pairs[n].reply for n in (0, 2))), 3)
    assert replies[1].similarity == 1
    assert report.compared["counselor reply", "test"] == 1  # "..." has no word to compare
    assert report.compared["intake form", "train"] == 2
    assert report.count("counselor reply", "test", "train") == 1
    assert report.count("counselor reply", "test", "validation") == 0
    assert not [n for n in report.found if n.kind == "intake form"]


def test_the_file_lists_what_was_found(pair_set: PairSet) -> None:
    report = find_near(pair_set)
    lines = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert len(lines) == len(report.found) > 0
    assert lines[0]["like_text"] == "session_0001 exchange 1"
    assert float(lines[0]["similarity"]) == report.found[0].similarity
