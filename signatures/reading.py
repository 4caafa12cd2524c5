"""From a raw completion to an agent's typed outputs.

Each reader takes the model's text and returns the outputs of one signature, or raises
``ValueError`` where the text does not hold them: the caller asks again, nothing is made up.
A reader accepts the JSON of a constrained server as well as free text.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import json_repair
from pydantic import TypeAdapter

from signatures.types import CBTPlan, CBTTechnique, Technique, Techniques

Reader = Callable[[str], dict[str, Any]]

_TECHNIQUES: TypeAdapter[list[Technique]] = TypeAdapter(Techniques)
_LABEL = (
    r"(?:counsell?or|therapist|client|patient|response|reply|utterance|output"
    r"|draft(?: by [a-z -]+)?|the session so far)"
)
_LABELS = re.compile(rf"^[\s*_#]*{_LABEL}[\s*_]*:[\s*_]*", re.IGNORECASE)
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok)[,!.]?\s+)?"
    r"(?:here(?:'s|’s| is| are)|this is|below is)\b[^\n:]{0,120}"
    r"\b(?:response|reply|utterance)\b[^\n:]{0,80}:\s*",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "“": "”", "«": "»"}
_SIDES = {"counselor": r"(?:counsell?or|therapist)", "client": r"(?:client|patient)"}
_TURN = {
    side: re.compile(rf"^[\s*_]*{name}[\s*_]*:[\s*_]*", re.IGNORECASE)
    for side, name in _SIDES.items()
}
_END = re.compile(r"\[\s*/\s*END\s*\]", re.IGNORECASE)


def _unquote(text: str) -> str:
    close = _QUOTES.get(text[:1])
    inner = text[1:-1]
    if close and len(text) > 2 and text.endswith(close) and not {text[0], close} & set(inner):
        return inner.strip()
    return text


def _own_lines(text: str, speaker: str) -> str:
    """The speaker's lines up to the other side's next turn, without labels inside.

    A reply that is one turn under the other side's label is taken as mislabelled.
    """
    other = _TURN["client" if speaker == "counselor" else "counselor"]
    lines: list[str] = []
    labels = 0
    foreign = False
    for line in text.splitlines():
        if other.match(line):
            if any(kept.strip() for kept in lines):
                break
            foreign, labels = True, labels + 1
        elif _TURN[speaker].match(line) or not foreign:
            foreign = False
            lines.append(_TURN[speaker].sub("", line))
    if labels == 1 and not lines:
        return other.sub("", text)
    return "\n".join(lines)


def clean_reply(text: str, speaker: str) -> str:
    """One speaker's words alone, as a single line.

    Removes role labels, quotes around the whole, announcements ("Here is a reply:") and turns
    the model invented for the other side; white space becomes single spaces, so that no two
    words are ever fused.

    Args:
        text: the raw completion.
        speaker: ``counselor`` or ``client``.

    Raises:
        ValueError: nothing is left.
    """
    text = _own_lines(_PREAMBLE.sub("", text.strip()), speaker).strip()
    before = None
    while text != before:  # layers nest: a quoted reply behind a label behind a preamble
        before = text
        text = _unquote(_LABELS.sub("", _PREAMBLE.sub("", text)).strip())
    text = _unquote(" ".join(text.split()))
    if not re.search(r"\w", text):
        raise ValueError("the reply is empty")
    return text


def read_counselor(text: str) -> dict[str, Any]:
    """Outputs of the specialists and the response generator: ``reply``."""
    return {"reply": clean_reply(text, "counselor")}


def read_client(text: str) -> dict[str, Any]:
    """Outputs of the client: ``reply`` without the mark [/END], and ``ended``.

    A reply that is nothing but the mark ends the session without words: ``reply`` is None.
    """
    ended = bool(_END.search(text))
    rest = _END.sub(" ", text)
    if ended and not re.search(r"\w", _LABELS.sub("", rest.strip())):
        return {"reply": None, "ended": True}
    return {"reply": clean_reply(rest, "client"), "ended": ended}


def _squeeze(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def json_object(text: str) -> dict[str, Any] | None:
    """The object a constrained server wrote, closed where the token limit cut it; else None."""
    text = re.sub(r"^\s*```\w*\s*|\s*```\s*$", "", text)
    if not text.lstrip().startswith("{"):
        return None
    value = json_repair.loads(text)
    return value if isinstance(value, dict) else None


_CBT = {_squeeze(t.value): t for t in CBTTechnique}
_CBT_LABEL = re.compile(r"technique\W{0,6}[:\-–]\W*(.+)", re.IGNORECASE)
_PLAN_LABEL = re.compile(
    r"(?:counsell?ing |treatment |session )?plan\W{0,4}:[\s*_]*", re.IGNORECASE
)


def _first_cbt(text: str) -> CBTTechnique | None:
    squeezed = _squeeze(text)
    found = [(squeezed.find(name), t) for name, t in _CBT.items() if name in squeezed]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def read_plan(text: str) -> dict[str, Any]:
    """Outputs of the planner: ``plan``.

    In free text the technique is the first of the twelve named behind a "Technique:" label,
    or else anywhere; the plan is what follows "Plan:", or else everything but the label's line.
    """
    if (value := json_object(text)) is not None:
        steps = value.get("steps")
        if isinstance(steps, list):
            lines = [re.sub(r"^\W*\d+[.)]\s*", "", " ".join(str(s).split())) for s in steps]
            plan = "\n".join(
                f"{number}. {step}" for number, step in enumerate(filter(None, lines), 1)
            )
            value = {"technique": value.get("technique"), "plan": plan}
        return {"plan": CBTPlan.model_validate(value)}
    label = _CBT_LABEL.search(text)
    technique = (_first_cbt(label.group(1)) if label else None) or _first_cbt(text)
    if technique is None:
        raise ValueError("no CBT technique of the twelve is named")
    rest = text[label.end() :] if label and label.group(1).strip() else text
    if marked := _PLAN_LABEL.search(rest):
        rest = rest[marked.end() :]
    return {"plan": CBTPlan(technique=technique, plan=rest)}  # ValueError where nothing is left


_SYNONYMS = {
    "reflection": Technique.REFLECTION,
    "reflections": Technique.REFLECTION,
    "reflecting": Technique.REFLECTION,
    "questioning": Technique.QUESTIONING,
    "question": Technique.QUESTIONING,
    "questions": Technique.QUESTIONING,
    "providingsolutions": Technique.SOLUTIONS,
    "providingsolution": Technique.SOLUTIONS,
    "solutions": Technique.SOLUTIONS,
    "solution": Technique.SOLUTIONS,
    "normalization": Technique.NORMALIZATION,
    "normalisation": Technique.NORMALIZATION,
    "normalizing": Technique.NORMALIZATION,
    "normalising": Technique.NORMALIZATION,
    "psychoeducation": Technique.PSYCHOEDUCATION,
}
_MENTION = re.compile(
    r"\b(?:reflections?|questioning|(?:providing )?solutions|normali[sz](?:ation|ing)"
    r"|psycho[\s-]?education)\b",
    re.IGNORECASE,
)


def mentioned_techniques(text: str) -> list[Technique]:
    """The techniques a text mentions, each once, in the order of their first mention."""
    return list(dict.fromkeys(_SYNONYMS[_squeeze(m)] for m in _MENTION.findall(text)))


def remaining(
    chosen: Sequence[Technique] | str, gone: Collection[Technique]
) -> list[Technique] | str:
    """A choice less the techniques that are left out; words stay as they are if they name none.

    Raises:
        ValueError: nothing remains.
    """
    named = mentioned_techniques(chosen) if isinstance(chosen, str) else list(chosen)
    kept = [technique for technique in named if technique not in gone]
    if len(kept) == len(named):
        return chosen if isinstance(chosen, str) else kept
    if not kept:
        raise ValueError(f"only {', '.join(named)} is chosen, which is left out")
    return ", ".join(kept) if isinstance(chosen, str) else kept


def less_techniques(read: Reader, gone: Collection[Technique]) -> Reader:
    """A reader of techniques that drops those that are left out."""

    def read_rest(text: str) -> dict[str, Any]:
        return {"techniques": remaining(read(text)["techniques"], gone)}

    return read_rest


def read_techniques(text: str) -> dict[str, Any]:
    """Outputs of the technique selector: ``techniques``.

    A list ("Reflection, Questioning", bullets, JSON) must hold only known techniques, each
    once; in prose the techniques are those mentioned, in the order of their first mention.
    """
    if (value := json_object(text)) is not None:
        items = [str(t) for t in value.get("techniques") or []]
    else:
        body = re.sub(r"^[^\n:]*techniques?[^\n:]*:", "", text.strip(), flags=re.IGNORECASE)
        parts = re.split(r"[,;+/&\n]|\band\b", re.sub(r"[\[\]\"'`*]", " ", body))
        items = [item for p in parts if (item := re.sub(r"^[\s\d.)•-]+|[\s.]+$", "", p))]
        if any(len(item.split()) > 3 for item in items):
            items = [technique.value for technique in mentioned_techniques(body)]
    unknown = [item for item in items if _squeeze(item) not in _SYNONYMS]
    if unknown:
        raise ValueError(f"unknown technique {unknown[0]!r}")
    return {"techniques": _TECHNIQUES.validate_python([_SYNONYMS[_squeeze(i)] for i in items])}
