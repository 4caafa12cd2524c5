"""The stage ``judge``: a panel rates the sessions as they are published, or afterwards."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from eval.dialogues import Dialogue, of_session
from eval.judging import Judging, Panelist, ScoreBook
from eval.scores import Score
from magnet.console.progress import Display
from magnet.core.errors import UsageError
from magnet.core.journal import RunDirectory, read_sessions
from magnet.lm import Meter, make_lm, resolve
from magnet.lm.loop import run_loop
from magnet.stages.generate import FATAL
from magnet.stages.outcome import Outcome
from magnet.study.spec import Study, load_study
from programs import AgentError, Judge
from programs.artefact import load as load_artefact


def models_of(panel: Sequence[Panelist]) -> dict[str, Any]:
    """The judges as the provenance keeps them, by ``Score.judge_id``."""
    return {panelist.id: panelist.facts for panelist in panel}


def make_panel(study: Study, meter: Meter) -> list[Panelist]:
    """The study's judges, each checked against its server.

    Raises:
        UsageError: a server is out of reach, or a prompt is not as locked.
    """
    panel = []
    artefacts = [load_artefact(source) for source in study.optimized]
    for name, spec in study.judge_specs().items():
        resolved = resolve(spec, study.judge_table(name))
        program = Judge(study.prompts, study.behaviour, expected=study.expected)
        for artefact in artefacts:
            artefact.apply(list(program.agents.values()))
        program.set_lm(make_lm(resolved, "judge", meter))
        panel.append(Panelist(name, program, resolved, study.prompts))
    return panel


class JudgeStage:
    """Feeds dialogues to the panel, as fast as it can take them.

    Args:
        judging: asks the questions.
        display: what a person sees.
        workers: dialogues judged at once.
    """

    def __init__(self, judging: Judging, display: Display, workers: int) -> None:
        self.judging, self.display, self.workers = judging, display, workers
        self.judging.done = self._done
        self.queue: asyncio.Queue[Dialogue | None] = asyncio.Queue(maxsize=workers)
        self.answers = self.missing = 0
        self.retries: Counter[str] = Counter()
        self.left: dict[str, str] = {}
        self.stopped = ""

    def _done(self, scores: Sequence[Score], retries: Mapping[str, int]) -> None:
        self.answers += 1
        self.missing += sum(score.value is None for score in scores)
        self.retries.update(retries)
        self.display.judged(self.answers)

    async def submit(self, dialogue: Dialogue) -> None:
        """Hands over a dialogue; waits while the panel is busy."""
        if not self.stopped:
            await self.queue.put(dialogue)

    def add_to(self, outcome: Outcome) -> None:
        """Adds what became of the judging to what became of the sessions."""
        outcome.answers, outcome.missing, outcome.unjudged = self.answers, self.missing, self.left
        outcome.retries.update(self.retries)
        outcome.stopped = outcome.stopped or self.stopped

    async def run(self) -> None:
        """Judges what is handed over until ``finish``."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while (dialogue := await self.queue.get()) is not None:
            if self.stopped:
                continue
            try:
                await self.judging.judge(dialogue)
            except AgentError as error:
                self.left[dialogue.id] = str(error)
                if error.code in FATAL or error.code == "budget":
                    self.stopped = str(error)
                else:
                    self.display.note(f"{dialogue.id} not fully judged: {error}")
        await self.queue.put(None)  # for the next worker

    async def finish(self, rest: Iterable[Dialogue]) -> None:
        """Hands over what was not judged before, then lets the workers end."""
        for dialogue in rest:
            await self.submit(dialogue)
        await self.queue.put(None)


def judge_run(
    path: Path,
    settings: Sequence[str],
    only: Sequence[str],
    limit: int | None,
    console: Console,
    named: str | None = None,
) -> JudgeStage:
    """``magnet judge``: rates the finished sessions of a run; what is known is not asked again.

    Args:
        path: the run directory.
        settings: ``key=value`` over the study: scales, repeats, judges, lm.judge, budget.
        only: judges of the study to ask; all of them for none.
        limit: how many sessions, from the first; all of them for None.
        console: where progress goes.
        named: a study, by file or name, whose judges, prompts and settings to use; the run's own
            unless given.

    Raises:
        UsageError: no run there, no study to judge an adopted one by, or a judge is out of reach.
    """
    if not (path / "provenance.json").is_file():
        raise UsageError(
            f"{path} is not a run directory",
            "To import dialogues from elsewhere: magnet adopt SOURCE --out DIR",
        )
    own = path / "study.toml"
    if not named and own.is_file() and not own.stat().st_size:
        raise UsageError(
            f"{path} is an adopted run, which names no judge",
            f"Give a study with [lm.judge]: magnet judge {path} --study STUDY.toml",
        )
    study = load_study(named or str(own), settings)
    directory, meter = RunDirectory(path), Meter(study.budget)
    directory.hold()
    book = ScoreBook(path)
    try:
        panel = [p for p in make_panel(study, meter) if not only or p.name in only]
        if not panel:
            raise UsageError(f"the study has no judge {', '.join(only)}", _known_judges(study))
        directory.note_judges(models_of(panel))
        meter.load(directory.load_usage())
        embedded = any(spec.url is None for spec in study.judge_specs().values())
        workers = study.workers or (4 if embedded else 64)
        judging = Judging(
            book,
            panel,
            study.scales,
            repeats=study.judge_repeats,
            random_seed=study.seed if study.behaviour.send_seed else None,
        )
        dialogues = (of_session(s) for s in islice(read_sessions(path), limit))
        display = Display(console, meter, sessions=0, exchanges=0, done=0, done_exchanges=0)
        stage = JudgeStage(judging, display, workers)

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(stage.run())
                await stage.finish(dialogues)

        with display:
            try:
                run_loop(main())
            finally:
                directory.save_usage(meter.dump())
        return stage
    finally:
        book.close()
        directory.close()


def _known_judges(study: Study) -> str:
    return f"It has: {', '.join(study.judge_specs())}."
