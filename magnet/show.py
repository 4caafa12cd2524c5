"""``magnet show``: a run or a session as a person would read it."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from magnet.core.errors import UsageError
from magnet.core.journal import read_session, read_sessions, unfinished
from magnet.core.session import Session, Turn
from signatures import SPECIALISTS

#: Characters of a reply in a list of sessions.
BRIEF = 60


def _line(console: Console, head: str, text: str, style: str = "") -> None:
    body = Text.assemble((f"{head}: ", "bold"), text)
    body.stylize(style)
    if console.is_terminal:
        console.print(Padding(body, (0, 0, 0, 2)), highlight=False)
    else:
        console.print("  ", body, sep="", highlight=False, soft_wrap=True)


def _turn(console: Console, number: int, turn: Turn, detail: bool) -> None:
    chosen = turn.technique_text or ", ".join(turn.techniques)
    console.print(
        f"\n[bold]Turn {number}[/bold]  {escape(chosen)}", highlight=False, soft_wrap=True
    )
    if detail:
        for role, draft in turn.candidates.items():
            mark = "*" if SPECIALISTS[role] in turn.techniques else " "
            _line(console, f"{mark} {role}", draft, "dim")
    _line(console, "Counselor", turn.reply)
    _line(console, "Client", turn.client_reply or "(leaves)")


def show_session(session: Session, console: Console, turn: int | None = None) -> None:
    """Prints plan, each turn's candidates and techniques, and the replies.

    Args:
        session: what to print.
        console: where to.
        turn: one turn alone, counted from 1.

    Raises:
        UsageError: the session has no such turn.
    """
    seed = session.seed
    if turn is not None and not 1 <= turn <= len(session.turns):
        raise UsageError(f"{session.id} has turns 1 to {len(session.turns)}, not {turn}")
    console.print(
        f"[bold]{session.id}[/bold]  {session.method}, {seed.attitude} client {seed.client_id}",
        highlight=False,
    )
    if session.plan:
        _line(console, f"Plan ({session.plan.technique})", session.plan.plan)
    if turn is None:
        console.print()
        _line(console, "Counselor", seed.greeting)
        _line(console, "Client", seed.opening)
    for number, one in enumerate(session.turns, 1):
        if turn in (None, number):
            _turn(console, number, one, detail=True)
    console.print("\n(* technique chosen. Synthetic text, not counselling.)", style="dim")


def find_session(run: Path, name: str) -> Session:
    """A session by number, id or file name.

    Raises:
        UsageError: the run has no such finished session.
    """
    stem = f"session_{int(name):04d}" if name.isdecimal() else name.removesuffix(".json")
    file = run / "sessions" / f"{stem}.json"
    if not file.is_file():
        ids = sorted(p.stem for p in (run / "sessions").glob("session_*.json"))
        known = f"{ids[0]} to {ids[-1]}" if ids else "none so far"
        raise UsageError(f"{run} has no finished session {name!r}", f"Finished: {known}.")
    return read_session(file)


def show_run(run: Path, console: Console) -> None:
    """Prints a line a session: finished ones with their opening reply, others with the reason."""
    if not (run / "sessions").is_dir():
        raise UsageError(
            f"{run} is no run directory: it has no sessions/",
            "Give the folder that magnet.reproduce printed last.",
        )
    for session in read_sessions(run):
        first = session.turns[0].reply
        text = Text.assemble(
            (session.id, "bold"),
            f"  {session.method}, {session.seed.attitude}, {len(session.turns)} turns, "
            f"ended by {session.end or 'length'}: ",
            (first if len(first) <= BRIEF else first[:BRIEF] + "...", "dim"),
        )
        console.print(text, highlight=False, soft_wrap=True)
    for session_id, reason in unfinished(run):
        console.print(f"{session_id}  unfinished: {reason}", highlight=False)
