"""Runs and their scores, read once: sessions without their text, values by measure.

What is compared is an *arm*: the sessions of one method under one setting. A run's label, its
study's name unless the caller gives another, tells arms of one method apart: the technique
selector optimized or frozen, one backbone or another, with or without a specialist.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from eval.reliability import Agreement, ReportCard, agreements, report_cards
from eval.report.conditions import Conditions
from eval.report.judges import JudgeFacts, facts_of, labels
from eval.report.methods import arm, ordered
from eval.report.sessions import SessionFacts, facts_of_session
from eval.scale import values_of
from eval.scores import Score, load_scores
from magnet.core.errors import UsageError
from magnet.core.journal import RunDirectory, read_provenance, read_sessions
from magnet.core.session import Session
from magnet.lm import Meter
from magnet.lm.usage import Usage
from signatures import RECORDS, SCALES

#: Called with each session while it is in memory, with its scores and those of its client before.
Visit = Callable[[SessionFacts, Session, Sequence[Score]], None]
#: By judge's label, scale and measure: value by session.
Values = dict[tuple[str, str, str], dict[str, float | None]]


@dataclass
class Evaluation:
    """Sessions that are compared with each other, and what judges made of them.

    Attributes:
        name: the label of its runs; "" where all runs are one comparison.
        cases: the finished sessions.
        planned: how many there should be.
        conditions: models and judges.
        values: of all runs; see Values.
        cards: each judge's report card.
        agreement: of all judges, by scale.
        usage: what its runs took by role, over all invocations.
        own: the methods of its own runs; the others are borrowed from runs of other labels.
    """

    name: str
    cases: list[SessionFacts]
    planned: int
    conditions: Conditions
    values: Values = field(default_factory=dict)
    cards: list[ReportCard] = field(default_factory=list)
    agreement: list[Agreement] = field(default_factory=list)
    usage: dict[str, Usage] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    @cached_property
    def judges(self) -> list[str]:
        """Who judged these sessions; one nameless judge without a score where nobody did."""
        keys = {case.key for case in self.cases}
        found = {judge: None for (judge, _, _), by in self.values.items() if keys & by.keys()}
        return list(found) or [""]

    @property
    def methods(self) -> list[str]:
        """The systems that have a finished session."""
        return ordered(case.method for case in self.cases)

    @cached_property
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
    """A run as it was read; ``label`` is set once all are."""

    label: str
    folder: str
    provenance: dict[str, Any]
    cases: list[SessionFacts]
    scores: list[tuple[JudgeFacts, Score]]
    usage: dict[str, Any]

    @property
    def places(self) -> set[tuple[str, str]]:
        """Method and seed of its sessions."""
        return {(case.method, case.seed_id) for case in self.cases}

    @property
    def methods(self) -> set[str]:
        """The systems it has a finished session of."""
        return {case.method for case in self.cases}


def load(
    runs: Sequence[Path],
    judge_models: Mapping[str, str] | None = None,
    visit: Visit | None = None,
    named: Sequence[str] = (),
) -> list[Evaluation]:
    """Reads runs: one comparison, or one a label where a method occurs under several.

    The comparison of a label holds its own runs, and of the others those methods that it lacks
    and that were played by the same models with the same prompts: baselines are played once.

    Args:
        runs: run directories.
        judge_models: model by judge, where it is not in the runs' provenance.
        visit: sees each session while it is in memory.
        named: a label for each run; the studies' names unless given.

    Raises:
        UsageError: one is not a run directory or holds a damaged file; the labels will not do.
    """
    if named and len(named) != len(runs):
        raise UsageError(
            f"{len(named)} labels for {len(runs)} runs", "Give --label once a run, in their order."
        )
    prefixes = _unique([path.resolve().name for path in runs])
    read = [
        _read(path, folder, len(runs) > 1, judge_models or {}, visit)
        for path, folder in zip(runs, prefixes, strict=True)
    ]
    for run, label in zip(read, named, strict=False):
        run.label = label
    _tell_apart(read, bool(named))
    values, judges = _values(read)
    by_label: dict[str, list[_Run]] = {}
    for run in read:
        by_label.setdefault(run.label, []).append(run)
    under = [{run.label for run in read if method in run.methods} for method in _methods(read)]
    if all(len(labels_) == 1 for labels_ in under):
        return [_evaluation("", read, [], values, judges)]
    return [
        _evaluation(label, own, _borrowed(own, by_label), values, judges)
        for label, own in by_label.items()
    ]


def variants(evaluations: Sequence[Evaluation]) -> list[tuple[str, Evaluation]]:
    """Methods that occur under several labels, each with its arms as one comparison.

    In it an arm stands in the place of the method (see ``eval.report.methods.arm``).
    """
    found = []
    for method in ordered(m for one in evaluations for m in one.methods):
        cases = {
            case.key: replace(case, method=arm(method, case.run))
            for one in evaluations
            for case in one.cases
            if case.method == method
        }
        if len({case.method for case in cases.values()}) > 1:
            first = evaluations[0]
            conditions = Conditions(
                [p for one in evaluations for p in one.conditions.provenances],
                first.conditions.judges,
            )
            arms = list(cases.values())
            names = frozenset(case.method for case in arms)
            whole = Evaluation("", arms, len(arms), conditions, first.values, own=names)
            found.append((method, whole))
    return found


def _methods(runs: Iterable[_Run]) -> set[str]:
    return {method for run in runs for method in run.methods}


def _tell_apart(runs: Sequence[_Run], named: bool) -> None:
    """Runs of one label are one arm where their sessions are different ones, else two.

    Raises:
        UsageError: the user's own labels make two runs with the same sessions one.
    """
    by_label: dict[str, list[_Run]] = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run)
    for label, same in by_label.items():
        if sum(len(run.places) for run in same) == len({p for run in same for p in run.places}):
            continue
        if named:
            raise UsageError(
                f"two runs labelled {label!r} hold sessions of one method on the same seeds",
                "Give them different labels.",
            )
        for run in same:
            run.label = run.folder


def _borrowed(own: Sequence[_Run], by_label: Mapping[str, Sequence[_Run]]) -> list[_Run]:
    """Other runs' sessions of methods that a label lacks, where they are played alike."""
    have = _methods(own)
    others = [r for runs in by_label.values() for r in runs if r.label != own[0].label]
    alike = [run for run in others if all(_alike(run.provenance, o.provenance) for o in own)]
    found = []
    for run in alike:
        lacking = {
            method
            for method in run.methods - have
            if len({other.label for other in alike if method in other.methods}) == 1
        }
        if lacking:
            cases = [case for case in run.cases if case.method in lacking]
            found.append(replace(run, cases=cases))
    return found


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two runs agree in models, prompts, profile and exchanges, as far as both say."""
    models = one.get("models") or {}, other.get("models") or {}
    shared = [role for role in models[0] if role in models[1] and role != "judge"]
    study = one.get("study") or {}, other.get("study") or {}
    sets = one.get("prompts") or {}, other.get("prompts") or {}
    pairs = [(models[0][role].get("model"), models[1][role].get("model")) for role in shared]
    pairs += [(study[0].get(k), study[1].get(k)) for k in ("profile", "switches", "exchanges")]
    pairs.append((sets[0].get("set"), sets[1].get("set")))
    return all(a == b for a, b in pairs if a is not None and b is not None)


def _before(score: Score) -> bool:
    """Whether it is about the client before any session, whose id it has for a dialogue's."""
    question = RECORDS.get(score.scale)
    return question is not None and question.when == "before"


