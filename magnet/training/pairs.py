"""Sessions as training pairs: what a tuned counselor is shown, and what it should answer.

Source: https://arxiv.org/abs/2509.04183, appendix E.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magnet.errors import UsageError
from magnet.journal import read_sessions, unfinished
from magnet.seeds import SPLIT, GenerationSeed
from magnet.session import Message, Session, transcript
from magnet.training.split import (
    SPLITS,
    Split,
    read_provenance,
    read_split,
    seeds_of,
    split_clients,
)
from programs.counselor import Moment
from prompts_frozen import load_prompts

__all__ = ["SPLITS", "Pair", "PairSet", "Split", "messages_for", "read_pairs", "tuned_agent"]

#: Sessions that a reviewer takes out of a run directory's data: columns session,reason.
FLAGS = "flags.csv"


@dataclass(frozen=True)
class Pair:
    """One training example.

    Attributes:
        split: the client's part.
        method: the system that wrote the session.
        session: its id.
        turn: from 1; in a session that opens with greeting and opening, the reply stands at
            index 2 * turn of the history.
        history: the messages before the reply, the client's last.
        reply: the counselor's words.
        seed: the client.
        lineage: seed, client, session, turn, method, models by role, prompts and their hash, hash
            and licence of the seeds, commit, and the source's name where it was adopted; None
            where it is not known.
    """

    split: Split
    method: str
    session: str
    turn: int
    history: tuple[Message, ...]
    reply: str
    seed: GenerationSeed
    lineage: Mapping[str, Any]


@dataclass(frozen=True)
class PairSet:
    """A run's pairs, by session and turn.

    Attributes:
        pairs: of all splits.
        left_out: sessions that give none, by reason.
        sessions: that give pairs, by split.
        clients: likewise.
        skipped: replies of those sessions that make no pair, by reason.
        order: where the split is from: the seed file, the finished sessions, a file.
    """

    pairs: Sequence[Pair]
    left_out: Mapping[str, int]
    sessions: Mapping[Split, int]
    clients: Mapping[Split, int]
    skipped: Mapping[str, int] = field(default_factory=dict)
    order: str = ""

    def of(self, split: Split) -> list[Pair]:
        """The pairs of one split."""
        return [pair for pair in self.pairs if pair.split == split]


def tuned_agent(method: str) -> str:
    """The agent a model tuned on a method's sessions becomes.

    >>> [tuned_agent(m) for m in ("magnet-c", "cactus", "tuned-psych8k", "adopted")]
    ['tuned-magnet', 'tuned-cactus', 'tuned-psych8k', 'tuned-magnet']
    """
    name = method.removeprefix("tuned-")
    return f"tuned-{name}" if name in ("cactus", "psych8k") else "tuned-magnet"


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
    if not 0 <= drop < len(pair.history):
        raise ValueError(f"drop is {drop}, of a history of {len(pair.history)} messages")
    moment = Moment(pair.seed, transcript(pair.history[drop:]), None, None)
    prompt = load_prompts(prompts)[tuned_agent(pair.method)]
    system, user = prompt.render({**moment.case, "history": moment.history})
    head = [] if system is None else [{"role": "system", "content": system}]
    return [
        *head,
        {"role": "user", "content": user},
        {"role": "assistant", "content": pair.reply},
    ]


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
        sizes: clients in the three parts, for proportion.
        split_file: says which client is in which part, instead.

    Raises:
        UsageError: no run, no finished session of that method, a flag for a session that is not
            there, a split file that will not do, or no pair is left.
    """
    provenance = read_provenance(run)
    seeds, order = seeds_of(run, provenance)
    if split_file is not None:
        parts, order = read_split(split_file, seeds), f"the file {split_file.name}"
    else:
        parts = split_clients(seeds, sizes)
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
    left_out.update(_unfinished(run, provenance, method))
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
    )


def read_flags(run: Path) -> dict[str, str]:
    """Session -> why it is left out, from the run's ``flags.csv``; empty where there is none.

    Raises:
        UsageError: the file has other columns, or names a session that the run does not have.
    """
    path = run / FLAGS
    if not path.is_file():
        return {}
    known = {id_ for id_, _ in unfinished(run)}
    known |= {file.stem for file in (run / "sessions").glob("session_*.json")}
    flags: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if set(lines.fieldnames or ()) != {"session", "reason"}:
                raise UsageError(f"{path}: its columns are not session,reason")
            for line in lines:
                if line["session"] not in known:
                    raise UsageError(
                        f"{path}, line {lines.line_num}: the run has no {line['session']!r}",
                        "Sessions are named as their files: session_0001.",
                    )
                flags[line["session"]] = f"flagged: {line['reason'] or 'no reason given'}"
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not CSV in UTF-8: {error}") from None
    return flags


def _unfit(session: Session, parts: Mapping[str, Split]) -> str | None:
    """Why a finished session gives no pairs."""
    if session.seed.client_id not in parts:
        return "not in the split file"
    sees_client = tuned_agent(session.method) != "tuned-psych8k"
    if sees_client and not (session.seed.client_information and session.seed.reason_counseling):
        return "no client information"
    return None


def _pairs(session: Session, split: Split, skipped: Counter[str]) -> Iterator[Pair]:
    history, seed = session.history, session.seed
    at = bool(seed.greeting) + bool(seed.opening)
    for number, turn in enumerate(session.turns, 1):
        before = tuple(history[:at])
        at += 1 + (turn.client_reply is not None)
        if not turn.reply.strip():
            skipped["empty reply"] += 1
        elif not before or before[-1].role != "client":
            skipped["no client message before it"] += 1
        else:
            lineage = _lineage(session, number)
            yield Pair(split, session.method, session.id, number, before, turn.reply, seed, lineage)


def _lineage(session: Session, turn: int) -> dict[str, Any]:
    known = session.provenance
    return {
        "seed": session.seed.seed_id,
        "client": session.seed.client_id,
        "attitude": session.seed.attitude or None,
        "session": session.id,
        "turn": turn,
        "method": session.method,
        "models": known.get("models"),
        "prompts": known.get("prompts"),
        "prompts_sha256": known.get("prompts_sha256"),
        "seeds_sha256": known.get("seeds_sha256"),
        "seeds_license": known.get("seeds_license"),
        "commit": known.get("commit"),
        "adopted": known.get("adopted"),
    }


def _unfinished(run: Path, provenance: Mapping[str, Any], method: str | None) -> Counter[str]:
    """Sessions under way, by the reason they stopped; their number gives their method."""
    methods = provenance["study"]["methods"]
    counts: Counter[str] = Counter()
    for id_, reason in unfinished(run):
        number = int(id_.removeprefix("session_")) - 1
        if method in (None, methods[number % len(methods)]):
            counts[f"unfinished: {reason}"] += 1
    return counts


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
