"""The arms, played on the held-out clients."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import dspy

from magnet.lm.sync import run_sync
from optimize.arms import (
    ALL,
    FROZEN,
    OPTIMISED,
    RANDOM,
    UNOPTIMISED,
    AllTechniques,
    Arm,
    RandomSubset,
    compare,
)
from optimize.progress import Watch
from optimize.scoreboard import Candidate, Halt, Outcome
from optimize.task import Task
from programs.state import apply_state


@dataclass
class Comparison:
    """Plays the arms.

    Args:
        task: plays and scores examples.
        lm: of the agents being optimized.
        seed: of the random arm.
        threads: examples played at once.
        watch: tells a person.
    """

    task: Task
    lm: dspy.LM
    seed: int
    threads: int
    watch: Watch

    @property
    def names(self) -> list[str]:
        """The arms; a selector also has fixed rules to beat."""
        steers = tuple(self.task.predictors) == ("technique",)
        return [OPTIMISED, FROZEN, UNOPTIMISED, *((ALL, RANDOM) if steers else ())]

    def run(self, best: Candidate) -> list[Arm]:
        """All arms over the test examples, compared."""
        examples = [e.id for e in self.task.splits["test"]]
        self.watch.phase("comparing on held-out clients", len(self.names) * len(examples))
        found: dict[str, dict[str, Outcome]] = {}
        with dspy.context(lm=self.lm):
            for name in self.names:
                agents = {} if name == RANDOM else self._agents(name, best)
                played = run_sync(self._play(examples, agents, found.get(OPTIMISED, {}), name))
                found[name] = dict(zip(examples, played, strict=True))
        return compare(found, self.task.clients)

    def _agents(self, arm: str, best: Candidate) -> Mapping[str, dspy.Module]:
        if arm == ALL:
            return {self.task.predictors[0]: AllTechniques()}
        agents = self.task.agents("frozen" if arm == FROZEN else "dspy")
        if arm == OPTIMISED:
            for name, agent in agents.items():
                apply_state(agent, best.state[name])
        return agents

    async def _play(
        self,
        examples: list[str],
        agents: Mapping[str, dspy.Module],
        optimized: Mapping[str, Outcome],
        arm: str,
    ) -> list[Outcome]:
        gate = asyncio.Semaphore(self.threads)

        async def one(example: str) -> Outcome:
            ours = agents
            if arm == RANDOM:
                chosen = optimized[example].detail.get("techniques") or []
                if not chosen:
                    return Outcome(None, "", missing="the optimized arm chose nothing here")
                sizes = [len(techniques) for techniques in chosen]
                ours = {self.task.predictors[0]: RandomSubset(sizes, f"{self.seed}/{example}")}
            try:
                async with gate:
                    outcome = await self.task.play(ours, example, None)
            except Halt as halt:
                outcome = Outcome(None, "", missing=halt.why)
            self.watch.tick()
            return outcome

        return await asyncio.gather(*map(one, examples))
