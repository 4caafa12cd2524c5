"""The typed answers of the agents, and how they read as text inside a prompt."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Technique(StrEnum):
    """The five counselling techniques, one a specialist agent (paper, section 3)."""

    REFLECTION = "Reflection"
    QUESTIONING = "Questioning"
    SOLUTIONS = "Providing solutions"
    NORMALIZATION = "Normalization"
    PSYCHOEDUCATION = "Psycho-education"


class CBTTechnique(StrEnum):
    """The twelve techniques of cognitive behavioural therapy the planner chooses from."""

    EFFICIENCY_EVALUATION = "Efficiency Evaluation"
    PIE_CHART = "Pie Chart Technique"
    ALTERNATIVE_PERSPECTIVE = "Alternative Perspective"
    DECATASTROPHIZING = "Decatastrophizing"
    PROS_AND_CONS = "Pros and Cons Analysis"
    EVIDENCE_BASED_QUESTIONING = "Evidence-Based Questioning"
    REALITY_TESTING = "Reality Testing"
    CONTINUUM = "Continuum Technique"
    RULES_TO_WISHES = "Changing Rules to Wishes"
    BEHAVIOR_EXPERIMENT = "Behavior Experiment"
    PROBLEM_SOLVING = "Problem-Solving Skills Training"
    SYSTEMATIC_EXPOSURE = "Systematic Exposure"


class Plan(BaseModel):
    """The plan of one session, written at its start: a technique and how to use it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    technique: str
    plan: str


class CBTPlan(Plan):
    """A plan whose technique is one of the twelve."""

    model_config = ConfigDict(str_strip_whitespace=True)

    technique: CBTTechnique
    plan: str = Field(min_length=1)

    def __str__(self) -> str:
        return f"Technique: {self.technique.value}\n{self.plan}"


class FreePlan(Plan):
    """A plan in the planner's own words (profile ``released``); agents see the plan alone."""

    def __str__(self) -> str:
        return self.plan


class _Different:
    """Refuses a technique named twice.

    A class, for its repr: optimizers show a signature's repr to their LM, and a function's holds
    its address, so that no two processes would ask the same.
    """

    def __call__(self, techniques: list[Technique]) -> list[Technique]:
        if len(set(techniques)) != len(techniques):
            raise ValueError("a technique is named twice")
        return techniques

    def __repr__(self) -> str:
        return "different"


#: One to five different techniques, in the selector's order.
Techniques = Annotated[
    list[Technique], Field(min_length=1, max_length=5), AfterValidator(_Different())
]
