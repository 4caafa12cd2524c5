"""``python -m magnet.reproduce``: a whole study, stage by stage.

Everything that can be checked is checked before anything is spent. The same command goes on
where it stopped.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import dspy
import typer
from rich.console import Console

from eval.dialogues import of_session
from eval.judging import Judging, ScoreBook
from magnet.estimate import estimate
from magnet.generate import Generation, Outcome, jobs
from magnet.journal import RunDirectory, read_sessions
from magnet.judge import JudgeStage, make_panel, models_of
from magnet.lm import Meter
from magnet.lm.loop import run_loop
from magnet.prepare import Prepared, assign, check_disk, patient, prepare, quiet, resolve_models
from magnet.progress import Display, money_text
from magnet.provenance import provenance, session_provenance, study_toml
from magnet.study import digest, load_study
from magnet.tables import print_table

#: Exit codes: all sessions finished; some left (faults, budget); interrupted. Bad input is 2.
FINISHED, LEFT, INTERRUPTED = 0, 1, 130


def run(prepared: Prepared, out: Path, console: Console) -> tuple[Outcome, Meter]:
    """Runs a prepared study into a run directory.

    Raises:
        UsageError: a server, the disk or the directory will not do; nothing was spent.
        KeyboardInterrupt: stopped by Ctrl-C or SIGTERM; finished turns are on disk.
    """
    study = prepared.study
    check_disk(out, prepared.sessions, study.exchanges)
    meter = Meter(study.budget)
    specs, lms = resolve_models(study, prepared.roles, meter)
    panel = make_panel(study, meter) if "judge" in study.stages else []
    tuned = [artefact.facts for artefact in prepared.artefacts]
    whole = provenance(study, prepared.identity, prepared.file, specs, tuned)
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
            turns=total * study.exchanges,
            done=total - len(todo),
            done_turns=(total - len(todo)) * study.exchanges,
        )
        if len(todo) < total:
            display.note(f"{total - len(todo)} of {total} sessions were finished before.")
        workers = study.workers or (4 if prepared.embedded else 64)
        random_seed = study.seed if study.faithful.send_seed else None
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


def print_estimate(prepared: Prepared, console: Console) -> None:
    """Prints calls and tokens by role, and money where the study gives prices."""
    rows = estimate(prepared.study, prepared.seeds, prepared.counselors, prepared.client)
    money: dict[str, float] = {}
    for row in rows:
        if row.money is not None:
            money[row.currency] = money.get(row.currency, 0.0) + row.money
    lines = [
        [
            r.role,
            f"{r.calls:,}",
            f"{r.input_tokens:,}",
            f"{r.output_tokens:,}",
            "" if r.money is None else money_text({r.currency: r.money}),
        ]
        for r in rows
    ]
    sums = [sum(getattr(r, n) for r in rows) for n in ("calls", "input_tokens", "output_tokens")]
    lines.append(["total", *(f"{s:,}" for s in sums), money_text(money)])
    study = prepared.study
    console.print(
        f"{study.name}: {prepared.sessions} sessions of {study.exchanges} exchanges. "
        "Replies at their token limit, 4 characters a token, no retries.",
        highlight=False,
        soft_wrap=True,
    )
    columns = ["role", "calls", "input tokens", "output tokens", "money"]
    print_table(console, columns, lines)


def print_outcome(
    outcome: Outcome, meter: Meter, out: Path, console: Console, page: Path | None
) -> None:
    """Prints what came out, what it took, and how to read it."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    total = meter.total()
    if outcome.turns:
        say("Usage, over all invocations:")
        lines = [
            [
                role,
                f"{u.calls:,}",
                f"{u.failed:,}",
                f"{u.input_tokens:,}",
                f"{u.output_tokens:,}",
                money_text(u.money),
            ]
            for role, u in [*sorted(meter.roles.items()), ("total", total)]
        ]
        columns = ["role", "calls", "failed", "input tokens", "output tokens", "money"]
        print_table(console, columns, lines)
    if total.unknown:
        say(f"{total.unknown} answers came without token counts; the sums lack theirs.")
    if outcome.retries:
        listed = ", ".join(f"{n} {kind}" for kind, n in sorted(outcome.retries.items()))
        say(f"Retries: {listed}.")
    if outcome.answers:
        say(f"Judges answered {outcome.answers} times; {outcome.missing} scores are missing.")
    if outcome.unjudged:
        say(f"{len(outcome.unjudged)} sessions are not wholly judged; the same command goes on.")
    if outcome.stopped:
        say(f"Stopped: {outcome.stopped}")
    if outcome.left:
        say(f"{outcome.left} sessions are unfinished; the same command goes on.")
    say(f"{outcome.finished} sessions finished: {out / 'sessions'}")
    if page is not None:
        say(f"Tables: {page.parent / 'tables.md'}")
        say(f"Open in a browser: {page}")
    say(f"Read them: magnet show {out}   (one session: magnet show {out} 1 --turn 1)")


