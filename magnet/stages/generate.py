"""The stage ``generate``: every seed played by every method, from a pool of workers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import dspy

from magnet.console.progress import Display
from magnet.core.journal import RunDirectory
from magnet.core.seeds import GenerationSeed
from magnet.core.session import Session
from magnet.lm import BudgetReached, Meter, Price
from magnet.lm.loop import on_disk
from magnet.lm.usage import cost
from magnet.stages.outcome import Outcome
from programs import AgentError
from programs.play import role_play

#: Reasons that every further call would meet too: the run stops at once.
FATAL = frozenset(
    {
        "auth",
        "billing",
        "configuration",
        "invalid_request",
        "not_configured",
        "provider",
        "unexpected",
        "unsupported_feature",
        "unsupported_model",
    }
)


class _Stop(Exception):
    """The whole run stops."""


def jobs(
    methods: Sequence[str], seeds: Sequence[GenerationSeed]
) -> Iterator[tuple[str, str, GenerationSeed]]:
    """Session id, method and seed: seed by seed, so that a partial run can be compared."""
    number = 0
    for seed in seeds:
        for method in methods:
            number += 1
            yield f"session_{number:04d}", method, seed


def session_cost(session: Session, prices: Mapping[str, Price | None]) -> dict[str, float]:
    """Money by currency, over roles whose price and tokens are known."""
    sums: dict[str, float] = {}
    for role, usage in session.usage.items():
        price = prices.get(role)
        if price is None or usage.input_tokens is None or usage.output_tokens is None:
            continue
        money = cost(price, usage.input_tokens, usage.output_tokens)
        sums[price.currency] = sums.get(price.currency, 0.0) + money
    return {currency: round(amount, 6) for currency, amount in sums.items()}


class Generation:
    """One invocation of the stage.

    Args:
        run: the open run directory.
        counselors: the methods' programs, each with its LMs set; shared by all sessions.
        client: the client program.
        exchanges: most exchanges per session.
        random_seed: of the run; None leaves sampling to the servers.
        provenance: goes into every session file.
        prices: by role.
        meter: usage sums.
        display: what a person sees.
    """

    def __init__(
        self,
        run: RunDirectory,
        counselors: Mapping[str, dspy.Module],
        client: dspy.Module,
        *,
        exchanges: int,
        random_seed: int | None,
        provenance: dict[str, Any],
        prices: Mapping[str, Price | None],
        meter: Meter,
        display: Display,
    ) -> None:
        self.run, self.counselors, self.client = run, counselors, client
        self.exchanges, self.random_seed = exchanges, random_seed
        self.provenance, self.prices = provenance, prices
        self.meter, self.display = meter, display
        self.outcome = Outcome()
        #: Called with each session once it is published.
        self.published: Callable[[Session], Awaitable[None]] | None = None

    async def play(self, todo: Iterator[tuple[str, str, GenerationSeed]], workers: int) -> Outcome:
        """Plays all sessions; returns when none is left or the run has to stop."""
        saving = asyncio.create_task(self._save_usage())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(todo))
        except* _Stop as stop:
            self.outcome.stopped = str(stop.exceptions[0])
        finally:
            saving.cancel()
            self.run.save_usage(self.meter.dump())
        return self.outcome

    async def _work(self, todo: Iterator[tuple[str, str, GenerationSeed]]) -> None:
        for session_id, method, seed in todo:
            await self._session(session_id, method, seed)
            if self.outcome.stopped:
                break

    async def _save_usage(self) -> None:
        while True:
            await asyncio.sleep(1)
            await on_disk(self.run.save_usage, self.meter.dump())

    async def _session(self, session_id: str, method: str, seed: GenerationSeed) -> None:
        session = Session(id=session_id, method=method, seed=seed, provenance=self.provenance)
        journal, dropped = self.run.resume(session)
        if dropped:
            self.display.note(dropped)
        before = time.monotonic()

        async def keep(session: Session) -> None:
            nonlocal before
            await on_disk(journal.append, session)
            now = time.monotonic()
            self.run.add_timing(
                {"session": session_id, "turn": len(session.exchanges), "seconds": now - before}
            )
            before = now
            self.outcome.exchanges += 1
            for call in session.exchanges[-1].calls:
                self.outcome.retries.update(call.retries)
            self.display.exchange(session)

        try:
            await role_play(
                self.counselors[method],
                self.client,
                seed,
                self.exchanges,
                random_seed=self.random_seed,
                session=session,
                on_exchange=keep,
            )
        except AgentError as error:
            self.outcome.retries.update(error.retries)
            self.outcome.unfinished[session_id] = str(error)
            journal.stop(error.code, str(error))
            if error.code in FATAL:
                raise _Stop(str(error)) from None
            if error.code == BudgetReached.default_code:  # others finish what they have sent
                self.outcome.stopped = str(error)
                return
            self.display.note(f"{session_id} left unfinished: {error}")
            return
        session.cost = session_cost(session, self.prices) or None
        await on_disk(self.run.publish, session)
        self.outcome.finished += 1
        if self.published is not None:
            await self.published(session)
        self.display.finished(session, self.exchanges)
