"""``magnet compare RUN``: what each method's sessions took, side by side."""

import dataclasses
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from magnet.console.progress import money_text
from magnet.console.tables import print_table
from magnet.core.files import read_lines
from magnet.core.journal import method_names, read_provenance, read_sessions, unfinished

#: The row of sessions under way whose journals do not say their method: earlier versions' do not.
UNKNOWN = "unknown method"


@dataclass
class MethodRow:
    """One method's sums over its finished sessions.

    Attributes:
        method: the generation system.
        sessions: finished ones.
        unfinished: why the others stopped -> how many; "not begun" for those without an exchange.
        messages: greeting and opening included.
        calls: answered requests and repeated ones; None for sessions from elsewhere.
        tokens: prompt and completion; None where a server reported none, or as calls.
        money: by currency, where prices are known.
        seconds: of all its exchanges; sessions run side by side, so the run took less. None as
            calls.
    """

    method: str
    sessions: int = 0
    unfinished: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    calls: int | None = 0
    tokens: int | None = 0
    money: dict[str, float] = field(default_factory=dict)
    seconds: float | None = 0.0


def _timing(record: dict[str, Any]) -> tuple[tuple[str, int], float]:
    return (record["session"], record["turn"]), record["seconds"]


def _seconds(run: Path) -> dict[str, float]:
    """Seconds by session; an exchange that was played again counts with its last time."""
    exchanges = dict(read_lines(run / "timings.jsonl", _timing, None))
    sums: dict[str, float] = {}
    for (session, _), seconds in exchanges.items():
        sums[session] = sums.get(session, 0.0) + seconds
    return sums


def compare(run: Path) -> list[MethodRow]:
    """A row a method, in the study's order; last, where there are some, those of unknown method.

    Raises:
        UsageError: this is no run directory.
    """
    whole = read_provenance(run)
    methods = method_names(whole)
    rows = {method: MethodRow(method) for method in methods}
    seconds = _seconds(run)
    seen: Counter[str] = Counter()
    for session in read_sessions(run):
        row = rows[session.method]
        seen[session.method] += 1
        row.sessions += 1
        row.messages += len(session.history)
        row.seconds = (row.seconds or 0.0) + seconds.get(session.id, 0.0)
        for usage in session.usage.values():
            row.calls = (row.calls or 0) + usage.answers + usage.retries
            known = usage.input_tokens is not None and usage.output_tokens is not None
            if row.tokens is not None:
                spent = (usage.input_tokens or 0) + (usage.output_tokens or 0)
                row.tokens = row.tokens + spent if known else None
        for currency, amount in (session.cost or {}).items():
            row.money[currency] = row.money.get(currency, 0.0) + amount
    for one in unfinished(run):
        method = one.method or UNKNOWN
        why = rows.setdefault(method, MethodRow(method)).unfinished
        why[one.reason] = why.get(one.reason, 0) + 1
        seen[method] += 1
    if "adopted" in whole:  # nothing else was planned, and nobody counted what it took
        return [replace(row, calls=None, tokens=None, seconds=None) for row in rows.values()]
    planned = whole["study"].get("sessions") or whole["seeds"]["entries"]
    rest = f"not begun, or of {UNKNOWN}" if seen[UNKNOWN] else "not begun"
    for method in methods:
        if planned > seen[method]:
            rows[method].unfinished[rest] = planned - seen[method]
    return list(rows.values())


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def print_compare(rows: Sequence[MethodRow], as_json: bool) -> None:
    """Prints the methods side by side, as a table or as JSON."""
    if as_json:
        data = orjson.dumps([dataclasses.asdict(r) for r in rows], option=orjson.OPT_INDENT_2)
        sys.stdout.write(data.decode() + "\n")
        return
    lines = [
        [
            row.method,
            str(row.sessions),
            ", ".join(f"{n} {why}" for why, n in sorted(row.unfinished.items())) or "0",
            f"{row.messages:,}",
            _number(row.calls),
            _number(row.tokens),
            money_text(row.money) or "-",
            _number(row.seconds),
        ]
        for row in rows
    ]
    columns = "method sessions unfinished messages calls tokens money seconds".split()
    print_table(Console(), columns, lines)
