"""From a judge's reply to numbers in their range.

"4", "Score: 4", "4/6", "4.0", "4, because ..." and JSON are all four. A reply that does not hold
exactly one number that can be meant, or one outside the range, raises ``ValueError``: it is asked
again and in the end recorded as missing, never guessed.
"""

import re
from typing import Any

from signatures.judge import FEELINGS
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


def read_ctrs(text: str) -> dict[str, Any]:
    """A CTRS item's outputs."""
    return read_score(text, 0, 6)


def read_wai(text: str) -> dict[str, Any]:
    """A WAI item's outputs."""
    return read_score(text, 1, 7)


def partial_feelings(text: str) -> dict[str, int]:
    """Those of the twenty feelings a reply gives a score of 1 to 5."""
    found: dict[str, int] = {}
    if (value := json_object(text)) is not None:
        inner = value.get("feelings")
        flat = inner if isinstance(inner, dict) else value
        given = {str(k).lower(): v for k, v in flat.items()}
        for feeling in FEELINGS:
            try:
                found[feeling] = _checked(given.get(feeling.lower()), 1, 5)
            except ValueError:
                continue
        return found
    for line in text.splitlines():
        words = re.sub(r"[*_`#]", "", line)
        for feeling in FEELINGS:
            if feeling in found or not re.match(rf"\W*(?:\d+[.)]\s*)?{feeling}\b", words, re.I):
                continue
            rest = re.sub(rf"^\W*(?:\d+[.)]\s*)?{feeling}\b", "", words, count=1, flags=re.I)
            # The authors' form ends with the score; a short one has it right behind the name.
            last = re.search(r"(?<![\w.\-−–])(\d+)(?:\.0+)?(?:\s*/\s*5)?\W*$", rest)
            first = re.match(r"\W{0,5}(\d+)(?:\.0+)?(?:\s*/\s*5)?(?![\w.]*\d)", rest)
            number = last or first
            if number and 1 <= int(number[1]) <= 5 and not re.match(r"\W*[-−–]\d", rest):
                found[feeling] = int(number[1])
    return found


def read_feelings(text: str) -> dict[str, Any]:
    """PANAS outputs: ``feelings``, all twenty.

    Raises:
        ValueError: some are missing.
    """
    found = partial_feelings(text)
    if missing := [f for f in FEELINGS if f not in found]:
        raise ValueError(f"no score for {', '.join(missing[:3])} ({len(missing)} of 20 missing)")
    return {"feelings": found}
