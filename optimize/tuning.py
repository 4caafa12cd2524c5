"""One tuning from start to end: score the start, search, compare on held-out clients."""

import asyncio
import logging
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.exceptions import LMError

from magnet.errors import UsageError
from magnet.lm import Budget, Meter
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
    Verdict,
    compare,
    verdict,
)
from optimize.board import Board, Candidate, Halt, Outcome, halt_for
from optimize.optimizers import Search, search
from optimize.spec import OptimizeSpec
from optimize.stage import Stage, Trial
from optimize.watch import Watch
from programs.state import apply_state

#: Why a search stopped that its user stopped.
INTERRUPTED = "interrupted"


@dataclass
class Result:
    """What a tuning came to.

    Attributes:
        start: where the search started.
        best: what it found; the start where it found nothing better.
        board: every outcome of the search.
        arms: compared on the test examples; empty where they were not measured.
        verdict: what they say.
        stopped: why the search ended before its end, "" where it did not.
        left_out: examples without a score at the start, by part, with the reason.
        interrupted: by the user, or by a fault: the same command goes on.
    """

    start: Candidate
    best: Candidate
    board: Board
    arms: list[Arm]
    verdict: Verdict
    stopped: str = ""
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    interrupted: bool = False


@dataclass
class Tuning:
    """What a tuning needs.

    Args:
        stage: plays and scores examples.
        spec: how.
        lm: of the agents under tuning.
        prompt_lm: writes instructions.
        meter: counts every call.
        seed: of the search.
        threads: examples played at once.
        watch: tells a person.
        log: file that takes what DSPy's optimisers print.
    """

    stage: Stage
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
        validation = [e.id for e in self.stage.parts["validation"]]
        board = Board(validation, self.spec.metric_calls, self.watch.outcome)
        self.watch.score = board.validation_score
        self.meter.limit(self._for_search())
        start = Trial(self.stage, board, self.stage.agents("dspy"))
        first = board.candidate(start)
        result = Result(first, first, board, [], Verdict("not measured", "Not measured."))
        try:
            with _stopping(board):
                self._search(start, result)
        except Halt as halt:
            result.stopped, result.interrupted = halt.why, halt.failed
        except KeyboardInterrupt:
            result.stopped, result.interrupted = INTERRUPTED, True
        board.halt(Halt(result.stopped or "done"))  # threads that are still under way stop
        result.best = board.best or first
        if not result.interrupted:
            try:
                self._compare(result)
            except KeyboardInterrupt:
                result.stopped, result.interrupted = INTERRUPTED, True
        return result

    def _search(self, start: Trial, result: Result) -> None:
        board, parts = result.board, dict(self.stage.parts)
        self.watch.phase("scoring the start", len(parts["train"]) + len(parts["validation"]))
        self._evaluate(start, [*parts["train"], *parts["validation"]])
        outcomes = result.start.outcomes
        kept: dict[str, list[dspy.Example]] = {}
        for part in ("train", "validation"):
            missing = {
                e.id: outcomes[e.id].missing for e in parts[part] if outcomes[e.id].score is None
            }
            if missing:
                result.left_out[part] = missing
            kept[part] = [e for e in parts[part] if e.id not in missing]
            if not kept[part]:
                raise UsageError(
                    f"optimize: none of {len(missing)} {part} examples has a score: "
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
        with _printing_to(self.log):
            try:
                found = search(self.spec.optimizer, given, self.spec.options)
            except LMError as error:  # the LM that writes instructions: it is no candidate's fault
                raise halt_for(error.code, str(error.message)) from None
            except Exception as error:  # noqa: BLE001 - DSPy's; what was found is kept
                traceback.print_exc()
                result.stopped = f"{self.spec.optimizer} failed: {error} (see {self.log.name})"
        programs = [found] if found is not None else []
        programs += [c["program"] for c in getattr(found, "candidate_programs", [])[:3]]
        for program in programs:  # some optimisers choose by training examples alone
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

    # The comparison.

    def _agents(self, arm: str, best: Candidate) -> Mapping[str, dspy.Module]:
        if arm == ALL:
            return {self.stage.predictors[0]: AllTechniques()}
        agents = self.stage.agents("frozen" if arm == FROZEN else "dspy")
        if arm == OPTIMISED:
            for name, agent in agents.items():
                apply_state(agent, best.state[name])
        return agents

    @property
    def _steers(self) -> bool:
        """Whether what is tuned is a selector, which has rules to beat."""
        return tuple(self.stage.predictors) == ("technique",)

    def _compare(self, result: Result) -> None:
        names = [OPTIMISED, FROZEN, UNOPTIMISED] + ([ALL, RANDOM] if self._steers else [])
        examples = [e.id for e in self.stage.parts["test"]]
        self.meter.limit(self.spec.budget)
        self.watch.phase("comparing on held-out clients", len(names) * len(examples))
        found: dict[str, dict[str, Outcome]] = {}
        for name in names:
            agents = {} if name == RANDOM else self._agents(name, result.best)
            found[name] = self._arm(name, agents, examples, found)
        result.arms = compare(found, self.stage.clients)
        result.verdict = verdict(result.arms, changed=result.best is not result.start)

    def _arm(
        self,
        name: str,
        agents: Mapping[str, dspy.Module],
        examples: Sequence[str],
        found: Mapping[str, Mapping[str, Outcome]],
    ) -> dict[str, Outcome]:
        gate = asyncio.Semaphore(self.threads)

        async def one(example: str) -> Outcome:
            ours = agents
            if name == RANDOM:
                chosen = found[OPTIMISED][example].detail.get("techniques") or []
                if not chosen:
                    return Outcome(None, "", missing="the optimised arm chose nothing here")
                sizes = [len(techniques) for techniques in chosen]
                ours = {"technique": RandomSubset(sizes, f"{self.seed}/{example}")}
            try:
                async with gate:
                    outcome = await self.stage.play(ours, example, None)
            except Halt as halt:
                outcome = Outcome(None, "", missing=halt.why)
            self.watch.tick()
            return outcome

        async def main() -> list[Outcome]:
            return await asyncio.gather(*map(one, examples))

        with dspy.context(lm=self.lm):
            return dict(zip(examples, run_sync(main()), strict=True))

    # The budget: what the comparison will take is kept back.

    @property
    def reserve(self) -> int:
        """LM calls of the comparison, if nothing is asked twice."""
        arms = 5 if self._steers else 3
        return arms * len(self.stage.parts["test"]) * sum(self.stage.calls.values())

    @property
    def least(self) -> int:
        """LM calls without any search: the start and the comparison."""
        windows = len(self.stage.parts["train"]) + len(self.stage.parts["validation"])
        return windows * sum(self.stage.calls.values()) + self.reserve

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
        windows = len(self.stage.parts["train"]) + len(self.stage.parts["validation"])
        if self.spec.metric_calls <= windows:
            raise UsageError(
                f"optimize: metric_calls is {self.spec.metric_calls}, and scoring the start takes "
                f"{windows}",
                f"--set optimize.metric_calls={windows * 4}, or fewer prefixes.",
            )

    def _for_search(self, known: bool = False) -> Budget:
        """The budget less what the comparison will take; tokens and money by the mean call."""
        whole, spent = self.spec.budget, self.meter.total()
        left = {"calls": None if whole.calls is None else max(0, whole.calls - self.reserve)}
        rate = self.reserve / spent.calls if known and spent.calls else 0.0
        tokens = rate * (spent.input_tokens + spent.output_tokens)
        money = rate * sum(spent.money.values())
        return Budget(
            calls=left["calls"],
            tokens=None if whole.tokens is None else max(0, int(whole.tokens - tokens)),
            money=None if whole.money is None else max(0.0, whole.money - money),
        )


@contextmanager
def _stopping(board: Board) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the search: some optimisers would swallow them and go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        board.halt(Halt(INTERRUPTED))
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
        if board.halted is not None and board.halted.why == INTERRUPTED:
            raise KeyboardInterrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """What DSPy's optimisers print and log goes to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(time.strftime("\n# %Y-%m-%d %H:%M:%S\n"))
        handler = logging.StreamHandler(file)
        loggers = [logging.getLogger(name) for name in ("dspy", "optuna", "gepa")]
        before: list[tuple[logging.Logger, list[Any], bool, int]] = []
        for logger in loggers:
            before.append((logger, logger.handlers, logger.propagate, logger.level))
            logger.handlers, logger.propagate = [handler], False
            logger.setLevel(logging.INFO)
        try:
            with redirect_stdout(file), redirect_stderr(file):
                yield
        finally:
            for logger, handlers, propagate, level in before:
                logger.handlers, logger.propagate = handlers, propagate
                logger.setLevel(level)
