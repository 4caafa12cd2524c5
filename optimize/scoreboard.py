"""The board: every scored window by candidate, the best candidate so far, when to stop."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import dspy

from magnet.lm import BudgetReached
from programs.state import state_of


class Halt(BaseException):
    """The search stops here: budget spent, interrupted, or a server is gone.

    No ``Exception``: DSPy's optimizers take those for a bad candidate and continue.

    Attributes:
        failed: whether it is a fault, after which nothing more can be asked.
    """

    def __init__(self, why: str, failed: bool = False) -> None:
        super().__init__(why)
        self.why, self.failed = why, failed


def halt_for(code: str, text: str) -> Halt:
    """What ends the search when an error is not a candidate's fault."""
    if code == BudgetReached.default_code:
        return Halt("the budget is spent")
    return Halt(text, failed=True)


@dataclass(frozen=True)
class Outcome:
    """The result of one example under one candidate.

    Attributes:
        score: 0 to 1; None where it is missing.
        feedback: what the optimizer is told.
        unreadable: the candidate's own answer could not be read.
        missing: why there is no score, "" where there is one.
        detail: what was played and said, for the report.
    """

    score: float | None
    feedback: str
    unreadable: bool = False
    missing: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Candidate:
    """One state of the agents being optimized.

    Attributes:
        number: order of appearance, 0 is where the search starts.
        state: instructions and demos by predictor.
        outcomes: by example.
        found: scored windows when it appeared.
    """

    number: int
    state: dict[str, Any]
    found: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def instructions(self) -> dict[str, str]:
        """The instructions by predictor."""
        return {name: state["instructions"] for name, state in self.state.items()}


class Board:
    """All outcomes of a search.

    Args:
        validation: ids that decide which candidate is best.
        most: how many windows may be scored.
        tell: told of each new outcome: the candidate, its validation score where it has one, and
            whether it is now the best.
    """

    def __init__(
        self,
        validation: Sequence[str],
        most: int,
        tell: Callable[[Candidate, float | None, bool], None] = lambda candidate, score, best: None,
    ) -> None:
        self.validation, self.most, self.tell = validation, most, tell
        self.candidates: dict[str, Candidate] = {}
        self.scored = 0
        self.halted: Halt | None = None
        #: Scored windows and the best validation score at that time.
        self.curve: list[tuple[int, float]] = []
        #: The candidate with the best validation score, the first of equals.
        self.best: Candidate | None = None
        self._best_score = float("-inf")

    def halt(self, halt: Halt) -> Halt:
        """Stops everybody who asks from now on."""
        self.halted = self.halted or halt
        return halt

    def candidate(self, program: dspy.Module) -> Candidate:
        """The candidate that a program is."""
        state = {name: state_of(agent) for name, agent in program.named_predictors()}
        key = hashlib.sha256(json.dumps(state, sort_keys=True, default=str).encode()).hexdigest()
        return self.candidates.setdefault(key, Candidate(len(self.candidates), state, self.scored))

    def check(self, candidate: Candidate, example: str) -> None:
        """Stops where the search has to stop.

        Raises:
            Halt: it has.
        """
        if self.halted is not None:
            raise self.halted
        if example not in candidate.outcomes and self.scored >= self.most:
            raise self.halt(Halt(f"{self.most} windows have been scored"))

    def record(self, candidate: Candidate, example: str, outcome: Outcome) -> None:
        """Keeps an outcome."""
        if example in candidate.outcomes:
            return
        candidate.outcomes[example] = outcome
        self.scored += 1
        score = self.validation_score(candidate)
        self.tell(candidate, score, self._consider(candidate, score))

    def _consider(self, candidate: Candidate, score: float | None) -> bool:
        """Whether a candidate is better than the best so far, which it then is."""
        if score is None or score <= self._best_score:
            return False
        self.best, self._best_score = candidate, score
        self.curve.append((self.scored, score))
        return True

    def settle(self) -> None:
        """Finds the best again, as the validation examples have changed."""
        self.best, self._best_score, self.curve = None, float("-inf"), []
        for candidate in self.candidates.values():
            self._consider(candidate, self.validation_score(candidate))

    def handed(self, example: str, outcome: Outcome) -> float:
        """The number given to an optimizer, which cannot work without one.

        A candidate whose own answers cannot be read gets 0. Where the score is missing for
        another reason it gets what the start got on the same example: no difference shown.
        Neither is ever recorded as a score.
        """
        if outcome.score is not None:
            return outcome.score
        start = next(iter(self.candidates.values())).outcomes.get(example)
        if outcome.unreadable or start is None or start.score is None:
            return 0.0
        return start.score

    def validation_score(self, candidate: Candidate) -> float | None:
        """Mean over the validation examples; None before all are there."""
        there = [i for i in self.validation if i in candidate.outcomes]
        if len(there) < len(self.validation) or not there:
            return None
        return fmean(self.handed(i, candidate.outcomes[i]) for i in there)
