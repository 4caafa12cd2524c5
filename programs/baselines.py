"""The systems MAGneT is compared with: CACTUS, Psych8k and fine-tuned counselors.

CACTUS: https://arxiv.org/abs/2407.03103. Psych8k (ChatCounselor):
https://arxiv.org/abs/2309.15461. Fine-tuned counselors: https://arxiv.org/abs/2509.04183,
appendix E.
"""

from typing import Literal

import dspy

from programs.agent import Agent
from programs.asking import ask
from programs.calls import calls_of
from programs.counselor import Counselor, Moment
from programs.profile import PAPER, Profile


class CactusCounselor(Counselor):
    """CACTUS: a planner and one response agent."""

    def __init__(self, prompts: str = "ours", profile: Profile = PAPER) -> None:
        super().__init__(prompts, profile, planner=True)
        unseen = () if profile.cactus_sees_client else ("client_information", "reason")
        self.response = self.agent("cactus", *unseen)

    async def reply(self, moment: Moment) -> dspy.Prediction:
        """The response agent follows the plan."""
        said = await ask(
            self.response,
            "response",
            **moment.client,
            plan=moment.plan,
            history=moment.history,
            draw=moment.draw,
        )
        return dspy.Prediction(reply=said.reply, calls=calls_of(said))


class SingleCounselor(Counselor):
    """One agent that answers: Psych8k, or a model fine-tuned to be the counselor.

    Args:
        name: the agent; its signature says whether it sees client information and reason.
        prompts: a prompt set.
        profile: how its replies are read.
    """

    def __init__(
        self,
        name: Literal["psych8k", "tuned-magnet", "tuned-cactus", "tuned-psych8k"],
        prompts: str = "ours",
        profile: Profile = PAPER,
    ) -> None:
        super().__init__(prompts, profile)
        self.response = self.agent(name)

    async def reply(self, moment: Moment) -> dspy.Prediction:
        """The agent answers from what its signature names."""
        known = {**moment.client, "history": moment.history}
        if isinstance(self.response, Agent):
            known = {name: known[name] for name in self.response.signature.input_fields}
        said = await ask(self.response, "response", **known, draw=moment.draw)
        return dspy.Prediction(reply=said.reply, calls=calls_of(said))
