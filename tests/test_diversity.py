"""Distinct-n, EAD and the figures beyond them; magnet diversity."""

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.compression import compression_ratio
from eval.dialogues import Dialogue, load_dialogues
from eval.diversity import Distinct, ead, plain_text
from eval.diversity_report import SPEAKERS, diversity
from eval.mattr import mattr
from eval.ngrams import ngrams
from eval.repetition import self_repetition, unique_by_session
from eval.tokens import Llama3, Words
from eval.vendi import ngram_kernel, vendi_score
from magnet.core.errors import UsageError
from magnet.core.session import Message
from tests.running import ROOT, magnet

RELEASED = ROOT.parent / "shared/upstream/arxiv2025-MAGneT/dataset/magnet-generated-data.zip"

SESSIONS = st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=6)


def arrays(sessions):
    return [np.array(ids, np.int64) for ids in sessions]


def dialogue(method="m", number=1, *texts):
    roles = ("counselor", "client")
    messages = tuple(Message(role=roles[i % 2], message=t) for i, t in enumerate(texts))
    return Dialogue(f"s{number}", method, f"s{number}", f"c{number}", "", None, messages)


def naive(sessions, n):
    grams = [tuple(s[i : i + n]) for s in sessions for i in range(len(s) - n + 1)]
    return len(set(grams)), len(grams)


# Distinct-n and EAD


def test_counts_by_hand():
    # a b a b | a b: the bigram b a is not made across the border
    figures = Distinct.of(arrays([[0, 1, 0, 1], [0, 1]]), vocabulary=10).figures()
    assert figures == {
        "distinct_1": 2 / 6,
        "distinct_2": 2 / 4,
        "distinct_3": 2 / 2,
        "ead": pytest.approx(2 / (10 * (1 - 0.9**6))),
        "types": 2,
        "tokens": 6,
    }


@given(SESSIONS, st.integers(1, 5))
def test_counts_are_those_of_tuples_in_sets(sessions, n):
    assert ngrams(arrays(sessions), n).count() == naive(sessions, n)


@given(SESSIONS, st.integers(1, 5), st.data())
def test_counts_of_some_sessions_are_those_of_these_alone(sessions, n, data):
    chosen = data.draw(st.lists(st.sampled_from(range(len(sessions))), unique=True))
    some = ngrams(arrays(sessions), n).count(np.array(chosen, np.int64))
    assert some == naive([sessions[i] for i in chosen], n)


def test_large_ids_do_not_overflow():
    big = 2**40
    sessions = [[big, big + 1, big + 2, big], [big, big + 1, big + 2, 1]]
    for n in (1, 2, 3, 4):
        assert ngrams(arrays(sessions), n).count() == naive(sessions, n)


@given(SESSIONS, st.randoms(use_true_random=False))
def test_distinct_is_a_share_and_knows_no_order_of_sessions(sessions, rng):
    figures = Distinct.of(arrays(sessions), 7).figures()
    for n in (1, 2, 3):
        value = figures[f"distinct_{n}"]
        assert (value is None) == (naive(sessions, n)[1] == 0)
        assert value is None or 0 < value <= 1
    rng.shuffle(sessions)
    assert Distinct.of(arrays(sessions), 7).figures() == figures


@given(st.integers(1, 500), st.integers(1, 10**6), st.integers(2, 200_000))
def test_ead_is_the_formula(types, tokens, vocabulary):
    direct = types / (vocabulary * (1 - ((vocabulary - 1) / vocabulary) ** tokens))
    assert ead(types, tokens, vocabulary) == pytest.approx(direct, rel=1e-6)


@given(st.integers(1, 50), st.integers(2, 10**6))
def test_ead_of_one_token_is_one_and_longer_text_is_expected_to_hold_more(tokens, vocabulary):
    assert ead(1, 1, vocabulary) == pytest.approx(1)
    several = [ead(tokens, tokens, vocabulary), ead(1, tokens, vocabulary)]
    several.append(ead(1, tokens + 1, vocabulary))
    new, same, longer = (value for value in several if value is not None)
    assert new >= 1 - 1e-9
    assert longer < same


def test_ead_at_the_edges():
    assert ead(0, 0, 100) is None
    assert ead(1, 5, 1) == 1
    assert ead(1, 5, 0) is None


# Text


def test_released_fuses_messages_and_paper_does_not():
    texts = ["It’s fine - really_!", "\tOh,\nwell."]
    assert plain_text(texts) == "Its fine really Oh well"
    assert plain_text(texts, "released") == "Its fine reallyOhwell"


