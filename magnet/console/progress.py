"""What a person sees of a run: a live line on a terminal, plain lines elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from magnet.core.session import Session
from magnet.lm import Meter

#: Runs up to so many turns show their text as it comes.
TALKATIVE = 24
#: Seconds between updates of the live line.
LIVE_EVERY = 0.2
#: Seconds between plain lines.
PLAIN_EVERY = 15.0


def money_text(money: dict[str, float]) -> str:
    """Sums by currency, as "USD 1.23"; "" where no price is known."""
    return ", ".join(f"{currency} {amount:.2f}" for currency, amount in sorted(money.items()))


class Display:
    """Shows sessions, turns, calls a second, tokens, money and time left.

    Args:
        console: where to.
        meter: the usage sums.
        sessions: how many sessions the run has.
        turns: how many turns it has at most.
        done: sessions that were finished before.
        done_turns: turns that were finished before.
    """

    def __init__(
        self,
        console: Console,
        meter: Meter,
        sessions: int,
        turns: int,
        done: int,
        done_turns: int,
    ) -> None:
        self.console, self.meter, self.sessions, self.turns = console, meter, sessions, turns
        self.done, self.done_turns, self.retries = done, done_turns, 0
        self.answers = 0
        self.started = self.printed = self.refreshed = time.monotonic()
        self.calls_before = meter.total().calls
        self.live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total} turns"),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.live.add_task(
            "generate", total=turns, completed=done_turns, state=self._state()
        )

    def __enter__(self) -> "Display":
        self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.update(self.task, completed=self.done_turns, state=self._state())
        self.live.stop()

    def _state(self) -> str:
        total = self.meter.total()
        seconds = max(time.monotonic() - self.started, 1e-9)
        parts = [
            f"{self.done}/{self.sessions} sessions",
            f"{(total.calls - self.calls_before) / seconds:.1f} calls/s",
            f"{total.input_tokens + total.output_tokens:,} tokens",
        ]
        if money := money_text(total.money):
            parts.append(money)
        if self.answers:
            parts.append(f"{self.answers} judgements")
        if self.retries:
            parts.append(f"{self.retries} retries")
        return ", ".join(parts)

    def _refresh(self) -> None:
        if self.console.is_terminal and time.monotonic() - self.refreshed > LIVE_EVERY:
            self.refreshed = time.monotonic()
            self.live.update(self.task, completed=self.done_turns, state=self._state())

    def note(self, text: str) -> None:
        """Prints a line that stays."""
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def turn(self, session: Session) -> None:
        """A turn is finished."""
        self.done_turns += 1
        turn = session.turns[-1]
        self.retries += sum(sum(call.retries.values()) for call in turn.calls)
        self._refresh()
        if self.turns <= TALKATIVE:
            names = turn.technique_text or ", ".join(turn.techniques) or "no technique"
            who = f"{session.id} ({session.method}, {session.seed.attitude})"
            self.note(
                f"{who}, turn {len(session.turns)} [{names}]\n"
                f"  Counselor: {turn.reply}\n  Client: {turn.client_reply or '(leaves)'}"
            )
        elif not self.console.is_terminal and time.monotonic() - self.printed > PLAIN_EVERY:
            self.printed = time.monotonic()
            pace = (self.printed - self.started) / max(self.done_turns, 1)
            left = pace * (self.turns - self.done_turns)
            self.note(
                f"{self.done_turns}/{self.turns} turns, {self._state()}, about {left:.0f} s left"
            )

    def judged(self, answers: int) -> None:
        """So many answers of judges have come."""
        self.answers = answers
        self._refresh()

    def finished(self, session: Session, exchanges: int) -> None:
        """A session is finished."""
        self.done += 1
        self.done_turns += exchanges - len(session.turns)  # turns that will not come
        self._refresh()