def _read(
    path: Path, folder: str, several: bool, models: Mapping[str, str], visit: Visit | None
) -> _Run:
    provenance = read_provenance(path)
    label = str((provenance.get("study") or {}).get("name") or folder)
    prefix = f"{folder}/" if several else ""
    scores = [
        score if _before(score) else replace(score, dialogue=prefix + score.dialogue)
        for score in load_scores(path)
    ]
    by_dialogue: dict[str, list[Score]] = {}
    before: dict[str, list[Score]] = {}
    for score in scores:
        if _before(score):
            before.setdefault(score.client_id, []).append(score)
        else:
            by_dialogue.setdefault(score.dialogue, []).append(score)
    cases = []
    for session in read_sessions(path):
        case = facts_of_session(session, prefix + session.id, label)
        cases.append(case)
        if visit is not None:
            given = by_dialogue.get(case.key, []) + before.get(case.client_id, [])
            visit(case, session, given)
    known: dict[tuple[str, str], JudgeFacts] = {}
    for score in scores:
        key = (score.judge, score.judge_id)
        known.setdefault(key, facts_of(*key, provenance, models))
    whose = [(known[score.judge, score.judge_id], score) for score in scores]
    return _Run(label, folder, provenance, cases, whose, RunDirectory(path).load_usage())


def _values(runs: Sequence[_Run]) -> tuple[Values, dict[str, JudgeFacts]]:
    """Values of all runs, and the judges by label; the runs' scores take the labels."""
    names = labels(judge for run in runs for judge, _ in run.scores)
    repeats: dict[str, int] = {}
    values: Values = {}
    for run in runs:
        run.scores = [(judge, replace(s, judge=names[judge])) for judge, s in run.scores]
        scores = [score for _, score in run.scores]
        for score in scores:
            repeats[score.judge] = max(repeats.get(score.judge, 1), score.repeat + 1)
        for scale in SCALES.values():
            for value in values_of(scale, scores):
                key = (value.judge, value.scale, value.measure)
                values.setdefault(key, {})[value.dialogue] = value.value
    judges = {name: replace(judge, repeats=repeats[name]) for judge, name in names.items()}
    return values, judges


def _evaluation(
    name: str,
    own: Sequence[_Run],
    borrowed: Sequence[_Run],
    values: Values,
    judges: Mapping[str, JudgeFacts],
) -> Evaluation:
    runs = [*own, *borrowed]
    meter = Meter()
    for run in own:
        meter.load(run.usage)
    scores = [score for run in own for _, score in run.scores]
    return Evaluation(
        name=name,
        cases=[replace(case, run=run.label) for run in runs for case in run.cases],
        planned=sum(_planned(run.provenance) for run in own)
        + sum(len(run.cases) for run in borrowed),
        conditions=Conditions([run.provenance for run in runs], judges),
        values=values,
        cards=report_cards(scores),
        agreement=agreements(scores),
        usage=meter.roles,
        own=frozenset(_methods(own)),
    )


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
