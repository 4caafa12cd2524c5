"""How likely the held-out replies are: negative log-likelihood per token, and perplexity."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magnet.training.base import cuda, in_float32_on_cpu, load_as_served, release
from magnet.training.tokens import TokenRow


@dataclass(frozen=True)
class Likelihood:
    """Of replies under a model.

    Attributes:
        nll: nats per reply token, end of turn included, over all tokens alike.
        tokens: their number.
        rows: replies.
    """

    nll: float
    tokens: int
    rows: int

    @property
    def perplexity(self) -> float:
        """exp(nll)."""
        return math.exp(self.nll)

    def to_json(self) -> dict[str, Any]:
        """As written in metrics.json."""
        return {"nll": self.nll, "perplexity": self.perplexity}


def likelihood(model: Any, rows: Sequence[TokenRow]) -> Likelihood:
    """The replies' likelihood; row by row, so that padding has no effect."""
    import torch

    model.eval()
    total, tokens = 0.0, 0
    for row in rows:
        ids = torch.tensor([row.ids], device=model.device)
        with torch.inference_mode():
            # The logits before each reply token, and the last, which predicts nothing.
            logits = model(input_ids=ids, logits_to_keep=row.reply + 1).logits[0, :-1]
            said = ids[0, row.start :]
            total += float(torch.nn.functional.cross_entropy(logits.float(), said, reduction="sum"))
        tokens += row.reply
    return Likelihood(total / tokens, tokens, len(rows))


def measure_all(
    base: str, adapter: Path, serve: str, rows: Sequence[TokenRow], merged: Path | None = None
) -> dict[str, Likelihood]:
    """Likelihood under the base, the base with its adapter, and the two merged.

    Merging rounds: what an adapter changes by less than half a step of ``serve`` is gone. So all
    three are measured, with weights in the precision they are served in.

    Args:
        base: the base model.
        adapter: folder of the adapter.
        serve: precision of the weights.
        rows: of the validation split.
        merged: folder to keep the merged model in.
    """
    import torch
    from peft import PeftModel

    from magnet.training.merge import merge

    dtype = getattr(torch, serve)
    release()
    model = in_float32_on_cpu(load_as_served(base, serve))
    found = {"base": likelihood(model, rows)}
    tuned = PeftModel.from_pretrained(model, str(adapter), autocast_adapter_dtype=False)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:  # a server holds the adapter in the base's precision
            weight.data = weight.data.to(dtype).to(model.dtype)
    found["adapter"] = likelihood(tuned, rows)
    del model, tuned
    release()
    whole = merge(base, adapter, serve, merged)
    found["merged"] = likelihood(in_float32_on_cpu(whole), rows)
    return found


def arithmetic(serve: str) -> str:
    """The precisions in which ``measure_all`` measures, in words."""
    return f"weights in {serve}, arithmetic in {serve if cuda() else 'float32'}"
