"""``magnet adopt``: dialogues of other origin as a run directory, for all of the evaluation."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eval.dialogues import Dialogue, load_dialogues
from magnet.errors import UsageError
from magnet.journal import RunDirectory
from magnet.provenance import provenance
from magnet.seeds import GenerationSeed, SeedFile
from magnet.session import Session, Turn, load_plan
from magnet.study import load_study


def to_session(dialogue: Dialogue, method: str, number: int) -> Session:
    """A session that holds the dialogue's words; what its source does not record stays empty."""
    record = dialogue.record or {}
    messages = list(dialogue.messages)

    def take(role: str) -> str | None:
        said = []
        while messages and messages[0].role == role:
            said.append(messages.pop(0).message)
        return " ".join(said) if said else None

    entry: dict[str, Any] = {
        "AI_client": dict(record.get("AI_client") or {"attitude": dialogue.attitude}),
        "AI_counselor": dict(record.get("AI_counselor") or {}),
    }
    cbt = dict(entry["AI_counselor"].get("CBT") or {})
    cbt["init_history_counselor"] = take("counselor") or ""
    cbt["init_history_client"] = take("client") or ""
    entry["AI_counselor"]["CBT"] = cbt
    turns = []
    while messages:
        reply, answer = take("counselor") or "", take("client")
        turns.append(Turn(reply=reply, client_reply=answer, ended=answer is None, calls=[]))
    plan = None
    if record.get("cbt_plan"):
        plan = load_plan(
            {"technique": str(record.get("cbt_technique") or ""), "plan": str(record["cbt_plan"])}
        )
    return Session(
        id=f"session_{number:04d}",
        method=method,
        seed=GenerationSeed.from_record(entry, dialogue.seed_id, dialogue.client_id),
        plan=plan,
        turns=turns,
        provenance={"adopted": dialogue.id},
    )


def adopt(source: Path, out: Path, method: str | None = None) -> int:
    """Writes a source's dialogues into a new run directory; returns how many.

    Args:
        source: see eval.dialogues.load_dialogues.
        out: the directory.
        method: what to call the system that wrote them; else what the source says.

    Raises:
        UsageError: the source is not readable, or ``out`` is another run.
    """
    dialogues = list(load_dialogues(source))
    if not dialogues:
        raise UsageError(f"{source} holds no dialogues")
    named = _named(dialogues, method)
    study = load_study("demo").model_copy(
        update={"name": source.stem, "methods": list(named), "stages": [], "sessions": None}
    )
    seeds = SeedFile(str(source), [], "", None)
    whole = provenance(study, {"adopted": str(source), "prompts": {}}, seeds, {})
    whole["seeds"]["entries"] = max(len(group) for group in named.values())
    run = RunDirectory(out)
    run.open("", whole)
    try:
        number = 0
        for name, group in named.items():
            for dialogue in group:
                number += 1
                run.publish(to_session(dialogue, name, number))
    finally:
        run.close()
    return len(dialogues)


def _named(dialogues: Iterable[Dialogue], method: str | None) -> dict[str, list[Dialogue]]:
    groups: dict[str, list[Dialogue]] = {}
    for dialogue in dialogues:
        groups.setdefault(method or dialogue.method, []).append(dialogue)
    return groups
