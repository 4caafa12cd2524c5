"""Tables of small runs: against an independent computation, missing scores, judges, files."""

import csv
import io
import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from eval.render.grid import Grid, latex, markdown
from eval.render.numbers import number
from eval.report.evaluation import load
from eval.report.files import to_csv
from eval.report.layouts import layouts
from eval.report.page import write_report
from eval.report.records import records
from eval.report.tables import Cell, fill, margin, percent, tables
from eval.scores import Score
from eval.tokens import Llama3
from magnet.core.errors import UsageError
from magnet.core.journal import read_sessions
from programs import METHODS
from tests import fake_run, independent

pytestmark = pytest.mark.processes

LABELS = {
    "magnet": "MAGneT",
    "magnet-c": "MAGneT-C",
    "magnet-t": "MAGneT-T",
    "magnet-c-t": "MAGneT-C-T",
    "psych8k": "Psych8k",
    "cactus": "CACTUS",
    "tuned-magnet": "fine-tuned MAGneT",
    "tuned-psych8k": "fine-tuned Psych8k",
    "tuned-cactus": "fine-tuned CACTUS",
}


def judge(run: Path) -> None:
    """Made-up scores of all scales, asked twice, some unreadable: both times, or once."""
    scores = fake_run.judge(run, judges=["gpt-4o"], repeats=2)

    def lost(score: Score) -> bool:
        if score.scale == "panas_before" or int(score.dialogue[-4:]) % 5:
            return False
        both = {"understanding", "wai4", "Interested"}
        return score.item in both or (score.item == "focus" and score.repeat == 0)

    fake_run.write(run, [replace(s, value=None, raw="no idea") if lost(s) else s for s in scores])


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "llama"
    fake_run.play(folder, list(METHODS), sessions=12, exchanges=1)
    judge(folder)
    return folder


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "qwen"
    methods = ["magnet", "psych8k", "cactus"]
    fake_run.play(
        folder, methods, "Qwen2.5-7B-Instruct", sessions=12, exchanges=1, seed=3, name="'qwen'"
    )
    judge(folder)
    return folder


@pytest.fixture(scope="module")
def report(played, qwen, tmp_path_factory):
    return write_report([played, qwen], tmp_path_factory.mktemp("report"), tokenizer="llama3")


@pytest.fixture
def run(played, tmp_path):
    return shutil.copytree(played, tmp_path / "run")


def table(evaluation, number=3, judge=None):
    layout = next(one for one in layouts(number == 8) if one.number == number)
    return fill(layout, evaluation, judge or evaluation.judges[0])


@pytest.mark.parametrize("numbered", independent.TABLES)
def test_every_cell_is_that_of_an_independent_computation(numbered, played, qwen, report):
    _, rows, main = independent.TABLES[numbered]
    run = qwen if numbered == 8 else played
    ours = pd.read_csv(report / "tables.csv", dtype=str, keep_default_na=False)
    ours = ours[ours.table == str(numbered)]
    theirs = independent.result_table(run, rows, main)
    assert len(ours) == len(theirs) == 15 * len(rows)
    key = ["scale", "measure", "attitude", "method"]
    both = ours.merge(theirs, on=key, suffixes=("", "_check"), validate="one_to_one")
    assert len(both) == len(theirs)
    for name in ("mean", "sd", "n", "missing"):
        assert both[name].astype(float).to_numpy() == pytest.approx(
            both[f"{name}_check"].astype(float).to_numpy()
        ), name
    assert list(both.mark) == list(both.mark_check)
    chosen = both[both.method == main]
    assert list(chosen.delta_near_zero == "True") == list(chosen.near)
    shown = pd.to_numeric(chosen.delta_percent)
    assert shown.isna().tolist() == chosen.delta.isna().tolist()
    assert shown.dropna().to_numpy() == pytest.approx(
        chosen.delta.dropna().astype(float).to_numpy()
    )
    assert (theirs.missing > 0).any()
    assert {"", "*"} == set(theirs.mark)


