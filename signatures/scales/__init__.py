"""Every scale that judges rate on: one file a scale, one entry here."""

from signatures.scales.ctrs import CTRS
from signatures.scales.panas import PANAS
from signatures.scales.scale import Question, Scale
from signatures.scales.wai import WAI

#: By name, in the order that they are asked.
SCALES: dict[str, Scale] = {scale.name: scale for scale in (CTRS, WAI, PANAS)}
#: Every question by its agent.
QUESTIONS: dict[str, Question] = {
    question.agent: question for scale in SCALES.values() for question in scale.questions
}
#: A question of each kind by the name that scores are recorded under.
RECORDS: dict[str, Question] = {question.record: question for question in QUESTIONS.values()}

__all__ = ["CTRS", "PANAS", "QUESTIONS", "RECORDS", "SCALES", "WAI", "Question", "Scale"]
