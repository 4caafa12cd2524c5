"""What a judge is asked and answers: one item of a scale, or twenty feelings at once."""

from typing import Annotated

import dspy
from pydantic import Field

#: CTRS items by name (paper, appendix D): three general skills, three of CBT.
CTRS_ITEMS = (
    "understanding",
    "interpersonal_effectiveness",
    "collaboration",
    "guided_discovery",
    "focus",
    "strategy",
)
#: WAI items, as the observer's short form numbers them.
WAI_ITEMS = tuple(f"wai{number}" for number in range(1, 13))
#: The twenty feelings of PANAS: ten positive, ten negative.
FEELINGS = (
    *("Interested", "Excited", "Strong", "Enthusiastic", "Proud"),
    *("Alert", "Inspired", "Determined", "Attentive", "Active"),
    *("Distressed", "Upset", "Guilty", "Scared", "Hostile"),
    *("Irritable", "Ashamed", "Nervous", "Jittery", "Afraid"),
)

CTRSScore = Annotated[int, Field(ge=0, le=6)]
WAIScore = Annotated[int, Field(ge=1, le=7)]
Feelings = dict[str, Annotated[int, Field(ge=1, le=5)]]


class RateCTRS(dspy.Signature):
    """Rate one skill of the counselor, 0 (poor) to 6 (excellent)."""

    conversation: str = dspy.InputField(desc="the session, one line a message")
    score: CTRSScore = dspy.OutputField(desc="0 to 6")
    reason: str = dspy.OutputField(desc="why, in one or two sentences")


class RateWAI(dspy.Signature):
    """Rate one side of the working alliance, 1 (not at all) to 7 (throughout)."""

    conversation: str = dspy.InputField(desc="the session, one line a message")
    score: WAIScore = dspy.OutputField(desc="1 to 7")
    reason: str = dspy.OutputField(desc="why, in one or two sentences")


class FeelBefore(dspy.Signature):
    """Rate how strongly a person feels twenty feelings, 1 to 5, from the intake form alone."""

    intake_form: str = dspy.InputField(desc="the client's background and concern")
    feelings: Feelings = dspy.OutputField(desc="each feeling with 1 to 5")


class FeelAfter(dspy.Signature):
    """Rate how strongly a person feels twenty feelings, 1 to 5, once the session is over."""

    intake_form: str = dspy.InputField(desc="the client's background and concern")
    conversation: str = dspy.InputField(desc="the session, one line a message")
    feelings: Feelings = dspy.OutputField(desc="each feeling with 1 to 5")