@pytest.mark.parametrize("numbered", independent.TABLES)
def test_the_printed_table_has_the_papers_rows_and_columns(numbered, played, qwen, report):
    spread, rows, main = independent.TABLES[numbered]
    cells = independent.result_table(qwen if numbered == 8 else played, rows, main)
    for shown_as, with_sd in ((numbered, False), (spread, True)):
        if shown_as is None:
            continue
        [path] = [
            p
            for p in (report / "tables").glob(f"table{shown_as:02d}-*.md")
            if "tests" not in p.name
            and ("qwen" in p.stem) == (numbered == 8)
            and (numbered == 8 or p.stem.endswith("demo"))
        ]
        lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
        printed = [[c.strip() for c in line.strip("|").split("|")] for line in lines[2:]]
        assert [line[0] for line in printed] == [*map(LABELS.get, rows), "δ %"]
        for line, row in zip(printed, rows, strict=False):
            for shown, cell in zip(line[1:], cells[cells.method == row].itertuples(), strict=True):
                parts = re.fullmatch(_CELL, shown.replace("−", "-"))
                assert parts is not None, shown
                mean, star, _, sd = parts.groups()
                # two digits after the point, whichever way a tie is rounded
                assert float(mean) == pytest.approx(cell.mean, abs=0.005001)
                assert bool(star) == bool(cell.mark)
                assert with_sd is (sd is not None)
                assert sd is None or float(sd) == pytest.approx(cell.sd, abs=0.005001)
        for shown, cell in zip(
            printed[-1][1:], cells[cells.method == main].itertuples(), strict=True
        ):
            if cell.near:
                assert shown == "≈0"
            else:
                assert shown[0] in "+−0"
                assert float(shown.replace("−", "-")) == pytest.approx(cell.delta, abs=0.05001)


_CELL = r"(-?\d+\.\d\d)(\\\*)?( ± (\d+\.\d\d))?"


@pytest.mark.parametrize("notebook", [True, False])
def test_table_2_is_that_of_an_independent_count(notebook, played, report):
    tokenizer = Llama3()
    theirs = independent.diversity(
        played, lambda text: tokenizer.encode([text])[0].tolist(), tokenizer.vocabulary, notebook
    )
    name = "table02-diversity-demo.csv" if notebook else "diversity-words-apart-demo.csv"
    ours = pd.read_csv(report / "tables" / name).set_index("method")
    assert set(ours.index) == set(theirs.index) == set(METHODS)
    for figure in theirs.columns:
        assert ours.loc[theirs.index, figure].to_numpy() == pytest.approx(theirs[figure].to_numpy())


def test_a_margin_is_positive_where_magnet_is_better():
    assert percent(3.3, 3.0) == pytest.approx(10)
    assert percent(-0.5, -1.0) == pytest.approx(50)
    assert percent(-0.9, -0.6, lower=True) == pytest.approx(50)
    lower = next(m for m in _measures() if m.lower)

    def cells(**means):
        return [Cell(lower, method, mean, None, 9, 0) for method, mean in means.items()]

    found = margin(lower, cells(magnet=-0.9, psych8k=-0.6, cactus=-0.3), "magnet")
    assert (found.over, found.near_zero) == ("psych8k", False)
    assert found.percent == pytest.approx(50)
    near = margin(lower, cells(magnet=-0.9, psych8k=-0.1, cactus=0.3), "magnet")
    assert (near.over, near.percent, near.near_zero) == ("psych8k", None, True)
    alone = margin(lower, cells(magnet=-0.9), "magnet")
    assert (alone.over, alone.percent, alone.near_zero) == (None, None, False)


def _measures():
    from eval.report.layouts import MEASURES

    return MEASURES


def test_a_method_of_ones_own_is_a_further_row_of_tables_3_and_9(run, tmp_path):
    for file in (run / "sessions").iterdir():
        file.write_bytes(file.read_bytes().replace(b'"method": "magnet-c"', b'"method": "mine"'))
    (evaluation,) = load([run])
    assert table(evaluation).rows == ["psych8k", "cactus", "mine", "magnet"]
    assert "mine" not in table(evaluation, 5).rows


def test_missing_scores_stay_missing_and_are_counted(run):
    scores = fake_run.judge(run, judges=["gpt-4o"])
    first = next(s for s in scores if s.method == "magnet" and s.item == "understanding")
    gone = next(s for s in scores if s.method == "magnet" and s.dialogue != first.dialogue)
    kept = [
        replace(s, value=None, raw="no idea") if s == first else s
        for s in scores
        if s.dialogue != gone.dialogue
    ]
    fake_run.write(run, kept)
    (evaluation,) = load([run])
    cells = {(c.measure.name, c.method): c for c in table(evaluation).cells}
    assert (cells["understanding", "magnet"].n, cells["understanding", "magnet"].missing) == (10, 2)
    assert (cells["focus", "magnet"].n, cells["focus", "magnet"].missing) == (11, 1)
    assert cells["understanding", "psych8k"].test.dropped == 2
    assert any("MAGneT, CTRS understanding: 2" in note for note in table(evaluation).notes)


def test_without_scores_the_tables_are_empty_and_say_so(run, tmp_path):
    (run / "scores.jsonl").unlink()
    (evaluation,) = load([run])
    assert {
        (c.mean, c.n, c.missing) for c in table(evaluation).cells if c.measure.attitude is None
    } == {(None, 0, 12)}
    text = (write_report([run], tmp_path / "r", tokenizer="words") / "tables.md").read_text()
    assert "No scores" in text
    assert "| MAGneT | – | – |" in text


