"""Known defects of sessions, counted."""

import re
from collections import Counter
from dataclasses import dataclass, field

from magnet.core.session import Session

_LABEL = re.compile(r"\W*(client|counsell?or)?\W*", re.IGNORECASE)


@dataclass
class Defects:
    """Sums over sessions.

    Attributes:
        sessions: how many.
        client_turns: the client's messages, opening included.
        client_repeats: those that repeat, word for word, an earlier one of their session.
        client_labels: those without a word but the speaker's label.
        replies: the counselor's messages, greeting included.
        reply_repeats: likewise.
        reply_labels: likewise.
        lengths: sessions by number of messages.
        ended: sessions ended by the client.
        plans: sessions with a plan.
        answers: agents' answers by role, of those whose finish was recorded.
        cut: those among them that the token limit cut.
    """

    sessions: int = 0
    client_turns: int = 0
    client_repeats: int = 0
    client_labels: int = 0
    replies: int = 0
    reply_repeats: int = 0
    reply_labels: int = 0
    lengths: Counter[int] = field(default_factory=Counter)
    ended: int = 0
    plans: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)

    def add(self, session: Session) -> None:
        """Counts one session."""
        history = session.history
        self.sessions += 1
        self.lengths[len(history)] += 1
        self.ended += session.end == "client"
        self.plans += session.plan is not None
        words = {role: [m.message.strip() for m in history if m.role == role] for role in _ROLES}
        self.client_turns += len(words["client"])
        self.client_repeats += _repeats(words["client"])
        self.client_labels += sum(map(_empty, words["client"]))
        self.replies += len(words["counselor"])
        self.reply_repeats += _repeats(words["counselor"])
        self.reply_labels += sum(map(_empty, words["counselor"]))
        for call in (
            call for exchange in session.exchanges for call in exchange.calls if call.finish
        ):
            self.answers[call.role] += 1
            self.cut[call.role] += call.finish == "length"


_ROLES = ("client", "counselor")


def _repeats(messages: list[str]) -> int:
    return len(messages) - len(set(messages))


def _empty(message: str) -> bool:
    return _LABEL.fullmatch(message) is not None
