"""Sessions that give no training pairs: flagged by a reviewer, or unfinished."""

import csv
from collections import Counter
from pathlib import Path

from magnet.core.errors import UsageError
from magnet.core.journal import unfinished

#: Sessions that a reviewer takes out of a run's data: a file in the run, columns session,reason.
FLAGS = "flags.csv"


def read_flags(run: Path) -> dict[str, str]:
    """Session -> why it is left out, from the run's ``flags.csv``; empty where there is none.

    Raises:
        UsageError: the file has other columns, or names a session that the run does not have.
    """
    path = run / FLAGS
    if not path.is_file():
        return {}
    known = {one.id for one in unfinished(run)}
    known |= {file.stem for file in (run / "sessions").glob("session_*.json")}
    flags: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if set(lines.fieldnames or ()) != {"session", "reason"}:
                raise UsageError(f"{path}: its columns are not session,reason")
            for line in lines:
                if line["session"] not in known:
                    raise UsageError(
                        f"{path}, line {lines.line_num}: the run has no {line['session']!r}",
                        "Sessions are named as their files: session_0001.",
                    )
                flags[line["session"]] = f"flagged: {line['reason'] or 'no reason given'}"
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not CSV in UTF-8: {error}") from None
    return flags


def unfinished_by_reason(run: Path, method: str | None) -> Counter[str]:
    """Sessions under way, by the reason they stopped.

    Args:
        run: the run directory.
        method: whose sessions, and those of unknown method; all of them for None.
    """
    counts: Counter[str] = Counter()
    for one in unfinished(run):
        if method in (None, one.method):
            counts[f"unfinished: {one.reason}"] += 1
        elif one.method is None:
            counts[f"unfinished, method unknown: {one.reason}"] += 1
    return counts
