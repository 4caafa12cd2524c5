"""What a person sees of a training, and the log of its loss."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from transformers import TrainerCallback

from magnet.console.progress import PLAIN_EVERY
from magnet.console.tables import print_line
from magnet.core.files import write_lines

_KEPT = {"loss": "loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}


class Progress(TrainerCallback):
    """Shows step, loss, tokens a second and time left: a bar on a terminal, else lines.

    Args:
        log: one line a step: step, epoch, loss, learning_rate, grad_norm, tokens.
        console: where to show it; None is silent.
        step: tokens of each step, where rows are padded to one length: TRL leaves padding out
            of its count.
    """

    def __init__(self, log: Path, console: Console | None, step: int | None = None) -> None:
        self.path, self.console, self.step = log, console, step
        self.losses: list[float] = []
        self.tokens = self.resumed_at = self.tokens_before = 0
        self.started = self.printed = 0.0
        self.bar: Bar | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Starts the bar; a resumed run's log begins with what its checkpoint knows."""
        self.resumed_at, self.started = state.global_step, time.monotonic()
        self.printed = self.started
        if state.is_world_process_zero:
            lines = [self._record(entry) for entry in state.log_history if "loss" in entry]
            self.losses = [line["loss"] for line in lines]
            self.tokens_before = int(lines[-1]["tokens"]) if lines else 0
            with self.path.open("wb") as file:
                write_lines(file, lines)
        if self.console is None or not state.is_world_process_zero:
            return
        if self.resumed_at:
            print_line(self.console, f"Going on after step {self.resumed_at}.")
        if self.console.is_terminal:
            self.bar = Bar(
                TextColumn("train"),
                BarColumn(bar_width=24),
                TextColumn("{task.completed}/{task.total} steps"),
                TextColumn("{task.fields[state]}"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.bar.start()
            self.task = self.bar.add_task("", total=state.max_steps, state="")
            self.bar.update(self.task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """A step is done."""
        if not logs or "loss" not in logs or not state.is_world_process_zero:
            return
        record = self._record({**logs, "step": state.global_step})
        if self.step is None:
            record["tokens"] += self.tokens_before  # TRL counts from the resume on
        self.tokens = int(record["tokens"]) - self.tokens_before
        self.losses.append(record["loss"])
        with self.path.open("ab") as file:
            write_lines(file, [record])
        now = time.monotonic()
        done = state.global_step - self.resumed_at
        pace = self.tokens / max(now - self.started, 1e-9)
        said = f"loss {record['loss']:.3f}, {pace:,.0f} tokens/s"
        if self.bar is not None:
            self.bar.update(self.task, completed=state.global_step, state=said)
        elif self.console is not None and (
            now - self.printed > PLAIN_EVERY or state.global_step == state.max_steps
        ):
            self.printed = now
            left = (now - self.started) / done * (state.max_steps - state.global_step)
            print_line(
                self.console,
                f"step {state.global_step}/{state.max_steps}, {said}, about {left:.0f} s left",
            )

    def stop(self) -> None:
        """Ends the bar."""
        if self.bar is not None:
            self.bar.stop()

    def _record(self, entry: dict[str, Any]) -> dict[str, Any]:
        names = {"step": "step", "epoch": "epoch", "num_tokens": "tokens"} | _KEPT
        record = {new: entry[old] for old, new in names.items() if old in entry}
        return record if self.step is None else record | {"tokens": record["step"] * self.step}
