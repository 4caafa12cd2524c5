"""Claims, diversity, comparability and judges' report cards as rows of text."""

from collections.abc import Mapping, Sequence

from eval.reliability import Agreement, ReportCard
from eval.render.grid import Grid
from eval.render.numbers import NONE, interval, number
from eval.report.claims import Claim
from eval.report.conditions import Target
from eval.report.lexicon import FIGURES, Diversity
from eval.report.methods import label
from eval.report.tables import DEMONSTRATION
from eval.report.verdicts import Finding

_TARGETS: Mapping[Target, str] = {
    "sessions": "sessions (tables 2, 3, 5, 9, 11)",
    "fine-tuned": "fine-tuned counselors (tables 4, 10)",
    "qwen": "the Qwen backbone (table 8)",
}


def claims_grid(
    claims: Sequence[Claim],
    differences: Mapping[Target, Sequence[str]],
    demonstration: bool,
    where: str,
) -> Grid:
    """The paper's claims, each with its parts and what was decided.

    Args:
        claims: decided.
        differences: how these runs differ from the paper's, by which of its results.
        demonstration: whether the judge is the embedded model.
        where: judge and run.
    """
    rows = []
    for claim in claims:
        for count, finding in enumerate(claim.findings):
            text = f"{claim.text} ({claim.source})" if count == 0 else ""
            rows.append([text, claim.verdict if count == 0 else "", *_finding(finding)])
    notes = [
        f"Comparable with the paper's {_TARGETS[target]}."
        if not found
        else f"Not comparable with the paper's {_TARGETS[target]}: {'; '.join(found)}."
        for target, found in differences.items()
    ]
    notes.append(
        "Held: the whole 95% interval (over clients) agrees with the claim; not held: all of it "
        "contradicts it; otherwise undecidable. A claim of several parts is held if each part is."
    )
    if demonstration:
        notes.insert(0, DEMONSTRATION)
    heads = ["Claim", "Verdict", "Row", "Over", "Measure", "Part", "Paper", "Observed"]
    heads += ["95% interval", "Seeds"]
    return Grid(f"The paper's claims{where}", heads, rows, notes, words=7)


def _finding(finding: Finding) -> list[str]:
    end = " %" if finding.percent else ""
    shown = number(finding.observed, finding.places, signed=True)
    return [
        finding.row,
        finding.over or NONE,
        finding.what,
        f"{finding.verdict}: {finding.why}" if finding.why else finding.verdict,
        finding.claimed,
        NONE if finding.observed is None else f"{shown}{end}",
        interval(finding.interval, finding.places),
        str(finding.pairs),
    ]


def diversity_grid(
    rows: Sequence[Diversity], title: str, tokenizer: str, vocabulary: int, where: str
) -> Grid:
    """Table 2, or the same with words kept apart."""
    lines = [
        [label(row.method), str(row.sessions), *(number(row.figures[f], 4) for f in FIGURES)]
        for row in rows
    ]
    notes = [f"Pooled over the sessions of a method. Tokenizer {tokenizer}, V = {vocabulary:,}."]
    if tokenizer == "words":
        notes.append(
            "The paper's tokenizer is Llama-3's: pip install 'magnet-sessions[eval]' for numbers "
            "comparable with the paper's."
        )
    if len({row.sessions for row in rows}) > 1:
        notes.append(
            "The numbers of sessions differ, and these metrics fall with the amount of text: "
            "`magnet diversity` compares at equal numbers."
        )
    return Grid(f"{title}{where}", ["Method", "Sessions", *FIGURES.values()], lines, notes)


def cards_grid(cards: Sequence[ReportCard], agreement: Sequence[Agreement], where: str) -> Grid:
    """Judges' report cards, with the agreement of all judges on each scale."""
    alphas = {one.scale: one for one in agreement}
    rows = [
        [
            f"{card.judge}, {card.scale}",
            str(card.asked),
            str(card.invalid),
            f"{100 * card.invalid_rate:.1f}",
            str(card.repeated),
            number(card.repeat_variance, 3),
            number(alphas[card.scale].alpha),
            str(alphas[card.scale].units),
        ]
        for card in cards
    ]
    without: dict[str, list[str]] = {}
    for one in agreement:
        if one.reason:
            without.setdefault(one.reason, []).append(one.scale)
    reasons = [f"No α for {', '.join(scales)}: {why}." for why, scales in without.items()]
    return Grid(
        f"Judges{where}",
        ["Judge, scale", "Scores", "Invalid", "Invalid %", "Repeated", "Variance", "α", "Shared"],
        rows,
        [
            "Variance: of repeated answers to an item, mean over items. α: Krippendorff's, between "
            "judges, on the items that two or more rated (shared).",
            *reasons,
        ],
    )
