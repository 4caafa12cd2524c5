"""Which models played and judged, and where that differs from the paper."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from magnet.lm.embedded import MODEL as EMBEDDED

PAPER_MODEL, PAPER_JUDGE = "Llama-3-8B-Instruct", "gpt-4o-mini"
_MODEL = re.compile(r"(meta-)?llama-?3-8b-instruct(-hf)?", re.IGNORECASE)
_TUNED = re.compile(r"llama-?3-8b-instruct", re.IGNORECASE)
_JUDGE = re.compile(r"gpt-4o-mini(-\d{4}-\d\d-\d\d)?", re.IGNORECASE)


@dataclass(frozen=True)
class Setting:
    """What runs say of where their text comes from.

    Attributes:
        provenances: one a run.
        judge_models: model by judge, where the caller knows it.
    """

    provenances: Sequence[dict[str, Any]]
    judge_models: Mapping[str, str]

    def models(self, tuned: bool | None = None) -> dict[str, list[str]]:
        """Models by role, judges left out; ``tuned`` asks for tuned counselors alone, or none."""
        found: dict[str, list[str]] = {}
        for provenance in self.provenances:
            for role, spec in provenance.get("models", {}).items():
                wanted = tuned is None or role.startswith("tuned-") == tuned
                if role != "judge" and wanted:
                    found.setdefault(role, []).append(_name(spec))
        return {role: list(dict.fromkeys(names)) for role, names in found.items()}

    def judge_model(self, judge: str) -> str:
        """A judge's model: as the caller or a run says; the judge's own name where none does."""
        if judge in self.judge_models:
            return self.judge_models[judge]
        for provenance in self.provenances:
            models, judges = provenance.get("models", {}), provenance.get("judges", {})
            for place in (judges, models):
                if isinstance(place, dict) and isinstance(place.get(judge), dict):
                    return _name(place[judge])
        return judge

    def demonstration(self, judge: str) -> bool:
        """Whether the judge is the embedded LM, whose scores mean nothing."""
        return self.judge_model(judge).lower() in (EMBEDDED, "embedded")

    def differences(self, judge: str, tuned: bool = False) -> list[str]:
        """How models and judge differ from the paper's; empty where they are the same."""
        found = []
        played = sorted({n for ns in self.models(tuned=False).values() for n in ns})
        other = [name for name in played if not _MODEL.fullmatch(name.rsplit("/", 1)[-1])]
        if other or not played:
            names = ", ".join(other) or "an unknown model"
            found.append(f"played by {names}, not {PAPER_MODEL}")
        bases = {n for ns in self.models(tuned=True).values() for n in ns} if tuned else set()
        if unknown := sorted(name for name in bases if not _TUNED.search(name)):
            found.append(f"{', '.join(unknown)}: not known to be tuned from {PAPER_MODEL}")
        model = self.judge_model(judge)
        if not _JUDGE.fullmatch(model.rsplit("/", 1)[-1]):
            found.append(f"judged by {model or 'nobody'}, not {PAPER_JUDGE}")
        return found

    def facts(self, judges: Iterable[str]) -> list[tuple[str, str]]:
        """What to print above the results, as name and value."""
        rows: list[tuple[str, str]] = []
        by_model: dict[str, list[str]] = {}
        for role, names in self.models().items():
            by_model.setdefault(", ".join(names), []).append(role)
        for model, roles in by_model.items():
            rows.append((f"Model of {', '.join(roles)}" if len(by_model) > 1 else "Model", model))
        for judge in judges:
            model = self.judge_model(judge)
            rows.append(("Judge", judge if model == judge else f"{judge} ({model})"))
        for name, path in _FACTS.items():
            values = [_at(provenance, path) for provenance in self.provenances]
            shown = list(dict.fromkeys(str(v) for v in values if v is not None))
            if shown:
                rows.append((name, ", ".join(shown)))
        return rows


_FACTS = {
    "Study": ("study", "name"),
    "Seeds": ("seeds", "source"),
    "Seeds' licence": ("seeds", "license"),
    "Prompts": ("prompts", "set"),
    "Fidelity": ("study", "fidelity"),
    "Exchanges": ("study", "exchanges"),
    "Run seed": ("study", "seed"),
    "Commit": ("commit",),
}


def _at(data: Any, path: Sequence[str]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _name(spec: dict[str, Any]) -> str:
    return str(spec.get("model") or (EMBEDDED if spec.get("url") is None else "unknown"))
