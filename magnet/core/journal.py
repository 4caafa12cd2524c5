"""The run directory: append an exchange, publish a session, resume.

::

    study.toml        the study as it was resolved
    provenance.json   models, prompts, seeds, versions; ``identity`` decides what may resume
    journal/          one file a session under way, one line a finished exchange
    sessions/         finished sessions, published by atomic rename
    usage.json        calls, tokens and money by role, over all invocations
    timings.jsonl     seconds and cached tokens, which differ from run to run
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from magnet.core.errors import UsageError
from magnet.core.session import Exchange, Session, load_plan

_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def write_atomically(path: Path, data: bytes, durable: bool = True) -> None:
    """Writes a file so that it is there whole or not at all.

    Args:
        path: where to.
        data: its bytes.
        durable: wait until the disk has it.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)


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
        self._timings: IO[bytes] | None = None

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
                f"{self.path} is not empty and is not a run directory",
                "Name another folder: --out DIR",
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
                    f"{known} is not a run's provenance", "Name another folder: --out DIR"
                ) from None
            for role, model in provenance.get("models", {}).items():
                name = earlier.get("models", {}).get(role, model).get("model")
                if name != model.get("model"):  # a study may leave the name to the server
                    raise UsageError(
                        f"{self.path} was played with {name}; the server now offers "
                        f"{model.get('model')} for {role}",
                        "Serve the same model, or name another folder: --out DIR",
                    )
            if changed := sorted(_differences(before, provenance["identity"])):
                raise UsageError(
                    f"{self.path} belongs to another study: {', '.join(changed[:6])} differ",
                    "Use the same settings, or name another folder: --out DIR",
                )
        else:
            write_atomically(self.path / "study.toml", study_toml.encode())
            write_atomically(known, orjson.dumps(provenance, option=_PRETTY))
        for orphan in self.sessions.glob(".*.tmp"):
            orphan.unlink()

    def hold(self) -> None:
        """Keeps other processes out.

        Raises:
            UsageError: one has it.
        """
        self._lock = (self.path / ".lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{self.path} is in use by another process", "Wait for it, or name another --out."
            ) from None

    def note_judges(self, judges: dict[str, Any]) -> None:
        """Adds judges, by ``Score.judge_id``, to the provenance."""
        path = self.path / "provenance.json"
        whole = orjson.loads(path.read_bytes())
        known = whole.get("judges", {})
        if judges.items() <= known.items():
            return
        whole["judges"] = known | judges
        write_atomically(path, orjson.dumps(whole, option=_PRETTY))

    def close(self) -> None:
        """Lets other processes have it."""
        for file in (self._timings, self._lock):
            if file is not None:
                file.close()

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
        write_atomically(path, orjson.dumps(session.to_json(), option=_PRETTY))
        (self.journals / f"{session.id}.jsonl").unlink(missing_ok=True)
        return path

    def save_usage(self, usage: dict[str, Any]) -> None:
        """Writes the usage sums."""
        write_atomically(self.path / "usage.json", orjson.dumps(usage, option=_PRETTY), False)

    def load_usage(self) -> dict[str, Any]:
        """The usage sums of earlier invocations."""
        try:
            return dict(orjson.loads((self.path / "usage.json").read_bytes()))
        except (OSError, ValueError):  # none yet, or torn by a power cut
            return {}

    def add_timing(self, record: dict[str, Any]) -> None:
        """Appends a line to timings.jsonl."""
        if self._timings is None:
            self._timings = (self.path / "timings.jsonl").open("ab")
        self._timings.write(orjson.dumps(record) + b"\n")
        self._timings.flush()


class Journal:
    """A session under way, one line a finished exchange.

    Args:
        path: its file.
        exchanges: how many exchanges it holds.
    """

    def __init__(self, path: Path, exchanges: int) -> None:
        self.path, self.exchanges = path, exchanges

    @classmethod
    def open(cls, path: Path, session: Session) -> tuple["Journal", str | None]:
        """See RunDirectory.resume."""
        raw = path.read_bytes() if path.is_file() else b""
        good, dropped = 0, None
        for number, line in enumerate(raw.splitlines(keepends=True), 1):
            try:
                if not line.endswith(b"\n"):
                    raise ValueError("no line break")
                record = orjson.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("not an object")  # noqa: TRY004 - damage, like the rest
                if "reply" in record:
                    if plan := record.pop("plan", None):
                        session.plan = load_plan(plan)
                    session.exchanges.append(Exchange.model_validate(record))
                elif "unfinished" not in record:
                    raise ValueError("neither an exchange nor a note")
            except ValueError:
                if good + len(line) < len(raw):
                    raise UsageError(
                        f"{path}, line {number}: damaged",
                        "Delete the file to replay this session from the start.",
                    ) from None
                dropped = f"{session.id}: the incomplete last line of its journal was dropped"
                os.truncate(path, good)
                break
            good += len(line)
        return cls(path, len(session.exchanges)), dropped

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
            file.write(orjson.dumps(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())


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
        raise UsageError(f"{run} is not a run directory: it has no provenance.json") from None
    except (ValueError, TypeError):
        raise UsageError(f"{path} is not a run's provenance") from None


def method_names(whole: dict[str, Any]) -> list[str]:
    """A run's methods as its sessions name them, from its provenance."""
    own = whole.get("identity", {}).get("sources", {})
    return [m.rpartition(":")[2] if m in own else m for m in whole["study"]["methods"]]


def check_free(path: Path, needed: float, what: str) -> None:
    """Refuses what would fill the disk.

    Args:
        path: where it goes; it need not be there yet.
        needed: bytes.
        what: takes them.

    Raises:
        UsageError: less is free.
    """
    there = next(p for p in (path, *path.resolve().parents) if p.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise UsageError(
            f"{there} has {free / 1e6:.0f} MB free; {what} takes about {needed / 1e6:.0f} MB",
            "Free some space, or name another folder: --out DIR",
        )


def read_sessions(path: Path) -> Iterator[Session]:
    """The finished sessions of a run directory, in order, one at a time.

    Raises:
        UsageError: there is no run, or a file is not a session.
    """
    folder = path / "sessions"
    if not folder.is_dir():
        raise UsageError(f"{path} is not a run directory: it has no sessions/")
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


def unfinished(path: Path) -> Iterator[tuple[str, str]]:
    """Ids of sessions under way, each with the last reason noted in its journal."""
    for file in sorted((path / "journal").glob("session_*.jsonl")):
        if (path / "sessions" / f"{file.stem}.json").is_file():  # killed while publishing
            continue
        reason = "interrupted"
        for line in file.read_bytes().splitlines():
            try:
                record = orjson.loads(line)
            except ValueError:
                continue
            reason = record.get("unfinished", "interrupted")
        yield file.stem, reason
