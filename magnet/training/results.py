"""The output folder: figures, plot, model card, provenance."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from eval.render.svg import lines, standalone
from magnet.core.files import write_json
from magnet.core.seeds import SPLITS
from magnet.study.provenance import commit, version
from magnet.training.base import open_config
from magnet.training.evaluation import write_evaluation
from magnet.training.measure import Likelihood, arithmetic
from magnet.training.model_card import model_card, seen_clients, why_not_measured
from magnet.training.plan import Plan
from magnet.training.train import ADAPTER, LOG

METRICS = "metrics.json"
_PACKAGES = tuple(
    "magnet-sessions torch transformers trl peft bitsandbytes accelerate deepspeed datasets "
    "tokenizers".split()
)
_SMOOTH = 10  # steps


def provenance_of(plan: Plan) -> dict[str, Any]:
    """Where an adapter comes from: data, base, versions."""
    known = plan.provenance
    lineage = plan.pairs.pairs[0].lineage
    return {
        "run": {"study": known.get("study"), "identity": known.get("identity")},
        "method": plan.method,
        "agent": plan.agent,
        "base": plan.recipe.model,
        "revision": getattr(open_config(plan.base), "_commit_hash", None),
        "prompts": {"set": plan.prompts, "of_sessions": known.get("prompts")},
        "models": lineage.get("models"),
        "seeds": known.get("seeds"),
        "pairs": {split: len(plan.pairs.of(split)) for split in SPLITS},
        "sessions": plan.pairs.sessions,
        "clients": plan.pairs.clients,
        "trained_on": {"clients": plan.clients, "ids": seen_clients(plan)},
        "left_out": plan.pairs.left_out,
        "rows": {"train": _counts(plan.train), "validation": _counts(plan.validation)},
        "packages": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "commit": commit(),
        "use": "research only, never clinical use",
    }


def _counts(rows: Any) -> dict[str, int]:
    return {
        "rows": len(rows.rows),
        "tokens": rows.tokens,
        "shortened": rows.shortened,
        "left_out": rows.left_out,
    }


def write_results(
    plan: Plan, out: Path, trained: Mapping[str, Any], found: Mapping[str, Likelihood]
) -> None:
    """Writes loss.svg, evaluate.toml, the card, and metrics.json last.

    Args:
        plan: what was done.
        out: the folder.
        trained: what training took.
        found: likelihood of the validation replies by model; empty where there are none.
    """
    log = [orjson.loads(line) for line in (out / LOG).read_bytes().splitlines()]
    if log:
        (out / "loss.svg").write_text(_plot(log), encoding="utf-8")
    studied = write_evaluation(plan, out / "evaluate.toml", {plan.agent: out / ADAPTER})
    for folder in (out, out / ADAPTER):
        text = model_card(plan, out, trained, found, studied)
        (folder / "README.md").write_text(text, encoding="utf-8")
    metrics = {"clients": plan.clients, "training": dict(trained)}
    metrics["validation"] = _measured(plan, found)
    write_json(out / METRICS, metrics)


def _measured(plan: Plan, found: Mapping[str, Likelihood]) -> dict[str, Any]:
    first = next(iter(found.values()), None)
    measured: dict[str, Any] = {
        "rows": first.rows if first else 0,
        "tokens": first.tokens if first else 0,
        "precision": arithmetic(plan.recipe.serve),
    }
    if not found:
        measured["not_measured"] = why_not_measured(plan)
    return measured | {name: likelihood.to_json() for name, likelihood in found.items()}


def _plot(log: list[dict[str, Any]]) -> str:
    points = [(float(line["step"]), float(line["loss"])) for line in log]
    smooth = [
        (
            points[i][0],
            sum(y for _, y in points[max(0, i + 1 - _SMOOTH) : i + 1]) / min(i + 1, _SMOOTH),
        )
        for i in range(len(points))
    ]
    title = f"Training loss by step, and its mean over {_SMOOTH} steps"
    return standalone(lines(title, [points, smooth]))
