"""How the authors' scripts read completions, quirk for quirk (profile ``released``).

Newlines are deleted, which may fuse words; nothing is refused but a plan without its heading.
"""

from typing import Any

from signatures.types import FreePlan

_END = "[/END]"


def _unwrap(text: str) -> str:
    """What a reply that echoes the history's Python form carries as its message."""
    if "'message':" not in text:
        return text
    text = text.split("'message':")[1].split(", {")[0]
    for mark in ('"', "]", "}"):
        text = text.replace(mark, "")
    return text


def read_counselor(text: str) -> dict[str, Any]:
    """MAGneT and CACTUS: what follows the last label, less newlines, backslashes, quotes."""
    text = _unwrap(text).split("Counselor:")[-1]
    for mark in ("\n", "\\", '"'):
        text = text.replace(mark, "")
    return {"reply": text.strip()}


def read_psych8k(text: str) -> dict[str, Any]:
    """Psych8k, optimized and untuned: labels deleted wherever they stand."""
    return {"reply": text.replace("Output:", "").replace("Counselor:", "").strip()}


def read_client(text: str) -> dict[str, Any]:
    """The client: the label deleted wherever it stands, white space kept."""
    text = text.replace("Client: ", "")
    return {"reply": text.replace(_END, ""), "ended": _END in text}


def read_plan(text: str) -> dict[str, Any]:
    """The planner: technique before the first "Counseling", plan behind a colon that ends a line.

    Later such colons become spaces, and all from a second "Counseling" on is lost.

    Raises:
        ValueError: no plan is left; their session fails there too.
    """
    technique, *rest = text.split("Counseling")
    plan = " ".join(rest[0].split(":\n")[1:]) if rest else ""
    if not plan:
        raise ValueError('no plan stands behind "Counseling ...:"')
    return {"plan": FreePlan(technique=technique.replace("\n", ""), plan=plan)}


def read_techniques(text: str) -> dict[str, Any]:
    """The technique selector: its words, as they are."""
    return {"techniques": text}
