"""What a report has besides its result tables: diversity, claims, judges' report cards."""

from collections.abc import Iterator, Mapping
from typing import Any

from eval.diversity import ProfileName
from eval.report.claims import Claim, claims
from eval.report.conditions import Target
from eval.report.evaluation import Evaluation
from eval.report.files import Piece
from eval.report.layouts import FINE_TUNED
from eval.report.lexicon import Lexicon
from eval.report.summaries import cards_grid, claims_grid, diversity_grid

_TEXTS: Mapping[ProfileName, tuple[str, str]] = {
    "released": (
        "table02-diversity",
        "Table 2. Diversity, text as the authors' notebook cleans it",
    ),
    "paper": ("diversity-words-apart", "Ours. Diversity, the words of two messages kept apart"),
}


def aside_pieces(evaluation: Evaluation, lexicon: Lexicon) -> Iterator[Piece]:
    """All of them, for one comparison."""
    yield from _diversity(evaluation, lexicon)
    several = len(evaluation.judges) > 1
    for judge in evaluation.judges:
        yield _claims(evaluation, judge, several, lexicon)
    if evaluation.cards:
        grid = cards_grid(evaluation.cards, evaluation.agreement, _where(evaluation))
        yield Piece(_name("judges", evaluation), grid, opened=False)


def _name(name: str, evaluation: Evaluation, judge: str = "") -> str:
    parts = [name, *filter(None, (judge, evaluation.name))]
    return "-".join("".join(c if c.isalnum() or c in "-." else "-" for c in p) for p in parts)


def _where(evaluation: Evaluation, judge: str = "") -> str:
    where = [f"judge {judge}"] * bool(judge) + [f"run {evaluation.name}"] * bool(evaluation.name)
    return f" ({', '.join(where)})" if where else ""


def _diversity(evaluation: Evaluation, lexicon: Lexicon) -> Iterator[Piece]:
    if not evaluation.methods:
        return
    for text, (name, title) in _TEXTS.items():
        rows = lexicon.rows(evaluation, text)
        tokenizer = lexicon.tokenizer
        told = {"text": text, "tokenizer": tokenizer.name, "vocabulary": tokenizer.vocabulary}
        found: list[dict[str, Any]] = [
            {"run": evaluation.name, "method": row.method, "sessions": row.sessions}
            | row.figures
            | told
            for row in rows
        ]
        grid = diversity_grid(rows, title, tokenizer.name, tokenizer.vocabulary, _where(evaluation))
        yield Piece(_name(name, evaluation), grid, found, text == "released")


def _claims(evaluation: Evaluation, judge: str, several: bool, lexicon: Lexicon) -> Piece:
    found = claims(evaluation, judge, lexicon)
    targets: list[Target] = list(dict.fromkeys(claim.target for claim in found))
    if not set(FINE_TUNED) & set(evaluation.methods):
        targets = [target for target in targets if target != "fine-tuned"]
    conditions = evaluation.conditions
    differences = {target: conditions.differences(judge, target) for target in targets}
    demonstration = evaluation.conditions.demonstration(judge)
    grid = claims_grid(found, differences, demonstration, _where(evaluation, judge))
    name = _name("claims", evaluation, judge if several else "")
    return Piece(name, grid, [*_claim_records(evaluation, judge, found)], prose=True)


def _claim_records(
    evaluation: Evaluation, judge: str, found: list[Claim]
) -> Iterator[dict[str, Any]]:
    for claim in found:
        for finding in claim.findings:
            low, high = finding.interval or (None, None)
            yield {
                "run": evaluation.name,
                "judge": judge,
                "source": claim.source,
                "claim": claim.text,
                "claim_verdict": claim.verdict,
                "method": finding.row,
                "measure": finding.what,
                "paper": finding.claimed,
                "over": finding.over,
                "observed": finding.observed,
                "percent": finding.percent,
                "low": low,
                "high": high,
                "seeds": finding.pairs,
                "verdict": finding.verdict,
                "why": finding.why,
            }
