"""The judge: CTRS and WAI item by item, PANAS before and after (paper, appendix D)."""

import math
from collections.abc import Sequence
from typing import Any

import dspy
from dspy.lm15 import TokenLogprob

from magnet.core.rng import Draw
from magnet.lm.sync import run_sync
from programs.agent import Agent
from programs.profile import PAPER, Profile
from prompts_frozen import load_prompts
from signatures import CTRS_ITEMS, WAI_ITEMS

#: What is asked for each scale: agents by name, in the order of their items.
SCALES: dict[str, tuple[str, ...]] = {
    "ctrs": tuple(f"ctrs-{item}" for item in CTRS_ITEMS),
    "wai": tuple(f"wai-{item}" for item in WAI_ITEMS),
    "panas": ("panas-before", "panas-after"),
}


def expected_score(tokens: Sequence[TokenLogprob], low: int, high: int) -> float | None:
    """The scores' mean, weighted by their probabilities where the judge wrote its score.

    That place is the first token that is one of the scores; the alternatives there that are
    none do not count. None where no token is a score or the server gave no alternatives.

    G-Eval: NLG Evaluation using GPT-4 with Better Human Alignment.
    https://arxiv.org/abs/2303.16634
    """
    scores = {str(score): score for score in range(low, high + 1)}
    for token in tokens:
        if token.token.strip() in scores:
            weights: dict[int, float] = {}
            for alternative in token.top:
                if (score := scores.get(alternative.token.strip())) is not None:
                    weights[score] = weights.get(score, 0.0) + math.exp(alternative.logprob)
            total = sum(weights.values())
            return sum(s * w for s, w in weights.items()) / total if total else None
    return None


class Judge(dspy.Module):
    """One judge; each of its questions is an agent of its own, with its own frozen prompt.

    Args:
        prompts: a prompt set.
        profile: how answers are read.
        scales: of SCALES.
        expected: ask for log-probabilities and give the probability-weighted score too.
    """

    def __init__(
        self,
        prompts: str = "ours",
        profile: Profile = PAPER,
        scales: tuple[str, ...] = ("ctrs", "wai", "panas"),
        expected: bool = False,
    ) -> None:
        super().__init__()
        frozen = load_prompts(prompts)
        self.agents = {
            name: Agent(name, frozen[name], profile=profile)
            for scale in scales
            for name in SCALES[scale]
        }
        if expected:
            for name, agent in self.agents.items():
                if not name.startswith("panas"):
                    agent.asks["logprobs"] = 20

    async def aforward(
        self,
        question: str,
        conversation: str = "",
        intake_form: str | None = None,
        draw: Draw | None = None,
    ) -> dspy.Prediction:
        """Asks one question.

        Args:
            question: an agent of SCALES.
            conversation: the session, one line a message.
            intake_form: for PANAS.
            draw: where the seeds of the tries come from.

        Returns:
            ``score`` and ``reason`` (CTRS, WAI) or ``feelings`` (PANAS), ``call``, and
            ``expected`` where log-probabilities were asked for and came.

        Raises:
            AgentError: no reply could be read; ``raw`` is the last.
        """
        agent = self.agents[question]
        given = {"conversation": conversation, "intake_form": intake_form}
        inputs = {name: given[name] for name in agent.signature.input_fields}
        answer = await agent.acall(**inputs, draw=draw)
        if logprobs := answer.get("logprobs"):
            low, high = (0, 6) if question.startswith("ctrs") else (1, 7)
            answer.expected = expected_score(logprobs, low, high)
        return answer

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """``aforward`` for synchronous callers."""
        return run_sync(self.aforward(**inputs))
