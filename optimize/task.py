"""What one agent's optimization consists of: examples by split, how one is played and scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import dspy

from magnet.core.seeds import Split
from magnet.lm.sync import run_sync
from optimize.scoreboard import Board, Outcome
from programs import Agent


class Task(Protocol):
    """Plays an example with the agents being optimized; everything else in it is frozen.

    Attributes:
        scale: what a score is, in a few words.
    """

    scale: str

    @property
    def predictors(self) -> Sequence[str]:
        """Names of the agents being optimized, as the program's attributes."""

    @property
    def splits(self) -> Mapping[Split, Sequence[dspy.Example]]:
        """Examples by split."""

    @property
    def clients(self) -> Mapping[str, str]:
        """Client by example."""

    @property
    def calls(self) -> Mapping[str, int]:
        """LM calls an example takes if nothing is asked twice, by role."""

    def agents(self, start: str) -> dict[str, dspy.Module]:
        """The agents to optimize: ``frozen``, or ``dspy`` (same instructions, DSPy's format)."""

    async def play(
        self, agents: Mapping[str, dspy.Module], example: str, rollout: int | None
    ) -> Outcome:
        """One example's outcome.

        Raises:
            Halt: the budget is spent, or a server is gone.
        """


def starting(frozen: Agent, start: str) -> Agent:
    """An agent being optimized, without an LM: it takes the caller's.

    Args:
        frozen: the one it comes from.
        start: ``frozen`` leaves it as it is, ``dspy`` gives it DSPy's format.
    """
    agent = Agent(frozen.name, frozen.prompt, profile=frozen.profile)
    return agent.loosen() if start == "dspy" else agent


@dataclass
class _Shared:
    """What all copies of a program share: optimizers copy programs, not these."""

    task: Task
    board: Board

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Shared":
        return self


class Trial(dspy.Module):
    """The program that optimizers see: the agents being optimized and nothing else.

    Args:
        task: plays and scores.
        board: keeps what came out.
        agents: under optimization, by name.
    """

    def __init__(self, task: Task, board: Board, agents: Mapping[str, dspy.Module]) -> None:
        super().__init__()
        self.shared = _Shared(task, board)
        for name, agent in agents.items():
            setattr(self, name, agent)

    @property
    def agents(self) -> dict[str, dspy.Module]:
        """The agents being optimized."""
        return {name: getattr(self, name) for name in self.shared.task.predictors}

    async def aforward(self, id: str) -> dspy.Prediction:
        """Plays an example.

        Returns:
            ``score`` as an optimizer is handed it, ``feedback``, ``outcome``.

        Raises:
            Halt: the search is over.
        """
        board, rollout = self.shared.board, self._rollout()
        candidate = board.candidate(self)
        key = id if rollout is None else f"{id}~{rollout}"
        board.check(candidate, key)
        outcome = candidate.outcomes.get(key)
        if outcome is None or dspy.settings.trace is not None:  # who traces wants it played
            outcome = await self.shared.task.play(self.agents, id, rollout)
            board.record(candidate, key, outcome)
        score = board.handed(id, outcome)
        return dspy.Prediction(score=score, feedback=outcome.feedback, outcome=outcome)

    def forward(self, id: str) -> dspy.Prediction:
        """``aforward`` for the optimizers, which are synchronous."""
        return run_sync(self.aforward(id))

    def _rollout(self) -> int | None:
        """DSPy asks for another sample of the same question by an LM with a rollout id."""
        predictors = self.predictors()
        lm = (predictors[0].lm if predictors else None) or dspy.settings.lm
        rollout = lm.kwargs.get("rollout_id") if lm is not None else None
        return None if rollout is None else int(rollout)
