"""Claims and judges' report cards as rows of text."""

from collections.abc import Sequence

from eval.claims import Claim
from eval.grid import Grid
from eval.numbers import NONE, interval, number
from eval.reliability import Agreement, ReportCard


def claims_grid(claims: Sequence[Claim], judge: str, part: str) -> Grid:
    """The paper's claims beside what was observed."""
    where = ", ".join(w for w in (f"judge {judge}" * bool(judge), f"run {part}" * bool(part)) if w)
    rows = [
        [
            claim.text,
            f"not comparable: {'; '.join(claim.differences)}" if claim.differences else "yes",
            f"{number(claim.paper, 1, signed=claim.excess)}%",
            NONE if claim.observed is None else f"{number(claim.observed, 1, claim.excess)}%",
            interval(claim.interval, 1),
            str(claim.pairs),
        ]
        for claim in claims
    ]
    columns = ["Claim", "Comparable", "Paper", "Observed", "95% interval", "Seeds"]
    return Grid(f"The paper's claims{f' ({where})' if where else ''}", columns, rows, words=2)


def cards_grid(cards: Sequence[ReportCard], agreement: Sequence[Agreement]) -> Grid:
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
    reasons = [f"No α of {', '.join(scales)}: {why}." for why, scales in without.items()]
    return Grid(
        "Judges",
        ["Judge, scale", "Scores", "Invalid", "Invalid %", "Repeated", "Variance", "α", "Shared"],
        rows,
        [
            "Variance: of an item asked again, mean over items. α: Krippendorff's, between judges, "
            "on the items that two or more rated (shared).",
            *reasons,
        ],
    )
