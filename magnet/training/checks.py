"""Everything that can be checked before a training begins."""

from importlib.util import find_spec
from pathlib import Path

from magnet.core.errors import UsageError, missing_extra, nearest
from magnet.core.files import check_free
from magnet.training.base import cuda, open_config
from magnet.training.plan import BYTES, Plan, skeleton
from magnet.training.recipe import Recipe


def check_machine(recipe: Recipe) -> None:
    """Refuses a recipe that this machine cannot carry out; needs no data.

    Raises:
        UsageError: devices, precision, quantisation or DeepSpeed.
    """
    import torch

    count = torch.cuda.device_count() if cuda() else 0
    if count < recipe.gpus and not (recipe.cpu and not cuda()):
        fewer = f"--set gpus={count} --set accumulation={recipe.accumulation * recipe.gpus}"
        raise UsageError(
            f"the recipe is made for {recipe.gpus} GPU{'s' * (recipe.gpus > 1)}; this machine "
            f"has {count or 'none'}",
            f"The same rows a step on fewer: {fewer}"
            if count
            else "A small try on the CPU: --recipe smoke. Any recipe: --set cpu=true (slow).",
        )
    if not cuda() and recipe.precision == "float16":
        raise UsageError("float16 training needs a GPU", "--set \"precision='float32'\"")
    if cuda() and recipe.precision == "bfloat16" and not torch.cuda.is_bf16_supported():
        raise UsageError("this GPU has no bfloat16", "--set \"precision='float16'\"")
    if recipe.quantization == "nf4":
        _check_nf4()
    if recipe.deepspeed != "none" and find_spec("deepspeed") is None:
        raise missing_extra("train", f"deepspeed is {recipe.deepspeed}, but it is not installed")


def _check_nf4() -> None:
    """Quantises one small matrix: bitsandbytes loads without the part for this device."""
    import torch

    try:
        from bitsandbytes.functional import quantize_4bit

        quantize_4bit(torch.ones(64, 64, device="cuda" if cuda() else "cpu"), quant_type="nf4")
    except (ImportError, RuntimeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"4-bit weights do not work here: {str(error).splitlines()[0][:200]}",
            "Train on unquantised ones: --set \"quantization='none'\"",
        ) from None


def check_plan(plan: Plan, out: Path, merged: bool) -> None:
    """Refuses a training that cannot end well.

    Raises:
        UsageError: no rows, rows longer than the model's context, an unknown projection, too
            little disk.
    """
    recipe = plan.recipe
    if not plan.train.rows:
        raise UsageError(
            f"{plan.run}: no row of {plan.method!r} to train on fits {recipe.tokens} tokens",
            "Play more sessions, or --set tokens=NUMBER",
        )
    context = getattr(open_config(plan.base).get_text_config(), "max_position_embeddings", None)
    if context and recipe.tokens > context:
        raise UsageError(
            f"tokens is {recipe.tokens}, but the base model reads {context}",
            f"--set tokens={context}",
        )
    _check_modules(plan)
    _check_disk(plan, out, merged)


def _check_modules(plan: Plan) -> None:
    import torch

    linear = torch.nn.Linear
    found = {n for n, m in skeleton(plan.base).named_modules() if isinstance(m, linear)}
    known = {name.rsplit(".", 1)[-1] for name in found} - {"lm_head"}
    for name in plan.recipe.modules:
        if name not in known:
            raise UsageError(f"modules: the base has no {name!r}{nearest(name, sorted(known))}")


def _check_disk(plan: Plan, out: Path, merged: bool) -> None:
    # The adapter, and two checkpoints of adapter and two moments each, in float32.
    needed = 4 * plan.size.adapter * 7 + 50_000_000
    if merged:
        needed += plan.size.base * BYTES[plan.recipe.serve]
    check_free(out, needed, "training")
