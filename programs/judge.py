"""The judge: CTRS and WAI item by item, PANAS before and after (paper, section 4, appendix C)."""

from typing import Any

import dspy

from magnet.draw import Draw
from magnet.lm.sync import run_sync
from programs.agent import Agent
from programs.fidelity import PAPER, Fidelity
from prompts_frozen import load_prompts
from signatures import CTRS_ITEMS, WAI_ITEMS

#: What is asked for each scale: agents by name, in the order of their items.
SCALES: dict[str, tuple[str, ...]] = {
    "ctrs": tuple(f"ctrs-{item}" for item in CTRS_ITEMS),
    "wai": tuple(f"wai-{item}" for item in WAI_ITEMS),
    "panas": ("panas-before", "panas-after"),
}


class Judge(dspy.Module):
    """One judge; each of its questions is an agent of its own, with its own frozen prompt.

    Args:
        prompts: a prompt set.
        fidelity: how answers are read.
        scales: of SCALES.
    """

    def __init__(
        self,
        prompts: str = "ours",
        fidelity: Fidelity = PAPER,
        scales: tuple[str, ...] = ("ctrs", "wai", "panas"),
    ) -> None:
        super().__init__()
        frozen = load_prompts(prompts)
        self.agents = {
            name: Agent(name, frozen[name], fidelity=fidelity)
            for scale in scales
            for name in SCALES[scale]
        }

    async def aforward(
        self,
        question: str,
        conversation: str = "",
        intake_form: str | None = None,
        draw: Draw | None = None,
    ) -> dspy.Prediction:
        """Asks one question.

        Args:
            question: an agent of SCALES.
            conversation: the session, one line a message.
            intake_form: for PANAS.
            draw: where the seeds of the tries come from.

        Returns:
            ``score`` and ``reason`` (CTRS, WAI) or ``feelings`` (PANAS), and ``call``.

        Raises:
            AgentError: no reply could be read; ``raw`` is the last.
        """
        agent = self.agents[question]
        given = {"conversation": conversation, "intake_form": intake_form}
        inputs = {name: given[name] for name in agent.signature.input_fields}
        return await agent.acall(**inputs, draw=draw)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """``aforward`` for synchronous callers."""
        return run_sync(self.aforward(**inputs))
