"""The run directory: append an exchange, publish a session, resume.

::

    study.toml        the study as it was resolved
    provenance.json   models, prompts, seeds, versions; ``identity`` decides what may resume
    journal/          one file a session under way, one line a finished exchange; the first line
                      also says whose it is: session, method, seed
    sessions/         finished sessions, published by atomic rename
    usage.json        calls, tokens and money by role, over all invocations
    timings.jsonl     seconds and cached tokens, which differ from run to run
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from magnet.core.errors import UsageError
from magnet.core.files import (
    Appender,
    cut_torn,
    lock,
    read_lines,
    write_atomically,
    write_json,
    write_lines,
)
from magnet.core.session import Exchange, Session, load_plan
from signatures import Plan

_OWN = {"sessions", "journal", ".lock", "study.toml"}


class RunDirectory:
    """A run on disk, held by one process at a time.

    Args:
        path: the directory; made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sessions = path / "sessions"
        self.journals = path / "journal"
        self._lock: IO[bytes] | None = None
        self._timings = Appender(path / "timings.jsonl")

    def open(self, study_toml: str, provenance: dict[str, Any]) -> None:
        """Creates the directory, or takes up one of the same study.

        Raises:
            UsageError: it belongs to another study, to something else, or to a process that
                is still running.
        """
        known = self.path / "provenance.json"
        begun = known.is_file() or (self.path / ".lock").is_file()
        foreign = self.path.is_dir() and any(p.name not in _OWN for p in self.path.iterdir())
        if not begun and foreign:
            raise UsageError(
                f"{self.path} is not empty and holds no run", "Name another folder: --out DIR"
            )
        self.sessions.mkdir(parents=True, exist_ok=True)
        self.journals.mkdir(exist_ok=True)
        self.hold()
        if known.is_file():
            try:
                earlier = orjson.loads(known.read_bytes())
                before = earlier["identity"]
            except (ValueError, KeyError, TypeError):
                raise UsageError(
                    f"{known} is not the provenance of a run", "Name another folder: --out DIR"
                ) from None
            for role, model in provenance.get("models", {}).items():
                name = earlier.get("models", {}).get(role, model).get("model")
                if name != model.get("model"):  # a study may leave the name to the server
                    raise UsageError(
                        f"{self.path} was played by {name}; the server now offers "
                        f"{model.get('model')} for {role}",
                        "Serve the same model, or name another folder: --out DIR",
                    )
            if changed := sorted(_differences(before, provenance["identity"])):
                raise UsageError(
                    f"{self.path} belongs to another study: {', '.join(changed[:6])} differ",
                    "Go on with the same settings, or name another folder: --out DIR",
                )
        else:
            write_atomically(self.path / "study.toml", study_toml.encode())
            write_json(known, provenance)
        for orphan in self.sessions.glob(".*.tmp"):
            orphan.unlink()

    def hold(self) -> None:
        """Keeps other processes out.

        Raises:
            UsageError: one has it.
        """
        self._lock = lock(self.path)

    def note_judges(self, judges: dict[str, Any]) -> None:
        """Adds judges, by ``Score.judge_id``, to the provenance."""
        path = self.path / "provenance.json"
        whole = orjson.loads(path.read_bytes())
        known = whole.get("judges", {})
        if judges.items() <= known.items():
            return
        whole["judges"] = known | judges
        write_json(path, whole)

    def close(self) -> None:
        """Lets other processes have it."""
        self._timings.close()
        if self._lock is not None:
            self._lock.close()

    def finished(self) -> set[str]:
        """Ids of the finished sessions."""
        return {path.stem for path in self.sessions.glob("session_*.json")}

    def resume(self, session: Session) -> tuple["Journal", str | None]:
        """The session's journal, with its finished exchanges put into ``session``.

        Returns:
            The journal, and what was dropped from it, if anything.

        Raises:
            UsageError: a line before the last is damaged.
        """
        return Journal.open(self.journals / f"{session.id}.jsonl", session)

    def publish(self, session: Session) -> Path:
        """Writes the finished session and drops its journal."""
        path = self.sessions / f"{session.id}.json"
        write_json(path, session.to_json())
        (self.journals / f"{session.id}.jsonl").unlink(missing_ok=True)
        return path

    def save_usage(self, usage: dict[str, Any]) -> None:
        """Writes the usage sums."""
        write_json(self.path / "usage.json", usage, durable=False)

    def load_usage(self) -> dict[str, Any]:
        """The usage sums of earlier invocations."""
        try:
            return dict(orjson.loads((self.path / "usage.json").read_bytes()))
        except (OSError, ValueError):  # none yet, or torn by a power cut
            return {}

    def add_timing(self, record: dict[str, Any]) -> None:
        """Appends a line to timings.jsonl."""
        self._timings.add(record)


