"""A judge's questions optimized to agree with people: human ratings of sessions, from a CSV."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import dspy

import signatures
from magnet.core.errors import UsageError
from magnet.core.rng import Draw
from magnet.core.seeds import GenerationSeed, Split
from magnet.core.session import Session, transcript
from optimize.scoreboard import Outcome, halt_for
from optimize.task import starting
from programs import AgentError, Judge
from signatures import Question

_COLUMNS = ("session", "item", "rating")
#: The judge's questions about a session, by agent: a form's are about the client.
QUESTIONS: dict[str, Question] = {
    agent: question for agent, question in signatures.QUESTIONS.items() if question.item
}


@dataclass(frozen=True)
class Rated:
    """One item of one session as people rated it.

    Attributes:
        id: session and question, ``session_0003/ctrs-focus``.
        question: an agent of the judge.
        conversation: the session, one line a message.
        rating: mean over its raters.
    """

    id: str
    question: str
    seed: GenerationSeed
    conversation: str
    rating: float

    @property
    def example(self) -> dspy.Example:
        """What an optimizer sees of it; the program is called with the id alone."""
        fields = {"id": self.id, "conversation": self.conversation, "rating": self.rating}
        return dspy.Example(**fields).with_inputs("id")


def read_ratings(path: Path, sessions: Iterable[Session], agent: str) -> list[Rated]:
    """The human ratings of a run's sessions.

    Args:
        path: CSV with the columns session, item (such as ``focus`` or ``wai4``) and rating; one
            line a rater, further columns are not read.
        sessions: the run's.
        agent: ``judge`` for all items in the file, or one question such as ``ctrs-focus``.

    Raises:
        UsageError: unreadable, an unknown session or item, a rating outside its scale; by line.
    """
    known = {session.id: session for session in sessions}
    given: dict[tuple[str, str], list[float]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [c for c in _COLUMNS if c not in (reader.fieldnames or ())]:
                raise UsageError(
                    f"ratings: {path} has no column {missing[0]!r}",
                    f"Its first line names the columns: {','.join(_COLUMNS)}",
                )
            for row in reader:
                key, rating = _read(row, f"ratings: {path}, line {reader.line_num}", known)
                if agent in ("judge", key[1]):
                    given.setdefault(key, []).append(rating)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"ratings: cannot read {path}: {error}") from None
    if not given:
        raise UsageError(f"ratings: {path} holds no rating for {agent!r}")
    return [
        Rated(
            id=f"{session}/{question}",
            question=question,
            seed=known[session].seed,
            conversation=transcript(known[session].history),
            rating=fmean(ratings),
        )
        for (session, question), ratings in given.items()
    ]


def _read(
    row: Mapping[str, str | None], where: str, known: Mapping[str, Session]
) -> tuple[tuple[str, str], float]:
    session, item, rating = ((row[name] or "").strip() for name in _COLUMNS)
    if session not in known:
        raise UsageError(f"{where}: the run has no finished session {session!r}")
    question = next((q for q, one in QUESTIONS.items() if item in (q, one.item)), None)
    if question is None:
        raise UsageError(f"{where}: {item!r} is no item", f"Known: {', '.join(QUESTIONS)}.")
    scale = QUESTIONS[question].scale
    try:
        value = float(rating)
    except ValueError:
        value = scale.low - 1.0
    if not scale.low <= value <= scale.high:
        raise UsageError(
            f"{where}: {rating!r} is no rating of {item}",
            f"It goes from {scale.low} to {scale.high}.",
        )
    return (session, question), value


class RatingTask:
    """Asks the judge and holds its answer against people's.

    Args:
        splits: rated items by split.
        judge: whose questions are optimized.
        random_seed: of the study; None leaves sampling to the server.
    """

    scale = "1 - |judge - people| / width of the scale"

    def __init__(
        self, splits: Mapping[Split, Sequence[Rated]], judge: Judge, random_seed: int | None = 0
    ) -> None:
        self.judge, self.random_seed = judge, random_seed
        self.rated = {r.id: r for group in splits.values() for r in group}
        self.predictors = tuple(dict.fromkeys(r.question for r in self.rated.values()))
        self.splits = {split: [r.example for r in group] for split, group in splits.items()}
        self.clients = {r.id: r.seed.client_id for r in self.rated.values()}
        self.calls = {"judge": 1}

    def agents(self, start: str) -> dict[str, dspy.Module]:
        """The questions under optimization."""
        return {q: starting(self.judge.agents[q], start) for q in self.predictors}

    async def play(
        self, agents: Mapping[str, dspy.Module], example: str, rollout: int | None = None
    ) -> Outcome:
        """Asks one question.

        Raises:
            Halt: the budget is spent, or the server is gone.
        """
        rated = self.rated[example]
        draw = None
        if self.random_seed is not None:
            draw = Draw((self.random_seed, example, str(rollout)))
        try:
            answer = await agents[rated.question].acall(conversation=rated.conversation, draw=draw)
        except AgentError as error:
            if error.code != "malformed":
                raise halt_for(error.code, str(error)) from None
            told = f"The answer could not be read: {error}"
            return Outcome(None, told, unreadable=True, missing=str(error))
        scale, off = QUESTIONS[rated.question].scale, answer.score - rated.rating
        told = "right" if off == 0 else f"{abs(off):g} too {'high' if off > 0 else 'low'}"
        feedback = f"People gave {rated.rating:g}; the answer was {answer.score}: {told}."
        detail = {"people": rated.rating, "judge": answer.score, "reason": answer.reason}
        return Outcome(1 - abs(off) / (scale.high - scale.low), feedback, detail=detail)
