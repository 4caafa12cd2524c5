"""Who judged: judges of one name but different models, prompts or settings are kept apart."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from magnet.lm.embedded import MODEL as EMBEDDED


@dataclass(frozen=True)
class JudgeFacts:
    """What is known of a judge.

    Attributes:
        name: as the study or command calls it.
        id: ``Score.judge_id``; "" where the scores do not say.
        model: its own name where nobody says which model it is.
        temperature: None where it is not known.
        prompts: the prompt set's name; None where it is not known.
        repeats: how often it was asked the same.
    """

    name: str
    id: str
    model: str
    temperature: float | None = None
    prompts: str | None = None
    repeats: int = 1

    @property
    def demonstration(self) -> bool:
        """Whether it is the embedded LM, whose scores mean nothing."""
        return self.model.lower() in (EMBEDDED, "embedded")


def facts_of(
    name: str, judge_id: str, provenance: Mapping[str, Any], models: Mapping[str, str]
) -> JudgeFacts:
    """What a run says of a judge.

    Args:
        name: the judge's.
        judge_id: of its scores.
        provenance: the run's; ``judges`` holds facts by id, in older runs by name.
        models: model by name, where the caller knows it.
    """
    known = provenance.get("judges") or {}
    found = known.get(judge_id) or known.get(name) or {}
    model = models.get(name) or found.get("model") or (EMBEDDED if found else name)
    return JudgeFacts(name, judge_id, str(model), found.get("temperature"), found.get("prompts"))


def labels(judges: Iterable[JudgeFacts]) -> dict[JudgeFacts, str]:
    """How tables call judges: by name, with the model or the id where names are shared."""
    listed = list(dict.fromkeys(judges))
    names = Counter(judge.name for judge in listed)
    models = Counter((judge.name, judge.model) for judge in listed)
    found = {}
    for judge in listed:
        label = judge.name
        if names[judge.name] > 1:
            label += f" ({judge.model})"
        if models[judge.name, judge.model] > 1:
            label += f" {judge.id or 'of unknown settings'}"
        found[judge] = label
    return found
