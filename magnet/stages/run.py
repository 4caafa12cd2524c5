"""Runs the stages of a prepared study into a run directory."""

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import dspy
from rich.console import Console

from eval.dialogues import of_session
from eval.judging import Judging, ScoreBook
from magnet.console.progress import Display
from magnet.core.journal import RunDirectory, read_sessions
from magnet.lm import Meter
from magnet.lm.loop import run_loop
from magnet.stages.generate import Generation, jobs
from magnet.stages.judge import JudgeStage, make_panel, models_of
from magnet.stages.outcome import Outcome
from magnet.study.prepare import Prepared, assign, check_disk, patient, resolve_models
from magnet.study.provenance import provenance, session_provenance, study_toml


def run(prepared: Prepared, out: Path, console: Console) -> tuple[Outcome, Meter]:
    """Runs a prepared study into a run directory.

    Raises:
        UsageError: a server, the disk or the directory is unsuitable; nothing was spent.
        KeyboardInterrupt: stopped by Ctrl-C or SIGTERM; finished exchanges are on disk.
    """
    study = prepared.study
    check_disk(out, prepared.sessions, study.exchanges)
    meter = Meter(study.budget)
    specs, lms = resolve_models(study, prepared.roles, meter)
    panel = make_panel(study, meter) if "judge" in study.stages else []
    optimized = [artefact.facts for artefact in prepared.artefacts]
    whole = provenance(study, prepared.identity, prepared.file, specs, optimized)
    directory = RunDirectory(out)
    directory.open(study_toml(study), whole)
    book = ScoreBook(out)
    try:
        directory.note_judges(models_of(panel))
        meter.load(directory.load_usage())
        done = directory.finished()
        todo = [
            job for job in jobs(list(prepared.counselors), prepared.seeds) if job[0] not in done
        ]
        total = prepared.sessions
        display = Display(
            console,
            meter,
            sessions=total,
            exchanges=total * study.exchanges,
            done=total - len(todo),
            done_exchanges=(total - len(todo)) * study.exchanges,
        )
        if len(todo) < total:
            display.note(f"{total - len(todo)} of {total} sessions were already finished.")
        workers = study.workers or (4 if prepared.embedded else 64)
        random_seed = study.seed if study.behaviour.send_seed else None
        generation = Generation(
            directory,
            {method: assign(program, lms) for method, program in prepared.counselors.items()},
            assign(prepared.client, lms),
            exchanges=study.exchanges,
            random_seed=random_seed,
            provenance=session_provenance(whole),
            prices={role: spec.price for role, spec in specs.items()},
            meter=meter,
            display=display,
        )
        generation.outcome.finished, generation.outcome.sessions = total - len(todo), total

        async def main() -> Outcome:
            if not panel:
                return await generation.play(iter(todo), workers)
            judging = Judging(
                book,
                panel,
                study.scales,
                repeats=study.judge_repeats,
                random_seed=random_seed,
            )
            stage = JudgeStage(judging, display, workers)
            generation.published = lambda session: stage.submit(of_session(session))
            async with asyncio.TaskGroup() as group:
                group.create_task(stage.run())
                outcome = await generation.play(iter(todo), workers)
                await stage.finish(of_session(session) for session in read_sessions(out))
            stage.add_to(outcome)
            return outcome

        # A module of the user's own may ask the LM of its context: that of its role.
        own = {"lm": patient(lms["response"])} if study.own_methods and "response" in lms else {}
        with display, dspy.context(**own):
            return run_loop(_stoppable(main())), meter
    finally:
        book.close()
        directory.close()


async def _stoppable(main: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Ends on SIGTERM as on Ctrl-C."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await main
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
