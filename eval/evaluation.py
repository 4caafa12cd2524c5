"""Runs and their scores, read once: sessions without their text, values by measure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eval import ctrs, panas, wai
from eval.cases import Case, case_of
from eval.methods import ordered
from eval.reliability import Agreement, ReportCard, agreements, report_cards
from eval.scale import Value
from eval.scores import Score, load_scores
from eval.setting import Setting
from magnet.journal import RunDirectory, read_provenance, read_sessions
from magnet.lm import Meter
from magnet.lm.usage import Usage
from magnet.session import Session

#: Called with each session while it is in memory, with its scores and those of its client before.
Visit = Callable[[Case, Session, Sequence[Score]], None]


@dataclass
class Evaluation:
    """Sessions that are compared with each other, and what judges made of them.

    Attributes:
        name: the run's; "" where all runs are one comparison.
        cases: the finished sessions.
        planned: how many there should be.
        setting: models and judges.
        values: by judge, scale and measure: value by session.
        cards: each judge's report card.
        agreement: of all judges, by scale.
        usage: what its runs took by role, over all invocations.
    """

    name: str
    cases: list[Case]
    planned: int
    setting: Setting
    values: dict[tuple[str, str, str], dict[str, float | None]] = field(default_factory=dict)
    cards: list[ReportCard] = field(default_factory=list)
    agreement: list[Agreement] = field(default_factory=list)
    usage: dict[str, Usage] = field(default_factory=dict)

    @property
    def judges(self) -> list[str]:
        """Who judged; one nameless judge without a score where nobody did."""
        return list(dict.fromkeys(judge for judge, _, _ in self.values)) or [""]

    @property
    def methods(self) -> list[str]:
        """The systems that have a finished session."""
        return ordered({case.method for case in self.cases})

    @property
    def clients(self) -> dict[str, str]:
        """Client by seed."""
        return {case.seed_id: case.client_id for case in self.cases}

    def column(
        self, judge: str, scale: str, measure: str, method: str, attitude: str | None = None
    ) -> dict[str, float | None]:
        """Value by seed of every finished session of a method; None where it is missing."""
        values = self.values.get((judge, scale, measure), {})
        return {
            case.seed_id: values.get(case.key)
            for case in self.cases
            if case.method == method and attitude in (None, case.attitude)
        }


@dataclass
class _Run:
    name: str
    provenance: dict[str, Any]
    cases: list[Case]
    scores: list[Score]
    values: list[Value]
    usage: dict[str, Any]


def load(
    runs: Sequence[Path],
    judge_models: Mapping[str, str] | None = None,
    visit: Visit | None = None,
) -> list[Evaluation]:
    """Reads runs: as one comparison, or one each where two hold the same method on a seed.

    Args:
        runs: run directories.
        judge_models: model by judge, where it is not in the runs' provenance.
        visit: sees each session while it is in memory.

    Raises:
        UsageError: one is no run directory, or holds a damaged file.
    """
    names = [name for name, _ in zip(_unique([r.resolve().name for r in runs]), runs, strict=True)]
    read = [_read(r, n, len(runs) > 1, visit) for r, n in zip(runs, names, strict=True)]
    places = [(case.method, case.seed_id) for run in read for case in run.cases]
    parts = [read] if len(set(places)) == len(places) else [[run] for run in read]
    return [_evaluation(part, len(parts) > 1, judge_models or {}) for part in parts]


def _read(path: Path, name: str, several: bool, visit: Visit | None) -> _Run:
    provenance = read_provenance(path)
    prefix = f"{name}/" if several else ""
    scores = [
        score
        if score.scale == panas.BEFORE.name
        else replace(score, dialogue=prefix + score.dialogue)
        for score in load_scores(path)
    ]
    by_dialogue: dict[str, list[Score]] = {}
    before: dict[str, list[Score]] = {}
    for score in scores:
        if score.scale == panas.BEFORE.name:
            before.setdefault(score.client_id, []).append(score)
        else:
            by_dialogue.setdefault(score.dialogue, []).append(score)
    cases = []
    for session in read_sessions(path):
        case = case_of(session, prefix + session.id, name)
        cases.append(case)
        if visit is not None:
            given = by_dialogue.get(case.key, []) + before.get(case.client_id, [])
            visit(case, session, given)
    values = [
        *ctrs.subscales(scores),
        *ctrs.items(scores),
        *wai.subscales(scores),
        *wai.items(scores),
        *panas.shifts(scores),
    ]
    return _Run(name, provenance, cases, scores, values, RunDirectory(path).load_usage())


def _evaluation(part: Sequence[_Run], named: bool, judge_models: Mapping[str, str]) -> Evaluation:
    provenances = [run.provenance for run in part]
    scores = [score for run in part for score in run.scores]
    meter = Meter()
    for run in part:
        meter.load(run.usage)
    found = Evaluation(
        name=part[0].name if named else "",
        cases=[case for run in part for case in run.cases],
        planned=sum(_planned(provenance) for provenance in provenances),
        setting=Setting(provenances, judge_models),
        cards=report_cards(scores),
        agreement=agreements(scores),
        usage=meter.roles,
    )
    for run in part:
        for value in run.values:
            key = (value.judge, value.scale, value.measure)
            found.values.setdefault(key, {})[value.dialogue] = value.value
    return found


def _planned(provenance: dict[str, Any]) -> int:
    study, seeds = provenance["study"], provenance["seeds"]
    if adopted := provenance.get("adopted"):
        return int(adopted["sessions"])
    return int(study.get("sessions") or seeds["entries"]) * len(study["methods"])


def _unique(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found
