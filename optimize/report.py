"""The report of an optimization: JSON, Markdown and one HTML page that needs no network."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from markupsafe import Markup

from eval.render.grid import Grid, markdown
from eval.render.numbers import interval, number, p_value
from eval.render.pages import template
from eval.render.svg import Mark, dots, figure, heat, lines
from eval.report.files import USE
from eval.statistics import mean_interval
from magnet.core.files import write_atomically
from optimize.arms import Arm
from optimize.search import Result
from signatures import Technique

_CLOSE = 3  # places of a score


def write(
    folder: Path, result: Result, scale: str, facts: Mapping[str, str], exchanges: Mapping[str, int]
) -> Path:
    """Writes ``report.json``, ``report.md`` and ``report.html``; returns the page.

    Args:
        folder: of the optimization.
        result: what it came to.
        scale: what a score is.
        facts: what was optimized, on what, with what.
        exchanges: exchange of each test example, for the choice of techniques by exchange.
    """
    _write(folder / "report.json", orjson.dumps(record(result, scale, facts), option=_JSON))
    _write(folder / "report.md", _markdown(result, scale, facts).encode())
    page = folder / "report.html"
    _write(page, _html(result, scale, facts, exchanges).encode())
    return page


_JSON = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, data, durable=False)


def record(result: Result, scale: str, facts: Mapping[str, str]) -> dict[str, Any]:
    """The report as JSON data; every number whole."""
    return {
        "use": USE,
        "score": scale,
        "facts": dict(facts),
        "verdict": asdict(result.verdict),
        "stopped": result.stopped,
        "notes": result.notes,
        "arms": [_arm(arm) for arm in result.arms],
        "candidates": [
            {
                "number": c.number,
                "found_after": c.found,
                "scored": len(c.outcomes),
                "validation": result.board.validation_score(c),
                "state": c.state,
            }
            for c in result.board.candidates.values()
        ],
        "start": result.start.number,
        "best": result.best.number,
        "curve": [{"windows": w, "validation": v} for w, v in result.board.curve],
        "windows": result.board.scored,
        "left_out": result.left_out,
    }


def _arm(arm: Arm) -> dict[str, Any]:
    return {
        "arm": arm.name,
        "mean": arm.mean,
        "sd": arm.sd,
        "n": len(arm.values),
        "missing": arm.missing,
        "difference": asdict(arm.difference) if arm.difference else None,
        "p": arm.p,
        "examples": {
            example: {"score": o.score, "missing": o.missing, **o.detail}
            for example, o in arm.outcomes.items()
        },
    }


def arms_grid(result: Result, scale: str) -> Grid:
    """The arms side by side."""
    rows = []
    for arm in result.arms:
        d = arm.difference
        bounds = (d.cluster_interval or d.interval) if d else None
        rows.append(
            [
                arm.name,
                number(arm.mean, _CLOSE),
                number(arm.sd, _CLOSE),
                str(len(arm.values)),
                str(arm.missing),
                number(d.mean, _CLOSE, signed=True) if d else "",
                interval(bounds, _CLOSE) if d else "",
                p_value(arm.p) if d else "",
                p_value(d.p) if d else "",
                str(d.n) if d else "",
            ]
        )
    columns = ["Arm", "Mean", "SD", "n", "Missing", "Optimized − arm", "95% interval"]
    columns += ["p, by client", "p, by prefix", "Pairs"]
    notes = [
        f"Score: {scale}. Held-out clients; differences are paired by example. The interval and "
        "the first p count clients (bootstrap of clients, t-test with errors clustered by client, "
        "Holm over the arms); the second p is the paired t-test, uncorrected.",
    ]
    reasons = {r for arm in result.arms if arm.difference for r in arm.difference.reasons}
    if reasons:
        notes.append(f"Not computed: {'; '.join(sorted(reasons))}.")
    if result.left_out:
        listed = ", ".join(f"{len(m)} of {split}" for split, m in result.left_out.items())
        notes.append(f"Left out of the search, for lack of a score at its start: {listed}.")
    return Grid("Arms on held-out clients", columns, rows, notes)


def candidates_grid(result: Result) -> Grid:
    """What the search tried."""
    rows = [
        [
            "start" if c is result.start else str(c.number),
            number(result.board.validation_score(c), _CLOSE),
            str(len(c.outcomes)),
            str(c.found),
            str(sum(len(s["demos"]) for s in c.state.values())),
            "best" if c is result.best else "",
        ]
        for c in result.board.candidates.values()
    ]
    columns = ["Candidate", "Validation", "Scored", "Found after", "Demos", ""]
    notes = ["Validation: mean over the validation examples; a dash where not all were scored."]
    return Grid("Candidates", columns, rows, notes)


def _facts_grid(facts: Mapping[str, str]) -> Grid:
    return Grid("Setting", ["What", "Value"], [[k, v] for k, v in facts.items()], words=2)


def _markdown(result: Result, scale: str, facts: Mapping[str, str]) -> str:
    head = [f"# Setup: {facts['Agent']}", USE, f"**{result.verdict.text}**", *result.notes]
    splits = ["\n\n".join(head) + "\n"]
    if result.arms:
        splits.append(markdown(arms_grid(result, scale)))
    splits += [markdown(candidates_grid(result)), markdown(_facts_grid(facts))]
    for name, before in result.start.instructions.items():
        after = result.best.instructions[name]
        splits.append(f"### Instructions of {name}, before\n\n{_quoted(before)}\n")
        same = after == before
        splits.append(f"### After\n\n{'The same.' if same else _quoted(after)}\n")
        demos = result.best.state[name]["demos"]
        if demos:
            shown = orjson.dumps(demos, option=orjson.OPT_INDENT_2).decode()
            splits.append(f"### Demos\n\n```json\n{shown}\n```\n")
    return "\n".join(splits)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _html(
    result: Result, scale: str, facts: Mapping[str, str], exchanges: Mapping[str, int]
) -> str:
    return template("optimize", "report.html").render(
        use=USE,
        facts=facts,
        verdict=result.verdict.text,
        notes=result.notes,
        arms=arms_grid(result, scale) if result.arms else None,
        candidates=candidates_grid(result),
        charts=[*_plots(result), *_techniques(result.arms, exchanges)],
        instructions=list(_instructions(result)),
    )


def _plots(result: Result) -> list[Markup]:
    found = []
    if result.board.curve:
        title = "Best validation score by windows scored"
        found.append(figure(title, lines(title, [_steps(result)]), "From the start's own score."))
    scored = [arm for arm in result.arms if arm.values]
    if scored:
        title = "Score by arm"
        marks = [
            (arm.name, [Mark(arm.mean or 0.0, number(arm.mean, 3), mean_interval(arm.values))])
            for arm in scored
        ]
        note = "Mean over the test examples and its 95% interval (t)."
        found.append(figure(title, dots(title, marks, 0.0, 1.0), note))
    return found


def _steps(result: Result) -> list[tuple[float, float]]:
    """The best score over windows, as stairs."""
    points: list[tuple[float, float]] = []
    for windows, score in result.board.curve:
        points += [(windows, points[-1][1])] if points else []
        points.append((windows, score))
    return [*points, (result.board.scored, points[-1][1])]


def _techniques(arms: Sequence[Arm], exchanges: Mapping[str, int]) -> list[Markup]:
    """Which techniques each asking arm chose, by exchange of the session."""
    found = []
    for arm in arms:
        uses: dict[int, list[set[str]]] = {}
        for example, outcome in arm.outcomes.items():
            for step, chosen in enumerate(outcome.detail.get("techniques") or []):
                if example in exchanges:
                    uses.setdefault(exchanges[example] + step, []).append(set(chosen))
        if not uses:
            continue
        columns = range(1, max(uses) + 1)
        rows: list[tuple[str, list[float | None]]] = [
            (
                technique.value,
                [
                    sum(technique.value in chosen for chosen in uses[exchange])
                    / len(uses[exchange])
                    if exchange in uses
                    else None
                    for exchange in columns
                ],
            )
            for technique in Technique
        ]
        title = f"Techniques by exchange, {arm.name}"
        note = "Share of test windows whose exchange uses it; stronger is more."
        found.append(figure(title, heat(title, rows), note))
    return found


def _instructions(result: Result) -> Iterator[dict[str, Any]]:
    """Each prompt's instructions before and after, what changed marked, and its demos."""
    for name, before in result.start.instructions.items():
        after = result.best.instructions[name]
        demos = result.best.state[name]["demos"]
        yield {
            "name": name,
            "before": _marked(after, before),
            "after": _marked(before, after),
            "demos": len(demos),
            "shown": orjson.dumps(demos, option=orjson.OPT_INDENT_2).decode(),
        }


def _marked(other: str, text: str) -> Markup:
    """The text with the words that the other one lacks marked."""
    theirs, ours = other.split(" "), text.split(" ")
    pieces = []
    for kind, _, _, first, last in difflib.SequenceMatcher(
        None, theirs, ours, autojunk=False
    ).get_opcodes():
        words = " ".join(ours[first:last])
        if words:
            pieces.append(words if kind == "equal" else Markup("<mark>{}</mark>").format(words))
    return Markup(" ").join(pieces)


def summary(result: Result) -> list[list[str]]:
    """The arms in short, for the terminal: arm, mean, n, missing, difference, p."""
    return [
        [
            arm.name,
            number(arm.mean, _CLOSE),
            str(len(arm.values)),
            str(arm.missing),
            number(arm.difference.mean, _CLOSE, signed=True) if arm.difference else "",
            p_value(arm.p) if arm.difference else "",
        ]
        for arm in result.arms
    ]
