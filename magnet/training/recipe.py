"""Recipe: all that decides how an adapter is trained, from YAML and ``--set``."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from magnet.core.errors import UsageError, first_of, nearest
from magnet.study.spec import apply_setting

#: The base model of a recipe that trains the embedded LM's weights.
EMBEDDED = "embedded"
Precision = Literal["float32", "bfloat16", "float16"]


class Recipe(BaseModel):
    """How an adapter is trained (paper, appendix E).

    Attributes:
        model: the base: a Hugging Face name, a folder, or ``embedded``, the embedded LM's weights.
        template: how prompts are rendered: None is the model's own chat template, which servers
            apply on the chat wire; else one of the completions wire's.
        tokens: the longest row; what is longer loses its oldest exchanges, never its reply.
        loss: over the ``reply`` alone, over ``all`` of a row's tokens, or ``padded``: over every
            position of a row that is padded to ``tokens``, as in the authors' script.
        quantization: of the frozen base while training.
        double_quant: quantise the quantisation constants too.
        precision: of the arithmetic while training.
        serve: precision the base is served and measured in.
        r: rank of the adapter.
        alpha: its scale is alpha / r.
        dropout: on the adapter's input.
        modules: projections that get one.
        learning_rate: at its highest.
        schedule: of the learning rate after the warm-up.
        warmup: steps until the highest learning rate.
        epochs: passes over the rows.
        steps: stop after so many, whatever ``epochs`` says.
        batch: rows at once on a device.
        accumulation: batches before a step.
        max_grad_norm: gradients are clipped to it.
        weight_decay: of AdamW.
        optimizer: as transformers names it.
        gradient_checkpointing: recompute activations instead of keeping them.
        packing: several rows in one sequence, where the attention keeps them apart.
        deepspeed: ``zero2`` shards optimizer and gradients, ``zero2-offload`` keeps the
            optimizer in the host's memory.
        gpus: devices it is made for.
        cpu: whether CPU processes will do in their place.
        save_every: steps between checkpoints; at every epoch's end for None.
        validation: rows that NLL is measured on, evenly taken; all of them for None.
        seed: of adapter, order and dropout.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str = Field(min_length=1)
    template: Literal["llama3", "chatml"] | None = None
    tokens: PositiveInt = 8192
    loss: Literal["reply", "all", "padded"] = "reply"
    quantization: Literal["nf4", "none"] = "nf4"
    double_quant: bool = True
    precision: Precision = "bfloat16"
    serve: Precision = "bfloat16"
    r: PositiveInt
    alpha: PositiveInt
    dropout: float = Field(ge=0, lt=1)
    modules: list[str] = Field(min_length=1)
    learning_rate: PositiveFloat
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup: int = Field(ge=0)
    epochs: PositiveFloat
    steps: PositiveInt | None = None
    batch: PositiveInt
    accumulation: PositiveInt = 1
    max_grad_norm: PositiveFloat = 1.0
    weight_decay: float = Field(default=0.0, ge=0)
    optimizer: str = "adamw_torch"
    gradient_checkpointing: bool = False
    packing: bool = False
    deepspeed: Literal["none", "zero2", "zero2-offload"] = "none"
    gpus: PositiveInt = 1
    cpu: bool = False
    save_every: PositiveInt | None = None
    validation: PositiveInt | None = None
    seed: int = 42

    @property
    def padded(self) -> bool:
        """Whether rows are padded to ``tokens`` and the padding counts in the loss."""
        return self.loss == "padded"

    @property
    def rows_a_step(self) -> int:
        """TokenRows that a step sees, over all devices."""
        return self.batch * self.accumulation * self.gpus


def shipped() -> list[str]:
    """Names of the recipes that ship."""
    folder = files("magnet.training") / "recipes"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name[-5:] == ".yaml")


def load_recipe(
    source: str = "recommended", settings: Sequence[str] = (), over: Mapping[str, Any] | None = None
) -> Recipe:
    """A recipe from a YAML file or one that ships, with ``key=value`` settings over it.

    Args:
        source: name or path.
        settings: as ``--set`` takes them.
        over: keys that differ, as a study's table has them.

    Raises:
        UsageError: unreadable, an unknown key (with the nearest known one), a wrong value, or
            values that exclude each other.
    """
    data = _read(source)
    _check_keys(data, source)
    _check_keys(dict(over or {}), "finetune.set")
    data |= over or {}
    for setting in settings:
        apply_setting(data, setting)
        _check_keys(data, "--set")
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        field, wrong = first_of(error)
        raise UsageError(f"recipe {source}: {field}: {wrong}") from None
    if recipe.padded and recipe.packing:
        raise UsageError(
            f"recipe {source}: loss is 'padded', but packed rows have no padding",
            "--set packing=false",
        )
    return recipe


def recipe_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML; it loads as it stands."""
    return str(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))


def _read(source: str) -> dict[str, Any]:
    path = Path(source)
    if not path.is_file() and source in shipped():
        path = Path(str(files("magnet.training") / "recipes")) / f"{source}.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"recipe: cannot read {source}: {error.strerror}",
            f"Give the path of a YAML file, or one that ships: {', '.join(shipped())}.",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe: {source} is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"recipe: {source} holds no keys")
    return {str(key): value for key, value in data.items()}


def _check_keys(data: dict[str, Any], where: str) -> None:
    for key in data:
        if key not in Recipe.model_fields:
            raise UsageError(f"{where}: unknown key {key!r}{nearest(key, Recipe.model_fields)}")
