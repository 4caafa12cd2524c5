"""What agents answer: the schema a server is asked for, and how a completion is read."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from signatures import reading, released
from signatures.reading import Reader
from signatures.schemas import TEXT, Schema, choice, listing, record
from signatures.types import CBTTechnique, Technique

#: The schema of an answer, less the techniques that are not to be chosen from.
Shape = Callable[[Collection[Technique]], Schema]


@dataclass(frozen=True)
class Answer:
    """One kind of answer.

    Attributes:
        read: a completion's outputs.
        optimized: JSON schema of the signature's outputs by name, for DSPy's own format.
        schema: JSON schema that goes beside a frozen prompt; None for plain words.
        scripts: reads as the authors' scripts do; None where they read the same.
        switch: of the profile, that chooses between ``read`` and ``scripts``.
    """

    read: Reader
    optimized: Shape
    schema: Shape | None = None
    scripts: Reader | None = None
    switch: Literal["answers", "clean_up"] = "clean_up"

    def reader(self, answers: str, clean_up: str) -> Reader:
        """How it is read under a profile.

        Args:
            answers: the profile's switch, ``typed`` or ``text``.
            clean_up: the profile's switch, ``words`` or ``released``.
        """
        as_scripts = answers == "text" if self.switch == "answers" else clean_up == "released"
        return self.scripts if as_scripts and self.scripts is not None else self.read


def fixed(schema: Schema) -> Shape:
    """The shape of an answer in which no techniques are chosen."""
    return lambda gone: schema


_CBT = choice([technique.value for technique in CBTTechnique])


def _techniques(gone: Collection[Technique]) -> Schema:
    known = [technique.value for technique in Technique if technique not in gone]
    return record(techniques=listing(choice(known), 1, len(known)))


PLAN = Answer(
    reading.read_plan,
    optimized=fixed(record(plan=record(technique=_CBT, plan=TEXT))),
    # asked for as steps, which a small model fills where it would leave a text empty
    schema=fixed(record(technique=_CBT, steps=listing(TEXT, 3, 6))),
    scripts=released.read_plan,
    switch="answers",
)
TECHNIQUES = Answer(
    reading.read_techniques,
    optimized=_techniques,
    schema=_techniques,
    scripts=released.read_techniques,
    switch="answers",
)
REPLY = Answer(reading.read_counselor, fixed(record(reply=TEXT)), scripts=released.read_counselor)
PSYCH8K_REPLY = Answer(
    reading.read_counselor, fixed(record(reply=TEXT)), scripts=released.read_psych8k
)
CLIENT_REPLY = Answer(
    reading.read_client,
    fixed(record(reply=TEXT, ended={"type": "boolean"})),
    scripts=released.read_client,
)
