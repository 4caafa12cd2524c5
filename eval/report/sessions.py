"""A few facts of one session: what tables, plots and the report's index need of it."""

from dataclasses import dataclass

from magnet.core.session import Session


@dataclass(frozen=True)
class SessionFacts:
    """A finished session, without its text.

    Attributes:
        key: its id; with several runs, ``RUN/id``.
        end: ``client`` where the client left, else ``exchanges``.
        cbt_technique: the plan's, "" without one.
        techniques: those chosen, exchange by exchange.
        messages: greeting and opening included.
        counselor_words: of all its replies.
        client_words: of all the client's replies; the opening is the seed's, not counted.
        tokens: input and output by role; None where a server reported none.
        cost: money by currency.
    """

    key: str
    run: str
    method: str
    seed_id: str
    client_id: str
    attitude: str
    end: str
    cbt_technique: str
    techniques: tuple[tuple[str, ...], ...]
    messages: int
    counselor_words: int
    client_words: int
    tokens: dict[str, tuple[int | None, int | None]]
    cost: dict[str, float]

    @property
    def exchanges(self) -> int:
        """Exchanges played."""
        return len(self.techniques)


def facts_of_session(session: Session, key: str, run: str) -> SessionFacts:
    """The facts of a session."""
    exchanges = session.exchanges
    return SessionFacts(
        key=key,
        run=run,
        method=session.method,
        seed_id=session.seed.seed_id,
        client_id=session.seed.client_id,
        attitude=session.seed.attitude,
        end=session.end or "exchanges",
        cbt_technique=str(session.plan.technique) if session.plan else "",
        techniques=tuple(tuple(t.value for t in exchange.techniques) for exchange in exchanges),
        messages=len(session.history),
        counselor_words=sum(len(exchange.reply.split()) for exchange in exchanges),
        client_words=sum(len((exchange.client_reply or "").split()) for exchange in exchanges),
        tokens={r: (u.input_tokens, u.output_tokens) for r, u in sorted(session.usage.items())},
        cost=dict(session.cost or {}),
    )
