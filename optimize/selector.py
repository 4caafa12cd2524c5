"""``python -m optimize.selector``: optimize the technique selector against the CTRS judge.

Everything that can be checked is checked before anything is spent. The same command goes on
where it stopped: no answered question is paid twice.
"""

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from magnet.console.run import INTERRUPTED, LEFT, run_module
from magnet.console.tables import print_line, print_table
from magnet.core.errors import UsageError
from magnet.stages.run import run as play
from magnet.study.estimate import print_estimate as print_sessions
from magnet.study.prepare import prepare, quiet
from magnet.study.spec import Study, digest, load_study
from optimize.estimate import print_search
from optimize.interrupts import INTERRUPTED as STOPPED
from optimize.optimizers import check_options
from optimize.ratings import QUESTIONS
from optimize.report import summary
from optimize.rollout import calls_of
from optimize.run import optimize
from optimize.search import Result

_GENERATE = 'stages=["generate"]'
#: Keys of the table ``[optimize]`` that change how far a search goes, not which one it is.
_NOT_IDENTITY = {"budget", "metric_calls", "workers"}


def selector(
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study's TOML file or name. Default: the run's own, or the study 'selector'.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Learn from this run's sessions; else the study plays them first."),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(help="The agent to tune: technique (default), response, planner, ..."),
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(help="With --agent judge: CSV of people's ratings (session,item,rating)."),
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="gepa (default), miprov2, random-search or simba.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(help="Exchanges played and judged after a prefix. Default: 1.")
    ] = None,
    metric_calls: Annotated[
        int | None, typer.Option(help="Windows the search may have scored. Default: 200.")
    ] = None,
    budget_calls: Annotated[
        int | None, typer.Option(help="LM calls in all, the comparison at the end included.")
    ] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Tokens in all.")] = None,
    budget_money: Annotated[
        float | None, typer.Option(help="Money in all, by the study's prices.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Overrides a key; VALUE is TOML."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder. Default: runs/optimize-NAME-HASH, the same for the same settings."
        ),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print the LM calls and leave.")
    ] = False,
) -> None:
    """Optimize the technique selector against the CTRS judge, everything else frozen.

    Without arguments: prefixes, search and comparison on the embedded LM, no server and no key
    needed. The result is used by: python -m magnet.reproduce --selector FOLDER
    """
    console = Console(file=sys.stdout)  # this one: what optimizers print goes elsewhere
    short = {
        "optimize.agent": agent or ("judge" if ratings else None),
        "optimize.optimizer": optimizer,
        "optimize.horizon": horizon,
        "optimize.metric_calls": metric_calls,
        "optimize.budget.calls": budget_calls,
        "optimize.budget.tokens": budget_tokens,
        "optimize.budget.money": budget_money,
    }
    named = [f"{key}={json.dumps(value)}" for key, value in short.items() if value is not None]
    source = study or (_own_study(run) if run else "selector")
    settings = [*named, *(settings or [])]
    loaded = load_study(source, settings)
    _check(loaded, run, ratings)
    quiet()
    folder = out or Path("runs") / f"optimize-{loaded.name}-{_hash(loaded, run, ratings)}"
    if estimate:
        if run is None:
            print_sessions(prepare(source, [*settings, _GENERATE]), console)
        print_search(loaded, run, ratings, console)
        return
    try:
        sessions = run or _play(source, settings, folder, console)
        result, page = optimize(loaded, sessions, ratings, folder, console)
    except KeyboardInterrupt:
        print_line(console, f"\nInterrupted. The same command goes on: {folder}")
        raise typer.Exit(INTERRUPTED) from None
    _print_result(loaded, result, page, console)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED if result.stopped == STOPPED else LEFT)


def _own_study(run: Path) -> str:
    """The study that a run was played by.

    Raises:
        UsageError: it was adopted, and names no models.
    """
    own = run / "study.toml"
    if own.is_file() and not own.stat().st_size:
        raise UsageError(
            f"{run} is an adopted run, which names no models",
            f"Give a study: python -m optimize.selector STUDY.toml --run {run}",
        )
    return str(own)


def _hash(study: Study, run: Path | None, ratings: Path | None) -> str:
    """Names the folder: the same settings on the same data go on in the same one."""
    data = study.model_dump(mode="json", exclude={"name", "workers", "budget", "stages"})
    if not study.leave_out:  # as the folders of before there was a choice
        del data["leave_out"]
    data["optimize"] = {k: v for k, v in data["optimize"].items() if k not in _NOT_IDENTITY}
    return digest({"study": data, "run": str(run), "ratings": str(ratings)})[:8]


def _check(study: Study, run: Path | None, ratings: Path | None) -> None:
    """Refuses what cannot be optimized, before a session is played.

    Raises:
        UsageError: it cannot.
    """
    spec = study.optimize
    check_options(spec.optimizer, spec.options)
    judges = spec.agent == "judge" or spec.agent in QUESTIONS
    if judges and (ratings is None or run is None):
        raise UsageError(
            f"optimize: {spec.agent} is optimized on people's ratings of a run's sessions",
            "Give both: --run RUN --ratings FILE.csv (columns session,item,rating)",
        )
    if ratings is not None and not judges:
        raise UsageError(
            f"optimize: {spec.agent} is not optimized on ratings",
            f"With --ratings: --agent judge, or one of {', '.join(QUESTIONS)}.",
        )
    if spec.agent in study.leave_out:
        raise UsageError(
            f"optimize: {spec.agent} is left out of this study",
            "Optimize another agent, or take it out of leave_out.",
        )
    if not judges:
        calls_of(spec.agent, spec.horizon, study.judge_repeats)


def _play(source: str, settings: Sequence[str], folder: Path, console: Console) -> Path:
    """Plays the study's sessions, or goes on with them."""
    out = folder / "sessions-run"
    out.parent.mkdir(parents=True, exist_ok=True)
    outcome, _ = play(prepare(source, [*settings, _GENERATE]), out, console)
    if outcome.left:
        console.print(f"{outcome.left} sessions are unfinished: {outcome.stopped or 'see above'}")
    return out


def _print_result(study: Study, result: Result, page: Path, console: Console) -> None:
    say = partial(print_line, console)
    if result.arms:
        columns = ["arm", "mean", "n", "missing", "optimized - arm", "p, by client"]
        print_table(console, columns, summary(result))
    say(result.verdict.text)
    for note in result.notes:
        say(note)
    if result.interrupted:
        say("The best so far is kept; the same command goes on.")
    say(f"Artefact and report: {page.parent}")
    say(f"Open in a browser: {page}")
    if study.optimize.agent in ("technique", "technique-unplanned"):
        say(f"Use it: python -m magnet.reproduce --selector {page.parent}")


def main() -> None:
    """Entry point; bad input ends with one message and exit code 2."""
    run_module("optimize.selector", selector)


if __name__ == "__main__":
    main()
