"""The output folder: figures, plot, model card, provenance."""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import orjson
import yaml

from eval.svg import lines, standalone
from magnet.journal import write_atomically
from magnet.provenance import commit, version
from magnet.seeds import SPLITS
from magnet.training.base import open_config
from magnet.training.evaluation import serve_command, write_evaluation
from magnet.training.facts import listed, table
from magnet.training.measure import Likelihood, arithmetic
from magnet.training.plan import Plan
from magnet.training.recipe import EMBEDDED
from magnet.training.train import ADAPTER, LOG

METRICS = "metrics.json"
_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
_PACKAGES = tuple(
    "magnet-sessions torch transformers trl peft bitsandbytes accelerate deepspeed datasets "
    "tokenizers".split()
)
_SMOOTH = 10  # steps
#: Whose weights the embedded LM's are, in four bits.
_SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


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
    write_evaluation(plan, out / "evaluate.toml", {plan.agent: out / ADAPTER})
    for folder in (out, out / ADAPTER):
        (folder / "README.md").write_text(_card(plan, out, trained, found), encoding="utf-8")
    first = next(iter(found.values()), None)
    measured = {
        "rows": first.rows if first else 0,
        "tokens": first.tokens if first else 0,
        "precision": arithmetic(plan.recipe.serve),
    } | {name: likelihood.to_json() for name, likelihood in found.items()}
    metrics = {"training": dict(trained), "validation": measured}
    write_atomically(out / METRICS, orjson.dumps(metrics, option=_PRETTY))


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


def likelihood_rows(measured: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Model, NLL and perplexity as they are printed, from metrics.json's ``validation``."""
    names = {"base": "base", "adapter": "base with the adapter", "merged": "merged"}
    return [
        (text, f"{measured[name]['nll']:.4f}", f"{measured[name]['perplexity']:.2f}")
        for name, text in names.items()
        if name in measured
    ]


def _card(
    plan: Plan, out: Path, trained: Mapping[str, Any], found: Mapping[str, Likelihood]
) -> str:
    recipe, pairs = plan.recipe, plan.pairs
    base = plan.recipe.model if plan.recipe.model != EMBEDDED else _SMOLLM2
    front = {
        "base_model": base,
        "library_name": "peft",
        "language": ["en"],
        "license": "other",
        "tags": ["synthetic", "counseling", "lora", "research-only"],
    }
    rows = [
        (split, pairs.clients[split], pairs.sessions[split], len(pairs.of(split)))
        for split in SPLITS
    ]
    fitted = (
        f"Of the training pairs, {len(plan.train.rows):,} rows with {plan.train.tokens:,} tokens "
        f"were made; {plan.train.shortened} lost their oldest exchanges, {plan.train.left_out} "
        "do not fit the limit."
    )
    shown = "model template loss quantization precision r alpha dropout learning_rate epochs"
    settings = recipe.model_dump(mode="json")
    values = [(key, settings[key]) for key in shown.split() if settings[key] is not None]
    template = (files("magnet") / "training" / "model_card.md").read_text(encoding="utf-8")
    body = Template(template).substitute(
        method=plan.method,
        agent=plan.agent,
        prompts=plan.prompts,
        what=table(
            ("what", "value"), [("base model", base), ("adapter", f"LoRA, rank {recipe.r}")]
        ),
        wire=f"over the completions wire with the template {recipe.template}"
        if recipe.template
        else "over the chat wire with the base model's own template",
        tokens=recipe.tokens,
        rows=table(("split", "clients", "sessions", "pairs"), rows) + f"\n\n{fitted}",
        left_out=listed(pairs.left_out),
        rule=pairs.rule,
        license=(plan.provenance.get("seeds") or {}).get("license") or "not known",
        recipe=table(("setting", "value"), values),
        steps=trained["steps"],
        likelihood=_likelihood_text(plan, found),
        serve=serve_command(plan, {plan.agent: out / ADAPTER}),
    )
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n{body}"


def _likelihood_text(plan: Plan, found: Mapping[str, Likelihood]) -> str:
    if not found:
        return "Not measured: no client fell to the validation part."
    first = next(iter(found.values()))
    measured = {name: asdict(one) | one.to_json() for name, one in found.items()}
    shown = table(("model", "NLL a reply token (nats)", "perplexity"), likelihood_rows(measured))
    return (
        f"{shown}\n\nOver {first.rows} replies with {first.tokens:,} tokens of the validation "
        f"part, {arithmetic(plan.recipe.serve)}."
    )
