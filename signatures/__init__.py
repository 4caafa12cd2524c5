"""What each agent is asked and answers: one typed ``dspy.Signature`` an agent."""

import dspy

from signatures.client import BeClient
from signatures.counselor import (
    ChooseTechniques,
    Educate,
    Normalize,
    PlanSession,
    Question,
    Reflect,
    Respond,
    Solve,
)
from signatures.types import CBTPlan, CBTTechnique, Technique, Techniques

#: Every agent's signature by the name of its role.
AGENTS: dict[str, type[dspy.Signature]] = {
    "planner": PlanSession,
    "reflection": Reflect,
    "questioning": Question,
    "solutions": Solve,
    "normalizing": Normalize,
    "psychoeducation": Educate,
    "technique": ChooseTechniques,
    "response": Respond,
    "client": BeClient,
}

#: The specialists' role names with the technique each stands for, in the order of the paper.
SPECIALISTS: dict[str, Technique] = {
    "reflection": Technique.REFLECTION,
    "questioning": Technique.QUESTIONING,
    "solutions": Technique.SOLUTIONS,
    "normalizing": Technique.NORMALIZATION,
    "psychoeducation": Technique.PSYCHOEDUCATION,
}

__all__ = [
    "AGENTS",
    "SPECIALISTS",
    "BeClient",
    "CBTPlan",
    "CBTTechnique",
    "ChooseTechniques",
    "Educate",
    "Normalize",
    "PlanSession",
    "Question",
    "Reflect",
    "Respond",
    "Solve",
    "Technique",
    "Techniques",
]
