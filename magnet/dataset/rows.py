"""Pairs as rows of a dataset, one function per format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from magnet.core.session import transcript
from magnet.dataset.pairs import Pair, messages_for

Format = Literal["chat", "sharegpt", "pairs", "authors", "parquet"]
Row = dict[str, Any]
#: A column is of strings, of whole numbers, or of lists of records of strings.
Columns = Mapping[str, str | tuple[str, ...]]

#: Where a row comes from; None where it is not known.
LINEAGE: Columns = {
    "method": "string",
    "session": "string",
    "turn": "int64",
    "seed": "string",
    "client": "string",
    "attitude": "string",
    "model": "string",
    "prompts": "string",
    "prompts_sha256": "string",
    "seeds_sha256": "string",
    "license": "string",
    "commit": "string",
    "adopted": "string",
}

_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


@dataclass(frozen=True)
class Shape:
    """A format: its own columns, and how a pair fills them.

    Attributes:
        columns: name -> type.
        fill: called with the pair and a prompt set.
        what: what a row holds, for the card.
    """

    columns: Columns
    fill: Callable[[Pair, str], Row]
    what: str


def _chat(pair: Pair, prompts: str) -> Row:
    return {"messages": messages_for(pair, prompts)}


def _sharegpt(pair: Pair, prompts: str) -> Row:
    said = messages_for(pair, prompts)
    return {"conversations": [{"from": _SHAREGPT[m["role"]], "value": m["content"]} for m in said]}


def _pairs(pair: Pair, prompts: str) -> Row:
    *prompt, reply = (message["content"] for message in messages_for(pair, prompts))
    return {"prompt": "\n\n".join(prompt), "completion": reply}


def _authors(pair: Pair, prompts: str) -> Row:
    return {
        "client_information": pair.seed.client_information,
        "reason_counseling": pair.seed.reason_counseling,
        "history": transcript(pair.history),
        "response": pair.reply,
    }


_CHAT = Shape(
    {"messages": ("role", "content")},
    _chat,
    "`messages`: system (where the prompt has one), user and assistant, the request that the tuned "
    "counselor gets at this moment and the reply it should give",
)
SHAPES: dict[str, Shape] = {
    "chat": _CHAT,
    "parquet": _CHAT,
    "sharegpt": Shape(
        {"conversations": ("from", "value")},
        _sharegpt,
        "`conversations`: the same as chat messages, with `from` (system, human, gpt) and `value`",
    ),
    "pairs": Shape(
        {"prompt": "string", "completion": "string"},
        _pairs,
        "`prompt`: system and user text with an empty line between them; `completion`: the reply",
    ),
    "authors": Shape(
        dict.fromkeys(("client_information", "reason_counseling", "history", "response"), "string"),
        _authors,
        "the four texts that the fine-tuning prompts of MAGneT's authors have places for, no "
        "prompt around them; `sessions/` holds each session whole, in the files their scripts "
        "read (`session_N.json` with `AI_client`, `AI_counselor`, `cbt_technique`, `cbt_plan`, "
        "`dialogue`)",
    ),
}


def columns_of(format_: Format) -> Columns:
    """All columns of a format."""
    return {**SHAPES[format_].columns, **LINEAGE}


def row_of(pair: Pair, format_: Format, prompts: str, license_: str | None) -> Row:
    """A pair as a row.

    Args:
        pair: the pair.
        format_: the format.
        prompts: the prompt set that is rendered.
        license_: of the sessions whose seeds' licence is not recorded.
    """
    known = pair.lineage
    names = {name for role, name in (known["models"] or {}).items() if role != "client"}
    lineage = dict.fromkeys(LINEAGE) | {k: v for k, v in known.items() if k in LINEAGE}
    lineage |= {
        "model": ", ".join(sorted(names)) or None,
        "license": known["seeds_license"] or license_,
    }
    return {**SHAPES[format_].fill(pair, prompts), **lineage}
