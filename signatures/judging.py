"""From a judge's reply to numbers in their range.

"4", "Score: 4", "4/6", "4.0", "4, because ..." and JSON are all four. A reply that does not hold
exactly one number that can be meant, or one outside the range, raises ``ValueError``: it is asked
again and in the end recorded as missing, never guessed.
"""

import re
from collections.abc import Sequence
from typing import Any

from signatures.reading import json_object

_NUMBER = r"(?<![\w.\-−–])(\d{1,3})(?:[.,]0+)?(?![\w.]*\d)(?!\s*[-–]\s*\d)(?!\s*%)"
_OUT_OF = re.compile(rf"{_NUMBER}\s*(?:/|out of|von)\s*(\d{{1,3}})(?!\d)", re.IGNORECASE)
_LEADING = re.compile(rf"^\W{{0,6}}{_NUMBER}(?=\W|$)")
_LABELLED = re.compile(
    r"\b(?:score|rating|rate|answer|grade|value)\b\W{0,6}(?:is|of|=|:|would be)?\W{0,6}" + _NUMBER,
    re.IGNORECASE,
)
_ANY = re.compile(_NUMBER)
_MINUS = re.compile(r"^\W{0,4}[-−–]\s*\d")
_FRACTION = re.compile(r"^\W{0,6}\d+[.,]\d*[1-9]")


def _checked(value: Any, low: int, high: int) -> int:
    if isinstance(value, str):
        value = _number_in(value, high)[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no score")  # noqa: TRY004 - it came in a reply
    if value not in range(low, high + 1):
        raise ValueError(f"{value!r} is not one of {low} to {high}")
    return int(value)


def _number_in(text: str, high: int) -> tuple[int, str]:
    """The number a text gives as its score, and what stands behind it."""
    text = text.strip()
    if _MINUS.match(text) or _FRACTION.match(text):
        raise ValueError("the score is negative or no whole number")
    if found := _OUT_OF.search(text):
        if int(found[2]) != high:
            raise ValueError(f"the score is out of {found[2]}, not out of {high}")
    else:
        found = _LEADING.search(text) or _LABELLED.search(text)
    if found is None:
        numbers = list(_ANY.finditer(text))
        if len({n[1] for n in numbers}) != 1:
            raise ValueError("the reply holds several numbers" if numbers else "no score")
        found = numbers[0]
    return int(found[1]), re.sub(r"^\W+", "", text[found.end() :]).strip()


def read_score(text: str, low: int, high: int) -> dict[str, Any]:
    """One item's outputs: ``score`` and ``reason``.

    Args:
        text: the judge's reply.
        low: lowest score.
        high: highest score.

    Raises:
        ValueError: no score, several, or one outside the range.
    """
    if (value := json_object(text)) is not None:
        reason = str(value.get("reason") or value.get("explanation") or "").strip()
        return {"score": _checked(value.get("score"), low, high), "reason": reason}
    score, reason = _number_in(text, high)
    return {"score": _checked(score, low, high), "reason": reason}


def partial_feelings(text: str, items: Sequence[str], low: int, high: int) -> dict[str, int]:
    """Those of a form's items that a reply gives a score in the range."""
    found: dict[str, int] = {}
    if (value := json_object(text)) is not None:
        inner = value.get("feelings")
        flat = inner if isinstance(inner, dict) else value
        given = {str(k).lower(): v for k, v in flat.items()}
        for feeling in items:
            try:
                found[feeling] = _checked(given.get(feeling.lower()), low, high)
            except ValueError:
                continue
        return found
    for line in text.splitlines():
        words = re.sub(r"[*_`#]", "", line)
        for feeling in items:
            if feeling in found or not re.match(rf"\W*(?:\d+[.)]\s*)?{feeling}\b", words, re.I):
                continue
            rest = re.sub(rf"^\W*(?:\d+[.)]\s*)?{feeling}\b", "", words, count=1, flags=re.I)
            # The authors' form ends with the score; a short one has it right behind the name.
            last = re.search(rf"(?<![\w.\-−–])(\d+)(?:\.0+)?(?:\s*/\s*{high})?\W*$", rest)
            first = re.match(rf"\W{{0,5}}(\d+)(?:\.0+)?(?:\s*/\s*{high})?(?![\w.]*\d)", rest)
            number = last or first
            if number and low <= int(number[1]) <= high and not re.match(r"\W*[-−–]\d", rest):
                found[feeling] = int(number[1])
    return found


def read_feelings(text: str, items: Sequence[str], low: int, high: int) -> dict[str, Any]:
    """A form's outputs: ``feelings``, all of its items.

    Args:
        text: the judge's reply.
        items: the form's.
        low: lowest score.
        high: highest score.

    Raises:
        ValueError: some are missing.
    """
    found = partial_feelings(text, items, low, high)
    if missing := [item for item in items if item not in found]:
        named, lacking = ", ".join(missing[:3]), f"{len(missing)} of {len(items)} missing"
        raise ValueError(f"no score for {named} ({lacking})")
    return {"feelings": found}
