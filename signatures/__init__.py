"""What each agent is asked and answers: one record an agent, one a scale."""

from signatures.agents import AGENTS, PARENTS, ROLES, SPECIALISTS, AgentRecord
from signatures.scales import QUESTIONS, RECORDS, SCALES, Question, Scale
from signatures.types import CBTPlan, CBTTechnique, FreePlan, Plan, Technique, Techniques

__all__ = [
    "AGENTS",
    "PARENTS",
    "QUESTIONS",
    "RECORDS",
    "ROLES",
    "SCALES",
    "SPECIALISTS",
    "AgentRecord",
    "CBTPlan",
    "CBTTechnique",
    "FreePlan",
    "Plan",
    "Question",
    "Scale",
    "Technique",
    "Techniques",
]
