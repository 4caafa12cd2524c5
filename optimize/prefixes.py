"""Prefixes: sessions up to a moment at which the counselor has to answer."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import dspy

from magnet.core.errors import UsageError
from magnet.core.seeds import SPLITS, GenerationSeed, Split, split_by_client
from magnet.core.session import Message, Session, transcript
from magnet.study.optimize import OptimizeSpec
from signatures import Plan, Technique


@dataclass(frozen=True)
class Prefix:
    """A moment of a session, and what the session's agents produced at it.

    Attributes:
        id: session and exchange, ``session_0003/2``.
        exchange: the one that comes next, from 1.
        history: the messages so far, the client's last.
        candidates: the specialists' drafts at this exchange.
        techniques: the selector's choice at this exchange.
    """

    id: str
    exchange: int
    seed: GenerationSeed
    history: tuple[Message, ...]
    plan: Plan | None
    candidates: Mapping[str, str]
    techniques: tuple[Technique, ...]

    @property
    def client(self) -> str:
        """Whose session it is; no client is in two splits."""
        return self.seed.client_id

    @property
    def example(self) -> dspy.Example:
        """What an optimizer sees of it; the program is called with the id alone."""
        fields = {"id": self.id, "plan": str(self.plan), "history": transcript(self.history)}
        return dspy.Example(**fields).with_inputs("id")


def prefixes_of(session: Session) -> list[Prefix]:
    """One prefix per exchange."""
    history = session.history
    before = len(history) - sum(1 + (t.client_reply is not None) for t in session.exchanges)
    return [
        Prefix(
            id=f"{session.id}/{number}",
            exchange=number,
            seed=session.seed,
            history=tuple(history[: before + 2 * (number - 1)]),
            plan=session.plan,
            candidates=exchange.candidates,
            techniques=tuple(exchange.techniques),
        )
        for number, exchange in enumerate(session.exchanges, 1)
    ]


def usable(sessions: Iterable[Session]) -> list[Prefix]:
    """The prefixes of MAGneT's own sessions: those that hold a plan and all drafts."""
    return [
        prefix
        for session in sessions
        if session.method == "magnet"
        for prefix in prefixes_of(session)
        if prefix.plan is not None and prefix.candidates and prefix.techniques
    ]


class _Item(Protocol):
    """What can be split by client."""

    @property
    def id(self) -> str: ...
    @property
    def seed(self) -> GenerationSeed: ...


T = TypeVar("T", bound=_Item)


def splits(items: Sequence[T], spec: OptimizeSpec, seed: int) -> dict[Split, list[T]]:
    """Training, validation and test examples, split by client, never by exchange.

    Args:
        items: prefixes, or whatever else an agent is optimized on; all there are.
        spec: proportions, and how many of each split are used: a random choice where there are
            more.
        seed: of that choice.

    Raises:
        UsageError: a split would be empty.
    """
    by_seed: dict[str, list[T]] = {}
    for item in items:
        by_seed.setdefault(item.seed.seed_id, []).append(item)
    seeds = [group[0].seed for group in by_seed.values()]
    found: dict[Split, list[T]] = {}
    for split, members in zip(SPLITS, split_by_client(seeds, spec.split), strict=True):
        there = [p for seed_ in members for p in by_seed[seed_.seed_id]]
        if not there:
            clients = len({s.client_id for s in seeds})
            raise UsageError(
                f"optimize: the {split} split is empty: {len(items)} examples of {clients} "
                f"clients, split {spec.split[0]}/{spec.split[1]}/{spec.split[2]}",
                "This needs sessions of at least three clients (to optimize a counselor's agent, "
                "finished ones of the method magnet), or --set optimize.split=[1,1,1].",
            )
        most = getattr(spec, split)
        if most is not None and most < len(there):
            chosen = set(random.Random(f"{seed}/{split}").sample([p.id for p in there], most))
            there = [p for p in there if p.id in chosen]
        found[split] = there
    return found
