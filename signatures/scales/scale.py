"""A rating scale: from one record come its questions, their signatures, schemas and readers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

import dspy
from pydantic import Field

from signatures import judging
from signatures.answers import Answer, fixed
from signatures.schemas import TEXT, rating, record

#: What a question is about: the session; or the client, before it and after it.
When = Literal["session", "before", "after"]


@dataclass(frozen=True)
class Scale:
    """A scale of items that share one range.

    Attributes:
        name: as studies and scores call it; its questions and their prompts begin with it.
        items: in the scale's order.
        low: the least an item can get.
        high: the most.
        subscales: the items of each.
        instructions: of its questions' signatures: one for an item; for a form one before the
            session and one after it.
        reversed: items where less is better; they count as ``low + high - x``.
        form: whether all items are asked at once, of the client, before the session (from the
            intake form alone, once per client) and after it; the value of a session is the
            shift. Else each item is a question of its own about the session.
    """

    name: str
    items: tuple[str, ...]
    low: int
    high: int
    subscales: Mapping[str, tuple[str, ...]]
    instructions: tuple[str, ...]
    reversed: frozenset[str] = field(default_factory=frozenset)
    form: bool = False

    @property
    def questions(self) -> "tuple[Question, ...]":
        """What a judge is asked, in order."""
        if self.form:
            return (Question(self, "before"), Question(self, "after"))
        return tuple(Question(self, "session", item) for item in self.items)

    def scored(self, item: str, value: float | None) -> float | None:
        """An item's value in the direction of the scale; None for none or one out of range."""
        if value is None or not self.low <= value <= self.high:
            return None
        return self.low + self.high - value if item in self.reversed else value


@dataclass(frozen=True)
class Question:
    """One thing that a judge is asked.

    Attributes:
        scale: what it belongs to.
        when: what it is about.
        item: the one item it asks; None for a form, which asks all.
    """

    scale: Scale
    when: When
    item: str | None = None

    @property
    def agent(self) -> str:
        """The agent that asks it, whose name its prompt bears."""
        return f"{self.scale.name}-{self.item or self.when}"

    @property
    def record(self) -> str:
        """The scale's name in the records of its scores."""
        return f"{self.scale.name}_{self.when}" if self.scale.form else self.scale.name

    @property
    def items(self) -> tuple[str, ...]:
        """What it asks."""
        return (self.item,) if self.item else self.scale.items

    @property
    def signature(self) -> type[dspy.Signature]:
        """What is asked and answered, typed."""
        scale, words = self.scale, self.scale.instructions
        score = Annotated[int, Field(ge=scale.low, le=scale.high)]
        form = dspy.InputField(desc="the client's background and concern")
        session = dspy.InputField(desc="the session, one line a message")
        fields: dict[str, tuple[Any, Any]] = {}
        if scale.form:
            fields["intake_form"] = (str, form)
        if self.when != "before":
            fields["conversation"] = (str, session)
        if scale.form:
            told = dspy.OutputField(desc=f"each feeling with {scale.low} to {scale.high}")
            fields["feelings"] = (dict[str, score], told)
        else:
            fields["score"] = (score, dspy.OutputField(desc=f"{scale.low} to {scale.high}"))
            fields["reason"] = (str, dspy.OutputField(desc="why, in one or two sentences"))
        name = f"Rate{scale.name.upper()}" + (self.when.capitalize() if scale.form else "")
        made: type[dspy.Signature] = dspy.make_signature(fields, words[self.when == "after"], name)
        return made

    @property
    def answer(self) -> Answer:
        """Its schema and how it is read."""
        scale = self.scale
        one = rating(scale.low, scale.high)
        if scale.form:
            whole = record(**dict.fromkeys(scale.items, one))
            read = partial(judging.read_feelings, items=scale.items, low=scale.low, high=scale.high)
            return Answer(read, fixed(record(feelings=whole)), fixed(whole))
        asked = fixed(record(score=one, reason=TEXT))
        return Answer(partial(judging.read_score, low=scale.low, high=scale.high), asked, asked)
