"""MAGneT's counselor and its ablations.

MAGneT: Coordinated Multi-Agent Generation of Synthetic Multi-Turn Mental Health Counseling
Sessions. https://arxiv.org/abs/2509.04183 (section 3; ablations: section 5, appendix I)
"""

import dspy

from programs.agent import calls_of, together
from programs.counselor import Counselor, Moment
from programs.fidelity import PAPER, Fidelity
from signatures import SPECIALISTS


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
        planner: bool = True,
        technique: bool = True,
    ) -> None:
        super().__init__(prompts, fidelity, planner)
        unseen = () if fidelity.specialists_see_reason else ("reason",)
        self.reflection = self.agent("reflection", *unseen)
        self.questioning = self.agent("questioning", *unseen)
        self.solutions = self.agent("solutions", *unseen)
        self.normalizing = self.agent("normalizing", *unseen)
        self.psychoeducation = self.agent("psychoeducation", *unseen)
        self.technique: dspy.Module | None = None
        if technique:
            self.technique = self.agent("technique" if planner else "technique-unplanned")
            self.response = self.agent("response")
        else:
            unseen = () if fidelity.ablations_see_history else ("history",)
            self.response = self.agent("response-to-plan" if planner else "response-free", *unseen)

    async def reply(self, moment: Moment) -> dspy.Prediction:
        """Specialists and selector work side by side, then the response generator."""
        planned = {} if moment.plan is None else {"plan": moment.plan}
        told = {"history": moment.history, "draw": moment.draw}
        asked = [getattr(self, role).acall(**moment.case, **told) for role in SPECIALISTS]
        if self.technique is not None:
            asked.append(self.technique.acall(**planned, **told))
        answers = await together(*asked)
        drafts = answers[: len(SPECIALISTS)]
        candidates = {role: d.reply for role, d in zip(SPECIALISTS, drafts, strict=True)}
        techniques = None if self.technique is None else answers[-1].techniques
        guide = {"techniques": techniques}
        if techniques is None:
            guide = {**planned, "history": moment.history}
        said = await self.response.acall(**candidates, **guide, draw=moment.draw)
        return dspy.Prediction(
            reply=said.reply,
            candidates=candidates,
            techniques=techniques,
            calls=calls_of(*answers, said),
        )