def test_judges_of_one_name_and_different_models_are_not_merged(run, tmp_path):
    strict, mild = ({"name": "j", "model": m, "temperature": 0.0} for m in ("gpt-4o", "other"))
    path = run / "provenance.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"judges": {"a1": strict, "b2": mild}})
    )
    scores = [replace(s, judge="j") for s in fake_run.judge(run)]
    fake_run.write(
        run,
        [replace(s, judge_id="a1") for s in scores]
        + [replace(s, judge_id="b2", value=s.value and s.value - 1) for s in scores],
    )
    (evaluation,) = load([run])
    assert evaluation.judges == ["j (gpt-4o)", "j (other)"]
    first, second = (table(evaluation, judge=j).cells[0].mean for j in evaluation.judges)
    assert first != second
    assert [evaluation.conditions.judge_model(j) for j in evaluation.judges] == ["gpt-4o", "other"]


def test_a_demonstration_in_the_second_run_keeps_its_banner(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    for folder, model in ((run, "gpt-4o"), (other, "smollm2-135m-instruct")):
        path = folder / "provenance.json"
        whole = json.loads(path.read_text()) | {"judges": {"judge": {"model": model}}}
        path.write_text(json.dumps(whole))
        fake_run.judge(folder, judges=["judge"])
    evaluations = load([run, other], named=["real", "demo"])
    judges = [one.judges for one in evaluations]
    assert judges == [["judge (gpt-4o)"], ["judge (smollm2-135m-instruct)"]]
    notes = [table(one).notes for one in evaluations]
    assert not any("Demonstration" in note for note in notes[0])
    assert "Demonstration only" in notes[1][0]


def test_the_embedded_judge_is_called_a_demonstration(run):
    for judge_models in ({"small": "smollm2-135m-instruct"}, {}):
        name = "small" if judge_models else "smollm2-135m-instruct"
        fake_run.judge(run, judges=[name])
        (evaluation,) = load([run], judge_models)
        assert "Demonstration only" in table(evaluation).notes[0]


def test_the_folder_has_every_table_in_three_formats(run, tmp_path):
    out = write_report([run], tmp_path / "r", tokenizer="words")
    names = {path.name for path in (out / "tables").iterdir()}
    wanted = ["table02-diversity", "table03-methods", "table04-tuned", "table05-ablations"]
    wanted += ["table09-methods-sd", "table10-tuned-sd", "table11-ablations-sd"]
    assert {f"{name}.{kind}" for name in wanted for kind in ("md", "tex", "csv")} <= names
    assert {f"table03-methods-tests.{kind}" for kind in ("md", "tex")} <= names
    assert {f"claims.{kind}" for kind in ("md", "csv")} <= names
    for path in out.rglob("*.*"):
        if path.suffix != ".html":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\bnan\b|\binf\b|None", text), path
    rows = list(csv.DictReader(io.StringIO((out / "tables.csv").read_text())))
    (evaluation,) = load([run])
    assert len(rows) == sum(len(records(t)) for t in tables(evaluation))
    baseline = next(r for r in rows if r["method"] == "psych8k")
    assert math.isfinite(float(baseline["p"]))
    assert float(baseline["client_low"]) < float(baseline["client_high"])
    assert "As captioned in the paper" in (out / "NOTES.md").read_text()
    assert to_csv([]) == ""
    stale = out / "tables" / "table99-old.md"
    stale.write_text("of an earlier report")
    write_report([run], out, tokenizer="words")
    assert not stale.exists()


def test_text_is_escaped_in_every_format():
    grid = Grid("A & B_1", ["x", "y"], [["<script>|50%", "1.0*"]], ["a\nb"], groups=["δ<"])
    assert r"\<script>\|50%" in markdown(grid)
    assert "| x | δ< y |" in markdown(grid)
    assert "A \\& B\\_1" in latex(grid, "t")
    assert r"$<$script$>$|50\% & 1.0$^{*}$ \\" in latex(grid, "t")
    assert r"\multicolumn{1}{c}{$\delta$$<$}" in latex(grid, "t")
    assert number(-0.001) == "0.00"
    assert number(-1.5, 1) == "−1.5"


def test_what_is_not_a_run_is_one_clear_error(tmp_path):
    with pytest.raises(UsageError, match="not a run directory"):
        load([tmp_path])


def test_every_session_is_read(run):
    (evaluation,) = load([run])
    assert len(evaluation.cases) == evaluation.planned == len(list(read_sessions(run)))
    assert evaluation.usage["client"].calls > 0
