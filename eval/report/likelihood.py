"""How likely tuned counselors find held-out replies: what ``magnet finetune`` left in a run."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from eval.render.grid import Grid
from eval.render.numbers import NONE, likelihood_rows
from eval.report import methods
from magnet.core.errors import UsageError

_MODELS = {"base": "base", "adapter": "with the adapter", "merged": "merged"}


def tuning_grids(runs: Sequence[Path]) -> Iterator[Grid]:
    """Negative log-likelihood and perplexity before and after, where a run holds fine-tunings.

    Raises:
        UsageError: a file of theirs is damaged.
    """
    rows: list[list[str]] = []
    notes: list[str] = []
    for run in runs:
        for path in sorted(run.glob("tuned-*/metrics.json")):
            try:
                found = orjson.loads(path.read_bytes())["validation"]
                lines = likelihood_rows(found, _MODELS)
                note = f"{found['rows']} replies, {found['tokens']} tokens, {found['precision']}."
                if "not_measured" in found:
                    lines, note = [["not measured", NONE, NONE]], found["not_measured"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{path} is not what magnet finetune wrote: {error!r}") from None
            kind = path.parent.name.removesuffix("-all")
            name = methods.label(kind) + ", all clients" * (kind != path.parent.name)
            rows += [["" if number else name, *line] for number, line in enumerate(lines)]
            notes += [f"{name}: {note}"] * bool(lines)
    if rows:
        columns = ["counselor", "model", "NLL a reply token (nats)", "perplexity"]
        yield Grid("Held-out replies before and after fine-tuning", columns, rows, notes, 2)
