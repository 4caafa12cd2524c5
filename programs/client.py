"""The simulated client (paper, section 3 and appendix B)."""

from collections.abc import Sequence
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


class Client(dspy.Module):
    """The client: sees the intake form, the attitude and the session so far.

    Args:
        prompts: a prompt set.
        profile: what it sees and how it is read.
    """

    def __init__(self, prompts: str = "ours", profile: Profile = PAPER) -> None:
        super().__init__()
        self.profile = profile
        self.client = Agent("client", load_prompts(prompts)["client"], profile=profile)

    async def aforward(
        self, seed: GenerationSeed, history: Sequence[Message], draw: Draw | None = None
    ) -> dspy.Prediction:
        """The client's next reply.

        Returns:
            ``reply``, ``ended`` (the client leaves), ``calls``.

        Raises:
            AgentError: the agent gave up.
        """
        form = self.profile.client_sees == "form"
        said = await ask(
            self.client,
            "client",
            intake_form=seed.intake_form if form else str(seed.entry),
            attitude=f"{seed.attitude}: {seed.attitude_instruction}",
            history=transcript(history),
            draw=draw,
        )
        return dspy.Prediction(
            reply=said.reply, ended=bool(said.get("ended")), calls=calls_of(said)
        )

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """``aforward`` for synchronous callers."""
        return run_sync(self.aforward(**inputs))
