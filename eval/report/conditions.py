"""Under which conditions runs were played and judged, and where they differ from the paper's.

A result is comparable with the paper's only where models, judge, prompts, profile, seeds,
exchanges and sampling are the paper's own; every difference is named.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eval.report.judges import JudgeFacts
from magnet.core.seeds import AUTHORS_SHA256
from magnet.lm.embedded import MODEL as EMBEDDED
from programs.profile import PAPER

#: What is compared with the paper: its sessions, its fine-tuned counselors, its second backbone.
Target = Literal["sessions", "fine-tuned", "qwen"]

_DATE = r"(-\d{4}-\d\d-\d\d)?"
_LLAMA = re.compile(r"(meta-)?llama-?3-8b-instruct(-hf)?", re.IGNORECASE)
_QWEN = re.compile(r"qwen-?2\.5-7b-instruct", re.IGNORECASE)
_TECHNIQUE = re.compile(rf"gpt-4o-mini{_DATE}", re.IGNORECASE)
_JUDGE = re.compile(rf"gpt-4o{_DATE}", re.IGNORECASE)
_BACKBONES = {
    "sessions": (_LLAMA, "Llama-3-8B-Instruct"),
    "fine-tuned": (_LLAMA, "Llama-3-8B-Instruct"),
    "qwen": (_QWEN, "Qwen2.5-7B-Instruct"),
}
_TEMPERATURE, _EXCHANGES, _SEEDS, _CLIENTS = 0.7, 20, 450, 150


@dataclass(frozen=True)
class Conditions:
    """What runs say about the origin of their text.

    Attributes:
        provenances: one per run.
        judges: by their label.
    """

    provenances: Sequence[dict[str, Any]]
    judges: Mapping[str, JudgeFacts]

    def models(self, fine_tuned: bool | None = None) -> dict[str, list[str]]:
        """Models by role without judges; ``fine_tuned``: fine-tuned counselors alone, or none."""
        found: dict[str, list[str]] = {}
        for provenance in self.provenances:
            for role, spec in provenance.get("models", {}).items():
                wanted = fine_tuned is None or role.startswith("tuned-") == fine_tuned
                if role != "judge" and wanted:
                    found.setdefault(role, []).append(_name(spec))
        return {role: list(dict.fromkeys(names)) for role, names in found.items()}

    @property
    def backbone(self) -> Literal["llama", "qwen", "other"]:
        """Which of the paper's two backbones played every role but the technique selector's."""
        models = self.models(fine_tuned=False)
        names = [name for role in models if role != "technique" for name in models[role]]
        if names and all(_LLAMA.fullmatch(_last(name)) for name in names):
            return "llama"
        # the paper's own size does not exist; whichever of Qwen2.5 stands in belongs to table 8
        if names and all(re.match(r"qwen-?2\.5-", _last(name), re.IGNORECASE) for name in names):
            return "qwen"
        return "other"

    def judge_model(self, judge: str) -> str:
        """The model behind a judge's label."""
        known = self.judges.get(judge)
        return known.model if known else judge

    def demonstration(self, judge: str) -> bool:
        """Whether the judge is the embedded LM, whose scores mean nothing."""
        return judge in self.judges and self.judges[judge].demonstration

    def differences(self, judge: str, target: Target = "sessions") -> list[str]:
        """How these conditions differ from the paper's; empty where they are the same.

        Args:
            judge: a judge's label.
            target: which of the paper's results they are compared with.
        """
        runs = [p for p in self.provenances if _concerns(p, target)]
        if not runs:
            return ["no run holds such sessions"]
        found = [*Conditions(runs, self.judges)._played(target), *self._judged(judge)]
        for provenance in runs:
            found += _settings(provenance, target)
        return list(dict.fromkeys(found))

    def _played(self, target: Target) -> Iterator[str]:
        models, backbone = self.models(fine_tuned=False), _BACKBONES[target]
        if not models:
            yield f"played by an unknown model, not {backbone[1]}"
        others: dict[tuple[str, str], list[str]] = {}
        for role, names in models.items():
            pattern, wanted = (_TECHNIQUE, "gpt-4o-mini") if role == "technique" else backbone
            for name in names:
                if not pattern.fullmatch(_last(name)):
                    others.setdefault((name, wanted), []).append(role)
        for (name, wanted), roles in others.items():
            yield f"{', '.join(roles)} played by {name}, not {wanted}"
        if target == "fine-tuned":
            for name in sorted({n for ns in self.models(fine_tuned=True).values() for n in ns}):
                if not re.search(r"llama-?3-8b-instruct", name, re.IGNORECASE):
                    yield f"{name} is not known to be fine-tuned from {backbone[1]}"

    def _judged(self, judge: str) -> Iterator[str]:
        known = self.judges.get(judge)
        model = self.judge_model(judge)
        if not _JUDGE.fullmatch(_last(model)):
            yield f"judged by {model or 'nobody'}, not gpt-4o"
        if known and known.repeats > 1:
            yield f"judged {known.repeats} times, not once"
        if known and known.temperature:
            yield f"judged at temperature {known.temperature:g}, not 0"
        if known and known.prompts != "authors":
            yield f"judged with {_prompts(known.prompts)}, not the authors'"

    def facts(self, judges: Iterable[str]) -> list[tuple[str, str]]:
        """What to print above the results, as name and value."""
        rows: list[tuple[str, str]] = []
        for names, roles in (grouped := _by_models(self.models())).items():
            title = f"Model of {', '.join(roles)}" if len(grouped) > 1 else "Model"
            rows.append((title, ", ".join(names)))
        for judge in judges:
            model = self.judge_model(judge)
            rows.append(("Judge", judge if model in judge else f"{judge} ({model})"))
        for name, path in _FACTS.items():
            values = [_at(provenance, path) for provenance in self.provenances]
            shown = list(dict.fromkeys(str(v) for v in values if v is not None))
            if shown:
                rows.append((name, ", ".join(shown)))
        return rows


