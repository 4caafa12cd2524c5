"""Sessions as training pairs: what a tuned counselor is shown, and what it should answer.

Source: https://arxiv.org/abs/2509.04183, appendix E.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magnet.core.errors import UsageError
from magnet.core.journal import read_provenance, read_sessions
from magnet.core.seeds import SPLIT, SPLITS, GenerationSeed, Split
from magnet.core.session import Message, Session, transcript
from magnet.dataset.left_out import read_flags, unfinished_by_reason
from magnet.dataset.split import read_split, seeds_of, split_clients
from programs.counselor import Moment
from prompts_frozen import load_prompts
from signatures import AGENTS

__all__ = ["SPLITS", "Pair", "PairSet", "Split", "messages_for", "read_pairs", "tuned_agent"]


@dataclass(frozen=True)
class Pair:
    """One training example.

    Attributes:
        split: the client's part.
        method: the system that wrote the session.
        session: its id.
        exchange: from 1; in a session that opens with greeting and opening, the reply stands at
            index 2 * exchange of the history.
        history: the messages before the reply, the client's last.
        reply: the counselor's words.
        seed: the client.
        lineage: seed, client, attitude, session, exchange, method, models by the role they filled
            in this session, prompts and their hash, hash and licence of the seeds, commit, and the
            source's name where it was adopted; None where it is not known.
    """

    split: Split
    method: str
    session: str
    exchange: int
    history: tuple[Message, ...]
    reply: str
    seed: GenerationSeed
    lineage: Mapping[str, Any]


@dataclass(frozen=True)
class PairSet:
    """A run's pairs, by session and exchange.

    Attributes:
        pairs: of all splits.
        left_out: sessions that give none, by reason.
        sessions: that give pairs, by split.
        clients: likewise.
        skipped: replies of those sessions that make no pair, by reason.
        order: where the split is from: the seed file, the finished sessions, or a file.
        rule: how clients were parted, as the end of a sentence.
    """

    pairs: Sequence[Pair]
    left_out: Mapping[str, int]
    sessions: Mapping[Split, int]
    clients: Mapping[Split, int]
    skipped: Mapping[str, int] = field(default_factory=dict)
    order: str = ""
    rule: str = ""

    def of(self, split: Split) -> list[Pair]:
        """The pairs of one split."""
        return [pair for pair in self.pairs if pair.split == split]


def tuned_agent(method: str) -> str:
    """The agent a model tuned on a method's sessions becomes.

    >>> [tuned_agent(m) for m in ("magnet-c", "cactus", "tuned-psych8k", "adopted")]
    ['tuned-magnet', 'tuned-cactus', 'tuned-psych8k', 'tuned-magnet']
    """
    name = f"tuned-{method.removeprefix('tuned-')}"
    return name if name in AGENTS else "tuned-magnet"


def messages_for(pair: Pair, prompts: str = "ours", drop: int = 0) -> list[dict[str, str]]:
    """The pair as chat messages: system (where the prompt has one), user, assistant.

    All but the last are what ``programs.baselines.SingleCounselor`` sends at this moment.

    Args:
        pair: the pair.
        prompts: a prompt set.
        drop: how many messages of the history to leave out, from the oldest.

    Raises:
        UsageError: a prompt is not as locked.
        ValueError: nothing of the history would be left.
    """
    prompt = load_prompts(prompts)[tuned_agent(pair.method)]
    system, user = prompt.render(_inputs(pair, drop))
    head = [] if system is None else [{"role": "system", "content": system}]
    return [
        *head,
        {"role": "user", "content": user},
        {"role": "assistant", "content": pair.reply},
    ]


def raw_prompt(pair: Pair, prompts: str = "ours", drop: int = 0) -> str | None:
    """The prompt as its file has it with Llama-3's special tokens; None where it has none.

    Over the completions wire with the template ``llama3`` it is sent in place of the messages.
    """
    return load_prompts(prompts)[tuned_agent(pair.method)].render_raw(_inputs(pair, drop))


def _inputs(pair: Pair, drop: int) -> dict[str, str]:
    if not 0 <= drop < len(pair.history):
        raise ValueError(f"drop is {drop}, of a history of {len(pair.history)} messages")
    moment = Moment(pair.seed, transcript(pair.history[drop:]), None, None)
    return {**moment.client, "history": moment.history}


def read_pairs(
    run: Path,
    method: str | None = None,
    sizes: tuple[int, int, int] = SPLIT,
    split_file: Path | None = None,
) -> PairSet:
    """A run's pairs: a whole session of 42 messages gives 20.

    Args:
        run: the run directory.
        method: whose sessions; all of them for None.
        sizes: clients in the three splits, for proportion.
        split_file: says which client is in which part, instead.

    Raises:
        UsageError: no run, no finished session of that method, a flag for a session that is not
            there, a split file that will not do, or no pair is left.
    """
    provenance = read_provenance(run)
    seeds, order = seeds_of(run, provenance)
    if split_file is not None:
        parts, order = read_split(split_file, seeds), f"the file {split_file.name}"
        rule = f"as {split_file.name} says"
    else:
        parts = split_clients(seeds, sizes)
        rule = f"{':'.join(map(str, sizes))} in the order of {order}"
    flags = read_flags(run)
    found: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    pairs: list[Pair] = []
    for session in read_sessions(run):
        found[session.method] += 1
        if method not in (None, session.method):
            continue
        reason = flags.get(session.id) or _unfit(session, parts)
        if reason:
            left_out[reason] += 1
        else:
            pairs += _pairs(session, parts[session.seed.client_id], skipped)
    left_out.update(unfinished_by_reason(run, method))
    _check_found(run, method, found)
    if not pairs:
        why = ", ".join(f"{n} {reason}" for reason, n in sorted(left_out.items()))
        raise UsageError(f"{run}: no training pair is left: {why or 'no session has a reply'}")
    return PairSet(
        pairs,
        dict(sorted(left_out.items())),
        {s: len({p.session for p in pairs if p.split == s}) for s in SPLITS},
        {s: len({p.seed.client_id for p in pairs if p.split == s}) for s in SPLITS},
        dict(sorted(skipped.items())),
        order,
        rule,
    )


def _unfit(session: Session, parts: Mapping[str, Split]) -> str | None:
    """Why a finished session gives no pairs."""
    if session.seed.client_id not in parts:
        return "not in the split file"
    shown = AGENTS[tuned_agent(session.method)].signature.input_fields
    sees_client = "client_information" in shown
    if sees_client and not (session.seed.client_information and session.seed.reason_counseling):
        return "no client information"
    return None


def _pairs(session: Session, split: Split, skipped: Counter[str]) -> Iterator[Pair]:
    history, seed = session.history, session.seed
    lineage = _lineage(session)
    at = bool(seed.greeting) + bool(seed.opening)
    for number, exchange in enumerate(session.exchanges, 1):
        before = tuple(history[:at])
        at += 1 + (exchange.client_reply is not None)
        if not exchange.reply.strip():
            skipped["empty reply"] += 1
        elif not before or before[-1].role != "client":
            skipped["no client message before it"] += 1
        else:
            whole = lineage | {"turn": number}
            yield Pair(
                split, session.method, session.id, number, before, exchange.reply, seed, whole
            )


def _lineage(session: Session) -> dict[str, Any]:
    known = session.provenance
    models, used = known.get("models"), session.usage
    return {
        "seed": session.seed.seed_id,
        "client": session.seed.client_id,
        "attitude": session.seed.attitude or None,
        "session": session.id,
        "method": session.method,
        "models": models and {role: name for role, name in models.items() if role in used},
        "prompts": known.get("prompts"),
        "prompts_sha256": known.get("prompts_sha256"),
        "seeds_sha256": known.get("seeds_sha256"),
        "seeds_license": known.get("seeds_license"),
        "commit": known.get("commit"),
        "adopted": known.get("adopted"),
    }


def _check_found(run: Path, method: str | None, found: Counter[str]) -> None:
    if not found:
        raise UsageError(
            f"{run} holds no finished session", "The command that began the run goes on with it."
        )
    if method is not None and method not in found:
        names = ", ".join(f"{name} ({n})" for name, n in sorted(found.items()))
        raise UsageError(
            f"{run} holds no finished session of {method!r}",
            f"It holds sessions of {names}: --method NAME",
        )
