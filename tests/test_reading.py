import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signatures import CBTTechnique, Technique
from signatures.reading import clean_reply, read_client, read_plan, read_techniques

R, Q, S, N, P = Technique


@pytest.mark.parametrize(
    ("completion", "reply"),
    [
        ("Counselor: How was it?", "How was it?"),
        ('**Counselor:** "How was it?"', "How was it?"),
        ("Therapist:\n\nHow was it?", "How was it?"),
        ("“How was it?”", "How was it?"),
        ("Response: Counselor: How was it?", "How was it?"),
        ("Here is the counselor's reply:\n\nHow was it?", "How was it?"),
        ("Sure! Here's a possible response: “How was it?”", "How was it?"),
        ("How was it?\nClient: Bad.\nCounselor: Oh.", "How was it?"),
        ('"How was it?"\n\n**Client:** "Bad."', "How was it?"),
        ("How\nwas\tit,\u2028then?", "How was it, then?"),
        ('She said "go" and you went.', 'She said "go" and you went.'),
        ('"Yes" or "no"?', '"Yes" or "no"?'),
        ("Your client: what did they say?", "Your client: what did they say?"),
    ],
)
def test_a_reply_is_the_speakers_words_alone(completion: str, reply: str) -> None:
    assert clean_reply(completion, "counselor") == reply


def test_a_repeated_own_label_does_not_stay_inside_the_reply() -> None:
    assert clean_reply("Counselor: It hurts.\nCounselor: A lot.", "counselor") == "It hurts. A lot."


@pytest.mark.parametrize("speaker", ["counselor", "client"])
def test_the_other_sides_turn_is_never_taken_for_the_speakers(speaker: str) -> None:
    other = {"counselor": "Client", "client": "Counselor"}[speaker]
    try:  # asking again would do as well
        reply = clean_reply(f"{other}: It hurts.\n{speaker.title()}: I see.", speaker)
    except ValueError:
        return
    assert reply == "I see."


@pytest.mark.parametrize("completion", ["", "  \n", '""', '"""', "...", "Counselor:", "“ ”"])
def test_a_reply_without_words_is_refused(completion: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        clean_reply(completion, "counselor")


LABELS = ["Counselor: ", "\nClient:", "Response:", "Here is the reply: ", "\n\n**Patient:** "]
PIECES = st.one_of(
    st.text(max_size=8),
    st.sampled_from([*LABELS, '"', "“", "”", "\n", "\t", "\u2028", " ", "well", "so", "[/END]"]),
)
LABEL = re.compile(r"[\W_]*(counsell?or|therapist|client|patient)[\W_]*", re.IGNORECASE)


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["counselor", "client"]))
@example("so\nwell", "client")
@example("so\twell\u2028so", "counselor")
def test_no_two_words_are_fused_and_none_is_made_up(completion: str, speaker: str) -> None:
    try:
        words = clean_reply(completion, speaker).split()
    except ValueError:
        return
    given_words = iter(completion.split())
    for number, word in enumerate(words):
        # quotes go at the two ends, labels at the start of a line; else words stay whole
        first, last = number == 0, number == len(words) - 1
        assert any(
            word == g
            or (g.endswith(word) and (first or LABEL.fullmatch(g[: -len(word)])))
            or (last and g.startswith(word))
            or (first and last and word in g)
            for g in given_words
        ), (word, completion)


@pytest.mark.parametrize(
    ("completion", "reply", "ended"),
    [
        ("I slept badly.", "I slept badly.", False),
        ("Thank you, bye. [/END]", "Thank you, bye.", True),
        ("Thank you.[ / end ]", "Thank you.", True),
        ("Client: Bye.\n[/END]\nCounselor: Take care.", "Bye.", True),
        ("[/END]", None, True),
        ('Client: "[/END]"', None, True),
        ("The end of it.", "The end of it.", False),
    ],
)
def test_the_client_leaves_with_the_mark_alone(
    completion: str, reply: str | None, ended: bool
) -> None:
    assert read_client(completion) == {"reply": reply, "ended": ended}


