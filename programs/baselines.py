"""The systems MAGneT is compared with: CACTUS, Psych8k and fine-tuned counselors.

CACTUS: https://arxiv.org/abs/2407.03103. Psych8k (ChatCounselor):
https://arxiv.org/abs/2309.15461. Fine-tuned counselors: https://arxiv.org/abs/2509.04183,
appendix E.
"""

from collections.abc import Sequence
from typing import Literal

import dspy

from magnet.draw import Draw
from magnet.seeds import GenerationSeed
from magnet.session import AgentCall, Message, transcript
from programs.agent import calls_of
from programs.counselor import Counselor
from programs.fidelity import PAPER, Fidelity
from signatures import Plan


class CactusCounselor(Counselor):
    """CACTUS: a planner and one response agent."""

    def __init__(self, prompts: str = "ours", fidelity: Fidelity = PAPER) -> None:
        super().__init__(prompts, fidelity)
        unseen = () if fidelity.cactus_sees_client else ("client_information", "reason")
        self.planner = self.planner_agent()
        self.response = self.agent("cactus", *unseen)

    async def aforward(
        self,
        seed: GenerationSeed,
        history: Sequence[Message],
        plan: Plan | None = None,
        draw: Draw | None = None,
    ) -> dspy.Prediction:
        """The counselor's next reply.

        Raises:
            AgentError: an agent gave up.
        """
        calls: list[AgentCall] = []
        if plan is None:
            plan, calls = await self.make_plan(self.planner, seed, draw)
        said = await self.response.acall(
            client_information=seed.client_information,
            reason=seed.reason_counseling,
            plan=plan,
            history=transcript(history),
            draw=draw,
        )
        return dspy.Prediction(reply=said.reply, plan=plan, calls=[*calls, *calls_of(said)])


class SingleCounselor(Counselor):
    """One agent that answers: Psych8k, or a model fine-tuned to be the counselor.

    Args:
        name: the agent; its signature says whether it sees client information and reason.
        prompts: a prompt set.
        fidelity: how its replies are read.
    """

    def __init__(
        self,
        name: Literal["psych8k", "tuned-magnet", "tuned-cactus", "tuned-psych8k"],
        prompts: str = "ours",
        fidelity: Fidelity = PAPER,
    ) -> None:
        super().__init__(prompts, fidelity)
        self.response = self.agent(name)

    async def aforward(
        self,
        seed: GenerationSeed,
        history: Sequence[Message],
        plan: Plan | None = None,
        draw: Draw | None = None,
    ) -> dspy.Prediction:
        """The counselor's next reply.

        Raises:
            AgentError: the agent gave up.
        """
        known = {
            "client_information": seed.client_information,
            "reason": seed.reason_counseling,
            "history": transcript(history),
        }
        inputs = {name: known[name] for name in self.response.signature.input_fields}
        said = await self.response.acall(**inputs, draw=draw)
        return dspy.Prediction(reply=said.reply, calls=calls_of(said))
