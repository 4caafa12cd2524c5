"""``magnet adopt``: dialogues from elsewhere as a run directory, for every kind of evaluation."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.dialogues import Dialogue, load_dialogues, session_files
from magnet.core.errors import UsageError
from magnet.core.journal import RunDirectory
from magnet.core.seeds import GenerationSeed
from magnet.core.session import Exchange, Session, load_plan
from magnet.study.provenance import commit, version


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
    exchanges = []
    while messages:
        reply, answer = take("counselor") or "", take("client")
        exchanges.append(Exchange(reply=reply, client_reply=answer, ended=answer is None, calls=[]))
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
        exchanges=exchanges,
        provenance={"adopted": dialogue.id},
    )


def adopt(
    source: Path,
    out: Path,
    method: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Writes a source's dialogues into a new run directory; returns how many.

    Args:
        source: see eval.dialogues.load_dialogues.
        out: the directory.
        method: what to call the system that wrote them; else what the source says.
        say: told of what was left out.

    Raises:
        UsageError: the source is not readable, has two different dialogues of one method on
            one seed, or ``out`` is another run.
    """
    named = _without_duplicates(load_dialogues(source, say), method, say)
    if not named:
        raise UsageError(f"{source} contains no dialogues")
    run = RunDirectory(out)
    run.open("", _provenance(source, named))  # no study: none played it
    try:
        number = 0
        for name, group in named.items():
            for dialogue in group:
                number += 1
                run.publish(to_session(dialogue, name, number))
    finally:
        run.close()
    return number


def _without_duplicates(
    dialogues: Iterable[Dialogue], method: str | None, say: Callable[[str], None]
) -> dict[str, list[Dialogue]]:
    """Dialogues by method, one per seed; those whose seed is not known are all kept.

    Raises:
        UsageError: two of one method and seed differ.
    """
    groups: dict[str, list[Dialogue]] = {}
    seen: dict[tuple[str, str], Dialogue] = {}
    dropped = 0
    for dialogue in dialogues:
        name = method or dialogue.method
        if dialogue.seed_known:
            first = seen.setdefault((name, dialogue.seed_id), dialogue)
            if first is not dialogue:
                _check_same(first, dialogue, name)
                dropped += 1
                continue
        groups.setdefault(name, []).append(dialogue)
    if dropped:
        say(f"Duplicates dropped (same method, seed and messages as another): {dropped}")
    return groups


def _check_same(one: Dialogue, other: Dialogue, method: str) -> None:
    if one.messages != other.messages:
        raise UsageError(
            f"{one.place} and {other.place} are different sessions of {method!r} on the same seed, "
            f"{one.seed_id}",
            "Methods are compared seed by seed, so a run holds one session per method and seed: "
            'keep one of the two, or change the "method" or "seed_id" in one record.',
        )


def _provenance(source: Path, named: Mapping[str, Sequence[Dialogue]]) -> dict[str, Any]:
    """What is known of an adopted run. It has no settings, models or prompts of ours."""
    dialogues = [dialogue for group in named.values() for dialogue in group]
    known = all(dialogue.client_id != dialogue.id for dialogue in dialogues)
    sha256 = _sha256(source)
    return {
        "identity": {"adopted": sha256, "methods": list(named)},
        "adopted": {
            "source": str(source),
            "sha256": sha256,
            "sessions": len(dialogues),
            "version": version("magnet-sessions"),
            "commit": commit(),
        },
        "study": {"name": source.stem, "methods": list(named)},
        "prompts": {"set": None},
        "models": {},
        "seeds": {
            "source": str(source),
            "entries": len({dialogue.seed_id for dialogue in dialogues}),
            "clients": len({dialogue.client_id for dialogue in dialogues}) if known else None,
        },
    }


def _sha256(source: Path) -> str:
    """Hex sha256 of a file, or of the names and bytes of a folder's session files."""
    if source.is_file():
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for name in session_files(source):
        inner = hashlib.sha256((source / name).read_bytes()).hexdigest()
        whole.update(f"{inner}  {name}\n".encode())
    return whole.hexdigest()
