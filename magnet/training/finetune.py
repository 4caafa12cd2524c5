"""``magnet finetune``: a run's sessions to a measured adapter, and how to serve and judge it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from magnet.console.tables import print_line
from magnet.core.errors import UsageError
from magnet.core.files import write_json
from magnet.core.journal import RunDirectory
from magnet.study.spec import digest
from magnet.training.base import cuda
from magnet.training.checks import check_machine, check_plan
from magnet.training.measure import measure_all
from magnet.training.merge import merge
from magnet.training.plan import Plan
from magnet.training.recipe import Recipe, recipe_yaml
from magnet.training.results import METRICS, write_results
from magnet.training.train import ADAPTER, JOB, ROWS, TRAINED, train

MERGED, PROVENANCE = "merged", "provenance.json"


def identity_of(plan: Plan) -> dict[str, Any]:
    """All that decides what comes out: a folder goes on with the same, and with nothing else."""
    rows = digest({"train": [row.ids for row in plan.train.rows]})
    held = digest({"validation": [row.ids for row in plan.validation.rows]})
    # Absent for the training split: folders from before there was a choice still go on.
    seen = {"clients": "all"} if plan.clients == "all" else {}
    return seen | {
        "method": plan.method,
        "prompts": plan.prompts,
        "recipe": plan.recipe.model_dump(mode="json"),
        "rows": {"train": rows, "validation": held},
    }


def finetune(
    plan: Plan, out: Path, console: Console, *, merged: bool = False, report_to: str | None = None
) -> None:
    """Trains, measures and writes all of the output folder; goes on where it stopped.

    Args:
        plan: what to do.
        out: the folder.
        console: where to show it.
        merged: keep the merged model.
        report_to: ``trackio`` or ``tensorboard``.

    Raises:
        UsageError: the machine will not do, or the folder belongs to another training; nothing
            was begun.
    """
    check_machine(plan.recipe)
    check_plan(plan, out, merged)
    _check_tracker(report_to)
    folder = RunDirectory(out)
    out.mkdir(parents=True, exist_ok=True)
    identity = identity_of(plan)
    check_folder(out, identity)
    folder.hold()
    try:
        if not (out / PROVENANCE).is_file():
            _begin(plan, out, identity, report_to)
        if not (out / TRAINED).is_file():
            _launch(out, plan.recipe, console)
        keep = out / MERGED if merged and not (out / MERGED).is_dir() else None
        if not (out / METRICS).is_file() or keep:
            _measure(plan, out, keep, console)
    finally:
        folder.close()


def _check_tracker(report_to: str | None) -> None:
    from importlib.util import find_spec

    if report_to and find_spec(report_to) is None:
        raise UsageError(
            f"--report-to: {report_to} is not installed",
            "trackio and tensorboard are known: pip install one of them.",
        )


def check_folder(out: Path, identity: dict[str, Any]) -> None:
    """Refuses a folder that holds anything but this fine-tuning.

    Raises:
        UsageError: other files, or a fine-tuning with another identity.
    """
    known = out / PROVENANCE
    if not known.is_file():
        begun = {".lock", ROWS, JOB, "recipe.yaml"}  # killed while beginning
        if any(path.name not in begun for path in out.iterdir()):
            raise UsageError(
                f"{out} is not empty and holds no fine-tuning", "Name another folder: --out DIR"
            )
        return
    try:
        before = orjson.loads(known.read_bytes())["identity"]
    except (ValueError, KeyError, TypeError):
        before = {}
    keys = {**identity, **before}
    if changed := [key for key in keys if before.get(key) != identity.get(key)]:
        raise UsageError(
            f"{out} belongs to another fine-tuning: {', '.join(changed)} differ",
            "Go on with the same clients, sessions and recipe, or name another folder: --out DIR",
        )


def _begin(plan: Plan, out: Path, identity: dict[str, Any], report_to: str | None) -> None:
    from datasets import Dataset

    from magnet.training.results import provenance_of

    rows = plan.train.rows
    columns = {
        "input_ids": [row.ids for row in rows],
        "labels": [row.labels(plan.recipe.loss) for row in rows],
    }
    Dataset.from_dict(columns).save_to_disk(str(out / ROWS))
    (out / "recipe.yaml").write_text(recipe_yaml(plan.recipe), encoding="utf-8")
    (out / JOB).write_bytes(orjson.dumps({"base": plan.base, "report_to": report_to}))
    whole = {"identity": identity} | provenance_of(plan)
    write_json(out / PROVENANCE, whole)


def _launch(out: Path, recipe: Recipe, console: Console) -> None:
    """Trains in this process, or in one a device under a launcher."""
    if recipe.gpus == 1 and recipe.deepspeed == "none":
        train(out, console)
        return
    line, env = launcher(recipe), dict(os.environ)
    if not cuda():
        env["DS_ACCELERATOR"] = "cpu"
    done = subprocess.run([*line, str(out)], env=env)
    if done.returncode:
        raise UsageError(
            f"training stopped with exit code {done.returncode}; its messages are above",
            "The same command goes on from the last checkpoint.",
        )


def launcher(recipe: Recipe) -> list[str]:
    """The command that starts one training process a device, less the folder.

    DeepSpeed's ``--bind_cores_to_rank`` would want numactl; it does without.
    """
    head = [sys.executable, "-m"]
    module = ["--module", "magnet.training.train"]
    count = str(recipe.gpus)
    if recipe.deepspeed == "none":
        return [*head, "torch.distributed.run", "--standalone", "--nproc_per_node", count, *module]
    return [
        *head, "deepspeed.launcher.runner", "--num_accelerators", count, "--no_local_rank", *module,
    ]  # fmt: skip


def _measure(plan: Plan, out: Path, keep: Path | None, console: Console) -> None:
    trained = orjson.loads((out / TRAINED).read_bytes())
    recipe, rows, found = plan.recipe, plan.validation.rows, {}
    temporary = keep.with_name(f".{keep.name}.tmp") if keep else None
    if rows:
        print_line(console, f"Measuring {len(rows)} held-out replies.")
        found = measure_all(plan.base, out / ADAPTER, recipe.serve, rows, temporary)
    elif temporary:
        merge(plan.base, out / ADAPTER, recipe.serve, temporary)
    if keep and temporary:
        temporary.rename(keep)
    write_results(plan, out, trained, found)
