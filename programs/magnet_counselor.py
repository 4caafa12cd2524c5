"""MAGneT's counselor and its ablations.

MAGneT: Coordinated Multi-Agent Generation of Synthetic Multi-Turn Mental Health Counseling
Sessions. https://arxiv.org/abs/2509.04183 (section 3; ablations: section 5, appendix I)
"""

from typing import Any

import dspy

from magnet.core.errors import UsageError
from programs.agent import Agent, AgentError, together
from programs.asking import ask
from programs.calls import calls_of
from programs.counselor import Counselor, Moment
from programs.profile import PAPER, Profile
from signatures import SPECIALISTS, Technique
from signatures.reading import remaining


class MagnetCounselor(Counselor):
    """Planner, five specialists, technique selector, response generator.

    Each agent is an attribute under its role's name and may be replaced; a specialist that is
    None is left out: it is not asked, its draft leaves the response generator's prompt, and its
    technique is not chosen.

    Args:
        prompts: a prompt set.
        profile: what agents see and how they are read.
        planner: without it: MAGneT-C.
        technique: without the technique selector: MAGneT-T; without both: MAGneT-C-T.
    """

    def __init__(
        self,
        prompts: str = "ours",
        profile: Profile = PAPER,
        planner: bool = True,
        technique: bool = True,
    ) -> None:
        super().__init__(prompts, profile, planner)
        unseen = () if profile.specialists_see_reason else ("reason",)
        self.reflection: Any = self.agent("reflection", *unseen)
        self.questioning: Any = self.agent("questioning", *unseen)
        self.solutions: Any = self.agent("solutions", *unseen)
        self.normalizing: Any = self.agent("normalizing", *unseen)
        self.psychoeducation: Any = self.agent("psychoeducation", *unseen)
        self.technique: dspy.Module | None = None
        if technique:
            self.technique = self.agent("technique" if planner else "technique-unplanned")
            self.response = self.agent("response")
        else:
            unseen = () if profile.ablations_see_history else ("history",)
            self.response = self.agent("response-to-plan" if planner else "response-free", *unseen)

    @property
    def specialists(self) -> list[str]:
        """The roles of those that are there."""
        return [role for role in SPECIALISTS if getattr(self, role) is not None]

    def leave_out(self, *roles: str) -> None:
        """Leaves specialists out, by role.

        Raises:
            UsageError: none remains, or a prompt does not hold together without them.
        """
        for role in roles:
            setattr(self, role, None)
        self._fit()

    def _fit(self) -> None:
        """Fits selector and response generator to the specialists that are there."""
        if not (there := self.specialists):
            raise UsageError(
                "all five specialists are left out", f"Keep one of: {', '.join(SPECIALISTS)}."
            )
        for agent in (self.technique, self.response):
            if isinstance(agent, Agent):
                agent.leave_out([role for role in SPECIALISTS if role not in there])

    async def reply(self, moment: Moment) -> dspy.Prediction:
        """Specialists and selector work side by side, then the response generator.

        Raises:
            UsageError: all specialists are left out, or an agent lacks what its prompt shows.
        """
        self._fit()
        there, draw = self.specialists, moment.draw
        planned: dict[str, Any] = {} if moment.plan is None else {"plan": moment.plan}
        told: dict[str, Any] = {"history": moment.history}
        asked = [
            ask(getattr(self, role), role, draw=draw, **moment.client, **told) for role in there
        ]
        if self.technique is not None:
            asked.append(ask(self.technique, "technique", draw=draw, **planned, **told))
        answers = await together(*asked)
        candidates = {role: d.reply for role, d in zip(there, answers, strict=False)}
        techniques, guide = None, planned | told
        if self.technique is not None:
            techniques = self._kept(answers[-1].techniques)
            guide = {"techniques": techniques}
        said = await ask(self.response, "response", draw=draw, **candidates, **guide)
        return dspy.Prediction(
            reply=said.reply,
            candidates=candidates,
            techniques=techniques,
            calls=calls_of(*answers, said),
        )

    def _kept(self, chosen: list[Technique] | str) -> list[Technique] | str:
        """A choice less what is left out: a module in the selector's place may not know."""
        gone = [SPECIALISTS[role] for role in SPECIALISTS if getattr(self, role) is None]
        try:
            return remaining(chosen, gone)
        except ValueError as error:
            raise AgentError("technique", "malformed", str(error), {}) from None
