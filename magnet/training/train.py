"""Training proper: TRL's SFTTrainer on rows that are ready made.

``python -m magnet.training.train FOLDER`` is one process of several under a launcher; on one
device ``magnet finetune`` calls ``train`` itself. Either way all it needs stands in the folder:
recipe.yaml, job.json, rows/.
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from magnet.core.files import write_atomically
from magnet.training.base import cuda, load_for_training, open_tokenizer, quiet
from magnet.training.padding import Padded, padding_token
from magnet.training.recipe import Recipe, load_recipe

#: What it reads in the folder, and what it writes there.
JOB, ROWS = "job.json", "rows"
ADAPTER, CHECKPOINTS, TRAINED, LOG = "adapter", "checkpoints", "trained.json", "loss.jsonl"
_COMPLETE = "trainer_state.json"  # written last of a checkpoint


def attention_for(recipe: Recipe) -> tuple[str, bool]:
    """The attention kernel, and whether rows are packed: only where it keeps them apart.

    Flash-attn computes nothing at padded positions, so it is not used where they count.
    """
    from transformers.utils import is_flash_attn_2_available

    able = cuda() and is_flash_attn_2_available()
    flash = able and recipe.precision != "float32" and not recipe.padded
    return ("flash_attention_2" if flash else "sdpa"), recipe.packing and flash


def last_checkpoint(folder: Path) -> Path | None:
    """The last whole checkpoint; what a kill left half written is removed."""
    whole = []
    for path in (folder / CHECKPOINTS).glob("checkpoint-*"):
        if (path / _COMPLETE).is_file():
            whole.append((int(path.name.split("-")[1]), path))
        elif os.environ.get("RANK", "0") == "0":
            shutil.rmtree(path, ignore_errors=True)
    return max(whole)[1] if whole else None


def make_trainer(folder: Path, progress: Any = None) -> Any:
    """TRL's trainer on the folder's rows; they go in as they are, and no reply is cut."""
    import torch
    from datasets import load_from_disk
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import SFTTrainer

    quiet()
    recipe = load_recipe(str(folder / "recipe.yaml"))
    job = orjson.loads((folder / JOB).read_bytes())
    attention, packing = attention_for(recipe)
    tokenizer = open_tokenizer(job["base"])
    if recipe.padded:
        tokenizer.pad_token = padding_token(tokenizer)
    torch.manual_seed(recipe.seed)  # the adapter's first weights
    trainer = SFTTrainer(
        model=load_for_training(job["base"], recipe, attention),
        args=_arguments(folder, recipe, packing, job.get("report_to")),
        train_dataset=load_from_disk(str(folder / ROWS)),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=recipe.r,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules=recipe.modules,
            bias="none",
            task_type="CAUSAL_LM",
        ),
        callbacks=[progress] if progress else [],
    )
    if recipe.padded:
        trainer.data_collator = Padded(trainer.data_collator, recipe.tokens)
    trainer.remove_callback(PrinterCallback)  # ``progress`` says it
    _float32(trainer.model)
    return trainer


def train(folder: Path, console: Console | None = None) -> dict[str, Any]:
    """Trains the folder's adapter, from its last checkpoint where it has one.

    A resumed run equals an undisturbed one: adapter, optimizer, schedule, and the state of all
    random numbers come back; the adapter is kept in float32 for it, see ``_float32``.

    Returns:
        What it took: steps, tokens (padding too, where it counts), seconds of this invocation,
        peak memory, losses.
    """
    import torch

    from magnet.training.progress import Progress

    recipe = load_recipe(str(folder / "recipe.yaml"))
    step = recipe.tokens * recipe.rows_a_step if recipe.padded else None
    progress = Progress(folder / LOG, console, step)
    checkpoint = last_checkpoint(folder)
    trainer = make_trainer(folder, progress)
    if cuda():
        torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        progress.stop()
    seconds = time.monotonic() - started
    trainer.save_model(str(folder / ADAPTER))
    for name in ("README.md", "training_args.bin"):  # an empty form, and a pickle of paths
        (folder / ADAPTER / name).unlink(missing_ok=True)
    result = {
        "steps": trainer.state.global_step,
        "steps_before": progress.resumed_at,
        "seconds": seconds,
        "tokens": progress.tokens,
        "loss_first": progress.losses[0] if progress.losses else None,
        "loss_last": progress.losses[-1] if progress.losses else None,
        "device": torch.cuda.get_device_name() if cuda() else "cpu",
        "processes": trainer.args.world_size,
        "peak_memory": torch.cuda.max_memory_allocated() if cuda() else None,
        "attention": trainer.model.config._attn_implementation,
        "packing": trainer.args.packing,
    }
    if trainer.is_world_process_zero():
        write_atomically(folder / TRAINED, orjson.dumps(result, option=orjson.OPT_INDENT_2))
    return result


def _float32(model: Any) -> None:
    """Keeps the adapter in float32.

    TRL makes the adapter of a quantised base bfloat16, where a step of 2e-4 is often lost, and
    after a resume it comes back as float32: the two runs would differ. Float16 training refuses
    bfloat16 gradients besides.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _arguments(folder: Path, recipe: Recipe, packing: bool, report_to: str | None) -> Any:
    from trl import SFTConfig

    saving: Mapping[str, Any] = {"save_strategy": "epoch"}
    if recipe.save_every:
        saving = {"save_strategy": "steps", "save_steps": recipe.save_every}
    return SFTConfig(
        output_dir=str(folder / CHECKPOINTS),
        # None: rows are within the limit already; a number would cut replies.
        max_length=recipe.tokens if packing else None,
        packing=packing,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup,
        num_train_epochs=recipe.epochs,
        max_steps=recipe.steps or -1,
        per_device_train_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulation,
        max_grad_norm=recipe.max_grad_norm,
        weight_decay=recipe.weight_decay,
        optim=recipe.optimizer,
        gradient_checkpointing=recipe.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        bf16=recipe.precision == "bfloat16",
        fp16=recipe.precision == "float16",
        deepspeed=deepspeed_config(recipe),
        use_cpu=not cuda(),
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_steps=1,
        save_total_limit=2,
        report_to=report_to or "none",
        project="magnet-sessions",
        run_name=folder.name,
        disable_tqdm=True,
        dataloader_pin_memory=cuda(),
        **saving,
    )


def deepspeed_config(recipe: Recipe) -> dict[str, Any] | None:
    """DeepSpeed's configuration; "auto" is what the trainer's arguments say."""
    if recipe.deepspeed == "none":
        return None
    zero: dict[str, Any] = {"stage": 2, "contiguous_gradients": True, "overlap_comm": cuda()}
    if recipe.deepspeed == "zero2-offload":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": cuda()}
    auto = "train_batch_size train_micro_batch_size_per_gpu gradient_accumulation_steps"
    return {
        "zero_optimization": zero,
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "gradient_clipping": "auto",
        **dict.fromkeys(auto.split(), "auto"),
    }


if __name__ == "__main__":
    train(Path(sys.argv[1]), Console())
