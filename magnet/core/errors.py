"""The one error a user sees: what is wrong, where, and how to mend it."""

import difflib
from collections.abc import Iterable

from pydantic import ValidationError


class UsageError(Exception):
    """Bad input. Commands print it without a traceback and leave with exit code 2.

    Args:
        what: what is wrong and where, in one sentence.
        remedy: how to mend it.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n  {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


def missing_extra(extra: str, what: str) -> UsageError:
    """The error where a part needs packages that are installed on request."""
    return UsageError(what, f"Install it: pip install 'magnet-sessions[{extra}]'")


def first_of(error: ValidationError, table: str = "") -> tuple[str, str]:
    """The first thing that is wrong: its field, dotted, "" for the whole; and what is wrong.

    Args:
        error: what pydantic found.
        table: the field that was checked, where it is part of something larger.
    """
    first = error.errors()[0]
    field = ".".join(map(str, [table, *first["loc"]] if table else first["loc"]))
    return field, first["msg"].removeprefix("Value error, ")


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that may have been meant, as the end of a message; else all known ones."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