def _finetune(prepared: Prepared, outcome: Outcome, folder: Path, console: Console) -> None:
    from magnet.training.stage import finetune_stage

    if outcome.left:
        console.print("Fine-tuning waits until all sessions are finished.", highlight=False)
        return
    finetune_stage(prepared.study, folder, console)


def reproduce(
    study: Annotated[
        str, typer.Argument(help="A study's TOML file, or the name of one that ships.")
    ] = "demo",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Overrides a key; VALUE is TOML."),
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(help="The same as --set prompts=...: a prompt set.")
    ] = None,
    fidelity: Annotated[
        str | None, typer.Option(help="The same as --set fidelity=...: paper or released.")
    ] = None,
    wire: Annotated[
        str | None, typer.Option(help="The same as --set lm.default.wire=...: chat or completions.")
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(help="The same as --set lm.default.template=...: llama3 or chatml."),
    ] = None,
    selector: Annotated[
        Path | None,
        typer.Option(help="The same as --set tuned=[...]: what optimize.selector made."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run directory. Default: runs/NAME-HASH, the same for the same study."),
    ] = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Print the resolved study and leave.")
    ] = False,
    estimate_: Annotated[
        bool, typer.Option("--estimate", help="Print calls, tokens and money by role and leave.")
    ] = False,
) -> None:
    """Generate counselling sessions: run a study, or go on with it where it stopped.

    Without arguments: the study "demo" on the embedded LM, no server and no key needed.
    Synthetic text for research only, never for clinical use.
    """
    console = Console()
    short = {
        "prompts": prompts,
        "fidelity": fidelity,
        "lm.default.wire": wire,
        "lm.default.template": template,
        "tuned": None if selector is None else [str(selector)],
    }
    named = [f"{key}={json.dumps(value)}" for key, value in short.items() if value is not None]
    named += settings or []
    if print_:  # before prompts and seeds are asked for: they may not be imported yet
        sys.stdout.write(study_toml(load_study(study, named)))
        return
    prepared = prepare(study, named)
    if estimate_:
        print_estimate(prepared, console)
        return
    if "finetune" in prepared.study.stages:
        from magnet.training.stage import check_stage

        check_stage(prepared.study)
    quiet()
    folder = out or Path("runs") / f"{prepared.study.name}-{digest(prepared.identity)[:8]}"
    try:
        outcome, meter = run(prepared, folder, console)
    except KeyboardInterrupt:
        console.print(
            f"\nInterrupted. Finished turns are in {folder}; the same command goes on.",
            highlight=False,
        )
        raise typer.Exit(INTERRUPTED) from None
    if "finetune" in prepared.study.stages:
        _finetune(prepared, outcome, folder, console)
    page = None
    if "report" in prepared.study.stages and outcome.finished:
        from eval.report import PAGE, write_report

        page = write_report([folder]) / PAGE
    print_outcome(outcome, meter, folder, console, page)
    raise typer.Exit(LEFT if outcome.left or outcome.unjudged else FINISHED)


def main() -> None:
    """Entry point; bad input ends with one message and exit code 2."""
    from magnet.cli import run_module

    run_module("magnet.reproduce", reproduce)


if __name__ == "__main__":
    main()
