"""What a person sees of a run: a live line on a terminal, plain lines elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from magnet.console.tables import print_line
from magnet.core.session import Session
from magnet.lm import Meter

#: Runs up to so many exchanges show their text as it comes.
TALKATIVE = 24
#: Seconds between updates of the live line.
LIVE_EVERY = 0.2
#: Seconds between plain lines.
PLAIN_EVERY = 15.0


def money_text(money: dict[str, float]) -> str:
    """Sums by currency, as "USD 1.23"; "" where no price is known."""
    return ", ".join(f"{currency} {amount:.2f}" for currency, amount in sorted(money.items()))


class Display:
    """Shows sessions, exchanges, calls a second, tokens, money and time left.

    Args:
        console: where to.
        meter: the usage sums.
        sessions: how many sessions the run has.
        exchanges: how many exchanges it has at most.
        done: sessions that were finished before.
        done_exchanges: exchanges that were finished before.
    """

    def __init__(
        self,
        console: Console,
        meter: Meter,
        sessions: int,
        exchanges: int,
        done: int,
        done_exchanges: int,
    ) -> None:
        self.console, self.meter, self.sessions, self.exchanges = (
            console,
            meter,
            sessions,
            exchanges,
        )
        self.done, self.done_exchanges, self.retries = done, done_exchanges, 0
        self.answers = 0
        self.started = self.printed = self.refreshed = time.monotonic()
        self.calls_before = meter.total().calls
        self.live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total} exchanges"),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.live.add_task(
            "generate", total=exchanges, completed=done_exchanges, state=self._state()
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
        self.live.update(self.task, completed=self.done_exchanges, state=self._state())
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
            self.live.update(self.task, completed=self.done_exchanges, state=self._state())

    def note(self, text: str) -> None:
        """Prints a line that stays."""
        print_line(self.console, text)

    def exchange(self, session: Session) -> None:
        """An exchange is finished."""
        self.done_exchanges += 1
        exchange = session.exchanges[-1]
        self.retries += sum(sum(call.retries.values()) for call in exchange.calls)
        self._refresh()
        if self.exchanges <= TALKATIVE:
            names = exchange.technique_text or ", ".join(exchange.techniques) or "no technique"
            who = f"{session.id} ({session.method}, {session.seed.attitude})"
            self.note(
                f"{who}, exchange {len(session.exchanges)} [{names}]\n"
                f"  Counselor: {exchange.reply}\n  Client: {exchange.client_reply or '(leaves)'}"
            )
        elif not self.console.is_terminal and time.monotonic() - self.printed > PLAIN_EVERY:
            self.printed = time.monotonic()
            pace = (self.printed - self.started) / max(self.done_exchanges, 1)
            left = pace * (self.exchanges - self.done_exchanges)
            self.note(
                f"{self.done_exchanges}/{self.exchanges} exchanges, {self._state()}, "
                f"about {left:.0f} s left"
            )

    def judged(self, answers: int) -> None:
        """So many answers of judges have come."""
        self.answers = answers
        self._refresh()

    def finished(self, session: Session, exchanges: int) -> None:
        """A session is finished."""
        self.done += 1
        self.done_exchanges += exchanges - len(session.exchanges)  # exchanges that will not come
        self._refresh()
