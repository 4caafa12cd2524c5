"""One optimization from start to end: score the start, search, compare on held-out clients."""

import asyncio
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dspy
from dspy.utils.exceptions import LMError

from eval.report.tables import DEMONSTRATION
from magnet.core.errors import UsageError
from magnet.lm import Budget, Meter
from magnet.lm.sync import run_sync
from magnet.study.optimize import OptimizeSpec
from optimize.arms import Arm, Verdict, verdict
from optimize.comparison import Comparison
from optimize.interrupts import INTERRUPTED, printing_to, stopping
from optimize.optimizers import Search, search
from optimize.progress import Watch
from optimize.scoreboard import Board, Candidate, Halt, halt_for
from optimize.task import Task, Trial


@dataclass
class Result:
    """The result of an optimization.

    Attributes:
        start: where the search started.
        best: what it found; the start where it found nothing better.
        board: every outcome of the search.
        arms: compared on the test examples; empty where they were not measured.
        verdict: what they say.
        stopped: why the search ended before its end, "" where it did not.
        left_out: examples without a score at the start, by split, with the reason.
        interrupted: by the user or a fault; the same command resumes.
        demonstration: the judge is the embedded LM.
    """

    start: Candidate
    best: Candidate
    board: Board
    arms: list[Arm]
    verdict: Verdict
    stopped: str = ""
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    interrupted: bool = False
    demonstration: bool = False

    @property
    def notes(self) -> list[str]:
        """What a reader of the verdict needs to know."""
        notes = [f"The search stopped early: {self.stopped}."] if self.stopped else []
        return [*notes, DEMONSTRATION] if self.demonstration else notes


