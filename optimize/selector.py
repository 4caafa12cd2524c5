"""``python -m optimize.selector``: tune the technique selector against the CTRS judge.

Everything that can be checked is checked before anything is spent. The same command goes on
where it stopped: no answered question is paid twice.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from magnet.errors import UsageError
from magnet.journal import RunDirectory, read_sessions
from magnet.lm import Meter
from magnet.lm.memo import Memo
from magnet.prepare import assign, prepare, quiet, roles_of
from magnet.progress import money_text
from magnet.provenance import commit, versions
from magnet.reproduce import INTERRUPTED, LEFT
from magnet.study import Study, digest, load_study
from magnet.tables import print_table
from optimize import report
from optimize.artefact import Artefact, save, state_for
from optimize.models import Models, connect
from optimize.optimizers import check_options
from optimize.prefixes import PARTS, parts, usable
from optimize.ratings import Agreement, read_ratings
from optimize.rollout import Rollout, programs
from optimize.stage import Stage
from optimize.tuning import INTERRUPTED as STOPPED
from optimize.tuning import Result, Tuning
from optimize.watch import Watch
from programs import Judge

#: Keys of the table ``[optimize]`` that change how far a search goes, not which one it is.
_NOT_IDENTITY = {"budget", "metric_calls", "workers"}


def ready(study: Study, run: Path, ratings: Path | None) -> tuple[Stage, list[Any]]:
    """The stage of a study's tuning, over a run's sessions, and its programs without LMs.

    Raises:
        UsageError: there are too few sessions, or the agent cannot be tuned.
    """
    spec, sessions = study.optimize, list(read_sessions(run))
    random_seed = study.seed if study.faithful.send_seed else None
    if ratings is not None:
        rated = read_ratings(ratings, sessions, spec.agent)
        scales = tuple(dict.fromkeys(r.question.partition("-")[0] for r in rated))
        judge = Judge(study.prompts, study.faithful, scales)
        return Agreement(parts(rated, spec, study.seed), judge, random_seed), [judge]
    counselor, client, judge = programs(study.prompts, study.faithful)
    stage = Rollout(
        spec.agent,
        parts(usable(sessions), spec, study.seed),
        counselor,
        client,
        judge,
        horizon=spec.horizon,
        repeats=study.judge_repeats,
        random_seed=random_seed,
    )
    return stage, [counselor, client, judge]


def tune(
    study: Study, run: Path, ratings: Path | None, folder: Path, console: Console
) -> tuple[Result, Path]:
    """Tunes an agent on a run's sessions and writes artefact and report.

    Args:
        study: with its table ``[optimize]``.
        run: the run directory whose sessions it learns from.
        ratings: human ratings of them, to tune the judge on.
        folder: where everything goes.
        console: where progress goes.

    Returns:
        The result, and the page of its report.

    Raises:
        UsageError: something is wrong; nothing was spent.
    """
    spec = study.optimize
    check_options(spec.optimizer, spec.options)
    stage, whole = ready(study, run, ratings)
    folder.mkdir(parents=True, exist_ok=True)
    directory = RunDirectory(folder)
    directory.hold()
    memo = Memo(folder / "memo.jsonl")
    try:
        meter = Meter()
        memo.count_into(meter)
        roles = [] if ratings else roles_of({"magnet": whole[0]}, whole[1])
        models = connect(study, roles, meter, memo)
        for program in whole:
            assign(program, models.lms)
        embedded = any(study.spec(role).url is None for role in models.specs)
        watch = Watch(console, meter)
        tuning = Tuning(
            stage=stage,
            spec=spec,
            lm=models.lms["judge" if ratings else spec.agent],
            prompt_lm=models.lms["optimizer"],
            meter=meter,
            seed=study.seed,
            threads=spec.workers or (4 if embedded else 16),
            watch=watch,
            log=folder / "optimizer.log",
        )
        tuning.check()
        with watch:
            result = tuning.run()
        facts = _facts(study, run, stage, models, meter, memo)
        artefact = Artefact(
            states=[state_for(name, state) for name, state in result.best.state.items()],
            verdict=result.verdict.kind,
            finding=result.verdict.text,
            provenance=_provenance(study, run, stage, models, meter),
        )
        save(folder, spec.agent, artefact)
        turns = {id: p.turn for id, p in getattr(stage, "prefixes", {}).items()}
        return result, report.write(folder, result, stage.scale, facts, turns)
    finally:
        memo.close()
        directory.close()


def _sizes(stage: Stage) -> dict[str, str]:
    clients = {part: len({stage.clients[e.id] for e in stage.parts[part]}) for part in PARTS}
    return {part: f"{len(stage.parts[part])} of {clients[part]} clients" for part in PARTS}


def _facts(
    study: Study, run: Path, stage: Stage, models: Models, meter: Meter, memo: Memo
) -> dict[str, str]:
    """What the report says of the tuning."""
    spec, total = study.optimize, meter.total()
    tokens = f"{total.input_tokens + total.output_tokens:,} tokens"
    by_role = ", ".join(f"{role} {u.calls:,}" for role, u in sorted(meter.roles.items()))
    named: dict[str, list[str]] = {}
    for role, lm in models.specs.items():
        named.setdefault(lm.model or "", []).append(role)
    return {
        "Agent": spec.agent,
        "Optimiser": spec.optimizer
        + (f", {json.dumps(spec.options, default=str)}" if spec.options else ""),
        "Sessions": str(run),
        **{f"{part.capitalize()} examples": text for part, text in _sizes(stage).items()},
        "Score": stage.scale,
        "Exchanges of a window": str(spec.horizon) if isinstance(stage, Rollout) else "none",
        "Models": "; ".join(f"{name} ({', '.join(roles)})" for name, roles in named.items()),
        "Prompts": study.prompts,
        "Seed": str(study.seed),
        "Spent": ", ".join(
            filter(None, [f"{total.calls:,} calls", tokens, money_text(total.money)])
        ),
        "Calls by role": by_role,
        "Answered from the memo": f"{memo.hits:,} questions, this time",
        "Version": f"{versions()['magnet-sessions']}, commit {(commit() or 'unknown')[:12]}",
    }


def _provenance(
    study: Study, run: Path, stage: Stage, models: Models, meter: Meter
) -> dict[str, Any]:
    return {
        "study": study.model_dump(mode="json", exclude_none=True),
        "models": {
            role: spec.model_dump(mode="json", exclude_none=True)
            for role, spec in models.specs.items()
        },
        "sessions": run.name,
        "examples": {part: [e.id for e in stage.parts[part]] for part in PARTS},
        "usage": meter.dump(),
        "packages": versions(),
        "commit": commit(),
        "use": "research only, never clinical use",
    }


def print_estimate(study: Study, stage: Stage, console: Console) -> None:
    """Prints the LM calls of a tuning, part by part, as upper bounds without repetitions."""
    spec, each = study.optimize, sum(stage.calls.values())
    steers = spec.agent == "technique"
    start = len(stage.parts["train"]) + len(stage.parts["validation"])
    arms = (5 if steers else 3) * len(stage.parts["test"])
    most = max(0, spec.metric_calls - start)
    rows = [
        [name, str(windows), f"{windows * each:,}"]
        for name, windows in (
            ("the start, on training and validation examples", start),
            ("the search, at most", most),
            ("the arms, on test examples", arms),
        )
    ]
    total = (start + most + arms) * each
    rows.append(["together, at most", str(start + most + arms), f"{total:,}"])
    by_role = ", ".join(f"{role} {n}" for role, n in stage.calls.items())
    console.print(
        f"{each} calls an example ({by_role}); instructions are written on top, about one call "
        "for each candidate. Answers known from an earlier try cost nothing.",
        highlight=False,
        soft_wrap=True,
    )
    print_table(console, ["part", "examples", "calls"], rows)
    if spec.budget.calls is not None:
        console.print(
            f"The budget of {spec.budget.calls:,} calls ends the search; {arms * each:,} of them "
            "are kept for the arms.",
            highlight=False,
            soft_wrap=True,
        )


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
        typer.Option(help="Folder. Default: runs/tune-NAME-HASH, the same for the same settings."),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print the LM calls and leave.")
    ] = False,
) -> None:
    """Tune the technique selector against the CTRS judge, everything else frozen.

    Without arguments: prefixes, search and comparison on the embedded LM, no server and no key
    needed. The result is used by: python -m magnet.reproduce --selector FOLDER
    """
    console = Console(file=sys.stdout)  # this one: what optimisers print goes elsewhere
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
    source = study or (str(run / "study.toml") if run else "selector")
    settings = [*named, *(settings or [])]
    loaded = load_study(source, settings)
    check_options(loaded.optimize.optimizer, loaded.optimize.options)
    if (loaded.optimize.agent == "judge" or "-" in loaded.optimize.agent) and ratings is None:
        raise UsageError(
            f"optimize: {loaded.optimize.agent} is tuned on people's ratings",
            "Give them: --ratings FILE.csv (columns session,item,rating)",
        )
    quiet()
    folder = out or Path("runs") / f"tune-{loaded.name}-{_hash(loaded, run, ratings)}"
    try:
        sessions = run or _play(source, settings, folder, console, estimate)
        if sessions is None:
            return
        if estimate:
            print_estimate(loaded, ready(loaded, sessions, ratings)[0], console)
            return
        result, page = tune(loaded, sessions, ratings, folder, console)
    except KeyboardInterrupt:
        console.print(f"\nInterrupted. The same command goes on: {folder}", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    _print_result(loaded, result, page, console)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED if result.stopped == STOPPED else LEFT)


def _hash(study: Study, run: Path | None, ratings: Path | None) -> str:
    """Names the folder: the same settings on the same data go on in the same one."""
    data = study.model_dump(mode="json", exclude={"name", "workers", "budget", "stages"})
    data["optimize"] = {k: v for k, v in data["optimize"].items() if k not in _NOT_IDENTITY}
    return digest({"study": data, "run": str(run), "ratings": str(ratings)})[:8]


def _play(
    source: str, settings: Sequence[str], folder: Path, console: Console, estimating: bool
) -> Path | None:
    """Plays the study's sessions, or goes on with them; None where only an estimate is wanted."""
    from magnet.reproduce import print_estimate as print_sessions
    from magnet.reproduce import run as play

    prepared = prepare(source, [*settings, 'stages=["generate"]'])
    out = folder / "sessions-run"
    if estimating:
        console.print("First the sessions to learn from:", highlight=False)
        print_sessions(prepared, console)
        console.print("The tuning itself is estimated on their run: --run RUN", highlight=False)
        return None
    out.parent.mkdir(parents=True, exist_ok=True)
    outcome, _ = play(prepared, out, console)
    if outcome.left:
        console.print(f"{outcome.left} sessions are unfinished: {outcome.stopped or 'see above'}")
    return out


def _print_result(study: Study, result: Result, page: Path, console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    if result.arms:
        columns = ["arm", "mean", "n", "missing", "optimised - arm", "p, by client"]
        print_table(console, columns, report.summary(result))
    if result.stopped:
        say(f"The search stopped early: {result.stopped}.")
    say(result.verdict.text)
    if result.interrupted:
        say("The best so far is kept; the same command goes on.")
    say(f"Artefact and report: {page.parent}")
    say(f"Open in a browser: {page}")
    if study.optimize.agent.startswith("technique"):
        say(f"Use it: python -m magnet.reproduce --selector {page.parent}")


def main() -> None:
    """Entry point; bad input ends with one message and exit code 2."""
    from magnet.cli import run_app

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name="python -m optimize.selector")(selector)
    run_app(app)


if __name__ == "__main__":
    main()