class Journal:
    """A session under way, one line a finished exchange.

    Args:
        path: its file.
        exchanges: how many exchanges it holds.
        head: whose it is, for the next line to say; empty where an earlier line does.
    """

    def __init__(self, path: Path, exchanges: int, head: dict[str, Any]) -> None:
        self.path, self.exchanges, self.head = path, exchanges, head

    @classmethod
    def open(cls, path: Path, session: Session) -> tuple["Journal", str | None]:
        """See RunDirectory.resume."""
        ours = {"id": session.id, "method": session.method, "seed_id": session.seed.seed_id}
        head = {"session": ours}
        for owner, plan, exchange in read_lines(path, _read_line, _damaged):
            if owner not in (None, ours):
                raise UsageError(f"{path} is the journal of another session: {owner}", _AGAIN)
            head = head if owner is None else {}
            session.plan = plan or session.plan
            session.exchanges += [exchange] if exchange else []
        dropped = f"{session.id}: the torn last line of its journal was dropped"
        return cls(path, len(session.exchanges), head), dropped if cut_torn(path) else None

    def append(self, session: Session) -> None:
        """Adds the session's last exchange and waits until the disk has it."""
        record = session.exchanges[-1].model_dump(mode="json")
        if self.exchanges == 0 and session.plan is not None:
            record["plan"] = session.plan.model_dump(mode="json")
        self._write(record)
        self.exchanges += 1

    def stop(self, reason: str, detail: str) -> None:
        """Notes why the session is left unfinished."""
        self._write({"unfinished": reason, "detail": detail})

    def _write(self, record: dict[str, Any]) -> None:
        with self.path.open("ab") as file:
            write_lines(file, [self.head | record], durable=True)
        self.head = {}


_AGAIN = "Delete the file to play this session again from its start."


def _read_line(record: dict[str, Any]) -> tuple[Any, Plan | None, Exchange | None]:
    """Of a line of a journal: whose it is, the plan, the exchange, as far as it holds them."""
    owner, plan = record.pop("session", None), record.pop("plan", None)
    if "reply" not in record and "unfinished" not in record:
        raise ValueError("neither an exchange nor a note")
    exchange = Exchange.model_validate(record) if "reply" in record else None
    return owner, load_plan(plan) if plan else None, exchange


def _damaged(place: str, error: Exception) -> UsageError:
    return UsageError(f"{place}: damaged", _AGAIN)


def _differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before.keys() | now.keys():
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(before.get(key), now.get(key), inner)
    elif before != now:
        yield path


def read_provenance(run: Path) -> dict[str, Any]:
    """A run's provenance.

    Raises:
        UsageError: this is no run directory.
    """
    path = run / "provenance.json"
    try:
        return dict(orjson.loads(path.read_bytes()))
    except OSError:
        raise UsageError(f"{run} is no run directory: it has no provenance.json") from None
    except (ValueError, TypeError):
        raise UsageError(f"{path} is not the provenance of a run") from None


def method_names(whole: dict[str, Any]) -> list[str]:
    """A run's methods as its sessions name them, from its provenance."""
    own = whole.get("identity", {}).get("sources", {})
    return [m.rpartition(":")[2] if m in own else m for m in whole["study"]["methods"]]


def read_sessions(path: Path) -> Iterator[Session]:
    """The finished sessions of a run directory, in order, one at a time.

    Raises:
        UsageError: there is no run, or a file is not a session.
    """
    folder = path / "sessions"
    if not folder.is_dir():
        raise UsageError(f"{path} is no run directory: it has no sessions/")
    for file in sorted(folder.glob("session_*.json")):
        yield read_session(file)


def read_session(file: Path) -> Session:
    """One finished session.

    Raises:
        UsageError: the file is not a session.
    """
    try:
        return Session.from_json(orjson.loads(file.read_bytes()))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is not a session file: {error}") from None


@dataclass(frozen=True)
class Unfinished:
    """A session under way.

    Attributes:
        id: its name in the run.
        method: the generation system; None where its journal does not say.
        reason: the last one noted in its journal, or ``interrupted``.
    """

    id: str
    method: str | None
    reason: str


def unfinished(path: Path) -> Iterator[Unfinished]:
    """A run's sessions under way, as their journals tell of them."""
    for file in sorted((path / "journal").glob("session_*.jsonl")):
        if (path / "sessions" / f"{file.stem}.json").is_file():  # killed while publishing
            continue
        method, reason = None, "interrupted"
        for said, why in read_lines(file, _state, None):
            method, reason = said or method, why
        yield Unfinished(file.stem, method, reason)


def _state(record: dict[str, Any]) -> tuple[str | None, str]:
    """What a line of a journal says of method and reason."""
    return record.get("session", {}).get("method"), record.get("unfinished", "interrupted")
