"""What became of a run's sessions."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What became of the sessions.

    Attributes:
        sessions: how many the run has.
        finished: how many are done, earlier invocations included.
        unfinished: session id -> why it stopped, of those that gave up.
        retries: repeated calls by reason, of this invocation.
        stopped: why the run stopped before its end, "" where it did not.
        exchanges: exchanges finished by this invocation.
        answers: judges' answers of this invocation.
        missing: scores among them that could not be read.
        unjudged: dialogue -> why its judging stopped.
    """

    sessions: int = 0
    finished: int = 0
    unfinished: dict[str, str] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)
    stopped: str = ""
    exchanges: int = 0
    answers: int = 0
    missing: int = 0
    unjudged: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Sessions that are not finished."""
        return self.sessions - self.finished
