"""The judge: CTRS and WAI item by item, PANAS before and after (paper, appendix D)."""

import math
from collections.abc import Sequence
from typing import Any

import dspy
from dspy.lm15 import TokenLogprob

from magnet.core.errors import UsageError
from magnet.core.rng import Draw
from magnet.lm.sync import run_sync
from programs.agent import Agent
from programs.profile import PAPER, Profile
from prompts_frozen import load_prompts
from signatures import QUESTIONS, SCALES


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
        scales: by name; those the prompt set has unless given.
        expected: ask for log-probabilities and give the probability-weighted score too.
    """

    def __init__(
        self,
        prompts: str = "ours",
        profile: Profile = PAPER,
        scales: Sequence[str] | None = None,
        expected: bool = False,
    ) -> None:
        super().__init__()
        frozen = load_prompts(prompts)
        asked = [q for name in scales or SCALES for q in SCALES[name].questions]
        if scales is None:
            asked = [question for question in asked if question.agent in frozen]
        if lacking := next((q.agent for q in asked if q.agent not in frozen), None):
            raise UsageError(
                f"the prompt set {prompts!r} has no prompt {lacking!r}",
                "Leave its scale out, or judge with another prompt set.",
            )
        self.agents = {q.agent: Agent(q.agent, frozen[q.agent], profile=profile) for q in asked}
        if expected:
            for question in asked:
                if question.item is not None:
                    self.agents[question.agent].asks["logprobs"] = 20

    async def aforward(
        self,
        question: str,
        conversation: str = "",
        intake_form: str | None = None,
        draw: Draw | None = None,
    ) -> dspy.Prediction:
        """Asks one question.

        Args:
            question: by its agent, see ``signatures.QUESTIONS``.
            conversation: the session, one line a message.
            intake_form: for forms.
            draw: where the seeds of the tries come from.

        Returns:
            ``score`` and ``reason`` of an item or ``feelings`` of a form, ``call``, and
            ``expected`` where log-probabilities were asked for and came.

        Raises:
            AgentError: no reply could be read; ``raw`` is the last.
        """
        agent = self.agents[question]
        given = {"conversation": conversation, "intake_form": intake_form}
        inputs = {name: given[name] for name in agent.signature.input_fields}
        answer = await agent.acall(**inputs, draw=draw)
        if logprobs := answer.get("logprobs"):
            scale = QUESTIONS[question].scale
            answer.expected = expected_score(logprobs, scale.low, scale.high)
        return answer

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """``aforward`` for synchronous callers."""
        return run_sync(self.aforward(**inputs))
