"""What a person sees of a search: best score, budget left, the instructions under trial."""

import time

from rich.console import Console
from rich.markup import escape

from magnet.console.progress import LIVE_EVERY, PLAIN_EVERY, money_text
from magnet.console.tables import print_line
from magnet.lm import Meter
from optimize.scoreboard import Candidate

_SHOWN = 160


class Watch:
    """Shows how a search goes: a live line on a terminal, plain lines elsewhere.

    Args:
        console: where to.
        meter: the usage sums.
    """

    def __init__(self, console: Console, meter: Meter) -> None:
        self.console, self.meter = console, meter
        self.name, self.total, self.done = "", 0, 0
        self.best: tuple[int, float] | None = None
        self._seen: set[int] = set()
        self._told: set[int] = set()
        self._printed = self._refreshed = time.monotonic()
        self._live = console.status("", spinner="dots") if console.is_terminal else None

    def __enter__(self) -> "Watch":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """Prints a line that stays."""
        print_line(self.console, text)

    def phase(self, name: str, total: int) -> None:
        """A split of the work begins; it has so many windows at most."""
        self.name, self.total, self.done = name, total, 0
        self.say(f"{name[0].upper()}{name[1:]}: {total} windows at most. {self._spent()}")

    def outcome(self, candidate: Candidate, score: float | None, better: bool) -> None:
        """A window of the search is scored."""
        if candidate.number not in self._seen:
            self._seen.add(candidate.number)
            if candidate.number:
                self.say(f"Candidate {candidate.number}: {_short(candidate)}")
        if score is not None and candidate.number not in self._told:
            self._told.add(candidate.number)
            what = f"candidate {candidate.number}" if candidate.number else "the start"
            mark = " (best so far)" if better and candidate.number else ""
            self.say(f"Validation score of {what}: {score:.3f}{mark}. {self._spent()}")
            if better:
                self.best = (candidate.number, score)
        self.tick()

    def tick(self) -> None:
        """One more window is done."""
        self.done += 1
        now = time.monotonic()
        if self._live and now - self._refreshed > LIVE_EVERY:
            self._refreshed = now
            self._live.update(escape(self._line()))
        elif not self._live and now - self._printed > PLAIN_EVERY:
            self._printed = now
            self.say(self._line())

    def _line(self) -> str:
        best = f"best {self.best[1]:.3f} (candidate {self.best[0]}), " if self.best else ""
        return f"{self.name}: {self.done}/{self.total} windows, {best}{self._spent()}"

    def _spent(self) -> str:
        """Calls so far, and what of the budget is left."""
        total, budget = self.meter.total(), self.meter.budget
        tokens = total.input_tokens + total.output_tokens
        splits = [f"{total.calls:,} calls, {tokens:,} tokens"]
        if money := money_text(total.money):
            splits.append(money)
        left = []
        if budget.calls is not None:
            left.append(f"{max(0, budget.calls - total.calls):,} calls")
        if budget.tokens is not None:
            left.append(f"{max(0, budget.tokens - tokens):,} tokens")
        if budget.money is not None:
            left.append(f"{max(0.0, budget.money - sum(total.money.values())):.2f} of money")
        if left:
            splits.append(f"{' and '.join(left)} left")
        return ", ".join(splits) + "."


def _short(candidate: Candidate) -> str:
    words = " ".join(" / ".join(candidate.instructions.values()).split())
    demos = sum(len(state["demos"]) for state in candidate.state.values())
    shown = words if len(words) <= _SHOWN else words[: _SHOWN - 3] + "..."
    return shown + (f" [{demos} demos]" if demos else "")
