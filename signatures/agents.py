"""Every agent in one record: what it is asked and answers, how it is read, whose model it uses.

A new agent is one entry here and one file in each prompt set.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import dspy

from signatures import counselor as ask
from signatures.answers import (
    CLIENT_REPLY,
    PLAN,
    PSYCH8K_REPLY,
    REPLY,
    TECHNIQUES,
    Answer,
)
from signatures.client import BeClient
from signatures.scales import QUESTIONS
from signatures.types import Technique


@dataclass(frozen=True)
class AgentRecord:
    """One agent.

    Attributes:
        name: its own, which its frozen prompt bears too.
        signature: what it is asked and answers.
        answer: the schema of what it answers, and how that is read.
        role: whose model it uses and whose usage it counts as.
        parent: the role whose settings its own take over; "" for none but ``default``.
        technique: what a specialist stands for.
    """

    name: str
    signature: type[dspy.Signature]
    answer: Answer
    role: str
    parent: str = ""
    technique: Technique | None = None


def _specialist(name: str, signature: type[dspy.Signature], technique: Technique) -> AgentRecord:
    return AgentRecord(name, signature, REPLY, name, technique=technique)


def _response(name: str, signature: type[dspy.Signature], answer: Answer = REPLY) -> AgentRecord:
    return AgentRecord(name, signature, answer, "response")


def _fine_tuned(name: str, signature: type[dspy.Signature], answer: Answer = REPLY) -> AgentRecord:
    return AgentRecord(name, signature, answer, name, parent="response")


def _judges() -> Iterator[AgentRecord]:
    for name, question in QUESTIONS.items():
        yield AgentRecord(name, question.signature, question.answer, "judge")


_RECORDS = (
    AgentRecord("planner", ask.PlanSession, PLAN, "planner"),
    _specialist("reflection", ask.Reflect, Technique.REFLECTION),
    _specialist("questioning", ask.Question, Technique.QUESTIONING),
    _specialist("solutions", ask.Solve, Technique.SOLUTIONS),
    _specialist("normalizing", ask.Normalize, Technique.NORMALIZATION),
    _specialist("psychoeducation", ask.Educate, Technique.PSYCHOEDUCATION),
    AgentRecord("technique", ask.ChooseTechniques, TECHNIQUES, "technique"),
    AgentRecord("technique-unplanned", ask.ChooseTechniquesUnplanned, TECHNIQUES, "technique"),
    _response("response", ask.Respond),
    _response("response-to-plan", ask.RespondToPlan),
    _response("response-free", ask.RespondFreely),
    _response("cactus", ask.RespondCactus),
    _response("psych8k", ask.RespondPsych8k, PSYCH8K_REPLY),
    _fine_tuned("tuned-magnet", ask.RespondTuned),
    _fine_tuned("tuned-cactus", ask.RespondTuned),
    _fine_tuned("tuned-psych8k", ask.RespondPsych8k, PSYCH8K_REPLY),
    AgentRecord("client", BeClient, CLIENT_REPLY, "client"),
    *_judges(),
)

#: Every agent by name.
AGENTS: dict[str, AgentRecord] = {record.name: record for record in _RECORDS}

#: The specialists' names with the technique each stands for, in the order of the paper.
SPECIALISTS: dict[str, Technique] = {
    record.name: record.technique for record in _RECORDS if record.technique is not None
}

#: Roles whose unset settings come from another role's before those of ``default``.
PARENTS: dict[str, str] = {record.role: record.parent for record in _RECORDS if record.parent}

#: The roles that can each have a model of their own; ``optimizer`` is that of no agent.
ROLES: tuple[str, ...] = (
    *dict.fromkeys(record.role for record in _RECORDS if not record.parent),
    "optimizer",
    *PARENTS,
)
