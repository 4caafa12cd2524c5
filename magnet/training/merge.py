"""Base and adapter as one model, for servers that take no adapter."""

from pathlib import Path
from typing import Any

from magnet.training.base import load_as_served, open_tokenizer


def merge(base: str, adapter: Path, serve: str, folder: Path | None = None) -> Any:
    """The merged model, its weights in the precision it is served in.

    The sum is taken in float32 from a float32 adapter and rounded once.

    Args:
        base: the base model.
        adapter: folder of its adapter.
        serve: precision of the weights.
        folder: where to write it, tokenizer included.
    """
    from peft import PeftModel

    model = PeftModel.from_pretrained(load_as_served(base, serve), str(adapter))
    merged = model.merge_and_unload()
    if folder is not None:
        merged.save_pretrained(folder)
        open_tokenizer(base).save_pretrained(folder)
    return merged
