"""One optimization as a folder: sessions in; artefact and report out."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from magnet.console.progress import money_text
from magnet.core.journal import RunDirectory, read_sessions
from magnet.core.seeds import SPLITS
from magnet.lm import Meter
from magnet.lm.memo import Memo
from magnet.study.prepare import assign, roles_of
from magnet.study.provenance import commit, versions
from magnet.study.spec import Study
from optimize import report
from optimize.models import Models, connect
from optimize.prefixes import splits, usable
from optimize.progress import Watch
from optimize.ratings import RatingTask, read_ratings
from optimize.rollout import Rollout, programs
from optimize.search import Result, Setup
from optimize.task import Task
from programs import Judge
from programs.artefact import Artefact, save, state_for


def ready(study: Study, run: Path, ratings: Path | None) -> tuple[Task, list[Any]]:
    """The task of a study's optimization, over a run's sessions, and its programs without LMs.

    Raises:
        UsageError: there are too few sessions, or the agent cannot be optimized.
    """
    spec, sessions = study.optimize, list(read_sessions(run))
    random_seed = study.seed if study.behaviour.send_seed else None
    if ratings is not None:
        rated = read_ratings(ratings, sessions, spec.agent)
        scales = tuple(dict.fromkeys(r.question.partition("-")[0] for r in rated))
        judge = Judge(study.prompts, study.behaviour, scales)
        return RatingTask(splits(rated, spec, study.seed), judge, random_seed), [judge]
    counselor, client, judge = programs(study.prompts, study.behaviour)
    counselor.leave_out(*study.leave_out)
    task = Rollout(
        spec.agent,
        splits(usable(sessions), spec, study.seed),
        counselor,
        client,
        judge,
        horizon=spec.horizon,
        repeats=study.judge_repeats,
        random_seed=random_seed,
    )
    return task, [counselor, client, judge]


def optimize(
    study: Study, run: Path, ratings: Path | None, folder: Path, console: Console
) -> tuple[Result, Path]:
    """Optimizes an agent on a run's sessions and writes artefact and report.

    Args:
        study: with its table ``[optimize]``.
        run: the run directory whose sessions it learns from.
        ratings: human ratings of them, to optimize the judge on.
        folder: where everything goes.
        console: where progress goes.

    Returns:
        The result, and the page of its report.

    Raises:
        UsageError: something is wrong, and nothing was spent; or the judge gives no scores.
    """
    spec = study.optimize
    task, whole = ready(study, run, ratings)
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
        optimization = Setup(
            task=task,
            spec=spec,
            lm=models.lms["judge" if ratings else spec.agent],
            prompt_lm=models.lms["optimizer"],
            meter=meter,
            seed=study.seed,
            threads=spec.workers or (4 if embedded else 16),
            watch=watch,
            log=folder / "optimizer.log",
        )
        optimization.check()
        with watch:
            result = optimization.run()
        result.demonstration = next(iter(study.judge_specs().values())).url is None
        facts = _facts(study, run, task, models, meter, memo)
        artefact = Artefact(
            states=[state_for(name, state) for name, state in result.best.state.items()],
            verdict=result.verdict.kind,
            finding=result.verdict.text,
            provenance=_provenance(study, run, task, models, meter),
        )
        save(folder, spec.agent, artefact)
        exchanges = {id: p.exchange for id, p in getattr(task, "prefixes", {}).items()}
        return result, report.write(folder, result, task.scale, facts, exchanges)
    finally:
        memo.close()
        directory.close()


def _sizes(task: Task) -> dict[str, str]:
    clients = {split: len({task.clients[e.id] for e in task.splits[split]}) for split in SPLITS}
    return {split: f"{len(task.splits[split])} (clients: {clients[split]})" for split in SPLITS}


def _facts(
    study: Study, run: Path, task: Task, models: Models, meter: Meter, memo: Memo
) -> dict[str, str]:
    """What the report says of the optimization."""
    spec, total = study.optimize, meter.total()
    tokens = f"{total.input_tokens + total.output_tokens:,} tokens"
    by_role = ", ".join(f"{role} {u.calls:,}" for role, u in sorted(meter.roles.items()))
    named: dict[str, list[str]] = {}
    for role, lm in models.specs.items():
        named.setdefault(lm.model or "", []).append(role)
    return {
        "Agent": spec.agent,
        "Optimizer": spec.optimizer
        + (f", {json.dumps(spec.options, default=str)}" if spec.options else ""),
        "Sessions": str(run),
        **{f"{split.capitalize()} examples": text for split, text in _sizes(task).items()},
        "Score": task.scale,
        "Exchanges per window": str(spec.horizon) if isinstance(task, Rollout) else "none",
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
    study: Study, run: Path, task: Task, models: Models, meter: Meter
) -> dict[str, Any]:
    return {
        "study": study.model_dump(mode="json", exclude_none=True),
        "models": {
            role: spec.model_dump(mode="json", exclude_none=True)
            for role, spec in models.specs.items()
        },
        "sessions": run.name,
        "examples": {split: [e.id for e in task.splits[split]] for split in SPLITS},
        "usage": meter.dump(),
        "packages": versions(),
        "commit": commit(),
        "use": "research only, never clinical use",
    }
