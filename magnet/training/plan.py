"""What a fine-tuning would do and cost, before it starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any, Literal

from magnet.core.journal import read_provenance
from magnet.core.seeds import SPLIT, SPLITS, Split
from magnet.dataset.pairs import PairSet, read_pairs, tuned_agent
from magnet.training.base import check_extra, find_base, open_config, open_tokenizer, quiet
from magnet.training.recipe import Recipe
from magnet.training.tokens import Renderer, TokenRow, TokenRows, make_rows

#: Whose sessions are learned from: the training split's (paper, appendix E), or all clients', as
#: the paper does for CounselingBench (appendix F).
Clients = Literal["train", "all"]
#: Clients in the three splits, for proportion.
SIZES = {"train": SPLIT, "all": (1, 0, 0)}
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_GB = 1e9


@dataclass(frozen=True)
class Size:
    """Parameters of a base model and of its adapter.

    Attributes:
        linear: of the projections that are quantized.
        other: embeddings, norms, head.
        adapter: trained ones.
        layers: blocks.
        hidden: width of the residual stream.
        inner: width of a block's MLP.
    """

    linear: int
    other: int
    adapter: int
    layers: int
    hidden: int
    inner: int

    @property
    def base(self) -> int:
        """All parameters of the base."""
        return self.linear + self.other


@dataclass(frozen=True)
class Plan:
    """A fine-tuning whose data has been read and tokenized.

    Attributes:
        run: the run directory.
        method: whose sessions.
        prompts: the prompt set.
        recipe: resolved.
        base: folder or name of the base model.
        pairs: the run's.
        train: rows of the training split.
        validation: rows NLL is measured on.
        provenance: the run's.
        clients: whose sessions; with ``all`` no client is held out.
    """

    run: Path
    method: str
    prompts: str
    recipe: Recipe
    base: str
    pairs: PairSet
    train: TokenRows
    validation: TokenRows
    provenance: Mapping[str, Any]
    clients: Clients = "train"

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that clients were put in."""
        return ("train",) if self.clients == "all" else SPLITS

    @property
    def agent(self) -> str:
        """The agent the tuned model becomes."""
        return tuned_agent(self.method)

    @property
    def steps(self) -> int:
        """Optimizer steps, without packing."""
        recipe = self.recipe
        if recipe.steps:
            return recipe.steps
        batches = ceil(len(self.train.rows) / (recipe.batch * recipe.gpus))
        return ceil(recipe.epochs * ceil(batches / recipe.accumulation))

    @property
    def tokens(self) -> int:
        """Approximate number of training tokens; includes padding where it counts."""
        mean = self.train.tokens / max(len(self.train.rows), 1)
        row = self.recipe.tokens if self.recipe.padded else mean
        return round(row * self.steps * self.recipe.rows_a_step)

    @property
    def padding(self) -> float:
        """The share of positions that are padding, where rows are padded to ``tokens``."""
        whole = self.recipe.tokens * len(self.train.rows)
        return 1 - self.train.tokens / whole if self.recipe.padded and whole else 0.0

    @cached_property
    def size(self) -> Size:
        """The model's size, from its configuration alone."""
        return size_of(self.base, self.recipe)


def make_plan(
    run: Path,
    method: str,
    recipe: Recipe,
    prompts: str | None = None,
    clients: Clients = "train",
) -> Plan:
    """Reads the pairs and makes the rows.

    Args:
        run: the run directory.
        method: whose sessions.
        recipe: how to train.
        prompts: a prompt set; the one the run was played with unless given.
        clients: whose sessions to learn from.

    Raises:
        UsageError: no such run or sessions, no extra, or an unusable base model.
    """
    check_extra()
    quiet()
    provenance = read_provenance(run)
    named = prompts or str(provenance.get("prompts", {}).get("set") or "ours")
    pairs = read_pairs(run, method, SIZES[clients])
    base = find_base(recipe.model)
    renderer = Renderer(open_tokenizer(base), recipe.template)

    def rows(split: Any) -> TokenRows:
        return make_rows(pairs.of(split), renderer, recipe.tokens, named)

    held = rows("validation")
    held.rows = spread(held.rows, recipe.validation)
    train = rows("train")
    return Plan(run, method, named, recipe, base, pairs, train, held, provenance, clients)


