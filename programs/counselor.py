"""What all counselors share: the session's plan, and a way in for synchronous callers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from magnet.core.rng import Draw
from magnet.core.seeds import GenerationSeed
from magnet.core.session import Message, transcript
from magnet.lm.sync import run_sync
from programs.agent import Agent
from programs.asking import ask
from programs.calls import calls_of
from programs.profile import PAPER, Profile
from prompts_frozen import load_prompts
from signatures import Plan


@dataclass(frozen=True)
class Moment:
    """What a counselor answers from.

    Attributes:
        seed: the client.
        history: the session so far, one line a message, the client's last.
        plan: the session's plan; None for systems without a planner.
        draw: where the agents' seeds come from; None leaves sampling to the servers.
    """

    seed: GenerationSeed
    history: str
    plan: Plan | None
    draw: Draw | None

    @property
    def client(self) -> dict[str, str]:
        """What the counselor is told of the client."""
        return {
            "client_information": self.seed.client_information,
            "reason": self.seed.reason_counseling,
        }


class Counselor(dspy.Module):
    """Base of the generation systems; a subclass sets its agents and gives ``reply``.

    Args:
        prompts: a prompt set.
        profile: what agents see and how they are read.
        planner: whether it has the CBT agent, asked once a session.
    """

    def __init__(
        self, prompts: str = "ours", profile: Profile = PAPER, planner: bool = False
    ) -> None:
        super().__init__()
        self.prompts, self.profile = prompts, profile
        # Where the planner sees the whole form, the reason stands in it already.
        unseen = ("reason",) if profile.planner_sees == "form" else ()
        self.planner = self.agent("planner", *unseen) if planner else None

    def agent(self, name: str, *hidden: str) -> Agent:
        """An agent with its prompt of the set, less the paragraphs of the hidden inputs."""
        prompt = load_prompts(self.prompts)[name].without(*hidden)
        return Agent(name, prompt, profile=self.profile)

    async def reply(self, moment: Moment) -> dspy.Prediction:
        """The counselor's words at a moment.

        Returns:
            ``reply``, ``calls`` and, where the system has them, ``candidates`` and
            ``techniques``.

        Raises:
            AgentError: an agent gave up.
        """
        raise NotImplementedError

    async def aforward(
        self,
        seed: GenerationSeed,
        history: Sequence[Message],
        plan: Plan | None = None,
        draw: Draw | None = None,
    ) -> dspy.Prediction:
        """The counselor's next reply.

        Args:
            seed: the client.
            history: the messages so far, the client's last.
            plan: the session's plan; made here from the client's first words where it is None.
            draw: where the agents' seeds come from.

        Returns:
            What ``reply`` gives, and ``plan``.

        Raises:
            AgentError: an agent gave up.
        """
        calls = []
        if plan is None and self.planner is not None:
            form = self.profile.planner_sees == "form"
            planned = await ask(
                self.planner,
                "planner",
                client_information=seed.intake_form if form else seed.client_information,
                reason=seed.reason_counseling,
                first_utterance=f"Client: {seed.opening}",
                draw=draw,
            )
            plan, calls = planned.plan, calls_of(planned)
        said = await self.reply(Moment(seed, transcript(history), plan, draw))
        said.plan, said.calls = plan, [*calls, *calls_of(said)]
        return said

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """``aforward`` for synchronous callers."""
        return run_sync(self.aforward(**inputs))
