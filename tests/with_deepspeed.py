"""The smoke recipe by two processes under DeepSpeed ZeRO-2: ``make test-deepspeed``.

On CPUs the processes talk over gloo. What proves the sharding is the checkpoint: each process
wrote its own half of the optimizer, and only its half. A training that goes on from its first
checkpoint ends with the same adapter.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from magnet.training.base import cuda
from magnet.training.finetune import launcher
from magnet.training.recipe import load_recipe
from magnet.training.train import CHECKPOINTS, JOB, ROWS
from tests.fake_run import play
from tests.running import ROOT

STEPS = 4
SETTINGS = [
    "deepspeed='zero2'", "gpus=2", f"steps={STEPS}", f"save_every={STEPS // 2}", "validation=2",
    "tokens=768", "warmup=0",
]  # fmt: skip


def main() -> None:
    """Trains and looks into the checkpoint; the closing line counts the checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    run = play(args.folder.resolve() / "run", ["psych8k"], sessions=12)
    out = run / "tuned-psych8k"
    line = [sys.executable, "-m", "magnet.cli", "finetune", str(run), "--method", "psych8k"]
    line += ["--recipe", "smoke"]
    for setting in [*SETTINGS, *args.settings]:
        line += ["--set", setting]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(line, check=True, env=env)

    trained = json.loads((out / "trained.json").read_bytes())
    assert (trained["steps"], trained["processes"]) == (STEPS, 2), trained
    shards = sorted(
        (out / "checkpoints" / f"checkpoint-{STEPS}").glob("global_step*/*optim_states.pt")
    )
    print("optimizer shards:", [(path.name, path.stat().st_size) for path in shards])
    assert len(shards) == 2, shards
    sizes = []
    for shard in shards:
        state = torch.load(shard, weights_only=False)["optimizer_state_dict"]
        assert state["zero_stage"] == 2, state["zero_stage"]
        sizes.append(sum(part.numel() for part in state["single_partition_of_fp32_groups"]))
    adapter = load_file(out / "adapter" / "adapter_model.safetensors")
    weights = sum(tensor.numel() for tensor in adapter.values())
    print(f"{weights:,} adapter weights, in shards of {sizes}")
    assert max(sizes) < 0.51 * weights <= 0.51 * sum(sizes) * 1.01, (sizes, weights)
    moved = sum(int(t.abs().sum() > 0) for name, t in adapter.items() if "lora_B" in name)
    assert moved == sum("lora_B" in name for name in adapter), "a part of the adapter did not train"
    losses = [json.loads(x)["loss"] for x in (out / "loss.jsonl").read_bytes().splitlines()]
    print("loss by step:", [round(loss, 3) for loss in losses])
    assert losses[-1] < losses[0], losses
    metrics = json.loads((out / "metrics.json").read_bytes())
    print("validation:", metrics["validation"])
    resume(out, args.folder.resolve() / "resumed", adapter)
    print("2 passed, 0 failed")


def resume(whole: Path, part: Path, adapter: dict[str, torch.Tensor]) -> None:
    """Goes on from the first checkpoint and compares with the undisturbed training."""
    (part / CHECKPOINTS).mkdir(parents=True)
    for name in (JOB, "recipe.yaml"):
        shutil.copy(whole / name, part / name)
    first = f"checkpoint-{STEPS // 2}"
    shutil.copytree(whole / ROWS, part / ROWS)
    shutil.copytree(whole / CHECKPOINTS / first, part / CHECKPOINTS / first)
    line = [*launcher(load_recipe(str(part / "recipe.yaml"))), str(part)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    env |= {} if cuda() else {"DS_ACCELERATOR": "cpu"}
    subprocess.run(line, check=True, env=env)
    again = load_file(part / "adapter" / "adapter_model.safetensors")
    apart = max(float((adapter[name] - again[name]).abs().max()) for name in adapter)
    print(f"largest difference of an adapter weight after the resume: {apart:g}")
    assert apart == 0


if __name__ == "__main__":
    main()
