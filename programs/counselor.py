"""What all counselors share: a way in for synchronous callers, and the session's plan."""

from collections.abc import Sequence
from typing import Any

import dspy

from magnet.draw import Draw
from magnet.lm.sync import run_sync
from magnet.seeds import GenerationSeed
from magnet.session import AgentCall, Message
from programs.agent import Agent, calls_of
from programs.fidelity import PAPER, Fidelity
from prompts_frozen import load_prompts
from signatures import Plan


class Counselor(dspy.Module):
    """Base of the generation systems; ``aforward`` gives the counselor's next reply.

    Called with ``seed``, ``history`` (the client's message last), ``plan`` (None before the
    first turn) and ``draw`` (where the agents' seeds come from), it returns ``reply``, ``plan``,
    ``calls`` and, where it has them, ``candidates`` and ``techniques``.

    Args:
        prompts: a prompt set.
        fidelity: what agents see and how they are read.
    """

    def __init__(self, prompts: str = "ours", fidelity: Fidelity = PAPER) -> None:
        super().__init__()
        self.prompts, self.fidelity = prompts, fidelity

    def agent(self, name: str, *hidden: str) -> Agent:
        """An agent with its prompt of the set, less the paragraphs of the hidden inputs."""
        prompt = load_prompts(self.prompts)[name].without(*hidden)
        return Agent(name, prompt, fidelity=self.fidelity)

    def planner_agent(self) -> Agent:
        """The planner; the reason is left out where the whole form, which holds it, is seen."""
        return self.agent("planner", *(("reason",) if self.fidelity.planner_sees == "form" else ()))

    async def make_plan(
        self, planner: Agent, seed: GenerationSeed, draw: Draw | None
    ) -> tuple[Plan, list[AgentCall]]:
        """The session's plan, from the client's first words (appendix A)."""
        form = self.fidelity.planner_sees == "form"
        planned = await planner.acall(
            client_information=seed.intake_form if form else seed.client_information,
            reason=seed.reason_counseling,
            first_utterance=f"Client: {seed.opening}",
            draw=draw,
        )
        return planned.plan, calls_of(planned)

    async def aforward(
        self,
        seed: GenerationSeed,
        history: Sequence[Message],
        plan: Plan | None = None,
        draw: Draw | None = None,
    ) -> dspy.Prediction:
        """The counselor's next reply; see the class."""
        raise NotImplementedError

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """``aforward`` for synchronous callers."""
        return run_sync(self.aforward(**inputs))
