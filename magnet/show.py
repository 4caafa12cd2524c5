"""``magnet show``: a run or a session as a person would read it."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from magnet.console.tables import print_line
from magnet.core.errors import UsageError
from magnet.core.journal import read_session, read_sessions, unfinished
from magnet.core.session import Exchange, Session
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


def _exchange(console: Console, number: int, exchange: Exchange, detail: bool) -> None:
    chosen = exchange.technique_text or ", ".join(exchange.techniques)
    console.print(
        f"\n[bold]Exchange {number}[/bold]  {escape(chosen)}", highlight=False, soft_wrap=True
    )
    if detail:
        for role, draft in exchange.candidates.items():
            mark = "*" if SPECIALISTS[role] in exchange.techniques else " "
            _line(console, f"{mark} {role}", draft, "dim")
    _line(console, "Counselor", exchange.reply)
    _line(console, "Client", exchange.client_reply or "(leaves)")


def show_session(session: Session, console: Console, exchange: int | None = None) -> None:
    """Prints plan, each exchange's candidates and techniques, and the replies.

    Args:
        session: what to print.
        console: where to.
        exchange: one exchange alone, counted from 1.

    Raises:
        UsageError: the session has no such exchange.
    """
    seed = session.seed
    if exchange is not None and not 1 <= exchange <= len(session.exchanges):
        raise UsageError(
            f"{session.id} has exchanges 1 to {len(session.exchanges)}, not {exchange}"
        )
    console.print(
        f"[bold]{session.id}[/bold]  {session.method}, {seed.attitude} client {seed.client_id}",
        highlight=False,
    )
    if session.plan:
        _line(console, f"Plan ({session.plan.technique})", session.plan.plan)
    if exchange is None:
        console.print()
        _line(console, "Counselor", seed.greeting)
        _line(console, "Client", seed.opening)
    for number, one in enumerate(session.exchanges, 1):
        if exchange in (None, number):
            _exchange(console, number, one, detail=True)
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
        first = session.exchanges[0].reply
        text = Text.assemble(
            (session.id, "bold"),
            f"  {session.method}, {session.seed.attitude}, {len(session.exchanges)} exchanges, "
            f"ended by {session.end or 'length'}: ",
            (first if len(first) <= BRIEF else first[:BRIEF] + "...", "dim"),
        )
        console.print(text, highlight=False, soft_wrap=True)
    for one in unfinished(run):
        print_line(console, f"{one.id}  unfinished: {one.reason}")
