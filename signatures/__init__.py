"""What each agent is asked and answers: one typed ``dspy.Signature`` an agent."""

import dspy

from signatures.client import BeClient
from signatures.counselor import (
    ChooseTechniques,
    ChooseTechniquesUnplanned,
    Educate,
    Normalize,
    PlanSession,
    Question,
    Reflect,
    Respond,
    RespondCactus,
    RespondFreely,
    RespondPsych8k,
    RespondToPlan,
    RespondTuned,
    Solve,
)
from signatures.judge import (
    CTRS_ITEMS,
    FEELINGS,
    WAI_ITEMS,
    FeelAfter,
    FeelBefore,
    RateCTRS,
    RateWAI,
)
from signatures.types import CBTPlan, CBTTechnique, FreePlan, Plan, Technique, Techniques

#: Every agent's signature by the agent's name, which its frozen prompt bears too.
AGENTS: dict[str, type[dspy.Signature]] = {
    "planner": PlanSession,
    "reflection": Reflect,
    "questioning": Question,
    "solutions": Solve,
    "normalizing": Normalize,
    "psychoeducation": Educate,
    "technique": ChooseTechniques,
    "technique-unplanned": ChooseTechniquesUnplanned,
    "response": Respond,
    "response-to-plan": RespondToPlan,
    "response-free": RespondFreely,
    "cactus": RespondCactus,
    "psych8k": RespondPsych8k,
    "tuned-magnet": RespondTuned,
    "tuned-cactus": RespondTuned,
    "tuned-psych8k": RespondPsych8k,
    "client": BeClient,
}

AGENTS |= {f"ctrs-{item}": RateCTRS for item in CTRS_ITEMS}
AGENTS |= {f"wai-{item}": RateWAI for item in WAI_ITEMS}
AGENTS |= {"panas-before": FeelBefore, "panas-after": FeelAfter}

#: The role an agent fills where it is not its name: whose model it uses, whose usage it counts as.
ROLE_OF: dict[str, str] = {
    "technique-unplanned": "technique",
    "response-to-plan": "response",
    "response-free": "response",
    "cactus": "response",
    "psych8k": "response",
} | {name: "judge" for name in AGENTS if name.startswith(("ctrs-", "wai-", "panas-"))}

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
    "CTRS_ITEMS",
    "FEELINGS",
    "ROLE_OF",
    "SPECIALISTS",
    "WAI_ITEMS",
    "CBTPlan",
    "CBTTechnique",
    "FreePlan",
    "Plan",
    "Technique",
    "Techniques",
]
