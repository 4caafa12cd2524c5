"""MAGneT's counselor and its ablations.

MAGneT: Coordinated Multi-Agent Generation of Synthetic Multi-Turn Mental Health Counseling
Sessions. https://arxiv.org/abs/2509.04183 (section 3; ablations in section 4)
"""

from collections.abc import Sequence

import dspy

from magnet.draw import Draw
from magnet.seeds import GenerationSeed
from magnet.session import AgentCall, Message, transcript
from programs.agent import calls_of, together
from programs.counselor import Counselor
from programs.fidelity import PAPER, Fidelity
from signatures import SPECIALISTS, Plan


class MagnetCounselor(Counselor):
    """Planner, five specialists, technique selector, response generator.

    Each agent is an attribute under its role's name and may be replaced.

    Args:
        prompts: a prompt set.
        fidelity: what agents see and how they are read.
        planner: without it: MAGneT-C.
        technique: without the technique selector: MAGneT-T; without both: MAGneT-C-T.
    """

    def __init__(
        self,
        prompts: str = "ours",
        fidelity: Fidelity = PAPER,
        *,
        planner: bool = True,
        technique: bool = True,
    ) -> None:
        super().__init__(prompts, fidelity)
        unseen = () if fidelity.specialists_see_reason else ("reason",)
        self.planner = self.planner_agent() if planner else None
        self.reflection = self.agent("reflection", *unseen)
        self.questioning = self.agent("questioning", *unseen)
        self.solutions = self.agent("solutions", *unseen)
        self.normalizing = self.agent("normalizing", *unseen)
        self.psychoeducation = self.agent("psychoeducation", *unseen)
        name = "technique" if planner else "technique-unplanned"
        self.technique = self.agent(name) if technique else None
        if technique:
            self.response = self.agent("response")
        else:
            unseen = () if fidelity.ablations_see_history else ("history",)
            self.response = self.agent("response-to-plan" if planner else "response-free", *unseen)

    async def aforward(
        self,
        seed: GenerationSeed,
        history: Sequence[Message],
        plan: Plan | None = None,
        draw: Draw | None = None,
    ) -> dspy.Prediction:
        """The counselor's next reply; specialists and selector work side by side.

        Raises:
            AgentError: an agent gave up.
        """
        calls: list[AgentCall] = []
        if plan is None and self.planner is not None:
            plan, calls = await self.make_plan(self.planner, seed, draw)
        planned = {} if plan is None else {"plan": plan}
        text = transcript(history)
        asked = [
            getattr(self, role).acall(
                client_information=seed.client_information,
                reason=seed.reason_counseling,
                history=text,
                draw=draw,
            )
            for role in SPECIALISTS
        ]
        if self.technique is not None:
            asked.append(self.technique.acall(**planned, history=text, draw=draw))
        answers = await together(*asked)
        drafts = answers[: len(SPECIALISTS)]
        candidates = {role: d.reply for role, d in zip(SPECIALISTS, drafts, strict=True)}
        if self.technique is not None:
            techniques, guide = answers[-1].techniques, {"techniques": answers[-1].techniques}
        else:
            techniques, guide = None, {**planned, "history": text}
        said = await self.response.acall(**candidates, **guide, draw=draw)
        return dspy.Prediction(
            reply=said.reply,
            plan=plan,
            candidates=candidates,
            techniques=techniques,
            calls=[*calls, *calls_of(*answers, said)],
        )
