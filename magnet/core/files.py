"""Files that a kill cannot spoil: whole or not at all, line by line, held by one process."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import orjson

from magnet.core.errors import UsageError

T = TypeVar("T")
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


def write_json(path: Path, data: Any, durable: bool = True) -> None:
    """Writes data as indented JSON, whole or not at all."""
    write_atomically(path, orjson.dumps(data, option=_PRETTY), durable)


def read_lines(
    path: Path,
    read: Callable[[Any], T],
    refuse: Callable[[str, Exception], UsageError] | None,
    by_hand: bool = False,
) -> Iterator[T]:
    """The records of a JSONL file; none where there is no file.

    A line counts once its line break is written: a last line without one was torn by a kill, and
    is left out.

    Args:
        path: the file.
        read: makes a record of a line's data; ValueError, KeyError, TypeError and AttributeError
            say that it is none.
        refuse: the error for a damaged line, from its place ("FILE, line 3") and what is wrong;
            None passes over such lines.
        by_hand: the file may have been written by other means than ours, which often end without
            a line break: a last line without one counts if it can be read.

    Raises:
        UsageError: a line is damaged.
    """
    if not path.is_file():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            torn = not line.endswith(b"\n")
            if torn and not by_hand:
                return
            try:
                record = read(orjson.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if refuse is None or torn:
                    continue
                raise refuse(f"{path}, line {number}", error) from None
            yield record


def cut_torn(path: Path) -> bool:
    """Cuts a torn last line off a JSONL file, so that the next one begins on its own line.

    Returns:
        Whether there was one.
    """
    raw = path.read_bytes() if path.is_file() else b""
    whole = raw.rfind(b"\n") + 1
    if whole < len(raw):
        os.truncate(path, whole)
    return whole < len(raw)


def write_lines(file: IO[bytes], records: Iterable[Any], durable: bool = False) -> None:
    """Writes records, a line each; the operating system has them before this returns.

    Args:
        file: open for appending.
        records: JSON data.
        durable: wait until the disk has them.
    """
    file.write(b"".join(orjson.dumps(record) + b"\n" for record in records))
    file.flush()
    if durable:
        os.fsync(file.fileno())


def _end_line(path: Path) -> None:
    """Ends the last line of a JSONL file: by a line break where it is whole, else by cutting it."""
    tail = path.read_bytes().rpartition(b"\n")[2] if path.is_file() else b""
    try:
        orjson.loads(tail)
    except ValueError:  # torn, or nothing
        cut_torn(path)
        return
    with path.open("ab") as file:
        file.write(b"\n")


class Appender:
    """Appends lines to a JSONL file; a torn last line is cut before the first of them.

    Args:
        path: the file; made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def add(self, *records: Any) -> None:
        """Appends records; the operating system has them before this returns."""
        if self._file is None:
            _end_line(self.path)
            self._file = self.path.open("ab")
        write_lines(self._file, records)

    def close(self) -> None:
        """Closes the file; a later line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def lock(folder: Path) -> IO[bytes]:
    """Keeps other processes out of a folder, until the file that this returns is closed.

    Raises:
        UsageError: one has it.
    """
    file = (folder / ".lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UsageError(
            f"{folder} is in use by another process", "Wait for it, or name another --out."
        ) from None
    return file


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
