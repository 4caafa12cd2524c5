"""Where the paper's text and its authors' scripts differ: one switch each.

``paper`` follows the text, ``released`` the scripts, quirk for quirk. What the paper leaves open
(clean-up, token limit, wire) follows this project's own choice under ``paper``; the README's
table gives the reasons.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Profile(BaseModel):
    """The switches; the defaults are the paper's.

    Attributes:
        planner_sees: the intake ``form``, or ``demographics`` and reason.
        specialists_see_reason: whether specialists see the reason for counselling too.
        cactus_sees_client: whether CACTUS' response agent sees demographics and reason too.
        ablations_see_history: whether the response generator of MAGneT-T and MAGneT-C-T sees
            the session (paper, appendix I); MAGneT's own never does.
        client_sees: the intake ``form``, or the whole ``seed`` as Python prints it.
        clean_up: ``words`` keeps every word apart and drops labels, quotes and preambles;
            ``released`` deletes newlines, backslashes and double quotes.
        answers: ``typed`` plans and techniques, constrained where the server can and asked
            again where they cannot be read; ``text`` takes them as the scripts do.
        send_seed: whether requests carry a seed; without one a run cannot be repeated.
        technique_temperature: of the technique selector; None is the others'.
        technique_unlimited: whether its token limit is left to the server.
        technique_chat: whether it is asked over the chat wire whatever the others use.
        judge_repeats: how often a judge is asked each question; PANAS always once.
        judge_unlimited: whether a judge's token limit is left to the server.
        judge_chat: whether judges are asked over the chat wire whatever the others use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    planner_sees: Literal["form", "demographics"] = "form"
    specialists_see_reason: bool = False
    cactus_sees_client: bool = False
    ablations_see_history: bool = True
    client_sees: Literal["form", "seed"] = "form"
    clean_up: Literal["words", "released"] = "words"
    answers: Literal["typed", "text"] = "typed"
    send_seed: bool = True
    technique_temperature: float | None = None
    technique_unlimited: bool = False
    technique_chat: bool = False
    judge_repeats: int = Field(default=1, ge=1)
    judge_unlimited: bool = False
    judge_chat: bool = False

    def technique_lm(self) -> dict[str, Any]:
        """What the switches say of the technique selector's model."""
        fields: dict[str, Any] = {}
        if self.technique_temperature is not None:
            fields["temperature"] = self.technique_temperature
        if self.technique_unlimited:
            fields["max_tokens"] = 0
        if self.technique_chat:
            fields["wire"] = "chat"
        return fields

    def judge_lm(self) -> dict[str, Any]:
        """What the switches say of judges' models; both profiles judge at temperature 0."""
        fields: dict[str, Any] = {"temperature": 0.0}
        if self.judge_unlimited:
            fields["max_tokens"] = 0
        if self.judge_chat:
            fields["wire"] = "chat"
        return fields


PAPER = Profile()
RELEASED = Profile(
    planner_sees="demographics",
    specialists_see_reason=True,
    cactus_sees_client=True,
    client_sees="seed",
    clean_up="released",
    answers="text",
    send_seed=False,
    technique_temperature=0.0,
    technique_unlimited=True,
    technique_chat=True,
    judge_repeats=3,
    judge_unlimited=True,
    judge_chat=True,
)
PROFILES = {"paper": PAPER, "released": RELEASED}