@pytest.mark.parametrize(
    ("text", "paper", "released"),
    [
        ("Zoë’s naïve café, 100 %.", "Zoës naïve café 100 ", "Zos nave caf 100 "),
        ("cafe\u0301!", "cafe\u0301", "cafe"),  # the accent as a character of its own
        ("हिन्दी, और", "हिन्दी और", " "),  # vowel signs are no letters to Python
        ("привет - 你好", "привет 你好", " "),
        ("good ❤\ufe0f _day_", "good day", "good day"),
    ],
)
def test_paper_keeps_every_script_and_released_only_ascii(text, paper, released):
    assert plain_text([text]) == paper
    assert plain_text([text], "released") == released


@given(st.lists(st.text()))
def test_plain_text_has_no_punctuation_left_and_released_is_ascii(texts):
    assert plain_text(texts, "released").isascii()
    for profile in ("paper", "released"):
        plain = plain_text(texts, profile)
        assert all(c == " " or c.isalnum() for c in plain.replace(" ", "") if c.isascii())
        assert "  " not in plain
        assert "\n" not in plain


# Beyond the paper's figures


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 8))
def test_mattr_is_the_mean_of_its_windows(words, window):
    value = mattr(np.array(words, np.int64), window)
    shares = [
        len(set(words[i : i + window])) / window for i in range(max(len(words) - window + 1, 0))
    ]
    assert math.isnan(value) if not shares else value == pytest.approx(np.mean(shares))


def test_self_repetition_by_hand():
    # 1 2 3 4 stands in the first two; the first says it twice, which is not counted twice
    sessions = arrays([[1, 2, 3, 4, 9, 1, 2, 3, 4], [0, 1, 2, 3, 4], [5, 6, 7, 8], [5]])
    unique = unique_by_session(ngrams(sessions, 4))
    assert self_repetition(unique) == pytest.approx((math.log(2) + math.log(2)) / 4)
    assert self_repetition(unique, np.array([0, 2])) == 0
    assert self_repetition(unique, np.array([3])) is None


def test_vendi_counts_what_is_different():
    same, other = [1, 2, 3, 4, 5], [6, 7, 8, 9, 10]
    assert vendi_score(ngram_kernel(arrays([same] * 4))) == pytest.approx(1, abs=1e-6)
    assert vendi_score(ngram_kernel(arrays([same, other, same, other]))) == pytest.approx(2)
    # Cosines of 1/2 over words and 0 over pairs: eigenvalues (1 +- 1/4) / 2
    kernel = ngram_kernel(arrays([[1, 2], [2, 3]]), lengths=(1, 2))
    p, q = 0.625, 0.375
    assert vendi_score(kernel) == pytest.approx(math.exp(-p * math.log(p) - q * math.log(q)))
    assert vendi_score(np.empty((0, 0))) is None


@given(SESSIONS)
def test_vendi_lies_between_one_and_the_number_of_sessions(sessions):
    score = vendi_score(ngram_kernel(arrays(sessions)))
    assert score is not None
    assert 1 - 1e-4 <= score <= len(sessions) + 1e-4


def test_what_repeats_compresses_better():
    rng = random.Random(0)
    varied = ["".join(rng.choices("abcdefgh ", k=400)) for _ in range(5)]
    repeated, all_new = compression_ratio(varied[:1] * 5), compression_ratio(varied)
    assert repeated is not None
    assert all_new is not None
    assert repeated > 2 * all_new
    assert compression_ratio(["", ""]) is None


# The report


def test_roles_are_measured_apart():
    found = diversity([dialogue("m", 1, "a b", "c c", "a b")], Words())
    assert found["method"] == "m"
    assert [found[speaker]["tokens"] for speaker in SPEAKERS] == [6, 4, 2]
    assert [found[speaker]["types"] for speaker in SPEAKERS] == [3, 2, 1]
    assert found["client"]["distinct_2"] == 1


def test_a_role_that_says_nothing_has_no_figures():
    found = diversity([dialogue("m", 1, "a b")], Words(), more=True)
    assert found["client"].pop("types") == found["client"].pop("tokens") == 0
    assert set(found["client"].values()) == {None}