@pytest.mark.parametrize(
    ("completion", "plan"),
    [
        ('{"technique": "Reality Testing", "steps": ["Ask", "2. Test"]}', "1. Ask\n2. Test"),
        ('{"technique": "Reality Testing", "steps": ["Ask", "Te', "1. Ask\n2. Te"),
        ('```json\n{"technique": "Reality Testing", "steps": ["Ask"]}\n```', "1. Ask"),
        ("Technique: Reality Testing\nPlan:\n1. Ask", "1. Ask"),
        ("**CBT Technique:** reality testing\n\n**Plan:**\n1. Ask", "1. Ask"),
        ("Technique:\n- Reality Testing\nCounselling plan: Ask", "Ask"),
        ("I would use Reality Testing, then ask.", "I would use Reality Testing, then ask."),
    ],
)
def test_a_plan_is_read_from_json_labels_or_prose(completion: str, plan: str) -> None:
    read = read_plan(completion)["plan"]
    assert (read.technique, read.plan) == (CBTTechnique.REALITY_TESTING, plan)


@pytest.mark.parametrize("technique", CBTTechnique)
def test_each_of_the_twelve_techniques_is_known(technique: CBTTechnique) -> None:
    assert read_plan(f"Technique: {technique}\nPlan: Ask")["plan"].technique is technique


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "Let us talk.",
        "Technique: Hypnosis\nPlan: Sleep",
        '{"technique": "Hypnosis", "steps": ["Sleep"]}',
        '{"technique": "Reality Testing", "steps": []}',
        '{"technique": "Reality Tes',
        "{}",
    ],
)
def test_a_plan_without_known_technique_or_steps_is_refused(completion: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's error is one
        read_plan(completion)


@pytest.mark.parametrize(
    ("completion", "techniques"),
    [
        ("Reflection, Questioning", [R, Q]),
        ("Questioning and reflection.", [Q, R]),
        ("Techniques: Psychoeducation; Normalisation", [P, N]),
        ("1. Providing solutions\n2. **Psycho-education**", [S, P]),
        ("• Solution\n• Psycho education", [S, P]),
        ('["Reflection", "Questioning"]', [R, Q]),
        ('{"techniques": ["Reflection", "Questioning"]}', [R, Q]),
        ('{"techniques": ["Reflection", "Questioning"', [R, Q]),
        ('```json\n{"techniques": ["Reflection"]}\n```', [R]),
        ("I would start with questioning, then use some reflection.", [Q, R]),
        (", ".join(Technique), list(Technique)),
    ],
)
def test_techniques_are_read_in_their_order(completion: str, techniques: list[Technique]) -> None:
    assert read_techniques(completion) == {"techniques": techniques}


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "none",
        "Reflection, Hugging",
        "Reflection, reflection",
        "We shall see what the client brings today.",
        '{"techniques": []}',
        '{"techniques": null}',
        '{"techniques": ["Hugging"]}',
        '{"techniques": ["Reflection", "Reflection"]}',
        '{"techniques": ["Reflection", "Ques',
    ],
)
def test_none_unknown_and_repeated_techniques_are_refused(completion: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's error is one
        read_techniques(completion)


def test_a_technique_alone_is_no_plan() -> None:
    with pytest.raises(ValueError, match="plan"):
        read_plan("Technique: Reality Testing")


def test_an_opening_that_only_looks_like_an_announcement_stays() -> None:
    said = "This is an exchange I did not expect: my sister called."
    assert clean_reply(said, "client") == said


@pytest.mark.parametrize("speaker", ["counselor", "client"])
def test_one_turn_under_the_wrong_label_is_the_speakers(speaker: str) -> None:
    other = {"counselor": "Client", "client": "Counselor"}[speaker]
    assert clean_reply(f"{other}: I see.\nGo on.", speaker) == "I see. Go on."
    with pytest.raises(ValueError, match="empty"):
        clean_reply(f"{other}: I see.\n{other}: Go on.", speaker)
