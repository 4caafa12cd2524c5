"""The comparison on held-out clients: what the search found against what it has to beat."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import dspy

from eval.statistics import Paired, holm, paired
from optimize.scoreboard import Outcome
from signatures import Technique

#: The arm that the others are compared with, and those that a gain has to beat.
OPTIMISED, FROZEN, UNOPTIMISED = "optimized", "frozen", "unoptimized"
ALL, RANDOM = "all techniques", "random subset"
#: A difference counts as shown below this p.
LEVEL = 0.05


class AllTechniques(dspy.Module):
    """A selector that always takes all five; it asks nobody."""

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """All five."""
        return dspy.Prediction(techniques=list(Technique))


class RandomSubset(dspy.Module):
    """A selector that takes as many as another one did at the same place, but at random.

    Args:
        sizes: how many, exchange by exchange.
        seed: of the choice.
    """

    def __init__(self, sizes: Sequence[int], seed: str) -> None:
        super().__init__()
        self.sizes, self.rng = list(sizes), random.Random(seed)

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """That many of the five, in any order; beyond the known exchanges, as many as last."""
        size = self.sizes.pop(0) if len(self.sizes) > 1 else self.sizes[0]
        return dspy.Prediction(techniques=self.rng.sample(list(Technique), size))


@dataclass(frozen=True)
class Arm:
    """One way of doing it, over the test examples.

    Attributes:
        name: of the arm.
        outcomes: by example.
        difference: the optimized arm minus this one; None for the optimized one itself.
        p: of the difference, by client, after Holm over the arms; None where not computed.
    """

    name: str
    outcomes: Mapping[str, Outcome]
    difference: Paired | None = None
    p: float | None = None

    @property
    def scores(self) -> dict[str, float | None]:
        """Score by example."""
        return {example: outcome.score for example, outcome in self.outcomes.items()}

    @property
    def values(self) -> list[float]:
        """The scores that are there."""
        return [score for score in self.scores.values() if score is not None]

    @property
    def mean(self) -> float | None:
        """Of the scores that are there."""
        return fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        """Of the scores that are there."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def missing(self) -> int:
        """Examples without a score."""
        return len(self.outcomes) - len(self.values)


def compare(outcomes: Mapping[str, Mapping[str, Outcome]], clients: Mapping[str, str]) -> list[Arm]:
    """The arms with their differences, paired by example and clustered by client.

    Args:
        outcomes: of each arm, by example; the optimized arm among them.
        clients: client by example.
    """
    arms = [Arm(name, found) for name, found in outcomes.items()]
    ours = next(arm for arm in arms if arm.name == OPTIMISED)
    differences = [
        None if arm is ours else paired(ours.scores, arm.scores, clients) for arm in arms
    ]
    corrected = holm([d.p_cluster if d else None for d in differences])
    return [
        Arm(arm.name, arm.outcomes, difference, p)
        for arm, difference, p in zip(arms, differences, corrected, strict=True)
    ]


@dataclass(frozen=True)
class Verdict:
    """What the comparison says about the search.

    Attributes:
        kind: ``gain``, ``loss``, ``not shown`` or ``not measured``.
        text: the same in a sentence.
    """

    kind: str
    text: str


def verdict(arms: Sequence[Arm], changed: bool) -> Verdict:
    """A gain is claimed only over the frozen and the unoptimized prompt, both below LEVEL.

    Args:
        arms: compared.
        changed: whether the search found anything better than its start on validation.
    """
    held = [arm for arm in arms if arm.name in (FROZEN, UNOPTIMISED)]
    if not held or any(arm.difference is None or arm.difference.n == 0 for arm in held):
        return Verdict("not measured", "The arms were not measured on the test examples.")
    if not changed:
        return Verdict(
            "not shown",
            "The search found nothing better than its start on the validation examples; the "
            "artefact holds the unoptimized prompt.",
        )
    means = [arm.difference.mean or 0.0 for arm in held if arm.difference]
    shown = [arm.p is not None and arm.p < LEVEL for arm in held]
    if all(shown) and min(means) > 0:
        return Verdict(
            "gain",
            f"Better than the frozen and the unoptimized prompt (p < {LEVEL:g} by client, Holm).",
        )
    if any(s and m < 0 for s, m in zip(shown, means, strict=True)):
        worse = [a.name for a, s, m in zip(held, shown, means, strict=True) if s and m < 0]
        return Verdict("loss", f"Worse than the {' and the '.join(worse)} prompt: do not use it.")
    if any(arm.difference and arm.difference.p_cluster is None for arm in held):
        reasons = {r for arm in held if arm.difference for r in arm.difference.reasons}
        why = f" ({'; '.join(sorted(reasons))})" if reasons else ""
        return Verdict("not shown", f"No gain shown: it could not be tested{why}.")
    return Verdict(
        "not shown", "No gain shown: the differences may be due to chance (see the table's p)."
    )
