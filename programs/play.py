"""One session: counselor and client take turns."""

from collections.abc import Awaitable, Callable

import dspy

from magnet.core.rng import Draw
from magnet.core.seeds import GenerationSeed
from magnet.core.session import Exchange, Message, Session
from programs.asking import ask
from programs.calls import calls_of
from signatures.reading import mentioned_techniques

#: Called with the session after each finished exchange, which is its last.
OnExchange = Callable[[Session], Awaitable[None]]


async def role_play(
    counselor: dspy.Module,
    client: dspy.Module,
    seed: GenerationSeed,
    exchanges: int = 20,
    *,
    random_seed: int | None = 0,
    session: Session | None = None,
    on_exchange: OnExchange | None = None,
) -> Session:
    """Plays a session from the seed's greeting and opening (paper, section 3).

    It ends after ``exchanges`` exchanges (2 + 2 * exchanges messages) or when the client leaves.

    Args:
        counselor: called with those of seed, history, plan and draw that it names; gives
            ``reply`` and, where it has them, ``plan``, ``candidates``, ``techniques``.
            Without ``calls``, its LM calls are counted as the role ``response``.
        client: called with seed, history and draw; gives ``reply`` and, where it leaves,
            ``ended``.
        seed: what the session starts from.
        exchanges: how many exchanges at most.
        random_seed: of the run; None leaves sampling to the server.
        session: a session under way to go on with.
        on_exchange: called after each exchange.

    Raises:
        AgentError: an agent gave up; ``session`` and ``on_exchange`` hold the exchanges before.
    """
    session = session or Session(seed=seed)
    root = None if random_seed is None else Draw((random_seed, seed.seed_id))
    while len(session.exchanges) < exchanges and session.end is None:
        draw = root.at(len(session.exchanges) + 1) if root else None
        history = session.history
        said = await ask(
            counselor, "response", seed=seed, history=history, plan=session.plan, draw=draw
        )
        chosen = said.get("techniques") or []
        words = chosen if isinstance(chosen, str) else None
        heard = [*history, Message(role="counselor", message=said.reply)]
        answer = await ask(client, "client", seed=seed, history=heard, draw=draw)
        exchange = Exchange(
            candidates=said.get("candidates") or {},
            techniques=chosen if words is None else mentioned_techniques(words),
            technique_text=words,
            reply=said.reply,
            client_reply=answer.reply,
            ended=bool(answer.get("ended")),
            calls=[*calls_of(said), *calls_of(answer)],
        )
        session.plan = said.get("plan") or session.plan
        session.exchanges.append(exchange)
        if on_exchange is not None:
            await on_exchange(session)
    return session
