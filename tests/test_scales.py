"""Items to subscales, each against a case computed by hand; the score file."""

import dataclasses
import json

import pytest

from eval.judging import ScoreBook
from eval.scale import values_of
from eval.scores import FILE, Score, load_scores
from magnet.core.errors import UsageError
from signatures.scales import CTRS, PANAS, WAI
from signatures.scales.ctrs import CBT
from signatures.scales.panas import NEGATIVE, POSITIVE


def score(scale, item, value, repeat=0, **more):
    given = {
        "dialogue": "session_0001",
        "method": "magnet",
        "seed_id": "c1-neutral",
        "client_id": "c1",
        "attitude": "neutral",
        "judge": "judge",
    }
    return Score(**given | more, scale=scale, item=item, repeat=repeat, value=value)


def by_measure(scale, scores, measures=None):
    """Value by measure, of some measures or all."""
    found = {v.measure: v.value for v in values_of(scale, scores)}
    return {m: v for m, v in found.items() if measures is None or m in measures}


def test_the_scales_have_their_items():
    assert len(CTRS.items) == 6
    assert len(WAI.items) == 12
    assert len(set(POSITIVE) | set(NEGATIVE)) == 20
    for scale in (CTRS, WAI, PANAS):
        assert sorted(i for s in scale.subscales.values() for i in s) == sorted(scale.items)


def test_wai_items_4_and_10_are_reversed():
    scores = [score("wai", f"wai{n}", n % 7 + 1) for n in range(1, 13)]
    # values 2 3 4 5 6 7 1 2 3 4 5 6; items 4 and 10: 8 - 5 = 3, 8 - 4 = 4
    assert by_measure(WAI, scores)["wai4"] == 3
    assert by_measure(WAI, scores)["wai10"] == 4
    assert by_measure(WAI, scores, WAI.subscales) == {
        "task": (2 + 3 + 2 + 6) / 4,
        "goal": (3 + 7 + 4 + 5) / 4,
        "bond": (4 + 6 + 1 + 3) / 4,
    }


def test_repeats_are_averaged_before_items():
    given = {"understanding": (6, 4), "interpersonal_effectiveness": (3, 3), "collaboration": (2,)}
    scores = [score("ctrs", i, v, n) for i, vs in given.items() for n, v in enumerate(vs)]
    assert by_measure(CTRS, scores, CTRS.subscales) == {"general": (5 + 3 + 2) / 3, "cbt": None}


@pytest.mark.parametrize("value", [None, 7, -1])
def test_a_subscale_with_a_missing_item_is_missing(value):
    scores = [score("ctrs", item, 3) for item in CTRS.items[:-1]]
    scores.append(score("ctrs", "strategy", value))
    assert by_measure(CTRS, scores, CTRS.subscales) == {"general": 3, "cbt": None}
    assert by_measure(CTRS, scores)["strategy"] is None


def test_a_missing_repeat_leaves_the_others():
    scores = [score("ctrs", item, 3) for item in CBT]
    scores.append(score("ctrs", "focus", None, repeat=1))
    assert by_measure(CTRS, scores, CTRS.subscales)["cbt"] == 3


def test_sessions_and_judges_are_kept_apart():
    scores = [
        score("ctrs", item, value, dialogue=dialogue, judge=judge)
        for item in CTRS.items
        for dialogue, judge, value in (("a", "x", 1), ("a", "y", 2), ("b", "x", 3))
    ]
    general = [v for v in values_of(CTRS, scores) if v.measure == "general"]
    assert [(v.dialogue, v.judge, v.value) for v in general] == [
        ("a", "x", 1),
        ("a", "y", 2),
        ("b", "x", 3),
    ]


def panas_scores(before, after, **more):
    one = {"dialogue": "c1", "method": "", "attitude": "", "seed_id": ""}
    return [
        *(score("panas_before", e, v, **one) for e, v in before.items()),
        *(score("panas_after", e, v, **more) for e, v in after.items()),
    ]


def test_the_panas_shift_is_after_minus_before():
    emotions = (*POSITIVE, *NEGATIVE)
    before = dict.fromkeys(emotions, 2) | {"Interested": 1, "Afraid": 5}
    after = dict.fromkeys(emotions, 3) | {"Upset": 1}
    shift = by_measure(PANAS, panas_scores(before, after))
    assert shift["positive"] == pytest.approx((9 * 1 + 2) / 10)
    assert shift["negative"] == pytest.approx((8 * 1 - 1 - 2) / 10)


def test_one_before_serves_all_sessions_of_its_client():
    emotions = (*POSITIVE, *NEGATIVE)
    scores = [
        s
        for dialogue, value in (("s1", 2), ("s2", 4))
        for s in panas_scores(
            dict.fromkeys(emotions, 1), dict.fromkeys(emotions, value), dialogue=dialogue
        )
    ]
    values = [(v.dialogue, v.measure, v.value) for v in values_of(PANAS, scores)]
    assert values[::2] == [("s1", "positive", 1), ("s2", "positive", 3)]
    assert {v.method for v in values_of(PANAS, scores)} == {"magnet"}


def test_a_missing_rating_on_either_side_leaves_the_shift_missing():
    emotions = (*POSITIVE, *NEGATIVE)
    whole = dict.fromkeys(emotions, 3)
    without = {e: v for e, v in whole.items() if e != "Alert"}
    for before, after in ((without, whole), (whole, without), (whole | {"Alert": None}, whole)):
        assert by_measure(PANAS, panas_scores(before, after)) == {
            "positive": None,
            "negative": 0,
        }


def test_a_later_line_replaces_an_earlier_one_and_a_torn_one_is_ignored(tmp_path):
    first, second = score("wai", "wai1", 3), score("wai", "wai2", 4, reason="a\u2028b")
    mended = dataclasses.replace(first, value=5)
    lines = [json.dumps(dataclasses.asdict(s)) + "\n" for s in (first, second, mended)]
    (tmp_path / FILE).write_text("".join(lines) + lines[0][:40])
    assert load_scores(tmp_path) == [mended, second]


def test_damage_in_the_middle_is_an_error_and_no_file_is_no_scores(tmp_path):
    assert load_scores(tmp_path) == []
    (tmp_path / FILE).write_text('{"dialogue": "x"}\n')
    with pytest.raises(UsageError, match="line 1"):
        load_scores(tmp_path)


def test_a_hand_made_file_without_a_last_line_break_loses_nothing(tmp_path):
    first, second = score("wai", "wai1", 3, key="a"), score("wai", "wai2", 4, key="b")
    lines = [json.dumps(dataclasses.asdict(s)) for s in (first, second)]
    (tmp_path / FILE).write_text("\n".join(lines))
    assert load_scores(tmp_path) == [first, second]
    book = ScoreBook(tmp_path)
    third = score("wai", "wai3", 5, key="c")
    book.add([third])
    book.close()
    assert load_scores(tmp_path) == [first, second, third]
