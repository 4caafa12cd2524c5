"""The report of runs: a folder of tables, and one HTML page that makes no network requests."""

import base64
import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup

from eval.render.pages import template
from eval.report.asides import aside_pieces
from eval.report.evaluation import Evaluation, load
from eval.report.files import USE, Piece, pieces, write_tables
from eval.report.lexicon import Lexicon
from eval.report.likelihood import tuning_grids
from eval.report.methods import label
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
    with tempfile.TemporaryFile("w+", encoding="ascii") as packed:
        order: dict[str, int] = {}

        def keep(case: SessionFacts, session: Session, scores: Sequence[Score]) -> None:
            order[case.key] = len(order)
            packed.write(pack(session, scores) + "\n")
            lexicon.add(case.key, (message.message for message in session.history))

        evaluations = load(runs, judge_models, keep, labels)
        folder.mkdir(parents=True, exist_ok=True)
        page = _Page(evaluations, lexicon, order)
        page.asides += [Piece("fine-tuning", grid) for grid in tuning_grids(runs)]
        write_tables(folder, [*page.results, *page.asides], page.tables, page.demonstration)
        packed.seek(0)
        page.write(folder / PAGE, map(str.rstrip, packed))
    return folder


class _Page:
    """What is in tables and page.

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

    def write(self, path: Path, packed: Iterable[str]) -> None:
        """Writes the page; a session is in memory only while its line is written."""
        script = (files("eval.report") / "report.js").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        stream = template("eval.report", PAGE).stream(
            use=USE,
            demonstration=DEMONSTRATION if self.demonstration else "",
            evaluations=self.evaluations,
            facts=_facts,
            plots=plots,
            tables=self.results,
            asides=self.asides,
            index=Markup(for_script(index(self.evaluations) | {"blocks": self.order})),
            script=Markup(script),
            script_hash=f"sha256-{digest}",
            sessions=packed,
        )
        whole = path.with_name(f".{path.name}.tmp")
        with whole.open("wb") as page:
            stream.dump(page, encoding="utf-8")
        whole.replace(path)


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    left = evaluation.planned - len(evaluation.cases)
    sessions = f"{len(evaluation.cases)} finished" + (f", {left} unfinished" if left > 0 else "")
    judges = (judge for judge in evaluation.judges if judge)
    borrowed = [label(m) for m in evaluation.methods if m not in evaluation.own]
    told = [("From other runs", ", ".join(borrowed))] if borrowed else []
    return [("Sessions", sessions), *told, *evaluation.conditions.facts(judges)]
