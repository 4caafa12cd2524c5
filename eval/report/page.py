"""The report of runs: a folder of tables, and one HTML page that makes no network requests."""

import base64
import hashlib
import html
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import IO

from eval.render.grid import to_html
from eval.report.asides import aside_pieces
from eval.report.evaluation import Evaluation, load
from eval.report.files import USE, Piece, pieces, write_tables
from eval.report.lexicon import Lexicon
from eval.report.likelihood import tuning_grids
from eval.report.plots import plots
from eval.report.reader import for_script, index, pack
from eval.report.sessions import SessionFacts
from eval.report.tables import DEMONSTRATION, tables, variant_tables
from eval.scores import Score
from eval.tokens import open_tokenizer
from magnet.core.errors import UsageError
from magnet.core.session import Session

PAGE = "report.html"


def write_report(
    runs: Sequence[Path],
    out: Path | None = None,
    judge_models: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    tokenizer: str | None = None,
) -> Path:
    """Writes tables and page of one or several runs.

    Args:
        runs: run directories, judged or not.
        out: the folder; ``report`` in the first run unless given.
        judge_models: model by judge, where it is not in the runs' provenance.
        labels: what to call each run; its study's name unless given.
        tokenizer: of table 2, see ``eval.tokens.open_tokenizer``.

    Returns:
        The folder: ``report.html``, ``tables.md``, ``tables.csv``, ``tables/``, ``NOTES.md``.

    Raises:
        UsageError: one is not a run directory, or has a damaged file.
    """
    if not runs:
        raise UsageError("report: name a run directory")
    folder = out or runs[0] / "report"
    lexicon = Lexicon(open_tokenizer(tokenizer))
    with tempfile.TemporaryFile() as packed:
        order: dict[str, int] = {}

        def keep(case: SessionFacts, session: Session, scores: Sequence[Score]) -> None:
            order[case.key] = len(order)
            text = pack(session, scores)
            line = f'<script type="application/json" id="s{order[case.key]}">"{text}"</script>\n'
            packed.write(line.encode())
            lexicon.add(case.key, (message.message for message in session.history))

        evaluations = load(runs, judge_models, keep, labels)
        folder.mkdir(parents=True, exist_ok=True)
        page = _Page(evaluations, lexicon, order)
        page.asides += [Piece("fine-tuning", grid) for grid in tuning_grids(runs)]
        write_tables(folder, [*page.results, *page.asides], page.tables, page.demonstration)
        _write_page(folder / PAGE, page.parts(), packed)
    return folder


class _Page:
    """What fills the template.

    Args:
        evaluations: the comparisons.
        lexicon: the sessions' words.
        order: number of each session's block.
    """

    def __init__(
        self, evaluations: Sequence[Evaluation], lexicon: Lexicon, order: Mapping[str, int]
    ) -> None:
        self.evaluations, self.order = evaluations, order
        self.tables = [table for one in evaluations for table in tables(one)]
        self.tables += variant_tables(evaluations)
        self.results = list(pieces(self.tables))
        self.asides = [piece for one in evaluations for piece in aside_pieces(one, lexicon)]
        self.demonstration = any(
            one.conditions.demonstration(judge) for one in evaluations for judge in one.judges
        )

    def parts(self) -> dict[str, str]:
        """HTML and JSON by the template's names."""
        return {
            "style": style(),
            "use": html.escape(USE),
            "demonstration": self._demonstration(),
            "facts": "".join(map(_facts, self.evaluations)),
            "asides": "".join(map(_piece, self.asides)),
            "tables": "".join(map(_piece, self.results)),
            "plots": "".join(_heading(one) + _grid(plots(one)) for one in self.evaluations),
            "index": for_script(index(self.evaluations) | {"blocks": self.order}),
        }

    def _demonstration(self) -> str:
        return f"<strong>{html.escape(DEMONSTRATION)}</strong>" if self.demonstration else ""


def style() -> str:
    """The style sheet of this project's pages: light and dark, any width."""
    return (files("eval.report") / "page.css").read_text(encoding="utf-8")


def _piece(piece: Piece) -> str:
    if piece.opened:
        return to_html(piece.grid)
    title = html.escape(piece.grid.title)
    return f"<details><summary>{title}</summary>{to_html(piece.grid)}</details>"


def _heading(evaluation: Evaluation) -> str:
    return f"<h3>{html.escape(evaluation.name)}</h3>" if evaluation.name else ""


def _grid(charts: str) -> str:
    return f'<div class="charts">{charts}</div>'


def _facts(evaluation: Evaluation) -> str:
    left = evaluation.planned - len(evaluation.cases)
    sessions = f"{len(evaluation.cases)} finished" + (f", {left} unfinished" if left > 0 else "")
    rows = [("Sessions", sessions), *evaluation.conditions.facts(j for j in evaluation.judges if j)]
    lines = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in rows)
    return f"{_heading(evaluation)}<dl>{lines}</dl>"


def _write_page(path: Path, parts: Mapping[str, str], packed: IO[bytes]) -> None:
    template = (files("eval.report") / PAGE).read_text(encoding="utf-8")
    script = template.split("<script>", 1)[1].split("</script>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {**parts, "script_hash": f"sha256-{digest}"}
    whole = path.with_name(f".{path.name}.tmp")
    with whole.open("wb") as page:
        for number, piece in enumerate(re.split(r"\{\{(\w+)\}\}", template)):
            if number % 2 == 0:
                page.write(piece.encode())
            elif piece == "sessions":
                packed.seek(0)
                shutil.copyfileobj(packed, page, 1 << 20)
            else:
                page.write(parts[piece].encode())
    whole.replace(path)
