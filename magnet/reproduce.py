"""``python -m magnet.reproduce``: a whole study, stage by stage.

Everything that can be checked is checked before anything is spent. The same command goes on
where it stopped.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from magnet.console.progress import money_text
from magnet.console.run import FINISHED, INTERRUPTED, LEFT, run_module
from magnet.console.tables import print_line, print_table
from magnet.lm import Meter
from magnet.stages.generate import Outcome
from magnet.stages.run import run
from magnet.study.estimate import print_estimate
from magnet.study.prepare import Prepared, prepare, quiet
from magnet.study.provenance import study_toml
from magnet.study.spec import digest, load_study


def print_outcome(
    outcome: Outcome, meter: Meter, out: Path, console: Console, page: Path | None
) -> None:
    """Prints what came out, what it took, and how to read it."""
    say = partial(print_line, console)
    total = meter.total()
    if outcome.exchanges:
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
    say(f"Read them: magnet show {out}   (one session: magnet show {out} 1 --exchange 1)")


def _finetune(prepared: Prepared, outcome: Outcome, folder: Path, console: Console) -> None:
    from magnet.stages.finetune import finetune_stage

    if outcome.left:
        print_line(console, "Fine-tuning waits until all sessions are finished.")
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
    profile: Annotated[
        str | None, typer.Option(help="The same as --set profile=...: paper or released.")
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
        typer.Option(help="The same as --set optimized=[...]: what optimize.selector made."),
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
        "profile": profile,
        "lm.default.wire": wire,
        "lm.default.template": template,
        "optimized": None if selector is None else [str(selector)],
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
        from magnet.stages.finetune import check_stage

        check_stage(prepared.study)
    quiet()
    folder = out or Path("runs") / f"{prepared.study.name}-{digest(prepared.identity)[:8]}"
    try:
        outcome, meter = run(prepared, folder, console)
    except KeyboardInterrupt:
        print_line(
            console,
            f"\nInterrupted. Finished exchanges are in {folder}; the same command goes on.",
        )
        raise typer.Exit(INTERRUPTED) from None
    if "finetune" in prepared.study.stages:
        _finetune(prepared, outcome, folder, console)
    page = None
    if "report" in prepared.study.stages and outcome.finished:
        from eval.report.page import PAGE, write_report

        page = write_report([folder]) / PAGE
    print_outcome(outcome, meter, folder, console, page)
    raise typer.Exit(LEFT if outcome.left or outcome.unjudged else FINISHED)


def main() -> None:
    """Entry point; bad input ends with one message and exit code 2."""
    run_module("magnet.reproduce", reproduce)


if __name__ == "__main__":
    main()