def test_methods_are_compared_at_the_same_number_of_sessions():
    rng = random.Random(1)

    def said():
        return [" ".join(rng.choices("a b c d e f g h i j".split(), k=30)) for _ in range(4)]

    dialogues = [dialogue("few", n, *said()) for n in range(3)]
    dialogues += [dialogue("many", n, *said()) for n in range(12)]
    found = diversity(dialogues, Words(), more=True, repeats=15)
    equal = found["equal_sessions"]
    assert (equal["sessions"], equal["repeats"]) == (3, 15)
    assert [block["sessions"] for block in found["methods"].values()] == [3, 12]
    for speaker in SPEAKERS:
        few, many = (equal["methods"][method][speaker] for method in ("few", "many"))
        for name, spread in few.items():
            assert spread["mean"] == spread["low"] == spread["high"]
            assert spread["mean"] == found["methods"]["few"][speaker][name]
        for name, spread in many.items():  # the mean of equal values is not always that value
            assert spread["low"] - 1e-9 <= spread["mean"] <= spread["high"] + 1e-9, name
        # A pool four times the size repeats more of its words.
        assert many["distinct_1"]["low"] > found["methods"]["many"][speaker]["distinct_1"]
    assert diversity(dialogues, Words(), more=True, repeats=15) == found


def test_no_dialogues_are_refused():
    with pytest.raises(UsageError, match="no finished sessions"):
        diversity([], Words())


# The command


@pytest.fixture
def chats(tmp_path):
    for number, method in enumerate(["x", "y", "y"], 1):
        history = [
            {"role": "counselor", "message": f"Hello, you; {number}."},
            {"role": "client", "message": "Well - hello."},
        ]
        record = {"method": method, "history": history}
        (tmp_path / f"session_{number}.json").write_text(json.dumps(record))
    return tmp_path


@pytest.mark.processes
def test_command_prints_methods_and_equal_counts(chats):
    done = magnet("diversity", chats, "--tokenizer", "words", "--more", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tokenizer"] == "words"
    assert found["vendi_kernel"] == "ngrams"
    assert found["vocabulary"] == 6
    assert found["methods"]["y"]["all"]["tokens"] == 10
    assert found["equal_sessions"]["sessions"] == 1
    table = magnet("diversity", chats, "--tokenizer", "words")
    assert table.returncode == 0, table.stderr
    for text in ("distinct_1", "y, 2 sessions", "At 1 sessions each", "magnet-sessions[eval]"):
        assert text in table.stdout


@pytest.mark.processes
@pytest.mark.parametrize(
    "args",
    [
        ["nowhere"],
        [".", "--tokenizer", "nowhere"],
        [".", "--profile", "other"],
        [".", "--embeddings", "nowhere"],
    ],
)
def test_command_refuses_bad_input(chats, args):
    done = magnet("diversity", chats / args[0], *args[1:])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert args[-1] in done.stderr


# The authors' released sessions


@pytest.fixture(scope="module")
def released():
    if not RELEASED.is_file():
        pytest.skip("the released sessions are not here")
    return list(load_dialogues(RELEASED))


@pytest.fixture(scope="module")
def llama3():
    try:
        return Llama3()
    except UsageError as error:
        pytest.skip(error.what)


@pytest.mark.parametrize(
    ("profile", "counts", "expected"),
    [
        ("released", [(3670, 197268), (30220, 197208), (66820, 197148)], 0.036484),
        ("paper", [(3647, 197235), (29724, 197175), (66253, 197115)], 0.036258),
    ],
)
def test_known_counts_of_the_notebook(released, llama3, profile, counts, expected):
    """The notebook's method, as it is and with newlines as spaces; BOS in both."""
    texts = [plain_text((m.message for m in d.messages), profile) for d in released]
    found = Distinct.of(llama3.encode(texts, special=True), llama3.vocabulary)
    assert [grams.count() for grams in found.grams] == counts
    assert round(found.figures()["ead"] or 0, 6) == expected


def test_command_gives_the_known_figures(released, llama3):
    done = magnet("diversity", RELEASED, "--tokenizer", "llama3", "--profile", "released", "--json")
    found = json.loads(done.stdout)
    assert found["sessions"] == 60
    assert found["vocabulary"] == 128_000
    figures = found["all"]
    assert (figures["types"], figures["tokens"]) == (3670, 197_268)
    assert figures["distinct_1"] == 3670 / 197_268
    assert figures["distinct_2"] == 30_220 / 197_208
    assert figures["distinct_3"] == 66_820 / 197_148
    assert round(figures["ead"], 6) == 0.036484


def test_by_default_there_is_no_bos(released, llama3):
    figures = diversity(released, llama3)["all"]
    assert (figures["types"], figures["tokens"]) == (3646, 197_235 - 60)
