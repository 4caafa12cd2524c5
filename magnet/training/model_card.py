"""The model card of an adapter, and the sentences on what could not be done for it."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from eval.render.numbers import likelihood_rows
from magnet.dataset.card_tables import listed, table
from magnet.training.evaluation import serve_command
from magnet.training.measure import Likelihood, arithmetic
from magnet.training.plan import Plan
from magnet.training.recipe import EMBEDDED
from magnet.training.train import ADAPTER

#: Why something is not there.
NO_VALIDATION = "Likelihood is not measured: the validation split gave no row."
NO_TEST = "No client is in the test split: there is no study to evaluate with."
NONE_HELD_OUT = (
    "Likelihood is not measured: the adapter learns from all clients, so no reply is held out."
)
NONE_UNSEEN = "There is no evaluate.toml: no client of the run is unseen."
#: Models as ``likelihood_rows`` names them on a card and on the terminal.
MEASURED = {"base": "base", "adapter": "base with the adapter", "merged": "merged"}
#: Whose weights the embedded LM's are, in four bits.
_SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


def seen_clients(plan: Plan) -> list[str]:
    """The clients learned from, in the order of their sessions."""
    return list(dict.fromkeys(pair.seed.client_id for pair in plan.pairs.of("train")))


def why_not_measured(plan: Plan) -> str:
    """Why there is no likelihood where there is none."""
    return NONE_HELD_OUT if plan.clients == "all" else NO_VALIDATION


def model_card(
    plan: Plan,
    out: Path,
    trained: Mapping[str, Any],
    found: Mapping[str, Likelihood],
    studied: bool,
) -> str:
    """The card: YAML for the Hub, then Markdown.

    Args:
        plan: what was done.
        out: the folder.
        trained: what training took.
        found: likelihood of the validation replies by model; empty where there are none.
        studied: whether there is a study to evaluate it with.
    """
    from huggingface_hub import ModelCard, ModelCardData

    recipe, pairs = plan.recipe, plan.pairs
    base = plan.recipe.model if plan.recipe.model != EMBEDDED else _SMOLLM2
    metadata = ModelCardData(
        base_model=base,
        library_name="peft",
        language=["en"],
        license="other",
        tags=["synthetic", "counseling", "lora", "research-only"],
    )
    rows = [
        (split, pairs.clients[split], pairs.sessions[split], len(pairs.of(split)))
        for split in plan.splits
    ]
    fitted = (
        f"Of the training pairs, {len(plan.train.rows):,} rows with {plan.train.tokens:,} tokens "
        f"were made; {plan.train.shortened} lost their oldest exchanges, {plan.train.left_out} "
        "do not fit the limit."
    )
    shown = "model template loss quantization precision r alpha dropout learning_rate epochs"
    settings = recipe.model_dump(mode="json")
    values = [(key, settings[key]) for key in shown.split() if settings[key] is not None]
    card = ModelCard.from_template(
        metadata,
        template_str=(files("magnet.training") / "model_card.md").read_text(encoding="utf-8"),
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
        clients=_clients(plan),
        seeds_license=(plan.provenance.get("seeds") or {}).get("license") or "not known",
        recipe=table(("setting", "value"), values),
        steps=trained["steps"],
        likelihood=_likelihood_text(plan, found),
        serve=serve_command(plan, {plan.agent: out / ADAPTER}),
        evaluation=_evaluation_text(plan, studied),
        measured=bool(found),
    )
    return f"{card}\n"


def _likelihood_text(plan: Plan, found: Mapping[str, Likelihood]) -> str:
    if not found:
        return why_not_measured(plan)
    first = next(iter(found.values()))
    rows = likelihood_rows({name: one.to_json() for name, one in found.items()}, MEASURED)
    shown = table(("model", "NLL a reply token (nats)", "perplexity"), rows)
    return (
        f"{shown}\n\nOver {first.rows} replies with {first.tokens:,} tokens of the validation "
        f"split, {arithmetic(plan.recipe.serve)}."
    )


def _clients(plan: Plan) -> str:
    """Whom the adapter has seen, and how the others were parted from them."""
    seen = seen_clients(plan)
    if plan.clients == "all":
        which = (
            f"It learned from all {len(seen)} clients that have finished sessions. None was held "
            "out, so none of them can show how it does with a client it has not seen."
        )
    else:
        which = (
            f"It learned from {len(seen)} clients. No client is in two splits; they were parted "
            f"{plan.pairs.rule}."
        )
    return f"{which} The clients it saw, by the hash of their intake form: {', '.join(seen)}."


def _evaluation_text(plan: Plan, studied: bool) -> str:
    if studied:
        return (
            "Then `python -m magnet.reproduce evaluate.toml` role-plays the clients of the test "
            "split, whom it has\nnot seen, and has the sessions judged."
        )
    if plan.clients == "all":
        return f"{NONE_UNSEEN} To have it judged, play it with seeds of other clients."
    return NO_TEST
