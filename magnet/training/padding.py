"""TokenRows padded to one length, the padding counted in the loss: what the authors' script does.

It pads every row to the limit with the end-of-text token, on the right, and copies the ids to the
labels. The attention mask is 0 on the padding, but the loss counts it.
"""

from collections.abc import Sequence
from typing import Any

#: Llama-3's, and that of GPT-2 and its heirs.
_ENDS_OF_TEXT = ("<|end_of_text|>", "<|endoftext|>")


def padding_token(tokenizer: Any) -> str:
    """The token for the end of a text; where a vocabulary has none, the one that ends a turn.

    Revisions of Llama-3's tokenizer differ in which of the two they call ``eos_token``.
    """
    known = tokenizer.get_vocab()
    return next((token for token in _ENDS_OF_TEXT if token in known), str(tokenizer.eos_token))


class Padded:
    """A collator whose rows all have one length, and whose labels name the padding.

    Args:
        collate: TRL's collator, which pads to a multiple of a number.
        length: the rows' limit; none is longer.
    """

    def __init__(self, collate: Any, length: int) -> None:
        collate.pad_to_multiple_of = length
        self.collate = collate

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The batch: ``input_ids``, ``attention_mask``, ``labels``, each (rows, length)."""
        batch: dict[str, Any] = self.collate(rows)
        real = batch["attention_mask"] == 1
        batch["labels"] = batch["labels"].where(real, batch["input_ids"])
        return batch
