"""Tables of a small run: numbers, missing scores, stars, the files."""

import csv
import io
import math
import re
import shutil
from dataclasses import replace
from statistics import fmean, stdev

import pytest
from scipy import stats

from eval import ctrs
from eval.claims import claims
from eval.evaluation import load
from eval.folder import aside_grids, notes_text, to_csv, write_tables
from eval.grid import Grid, latex, markdown
from eval.layouts import layouts
from eval.numbers import number
from eval.present import as_grid
from eval.tables import Measure, Row, corrected, delta, fill, tables
from magnet.errors import UsageError
from magnet.journal import read_sessions
from tests import fake_run

METHODS = ["magnet", "magnet-c", "psych8k", "cactus", "tuned-magnet", "tuned-psych8k"]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return fake_run.judged(folder, METHODS, sessions=12, exchanges=1)


@pytest.fixture
def run(played, tmp_path):
    return shutil.copytree(played, tmp_path / "run")


def table(evaluation, number):
    layout = next(one for one in layouts() if one.number == number)
    return fill(layout, evaluation, evaluation.judges[0])


def test_means_and_comparisons_are_those_of_the_scores(run):
    (evaluation,) = load([run])
    second = table(evaluation, 2)
    values = {
        (v.method, v.seed_id): v.value
        for v in ctrs.subscales(fake_run.judge(run))
        if v.measure == "general"
    }
    seeds = sorted({seed for _, seed in values})
    columns = {m: [values[m, s] for s in seeds] for m in ("magnet", "psych8k", "cactus")}
    rows = {r.method: r for r in second.rows if r.measure.name == "general"}
    for method, column in columns.items():
        assert rows[method].mean == pytest.approx(fmean(column))
        assert rows[method].sd == pytest.approx(stdev(column))
        assert (rows[method].n, rows[method].missing) == (12, 0)
    best = max(("psych8k", "cactus"), key=lambda m: fmean(columns[m]))
    ours = rows["magnet"]
    assert ours.reference == best
    assert ours.delta == pytest.approx(100 * (fmean(columns["magnet"]) / fmean(columns[best]) - 1))
    assert ours.difference.p == pytest.approx(
        stats.ttest_rel(columns["magnet"], columns[best]).pvalue
    )
    assert rows[best].reference is None


def test_delta_and_stars_by_hand():
    assert delta(3.3, 3.0) == pytest.approx(10)
    assert delta(-0.5, -1.0) == pytest.approx(50)
    assert delta(1.0, 0.0) is None
    measure = Measure("General", "ctrs", "general")
    base = Row(measure, "magnet", 1.0, 1.0, 9, 0)

    def compared(p):
        from eval.statistics import Paired

        return replace(base, difference=Paired(9, 0, 9, p=p))

    # Holm of four: 0.0002 x 4 = 0.0008, 0.003 x 3 = 0.009, 0.02 x 2 = 0.04, 0.2 x 1
    rows = corrected([compared(p) for p in (0.02, 0.0002, 0.2, 0.003)])
    assert [row.stars for row in rows] == ["*", "***", "", "**"]
    assert rows[0].p == pytest.approx(0.04)


def test_which_tables_there_are(run):
    (evaluation,) = load([run])
    found = tables(evaluation)
    assert [t.layout.number for t in found] == [2, 3, 4, 5, 8, 9, 10, 11]
    fifth = {row.method for row in table(evaluation, 5).rows if row.reference == "magnet"}
    assert fifth == {"magnet-c"}
    eleventh = [row for row in table(evaluation, 11).rows if row.reference]
    lower = next(row for row in eleventh if row.measure.name == "negative")
    shifts = [
        r.mean
        for r in table(evaluation, 11).rows
        if r.measure == lower.measure and r.method in ("psych8k", "cactus")
    ]
    assert lower.mean - lower.difference.mean == pytest.approx(min(shifts))


def test_missing_scores_stay_missing_and_are_counted(run):
    scores = fake_run.judge(run)
    first = next(s for s in scores if s.method == "magnet" and s.scale == "ctrs")
    gone = next(s for s in scores if s.method == "magnet" and s.dialogue != first.dialogue)
    kept = [
        replace(s, value=None, raw="no idea") if s == first else s
        for s in scores
        if s.dialogue != gone.dialogue
    ]
    fake_run.write(run, kept)
    (evaluation,) = load([run])
    second = table(evaluation, 2)
    rows = {(r.measure.name, r.method): r for r in second.rows}
    assert (rows["general", "magnet"].n, rows["general", "magnet"].missing) == (10, 2)
    assert (rows["cbt", "magnet"].n, rows["cbt", "magnet"].missing) == (11, 1)
    assert rows["general", "magnet"].difference.dropped == 2
    assert "(n 10, 2 missing)" in markdown(as_grid(table(evaluation, 8)))


