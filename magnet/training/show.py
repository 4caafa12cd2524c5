"""What ``magnet finetune`` prints."""

import sys
from functools import partial
from pathlib import Path

import orjson
from rich.console import Console

from eval.render.numbers import likelihood_rows
from magnet.console.tables import print_line, print_table
from magnet.training.base import cuda
from magnet.training.model_card import (
    MEASURED,
    NO_TEST,
    NO_VALIDATION,
    NONE_HELD_OUT,
    NONE_UNSEEN,
)
from magnet.training.plan import Plan, flops_a_token, memory_of
from magnet.training.recipe import EMBEDDED, recipe_yaml
from magnet.training.train import TRAINED

#: Arithmetic taken for granted where nothing was measured: half of what an A100's data sheet says
#: for dense bfloat16, shared among the steps' overheads; and two cores of a CPU.
_FLOPS = {"a GPU": 100e12, "a CPU": 0.05e12}


def print_plan(plan: Plan, out: Path, console: Console) -> None:
    """Prints the resolved recipe, rows, tokens, steps, and what training takes, estimated."""
    say = partial(print_line, console)
    sys.stdout.write(recipe_yaml(plan.recipe) + "\n")
    sys.stdout.flush()
    pairs, recipe = plan.pairs, plan.recipe
    lines = [
        [
            split,
            f"{pairs.clients[split]:,}",
            f"{pairs.sessions[split]:,}",
            f"{len(pairs.of(split)):,}",
        ]
        for split in plan.splits
    ]
    print_table(console, ["split", "clients", "sessions", "pairs"], lines)
    for reason, count in pairs.left_out.items():
        say(f"{count} sessions left out: {reason}")
    made = [("training", plan.train), ("validation", plan.validation)]
    for name, rows in made[: len(plan.splits)]:
        say(
            f"{len(rows.rows):,} {name} rows, {rows.tokens:,} tokens; {rows.shortened} without "
            f"their oldest exchanges, {rows.left_out} pairs longer than {recipe.tokens} tokens"
        )
    if plan.clients == "all":
        say(f"{NONE_HELD_OUT} {NONE_UNSEEN}")
    if recipe.padded:
        say(
            f"Each training row is padded to {recipe.tokens} tokens: {plan.padding:.0%} of the "
            "positions that the loss counts are padding"
        )
    size = plan.size
    say(
        f"{plan.steps:,} steps of {recipe.rows_a_step} rows, about {plan.tokens:,} tokens"
        + (" (fewer steps where rows are packed)" if recipe.packing else "")
    )
    say(f"{size.base / 1e6:,.0f}M parameters, adapter {size.adapter / 1e6:,.1f}M, for {plan.agent}")
    memory = memory_of(size, recipe)
    parts = ("base", "adapter", "optimizer", "activations", "host")
    held = ", ".join(f"{part} {getattr(memory, part) / 1e9:.2f}" for part in parts)
    say(f"Memory a device, estimated from tensor sizes: {memory.total / 1e9:.2f} GB ({held})")
    say(_time(plan, out))


def _time(plan: Plan, out: Path) -> str:
    if (out / TRAINED).is_file():
        known = orjson.loads((out / TRAINED).read_bytes())
        pace = known["tokens"] / known["seconds"]
        why = f"measured in {out} on {known['device']}"
    else:
        device = "a CPU" if plan.recipe.model == EMBEDDED and not cuda() else "a GPU"
        flops = _FLOPS[device] * plan.recipe.gpus
        pace = flops / flops_a_token(plan.size, plan.recipe)
        why = f"assumed: {_FLOPS[device] / 1e12:g} TFLOP/s on {device}, {plan.recipe.gpus} of them"
    return f"Time: {plan.tokens / pace / 60:,.0f} min at {pace:,.0f} tokens/s ({why})"


def print_tuned(folder: Path, console: Console) -> None:
    """Prints what came out of a finished fine-tuning."""
    from magnet.training.results import METRICS

    metrics = orjson.loads((folder / METRICS).read_bytes())
    trained, measured = metrics["training"], metrics["validation"]
    say = partial(print_line, console)
    if trained["seconds"] and trained["tokens"]:
        say(
            f"{trained['steps']} steps; {trained['tokens'] / trained['seconds']:,.0f} tokens/s on "
            f"{trained['device']}; loss {trained['loss_first']:.3f} at first, "
            f"{trained['loss_last']:.3f} at last"
        )
    if rows := likelihood_rows(measured, MEASURED):
        say(f"NLL a reply token of {measured['rows']} validation replies, {measured['precision']}:")
        print_table(console, ["model", "NLL", "perplexity"], rows)
    else:
        say(measured.get("not_measured", NO_VALIDATION))
    say(f"Adapter: {folder / 'adapter'}   card: {folder / 'README.md'}")
    if (folder / "merged").is_dir():
        say(f"Merged model: {folder / 'merged'}")
    study = folder / "evaluate.toml"
    if study.is_file():
        say(f"Evaluate: serve it as {study} says, then: python -m magnet.reproduce {study}")
    else:
        say(NONE_UNSEEN if metrics.get("clients") == "all" else NO_TEST)
