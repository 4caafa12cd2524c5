"""What is evaluated: dialogues of a run, of released sessions, or of chat-format JSONL."""

import hashlib
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from magnet.core.errors import UsageError
from magnet.core.journal import read_sessions
from magnet.core.session import Message, Session, transcript


@dataclass(frozen=True)
class Dialogue:
    """A dialogue and where it comes from.

    Attributes:
        id: its name in its source, such as ``session_0001``.
        method: the generation system; the source's name where it is not recorded.
        seed_id: client and attitude, the key by which methods are paired; the id where unknown.
        client_id: hash of the intake form, the key by which sessions are clustered.
        attitude: positive, neutral, negative, or "" where unknown.
        intake_form: the client's form; None where unknown: PANAS cannot be asked then.
        messages: what was said, in order.
        session: the whole record, where the source is a run of this project.
        record: the source's record, where it is a file from elsewhere.
        place: where it is in its source: a file's path, or ``line 3``.
    """

    id: str
    method: str
    seed_id: str
    client_id: str
    attitude: str
    intake_form: str | None
    messages: tuple[Message, ...]
    session: Session | None = None
    record: dict[str, Any] | None = None
    place: str = ""

    @property
    def seed_known(self) -> bool:
        """Whether its seed is known; where it is not, its name stands in for it."""
        return self.seed_id != self.id

    @property
    def text(self) -> str:
        """One line per message, ``Counselor: ...`` or ``Client: ...``."""
        return transcript(self.messages)

    @property
    def content_hash(self) -> str:
        """Hex sha256 of what a judge is shown: transcript and intake form."""
        shown = f"{self.text}\x00{self.intake_form or ''}"
        return hashlib.sha256(shown.encode()).hexdigest()


def of_session(session: Session) -> Dialogue:
    """The dialogue of a session of a run."""
    seed = session.seed
    return Dialogue(
        id=session.id,
        method=session.method,
        seed_id=seed.seed_id,
        client_id=seed.client_id,
        attitude=seed.attitude,
        intake_form=seed.intake_form,
        messages=tuple(session.history),
        session=session,
        place=session.id,
    )


_ROLES = {
    "counselor": "counselor",
    "counsellor": "counselor",
    "therapist": "counselor",
    "assistant": "counselor",
    "gpt": "counselor",
    "client": "client",
    "patient": "client",
    "user": "client",
    "human": "client",
}


def _messages(turns: Any, where: str) -> tuple[Message, ...]:
    """Messages of ``role``/``message``, ``role``/``content`` or ``from``/``value`` records."""
    messages = []
    for number, turn in enumerate(turns, 1):
        try:
            role = str(turn.get("role") or turn["from"]).lower()
            text = next(turn[k] for k in ("message", "content", "value") if k in turn)
        except (KeyError, AttributeError, StopIteration):
            raise UsageError(f"{where}, message {number}: role or text is missing") from None
        if role == "system":
            continue
        if role not in _ROLES or not isinstance(text, str):
            raise UsageError(f"{where}, message {number}: unknown role {role!r}")
        messages.append(Message(role=_ROLES[role], message=text))
    return tuple(messages)


def _of_record(record: Any, place: str, source: Path) -> Dialogue:
    where, name = f"{source}, {place}", Path(place).stem
    if not isinstance(record, dict):
        raise UsageError(f"{where}: not a JSON object")
    turns = next((record[k] for k in _KEYS if isinstance(record.get(k), list)), None)
    if turns is None:
        raise UsageError(f"{where}: has none of {', '.join(_KEYS)}")
    client = record.get("AI_client") or (record.get("example") or {}).get("AI_client") or {}
    form, attitude = client.get("intake_form"), client.get("attitude", "")
    client_id = hashlib.sha256(form.encode()).hexdigest()[:10] if form else name
    return Dialogue(
        id=name,
        method=str(record.get("method") or source.stem),
        seed_id=str(record.get("seed_id") or (f"{client_id}-{attitude}" if form else name)),
        client_id=str(record.get("client_id") or client_id),
        attitude=attitude or str(record.get("attitude") or ""),
        intake_form=form,
        messages=_messages(turns, where),
        record=record,
        place=place,
    )


_KEYS = ("dialogue", "history", "messages", "conversations")


def _numbered(name: str) -> tuple[str, int, str]:
    stem = Path(name).stem
    digits = stem.rsplit("_", 1)[-1]
    return (str(Path(name).parent), int(digits) if digits.isdecimal() else -1, stem)


def _hidden(name: str) -> str | None:
    """The hidden folder that a file is in, or where it is a dot-file; None where it is neither.

    Editors and file managers leave copies there that look like sessions.

    >>> _hidden("data/.ipynb_checkpoints/session_1.json"), _hidden("data/._session_1.json")
    ('data/.ipynb_checkpoints', 'data/.*')
    >>> _hidden("data/session_1.json")
    """
    *folders, file = Path(name).parts
    for at, folder in enumerate(folders, 1):
        if folder.startswith(".") or folder == "__MACOSX":
            return "/".join(folders[:at])
    return "/".join([*folders, ".*"]) if file.startswith(".") else None


def _shown(names: Iterable[str], say: Callable[[str], None]) -> list[str]:
    """Session files in their order, without hidden ones; how many of these, and where, is said."""
    json_files = [name for name in names if name.endswith(".json")]
    skipped = Counter(place for name in json_files if (place := _hidden(name)))
    if skipped:
        places = ", ".join(f"{place} ({count})" for place, count in sorted(skipped.items()))
        say(f"Hidden files were skipped: {skipped.total()}, in {places}")
    return sorted((name for name in json_files if not _hidden(name)), key=_numbered)


def session_files(folder: Path, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Names of a folder's session files from there, hidden ones left out.

    Args:
        folder: they may lie in folders inside it.
        say: told in one line how many were left out, and where they are.
    """
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*.json") if p.is_file())
    return _shown(names, say)


def load_dialogues(path: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[Dialogue]:
    """The dialogues of a source, one at a time.

    Args:
        path: a run directory; a folder or zip of session files (``dialogue`` or ``history``);
            one such file; or a JSONL file of chats (``messages`` or ``conversations``).
        say: told of files that were skipped.

    Raises:
        UsageError: there is none, or a record is not a dialogue: by file and entry.
    """
    if (path / "provenance.json").is_file():
        yield from (of_session(session) for session in read_sessions(path))
    elif path.is_dir():
        files = session_files(path, say)
        if not files:
            raise UsageError(f"{path} has no session files (*.json) and is not a run directory")
        for file in files:
            yield _of_record(_parse((path / file).read_bytes(), str(path / file)), file, path)
    elif zipfile.is_zipfile(path):
        yield from _of_zip(path, say)
    elif path.suffix == ".jsonl" and path.is_file():
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    name = f"line {number}"
                    yield _of_record(_parse(line, f"{path}, {name}"), name, path)
    elif path.is_file():
        yield _of_record(_parse(path.read_bytes(), str(path)), path.name, path)
    else:
        raise UsageError(
            f"{path} does not exist",
            "Give a run directory, a folder or zip of sessions, or a JSONL file of chats.",
        )


def _of_zip(path: Path, say: Callable[[str], None]) -> Iterator[Dialogue]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in _shown(archive.namelist(), say):
                yield _of_record(_parse(archive.read(name), f"{path}/{name}"), name, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UsageError(f"{path} cannot be unpacked: {error}") from None


def _parse(raw: bytes, where: str) -> Any:
    try:
        return orjson.loads(raw)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where} is not JSON: {error}") from None
