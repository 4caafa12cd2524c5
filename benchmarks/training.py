"""QLoRA at a model's real size: tokens per second, peak memory, MFU. Weights and rows are random.

``python benchmarks/training.py`` builds a Llama-shaped model of 8B parameters in the folder (16 GB
of disk) and trains the recipe's adapter for 20 steps; it wants a GPU. ``--tiny`` is a small model
for a CPU, to see that the benchmark runs; its figures say nothing.
"""

import argparse
import json
import random
import shutil
from pathlib import Path

import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM

from magnet.training.base import cuda, find_base, open_tokenizer, quiet
from magnet.training.plan import size_of
from magnet.training.recipe import EMBEDDED, load_recipe, recipe_yaml
from magnet.training.train import JOB, ROWS, train

#: Dense bfloat16 operations a second, as the makers' data sheets have them.
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}
#: Meta-Llama-3-8B-Instruct's shape.
LLAMA_8B = {
    "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "max_position_embeddings": 8192, "rope_theta": 500000.0,
}  # fmt: skip
TINY = LLAMA_8B | {
    "vocab_size": 49152, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1,
}  # fmt: skip


def main() -> None:
    """Prints what a step takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="recommended")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--folder", type=Path, default=Path("build/bench-training"))
    parser.add_argument("--length", type=int, default=2048, help="tokens of a row")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    quiet()
    base = args.folder / ("tiny" if args.tiny else "llama-8b")
    if not base.is_dir():
        with torch.device("cuda" if cuda() else "cpu"):
            torch.set_default_dtype(torch.bfloat16)
            LlamaForCausalLM(LlamaConfig(**(TINY if args.tiny else LLAMA_8B))).save_pretrained(base)
            torch.set_default_dtype(torch.float32)
        open_tokenizer(find_base(EMBEDDED)).save_pretrained(base)
    recipe = load_recipe(args.recipe, [*args.settings, f"steps={args.steps}", "save_every=10000"])
    out = args.folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    draw = random.Random(0)
    rows = [
        [draw.randrange(1000, 40000) for _ in range(args.length)]
        for _ in range(args.steps * recipe.batch * recipe.accumulation)
    ]
    labels = [[-100] * (args.length * 9 // 10) + row[args.length * 9 // 10 :] for row in rows]
    Dataset.from_dict({"input_ids": rows, "labels": labels}).save_to_disk(str(out / ROWS))
    (out / "recipe.yaml").write_text(recipe_yaml(recipe), encoding="utf-8")
    (out / JOB).write_text(json.dumps({"base": str(base)}), encoding="utf-8")
    done = train(out)
    pace = done["tokens"] / done["seconds"]
    size = size_of(str(base), recipe)
    print(f"{done['device']}, {size.base / 1e9:.3f}B parameters, rows of {args.length} tokens")
    print(f"{pace:,.0f} tokens/s over {done['steps']} steps, {done['attention']} attention")
    if done["peak_memory"]:
        print(f"peak memory {done['peak_memory'] / 1e9:.1f} GB")
    known = [peak for name, peak in PEAK.items() if name in done["device"]]
    if known:  # forward and backward of a frozen base; what checkpointing repeats is no use
        print(f"MFU {4 * size.base * pace / known[0]:.1%}")
    else:
        print("MFU unknown: no data sheet for this device is on the list")


if __name__ == "__main__":
    main()
