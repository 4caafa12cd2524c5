"""MAGneT's counselor: planner, five specialists, technique selector, response generator.

MAGneT: Coordinated Multi-Agent Generation of Synthetic Multi-Turn Mental Health Counseling
Sessions. https://arxiv.org/abs/2509.04183 (section 3)
"""

from collections.abc import Sequence
from typing import Any

import dspy

from magnet.draw import Draw
from magnet.lm.sync import run_sync
from magnet.seeds import GenerationSeed
from magnet.session import Message, transcript
from programs.agent import Agent, together
from prompts_frozen import load_prompts
from signatures import SPECIALISTS, CBTPlan


class MagnetCounselor(dspy.Module):
    """The whole counselor; each agent is an attribute under its role's name.

    Args:
        prompts: a prompt set.
    """

    def __init__(self, prompts: str = "ours") -> None:
        super().__init__()
        frozen = load_prompts(prompts)
        self.planner = Agent("planner", frozen["planner"])
        self.reflection = Agent("reflection", frozen["reflection"])
        self.questioning = Agent("questioning", frozen["questioning"])
        self.solutions = Agent("solutions", frozen["solutions"])
        self.normalizing = Agent("normalizing", frozen["normalizing"])
        self.psychoeducation = Agent("psychoeducation", frozen["psychoeducation"])
        self.technique = Agent("technique", frozen["technique"])
        self.response = Agent("response", frozen["response"])

    async def aforward(
        self,
        seed: GenerationSeed,
        history: Sequence[Message],
        plan: CBTPlan | None = None,
        draw: Draw | None = None,
    ) -> dspy.Prediction:
        """The counselor's next reply.

        Args:
            seed: the client; specialists see ``client_information`` and ``reason_counseling``.
            history: the messages so far, the client's last.
            plan: the session's plan; made here from the client's first words where it is None.
            draw: where the seeds of the agents come from.

        Returns:
            ``reply``, ``plan``, ``candidates`` by role, ``techniques``, ``calls``.

        Raises:
            AgentError: an agent gave up.
        """
        case = {
            "client_information": seed.client_information,
            "reason": seed.reason_counseling,
        }
        calls = []
        if plan is None:
            planned = await self.planner.acall(
                **case, first_utterance=f"Client: {seed.opening}", draw=draw
            )
            plan = planned.plan
            calls.append(planned.call)
        text = transcript(history)
        *drafts, chosen = await together(
            *(getattr(self, role).acall(**case, history=text, draw=draw) for role in SPECIALISTS),
            self.technique.acall(plan=plan, history=text, draw=draw),
        )
        candidates = {role: d.reply for role, d in zip(SPECIALISTS, drafts, strict=True)}
        said = await self.response.acall(**candidates, techniques=chosen.techniques, draw=draw)
        return dspy.Prediction(
            reply=said.reply,
            plan=plan,
            candidates=candidates,
            techniques=chosen.techniques,
            calls=[*calls, *(d.call for d in drafts), chosen.call, said.call],
        )

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """``aforward`` for synchronous callers."""
        return run_sync(self.aforward(**inputs))