def test_without_scores_the_tables_are_empty_and_say_so(run):
    (run / "scores.jsonl").unlink()
    (evaluation,) = load([run])
    second = table(evaluation, 2)
    assert {(row.mean, row.n, row.missing) for row in second.rows} == {(None, 0, 12)}
    text = markdown(as_grid(second))
    assert "No scores" in text
    assert "| – | – | 0 | 12 |" in text
    assert all(claim.observed is None for claim in claims(evaluation, ""))


def test_claims_are_not_comparable_with_other_models_or_judges(run):
    fake_run.judge(run, judges=["somebody"])
    (evaluation,) = load([run])
    general, _, tuned, experts = claims(evaluation, "somebody")
    assert general.pairs == 12
    low, high = general.interval
    assert low < general.observed < high
    assert any("played by fake-model" in why for why in general.differences)
    assert any("judged by somebody" in why for why in general.differences)
    assert tuned.observed is not None
    assert (experts.observed, experts.paper) == (None, 77.2)
    text = "".join(map(markdown, aside_grids(evaluation, [("somebody", [general, experts])])))
    assert text.count("not comparable") == 2
    llama = {"model": "meta-llama/Meta-Llama-3-8B-Instruct", "url": "http://x"}
    for role in evaluation.setting.provenances[0]["models"]:
        evaluation.setting.provenances[0]["models"][role] = llama
    assert evaluation.setting.differences("gpt-4o-mini-2024-07-18", tuned=True) == []
    for other in ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct"):
        evaluation.setting.provenances[0]["models"]["client"] = llama | {"model": other}
        assert evaluation.setting.differences("gpt-4o-mini")


def test_the_embedded_judge_is_called_a_demonstration(run):
    for judge_models in ({"small": "smollm2-135m-instruct"}, {}):
        name = "small" if judge_models else "smollm2-135m-instruct"
        fake_run.judge(run, judges=[name])
        (evaluation,) = load([run], judge_models)
        assert "Demonstration only" in table(evaluation, 2).notes[0]


def test_runs_of_other_methods_are_one_comparison_and_repeated_ones_are_not(run, tmp_path):
    other = fake_run.play(tmp_path / "run2", ["cactus"], sessions=12, exchanges=1, seed=5)
    fake_run.judge(other)
    apart = load([run, other])
    assert [e.name for e in apart] == ["run", "run2"]
    for file in (run / "sessions").iterdir():
        if b'"method": "cactus"' in file.read_bytes():
            file.unlink()
    (together,) = load([run, other])
    assert together.name == ""
    second = table(together, 2)
    assert {r.method: r.n for r in second.rows}["cactus"] == 12
    assert len({case.key for case in together.cases}) == len(together.cases)


def test_the_folder_has_every_table_in_three_formats(run, tmp_path):
    (evaluation,) = load([run])
    found = tables(evaluation)
    asides = aside_grids(evaluation, [(j, claims(evaluation, j)) for j in evaluation.judges])
    write_tables(tmp_path, found, asides, demo=True)
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {f"table02-ctrs.{kind}" for kind in ("md", "tex", "csv")} <= names
    assert len(names) == 3 * len(found)
    for path in tmp_path.rglob("*.*"):
        assert not re.search(r"\bnan\b|\binf\b|None", path.read_text(encoding="utf-8")), path
    rows = list(csv.DictReader(io.StringIO((tmp_path / "tables.csv").read_text())))
    assert len(rows) == sum(len(t.rows) for t in found)
    ours = next(r for r in rows if r["method"] == "magnet")
    assert math.isfinite(float(ours["p"]))
    assert float(ours["client_low"]) < float(ours["client_high"])
    assert "Demonstration only" in (tmp_path / "tables.md").read_text()
    assert "not in this project's source" in " ".join(notes_text().split())
    assert to_csv([]) == ""


def test_text_is_escaped_in_every_format():
    grid = Grid("A & B_1", ["x", "y"], [["<script>|50%", "1.0**"]], ["a\nb"])
    assert r"\<script>\|50%" in markdown(grid)
    assert "A \\& B\\_1" in latex(grid, "t")
    assert r"$<$script$>$|50\% & 1.0$^{**}$ \\" in latex(grid, "t")
    assert number(-0.001) == "0.00"
    assert number(-1.5, 1) == "−1.5"


def test_what_is_no_run_is_one_clear_error(tmp_path):
    with pytest.raises(UsageError, match="no run directory"):
        load([tmp_path])


def test_every_session_is_read(run):
    (evaluation,) = load([run])
    assert len(evaluation.cases) == evaluation.planned == len(list(read_sessions(run)))
    assert evaluation.usage["client"].calls > 0
