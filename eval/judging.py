"""Judging: every question once, scores on disk as they come, nothing asked twice."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from eval.dialogues import Dialogue
from eval.scores import FILE, Score, load_scores
from magnet.core.files import Appender
from magnet.core.rng import Draw
from magnet.lm import LMSpec
from magnet.lm.loop import on_disk
from programs import AgentError, Judge
from signatures import RECORDS, SCALES, Question
from signatures.judging import partial_feelings


@dataclass(frozen=True)
class Asking:
    """One question to one judge about one dialogue.

    Attributes:
        judge: its name.
        judge_id: see Score.
        question: what is asked.
        dialogue: what is judged; for a form before the session, any dialogue of the client.
        repeat: which asking, from 0.
        key: see Score.
    """

    judge: str
    judge_id: str
    question: Question
    dialogue: Dialogue
    repeat: int
    key: str

    @property
    def before(self) -> bool:
        """Whether it is about the client's form alone."""
        return self.question.when == "before"


def _size(record: str) -> int:
    """How many scores one answer to a question of this record has."""
    return len(RECORDS[record].items) if record in RECORDS else 1


class ScoreBook:
    """The scores of a run: a line each, in ``scores.jsonl``.

    Args:
        run: the run directory.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / FILE
        counts = Counter((score.key, score.scale) for score in load_scores(run))
        self.known = {key for (key, record), n in counts.items() if n == _size(record)}
        self._file = Appender(self.path)
        self._lock = Lock()

    def add(self, scores: Sequence[Score]) -> None:
        """Appends the scores of one question; threads may do so at once."""
        with self._lock:
            self._file.add(*map(asdict, scores))
            self.known |= {score.key for score in scores}

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@dataclass(frozen=True)
class Panelist:
    """A judge of the panel.

    Attributes:
        name: as the study calls it.
        program: asks the questions of all scales; its LM is set.
        spec: its model, resolved.
        prompts: the prompt set's name.
    """

    name: str
    program: Judge
    spec: LMSpec
    prompts: str = "ours"

    @cached_property
    def settings(self) -> str:
        """Its model and how it samples, as JSON; not where it is reached and what it costs."""
        return self.spec.model_dump_json(exclude={"url", "key_env", "price", "timeout"})

    @cached_property
    def prompts_sha256(self) -> str:
        """Hash over the prompts of all its questions."""
        agents = self.program.agents.items()
        hashes = "".join(f"{name} {agent.prompt_sha256}\n" for name, agent in sorted(agents))
        return hashlib.sha256(hashes.encode()).hexdigest()

    @cached_property
    def id(self) -> str:
        """See Score.judge_id."""
        whole = f"{self.name}\x1f{self.settings}\x1f{self.prompts_sha256}"
        return hashlib.sha256(whole.encode()).hexdigest()[:12]

    @property
    def facts(self) -> dict[str, Any]:
        """What the provenance of a run keeps of it."""
        return {
            "name": self.name,
            "prompts": self.prompts,
            "prompts_sha256": self.prompts_sha256,
            **self.spec.model_dump(mode="json", exclude_none=True),
        }

    def key(self, agent: str, content: str, repeat: int, seed: int | None) -> str:
        """See Score.key."""
        prompt = self.program.agents[agent].prompt_sha256
        asks = str(self.program.agents[agent].asks)
        parts = (content, self.name, self.settings, agent, prompt, asks, str(repeat), str(seed))
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


class Judging:
    """Asks a panel about dialogues, as they come.

    The questions about one dialogue go to a judge one after the other, so that the transcript
    they all begin with is in the server's cache; the caller judges dialogues side by side.

    Args:
        book: where scores go.
        panel: the judges.
        scales: by name.
        repeats: how often each question is asked; PANAS once.
        random_seed: of the run; None leaves sampling to the servers.
        done: told of each answered question: its scores, and retries by reason.
    """

    def __init__(
        self,
        book: ScoreBook,
        panel: Sequence[Panelist],
        scales: Sequence[str],
        *,
        repeats: int,
        random_seed: int | None,
        done: Callable[[Sequence[Score], Mapping[str, int]], None] = lambda scores, retries: None,
    ) -> None:
        self.book, self.panel, self.scales, self.repeats = book, panel, scales, repeats
        self.random_seed, self.done = random_seed, done
        self.asked = set(book.known)

    def askings(self, dialogue: Dialogue) -> Iterator[list[Asking]]:
        """What is still to be asked about a dialogue, a list a judge."""
        for panelist in self.panel:
            todo = []
            for question in (q for name in self.scales for q in SCALES[name].questions):
                if question.scale.form and not dialogue.intake_form:
                    continue
                for repeat in range(1 if question.scale.form else self.repeats):
                    asking = self._asking(panelist, question, dialogue, repeat)
                    if asking.key not in self.asked:
                        self.asked.add(asking.key)
                        todo.append(asking)
            if todo:
                yield todo

    def _asking(
        self, panelist: Panelist, question: Question, dialogue: Dialogue, repeat: int
    ) -> Asking:
        content = f"{dialogue.id}\x1f{dialogue.content_hash}"
        if question.when == "before":  # the form alone: once a client
            content = hashlib.sha256((dialogue.intake_form or "").encode()).hexdigest()
        key = panelist.key(question.agent, content, repeat, self.random_seed)
        return Asking(panelist.name, panelist.id, question, dialogue, repeat, key)

    async def judge(self, dialogue: Dialogue) -> None:
        """Asks all judges all questions about a dialogue that are not answered yet.

        Raises:
            AgentError: a question was not answered; what was answered is kept.
        """
        programs = {panelist.name: panelist.program for panelist in self.panel}
        for todo in list(self.askings(dialogue)):
            for asking in todo:
                await self._ask(programs[asking.judge], asking)

    async def _ask(self, program: Judge, asking: Asking) -> None:
        draw = None
        if self.random_seed is not None:
            draw = Draw((self.random_seed, asking.key))
        retries: Mapping[str, int]
        try:
            answer = await program.acall(
                question=asking.question.agent,
                conversation=asking.dialogue.text,
                intake_form=asking.dialogue.intake_form,
                draw=draw,
            )
            scores = list(_scores(asking, answer.toDict(), None))
            retries = answer.call.retries
        except AgentError as error:
            if error.code != "malformed":
                self.asked.discard(asking.key)
                raise
            scores = list(_scores(asking, {}, error.raw or ""))
            retries = error.retries
        await on_disk(self.book.add, scores)
        self.done(scores, retries)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, float) else None


def _scores(asking: Asking, answer: Mapping[str, object], raw: str | None) -> Iterable[Score]:
    """The records of an answer; of an unreadable one what can be read, the rest missing."""
    d, question = asking.dialogue, asking.question
    scale = question.scale
    given = {question.item: answer.get("score")}
    if scale.form:
        read = answer.get("feelings") or partial_feelings(
            raw or "", scale.items, scale.low, scale.high
        )
        assert isinstance(read, dict)
        given = read
    values: dict[str, object] = {item: given.get(item) for item in question.items}
    for name, value in values.items():
        yield Score(
            dialogue=d.client_id if asking.before else d.id,
            method="" if asking.before else d.method,
            seed_id=d.client_id if asking.before else d.seed_id,
            client_id=d.client_id,
            attitude="" if asking.before else d.attitude,
            judge=asking.judge,
            judge_id=asking.judge_id,
            scale=question.record,
            item=name,
            repeat=asking.repeat,
            value=float(value) if isinstance(value, int) else None,
            expected=_number(answer.get("expected")),
            reason=str(answer.get("reason") or ""),
            raw=raw if value is None else None,
            key=asking.key,
        )
