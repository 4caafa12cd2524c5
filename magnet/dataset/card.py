"""The dataset card: what the data are, where they come from, what is wrong with them."""

from importlib.resources import files
from typing import Any

from magnet.core.seeds import SPLITS
from magnet.dataset import card_tables as facts
from magnet.dataset.card_tables import Source
from magnet.dataset.near_duplicates import THRESHOLD
from magnet.dataset.rows import SHAPES, Columns, columns_of

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
_TAGS = (
    *("synthetic", "counseling", "mental-health", "cognitive-behavioral-therapy", "dialogue"),
    "research-only",
)
_PLAYED = (
    "The sessions were role-played by language models, counselor and client both, from written "
    "descriptions of clients; no person took part."
)
_ADOPTED = (
    "The sessions were written elsewhere and adopted from {}; how they were made is known only as "
    "far as this card says it."
)
_UNKNOWN = "Not known. Find out before you share these data or a model trained on them."


def card(source: Source) -> str:
    """The dataset card: YAML for ``datasets`` and the Hub, then Markdown."""
    from huggingface_hub import DatasetCard, DatasetCardData

    pairs = source.pairs
    written = DatasetCard.from_template(
        DatasetCardData(**_front(source)),
        template_str=(files("magnet.dataset") / "card.md").read_text(encoding="utf-8"),
        name=source.name,
        origin=_ADOPTED.format(source.seeds) if source.adopted else _PLAYED,
        splits=facts.splits(source),
        groups=facts.groups(source),
        shape=SHAPES[source.format_].what,
        rule=pairs.rule,
        empty=" and ".join(split for split in SPLITS if split not in source.files),
        left_out=facts.listed(pairs.left_out),
        skipped=facts.listed(pairs.skipped),
        first=next(iter(source.files)),
        facts=facts.origin(source),
        models=facts.models(source),
        hashes=facts.prompts(source),
        sessions=f"{source.defects.sessions:,}",
        defects=facts.defects(source.defects),
        threshold=f"{THRESHOLD:.0%}",
        near=facts.near(source.near),
        terms=_terms(source),
    )
    return f"{written}\n"


def _front(source: Source) -> dict[str, Any]:
    rows = len(source.pairs.pairs)
    splits = [{"split": split, "path": path} for split, path in source.files.items()]
    counts = [
        {"name": split, "num_examples": len(source.pairs.of(split))} for split in source.files
    ]
    return {
        "pretty_name": f"Counselling sessions of {source.name}, as training pairs",
        "license": (source.terms or "unknown").split()[0].lower(),
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": list(_TAGS),
        "size_categories": [next((size for most, size in _SIZES if rows < most), "n>1M")],
        "configs": [{"config_name": "default", "data_files": splits}],
        "dataset_info": {"features": _features(columns_of(source.format_)), "splits": counts},
    }


def _features(columns: Columns) -> list[dict[str, Any]]:
    return [
        {"name": name, "dtype": kind}
        if isinstance(kind, str)
        else {"name": name, "list": [{"name": key, "dtype": "string"} for key in kind]}
        for name, kind in columns.items()
    ]


def _terms(source: Source) -> str:
    if source.provenance["seeds"].get("license"):
        text = (
            f"{source.terms}: the licence of the seeds, which the sessions quote and are derived "
            "from. The terms of the models that wrote the text may add to it."
        )
    elif source.terms:
        text = f"{source.terms}, as whoever exported the data says; the run does not record it."
    else:
        text = _UNKNOWN
    if source.prompts == "authors":
        text += " The prompt text in the rows is that of MAGneT's authors (Apache-2.0)."
    return text