@dataclass
class Setup:
    """What an optimization needs.

    Args:
        task: plays and scores examples.
        spec: how.
        lm: of the agents being optimized.
        prompt_lm: writes instructions.
        meter: counts every call.
        seed: of the search.
        threads: examples played at once.
        watch: tells a person.
        log: file that takes what DSPy's optimizers print.
    """

    task: Task
    spec: OptimizeSpec
    lm: dspy.LM
    prompt_lm: dspy.LM
    meter: Meter
    seed: int
    threads: int
    watch: Watch
    log: Path

    def run(self) -> Result:
        """Runs it; Ctrl-C and a spent budget keep the best.

        Raises:
            UsageError: the budget is too small, or the judge gives no scores.
        """
        validation = [e.id for e in self.task.splits["validation"]]
        board = Board(validation, self.spec.metric_calls, self.watch.outcome)
        self.meter.limit(self._for_search())
        start = Trial(self.task, board, self.task.agents("dspy"))
        first = board.candidate(start)
        result = Result(first, first, board, [], Verdict("not measured", "Not measured."))
        try:
            with stopping(board):
                self._search(start, result)
        except Halt as halt:
            result.stopped, result.interrupted = halt.why, halt.failed
        except KeyboardInterrupt:
            result.stopped, result.interrupted = INTERRUPTED, True
        board.halt(Halt(result.stopped or "done"))  # threads that are still under way stop
        result.best = board.best or first
        if not result.interrupted:
            try:
                self.meter.limit(self.spec.budget)
                result.arms = self.comparison.run(result.best)
                changed = result.best is not result.start
                result.verdict = verdict(result.arms, changed)
            except KeyboardInterrupt:
                result.stopped, result.interrupted = INTERRUPTED, True
        return result

    def _search(self, start: Trial, result: Result) -> None:
        board, splits = result.board, dict(self.task.splits)
        self.watch.phase("scoring the start", len(splits["train"]) + len(splits["validation"]))
        self._evaluate(start, [*splits["train"], *splits["validation"]])
        outcomes = result.start.outcomes
        kept: dict[str, list[dspy.Example]] = {}
        for split in ("train", "validation"):
            missing = {
                e.id: outcomes[e.id].missing for e in splits[split] if outcomes[e.id].score is None
            }
            if missing:
                result.left_out[split] = missing
            kept[split] = [e for e in splits[split] if e.id not in missing]
            if not kept[split]:
                raise UsageError(
                    f"optimize: none of {len(missing)} {split} examples has a score: "
                    f"{next(iter(missing.values()))}",
                    "Check the judge and the selector's model: magnet doctor STUDY.toml",
                )
        board.validation = [e.id for e in kept["validation"]]
        board.settle()
        self.meter.limit(self._for_search(known=True))
        scores = [outcomes[e.id].score or 0.0 for e in kept["train"]]
        given = Search(
            student=start,
            train=kept["train"],
            validation=kept["validation"],
            lm=self.lm,
            prompt_lm=self.prompt_lm,
            metric_calls=self.spec.metric_calls,
            threshold=sum(scores) / len(scores),
            seed=self.seed,
            threads=self.threads,
        )
        self.watch.phase(f"searching ({self.spec.optimizer})", self.spec.metric_calls)
        found = None
        with printing_to(self.log):
            try:
                found = search(self.spec.optimizer, given, self.spec.options)
            except (
                LMError
            ) as error:  # the LM that writes instructions: it is not a candidate's fault
                raise halt_for(error.code, str(error.message)) from None
            except Exception as error:  # noqa: BLE001 - DSPy's; what was found is kept
                traceback.print_exc()
                result.stopped = f"{self.spec.optimizer} failed: {error} (see {self.log.name})"
        programs = [found] if found is not None else []
        programs += [c["program"] for c in getattr(found, "candidate_programs", [])[:3]]
        for program in programs:  # some optimizers choose by training examples alone
            self._evaluate(program, kept["validation"])

    def _evaluate(self, program: dspy.Module, examples: Sequence[dspy.Example]) -> None:
        """Scores examples; the board keeps them."""
        gate = asyncio.Semaphore(self.threads)

        async def one(example: dspy.Example) -> None:
            async with gate:
                await program.acall(id=example.id)

        async def main() -> list[BaseException | None]:
            return await asyncio.gather(*map(one, examples), return_exceptions=True)

        with dspy.context(lm=self.lm):
            for error in run_sync(main()):
                if error is not None:
                    raise error

    # The budget: what the comparison will take is kept back.

    @property
    def comparison(self) -> Comparison:
        """The arms of this optimization."""
        return Comparison(self.task, self.lm, self.seed, self.threads, self.watch)

    @property
    def reserve(self) -> int:
        """LM calls of the comparison, if nothing is asked twice."""
        arms = len(self.comparison.names)
        return arms * len(self.task.splits["test"]) * sum(self.task.calls.values())

    @property
    def least(self) -> int:
        """LM calls without any search: the start and the comparison."""
        windows = len(self.task.splits["train"]) + len(self.task.splits["validation"])
        return windows * sum(self.task.calls.values()) + self.reserve

    def check(self) -> None:
        """Refuses a budget that leaves nothing to search with.

        Raises:
            UsageError: it is too small.
        """
        bound = self.spec.budget.calls
        if bound is not None and bound <= self.least:
            raise UsageError(
                f"optimize: a budget of {bound} calls leaves nothing to search with: scoring the "
                f"start and the comparison take {self.least} ({self.reserve} for the comparison)",
                "Give more (--budget-calls), or fewer prefixes: --set optimize.test=4",
            )
        windows = len(self.task.splits["train"]) + len(self.task.splits["validation"])
        if self.spec.metric_calls <= windows:
            raise UsageError(
                f"optimize: metric_calls is {self.spec.metric_calls}, but scoring the start takes "
                f"{windows}",
                f"--set optimize.metric_calls={windows * 4}, or fewer prefixes.",
            )

    def _for_search(self, known: bool = False) -> Budget:
        """The budget less what the comparison will take; tokens and money by the mean call."""
        whole, spent = self.spec.budget, self.meter.total()
        rate = self.reserve / spent.calls if known and spent.calls else 0.0
        tokens = rate * (spent.input_tokens + spent.output_tokens)
        money = rate * sum(spent.money.values())
        return Budget(
            calls=None if whole.calls is None else max(0, whole.calls - self.reserve),
            tokens=None if whole.tokens is None else max(0, int(whole.tokens - tokens)),
            money=None if whole.money is None else max(0.0, whole.money - money),
        )