def _concerns(provenance: Mapping[str, Any], target: Target) -> bool:
    """Whether a run has sessions of a kind: fine-tuned counselors, or the other systems."""
    methods = (provenance.get("study") or {}).get("methods") or []
    tuned = [method.startswith("tuned-") for method in methods]
    return not tuned or (any(tuned) if target == "fine-tuned" else not all(tuned))


def _settings(provenance: Mapping[str, Any], target: Target) -> Iterator[str]:
    """How a run's study differs from the paper's."""
    study, seeds = provenance.get("study") or {}, provenance.get("seeds") or {}
    prompts = (provenance.get("prompts") or {}).get("set")
    if prompts != "authors":
        yield f"{_prompts(prompts)}, not the authors'"
    if (profile := study.get("profile")) != "paper":
        yield f"profile {profile or 'unknown'}, not paper"
    for name, value in sorted((study.get("switches") or {}).items()):
        if value != getattr(PAPER, name, None):
            yield f"switch {name} is {value}"
    yield from _seeds(study, seeds, target)
    if (exchanges := study.get("exchanges")) != _EXCHANGES:
        yield f"{exchanges or 'an unknown number of'} exchanges, not {_EXCHANGES}"
    for role, spec in sorted((provenance.get("models") or {}).items()):
        if (heat := spec.get("temperature", _TEMPERATURE)) != _TEMPERATURE:
            yield f"{role} at temperature {heat:g}, not {_TEMPERATURE:g}"
    for artefact in provenance.get("optimized") or []:
        yield f"optimized: {', '.join(artefact['agents'])}"
    if left_out := study.get("leave_out"):
        yield f"left out: {', '.join(left_out)}"


def _seeds(study: Mapping[str, Any], seeds: Mapping[str, Any], target: Target) -> Iterator[str]:
    if not str(seeds.get("sha256") or "").startswith(AUTHORS_SHA256):
        yield f"seeds {seeds.get('source') or 'unknown'}, not the authors'"
        return
    split, wanted = study.get("split", "all"), "test" if target == "fine-tuned" else "all"
    if split != wanted:
        yield f"clients: {split}, not {wanted}"
    if (played := study.get("sessions")) and played < seeds.get("entries", _SEEDS):
        yield f"{played} seeds, not {_SEEDS} of {_CLIENTS} clients"


_FACTS = {
    "Study": ("study", "name"),
    "Seeds": ("seeds", "source"),
    "Seeds' licence": ("seeds", "license"),
    "Prompts": ("prompts", "set"),
    "Profile": ("study", "profile"),
    "Exchanges": ("study", "exchanges"),
    "Run seed": ("study", "seed"),
    "Commit": ("commit",),
}


def _prompts(name: str | None) -> str:
    return f"prompts {name}" if name else "unknown prompts"


def _by_models(models: Mapping[str, Sequence[str]]) -> dict[tuple[str, ...], list[str]]:
    """Roles by the models that play them."""
    found: dict[tuple[str, ...], list[str]] = {}
    for role, names in models.items():
        found.setdefault(tuple(names), []).append(role)
    return found


def _at(data: Any, path: Sequence[str]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _name(spec: dict[str, Any]) -> str:
    return str(spec.get("model") or (EMBEDDED if spec.get("url") is None else "unknown"))
