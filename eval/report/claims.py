"""What the paper claims in its text, decided on these runs.

MAGneT, https://arxiv.org/abs/2509.04183: abstract, introduction, results; and the README of its
authors' repository. ``eval.report.verdicts`` says how a claim is decided.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from eval.report import methods
from eval.report.conditions import Target
from eval.report.evaluation import Evaluation
from eval.report.layouts import Measure, item_measures, shift_measures, subscale_measures
from eval.report.lexicon import FIGURES, Lexicon
from eval.report.verdicts import (
    Data,
    Finding,
    Test,
    Verdict,
    direction,
    diverse,
    elsewhere,
    number,
    same,
)


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper.

    Attributes:
        text: in our words.
        source: where the paper has it.
        target: which of the paper's results it is about.
        findings: its parts.
    """

    text: str
    source: str
    target: Target
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Held where every part is, not held where one is not."""
        parts = {finding.verdict for finding in self.findings}
        if "not held" in parts:
            return "not held"
        return "undecidable" if "undecidable" in parts else "held"


def claims(evaluation: Evaluation, judge: str, lexicon: Lexicon | None = None) -> list[Claim]:
    """The paper's claims by one judge: those about the backbone that played.

    Args:
        evaluation: one comparison.
        judge: a judge's label.
        lexicon: the sessions' words; without it nothing is decided on diversity.
    """
    data = Data(evaluation, judge, lexicon)
    qwen = evaluation.conditions.backbone == "qwen"
    listed: Iterable[_Listed] = _qwen()
    if not qwen:
        listed = (*_sessions(), *_tuned(), *_ablations(), *_elsewhere())
    if evaluation.name and methods.TUNED not in evaluation.own:  # told by the label that has them
        listed = (one for one in listed if one[0] != "fine-tuned")
    return [
        Claim(text, source, target, tuple(test(data) for test in tests))
        for target, source, text, tests in listed
    ]


_Listed = tuple[Target, str, str, Sequence[Test]]

_GENERAL, _CBT = subscale_measures()["ctrs"]
_GOAL, _TASK, _BOND = subscale_measures()["wai"]
_ITEMS = item_measures()
_SHIFT = {(measure.name, measure.attitude): measure for measure in shift_measures()}


def _above(measures: Sequence[Measure], ours: str, theirs: Sequence[str]) -> list[Test]:
    return [direction(measure, ours, theirs) for measure in measures]


def _below(measures: Sequence[Measure], ours: str, theirs: Sequence[str]) -> list[Test]:
    return [direction(measure, ours, theirs, -1) for measure in measures]


def _affect(ours: str, theirs: Sequence[str]) -> list[Test]:
    """Positive affect rises more for positive and neutral clients, less for negative ones."""
    up = [_SHIFT["positive", "positive"], _SHIFT["positive", "neutral"]]
    return [*_above(up, ours, theirs), *_below([_SHIFT["positive", "negative"]], ours, theirs)]


def _sessions() -> Iterator[_Listed]:
    us = methods.MAIN, methods.BASELINES
    for measure, paper in ((_GENERAL, 3.2), (_CBT, 4.3)):
        text = f"{measure.label}: MAGneT over the best baseline"
        yield "sessions", "abstract", text, [number(measure.label, [measure], *us, paper)]
    every: list[Test] = [diverse(figure, *us) for figure in FIGURES]
    yield "sessions", "table 2", "MAGneT is the most diverse, on all four measures", every
    yield "sessions", "table 3", "MAGneT is the highest on all CTRS items", _above(_ITEMS, *us)
    alliance = _above([_GOAL, _TASK, _BOND], *us)
    yield "sessions", "table 3", "MAGneT is the highest on Goal, Task and Bond", alliance
    text = "Positive affect rises more for positive and neutral clients, less for negative ones"
    yield "sessions", "table 3", text, _affect(*us)
    best = _above([_GENERAL, _CBT], "psych8k", ["cactus"])
    yield "sessions", "table 3", "Psych8k is the best baseline", best


def _tuned() -> Iterator[_Listed]:
    us = methods.TUNED, methods.TUNED_BASELINES
    text = "Fine-tuned on MAGneT over the best fine-tuned baseline"
    for source, paper, what, measures in (
        ("abstract", 6.9, "CTRS, mean over the six items", _ITEMS),
        ("introduction", 6.8, "CTRS, mean over the two subscales", (_GENERAL, _CBT)),
        ("README", 6.3, _GENERAL.label, (_GENERAL,)),
        ("README", 7.3, _CBT.label, (_CBT,)),
    ):
        yield "fine-tuned", source, text, [number(what, measures, *us, paper)]
    text = "Fine-tuned on MAGneT is ahead on all skills and on the alliance"
    yield "fine-tuned", "table 4", text, _above([*_ITEMS, _GOAL, _TASK, _BOND], *us)
    text = "Fine-tuned on MAGneT shifts affect as MAGneT's sessions do"
    yield "fine-tuned", "table 4", text, _affect(*us)


def _ablations() -> Iterator[_Listed]:
    whole, c, t, both = [methods.MAIN], "magnet-c", "magnet-t", "magnet-c-t"
    understanding, interpersonal, collaboration, guided, focus, strategy = _ITEMS
    text = (
        "Without the CBT agent: understanding, interpersonal effectiveness and strategy about the "
        "same; collaboration, guided discovery and focus lower; Goal and Bond higher"
    )
    tests = [same(measure, c, whole) for measure in (understanding, interpersonal, strategy)]
    tests += _below([collaboration, guided, focus], c, whole)
    yield "sessions", "section 5", text, [*tests, *_above([_GOAL, _BOND], c, whole)]
    text = "Without the technique agent: both kinds of skills, Goal and Bond lower"
    yield "sessions", "section 5", text, _below([_GENERAL, _CBT, _GOAL, _BOND], t, whole)
    others = [*whole, c, t]
    lowest = [direction(m, both, others, -1, worst=True) for m in (_GENERAL, _CBT)]
    yield "sessions", "section 5", "Without both agents: the lowest on CTRS", lowest
    equal = [same(_TASK, one, whole) for one in (c, t, both)]
    yield "sessions", "section 5", "Task is about the same in all ablations", equal
    text = "Without both agents the negative affect of negative clients falls more"
    falls = _below([_SHIFT["negative", "negative"]], both, whole)
    yield "sessions", "section 5", text, falls


def _qwen() -> Iterator[_Listed]:
    us = methods.MAIN, methods.BASELINES
    up = _above([_GOAL, _TASK, _BOND], *us)
    yield "qwen", "table 8", "On Qwen: MAGneT is the highest on Goal, Task and Bond", up
    up = _above([_SHIFT["positive", "positive"], _SHIFT["positive", "neutral"]], *us)
    text = "On Qwen: positive affect rises more for positive and neutral clients"
    yield "qwen", "table 8", text, up
    text = "On Qwen: CBT-specific skills about equal"
    yield "qwen", "table 8", text, [same(_CBT, *us)]


def _elsewhere() -> Iterator[_Listed]:
    why = "needs experts' answers, which no run holds"
    asked = [elsewhere(methods.MAIN, "share of comparisons", "77.2 %", why)]
    yield "sessions", "abstract, figure 2", "Experts prefer MAGneT's sessions", asked
    why = "needs CounselingBench, which no run holds"
    bench = [
        elsewhere(methods.TUNED, what, claimed, why)
        for what, claimed in (
            ("F1", "about equal, slightly higher"),
            ("cosine, BERTScore", "higher"),
            ("ROUGE-1, ROUGE-L", "about equal"),
            ("ROSCOE", "about equal but for self-consistency"),
        )
    ]
    yield "fine-tuned", "tables 6 and 7", "CounselingBench by the fine-tuned models", bench
