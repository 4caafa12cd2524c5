"""Judges' replies: read in any sane form, refused otherwise, never out of range."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signatures import AGENTS
from signatures.judging import partial_feelings, read_score
from signatures.scales import PANAS

FEELINGS = PANAS.items
#: How the agents' own records read: range and items come from the scale.
read_ctrs, read_wai = (AGENTS[name].answer.read for name in ("ctrs-focus", "wai-wai1"))
read_feelings = AGENTS["panas-after"].answer.read

FOUR = [
    *("4", "4.0", "4,0", "4/6", "4 / 6", "4 out of 6", "Score: 4", "score 4", "Score: **4**"),
    *("Rating = 4 out of 6", "(4) fine", "[4]", '"4", ok', "**4**, good", "4, because of 3 things"),
    *("I would give this a 4.", "The score is 4. There were 2 slips.", "4\n\nReason: fine"),
    *('{"score": 4}', '{"score": 4.0}', '{"score": "4/6"}', '{"score": 4, "reason": "cut of'),
]
REFUSED = {
    "no score": (
        *("", "none", "3-4", "4%", "1e5", '{"score": null}', '{"score": true}', '{"rating": 4}'),
        *('{"score": [4]}', "[]", "{}", '{"score": "NaN"}'),
    ),
    "negative or no whole number": ("-1", "- 4", "4.5"),
    "several numbers": ("between 3 and 4", "On a scale of 0-6 it is 3 or 4"),
    "not out of 6": ("4/10",),
    "not one of 0 to 6": ("7", "40", '{"score": 9}', '{"score": 1e400}'),
}


@pytest.mark.parametrize("reply", FOUR)
def test_a_score_is_read_in_any_sane_form(reply):
    assert read_ctrs(reply)["score"] == 4


@pytest.mark.parametrize(("why", "reply"), [(w, r) for w, own in REFUSED.items() for r in own])
def test_what_holds_no_single_score_in_range_is_refused_and_says_why(why, reply):
    with pytest.raises(ValueError, match=why):
        read_ctrs(reply)


def test_the_reason_stands_behind_the_number():
    assert read_wai("5, they agree on 2 aims")["reason"] == "they agree on 2 aims"
    assert read_wai('{"score": 5, "reason": "they agree"}')["reason"] == "they agree"


def odd_replies(count):
    """Replies of a judge gone astray, always the same ones."""
    rng = random.Random(2509)
    pieces = [
        *("4", "7", "-3", "6/6", "3.5", "Score:", "score", "out of", "{", "}", '"score":', "null"),
        *("NaN", "Infinity", "1e9", "\n", ",", "%", "because", "९", "④", "\u2028", "[/END]", "٣"),
        *FEELINGS[:5],
    ]
    for _ in range(count):
        if rng.random() < 0.3:
            yield "".join(rng.choices(string.printable, k=rng.randrange(60)))
        else:
            yield rng.choice(["", " ", ", "]).join(rng.choices(pieces, k=rng.randrange(1, 14)))


def test_two_thousand_odd_replies_crash_nothing_and_yield_no_number_out_of_range():
    read = 0
    for reply in odd_replies(2000):
        for low, high in ((0, 6), (1, 7)):
            try:
                score = read_score(reply, low, high)["score"]
            except ValueError:
                continue
            assert type(score) is int, reply
            assert low <= score <= high, reply
            read += 1
        assert all(1 <= v <= 5 for v in partial_feelings(reply, FEELINGS, 1, 5).values())
    assert read > 100  # the fuzz holds sane replies too


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        score = read_ctrs(text)["score"]
    except ValueError:
        score = None
    assert score is None or (type(score) is int and 0 <= score <= 6)
    assert all(1 <= v <= 5 for v in partial_feelings(text, FEELINGS, 1, 5).values())


def test_feelings_are_read_from_lines_and_json():
    short = "\n".join(f"{n}. **{f}**: {1 + n % 5}" for n, f in enumerate(FEELINGS))
    long = "\n".join(f"{f}, felt on 3 days, {1 + n % 5}" for n, f in enumerate(FEELINGS))
    wanted = {f: 1 + n % 5 for n, f in enumerate(FEELINGS)}
    assert read_feelings(short)["feelings"] == wanted
    assert read_feelings(long)["feelings"] == wanted
    json = "{" + ", ".join(f'"{f}": {v}' for f, v in wanted.items()) + "}"
    assert read_feelings(json)["feelings"] == wanted


def test_a_feeling_without_a_score_is_refused_not_guessed():
    text = "\n".join(f"{f}: 3" for f in FEELINGS[1:]) + "\nInterested: 9"
    with pytest.raises(ValueError, match="Interested"):
        read_feelings(text)
    assert len(partial_feelings(text, FEELINGS, 1, 5)) == 19


def test_the_expected_score_weighs_the_scores_alone():
    import math

    from dspy.lm15 import TokenLogprob, TopLogprob

    from programs.judge import expected_score

    def token(text, **alternatives):
        top = tuple(TopLogprob(k.strip("_"), math.log(p)) for k, p in alternatives.items())
        return TokenLogprob(text, -0.1, top=top)

    tokens = [token('{"score": '), token("4", _4=0.6, _5=0.2, _x=0.2), token("3", _3=1.0)]
    assert expected_score(tokens, 0, 6) == pytest.approx((4 * 0.6 + 5 * 0.2) / 0.8)
    assert expected_score([token("x", _4=1.0)], 0, 6) is None
    assert expected_score([token("4")], 0, 6) is None
    assert expected_score(tokens, 1, 3) == 3.0