def default_folder(run: Path, method: str, clients: Clients = "train") -> Path:
    """Where an adapter goes unless told otherwise; one of all clients has its own folder.

    >>> default_folder(Path("run"), "magnet", "all").name
    'tuned-magnet-all'
    """
    return run / (tuned_agent(method) + ("-all" if clients == "all" else ""))


def spread(rows: Sequence[TokenRow], count: int | None) -> list[TokenRow]:
    """A given number of rows, evenly spaced: from all sessions, early exchanges and late ones."""
    if count is None or count >= len(rows):
        return list(rows)
    return [rows[i * len(rows) // count] for i in range(count)]


def skeleton(base: str) -> Any:
    """The base model without its weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(open_config(base))


def size_of(base: str, recipe: Recipe) -> Size:
    """Parameters of base and adapter."""
    import torch

    model = skeleton(base)
    linear = adapter = 0
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or name.endswith("lm_head"):
            continue
        linear += module.weight.numel()
        if name.rsplit(".", 1)[-1] in recipe.modules:
            adapter += recipe.r * (module.in_features + module.out_features)
    other = sum(p.numel() for p in model.parameters()) - linear
    text = model.config.get_text_config()
    hidden = text.hidden_size
    inner = getattr(text, "intermediate_size", 4 * hidden)
    return Size(linear, other, adapter, text.num_hidden_layers, hidden, inner)


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, by use, and in host memory."""

    base: float
    adapter: float
    optimizer: float
    activations: float
    host: float

    @property
    def total(self) -> float:
        """On the device."""
        return self.base + self.adapter + self.optimizer + self.activations


def memory_of(size: Size, recipe: Recipe) -> Memory:
    """An estimate from tensor sizes, not a measurement.

    Weights: 4 bits and their constants (0.127 bits per weight with double quantization, else 0.5)
    in NF4, all else in the recipe's precision. Adapter and gradients in float32; two moments of
    Adam, sharded or in the host's memory where DeepSpeed puts them. Activations of rows of
    ``tokens`` tokens, the longest there can be and, with padding, the length of each: about 12
    hidden and 6 inner widths per layer, of which checkpointing keeps one hidden width per layer and
    one whole layer.
    """
    width = BYTES[recipe.precision]
    nf4 = (4 + (0.127 if recipe.double_quant else 0.5)) / 8
    base = size.linear * (nf4 if recipe.quantization == "nf4" else width) + size.other * width
    shards = recipe.gpus if recipe.deepspeed != "none" else 1
    moments = 8.0 * size.adapter / shards
    offloaded = recipe.deepspeed == "zero2-offload"
    layer = 12 * size.hidden + 6 * size.inner
    kept = (
        size.layers * size.hidden + layer
        if recipe.gradient_checkpointing
        else (size.layers * layer)
    )
    return Memory(
        base=base,
        adapter=4.0 * size.adapter * (1 + 1 / shards),
        optimizer=0.0 if offloaded else moments,
        activations=float(recipe.tokens * recipe.batch * kept * width),
        host=moments * recipe.gpus if offloaded else 0.0,
    )


def flops_a_token(size: Size, recipe: Recipe) -> float:
    """Arithmetic per trained token: forward and backward through a frozen base.

    Two operations per weight forward, two for the gradient of the activations, two more where
    checkpointing runs forward again; the frozen weights have no gradient. Attention's own
    products are left out.
    """
    passes = 6 if recipe.gradient_checkpointing else 4
    return float(passes * size.base)
