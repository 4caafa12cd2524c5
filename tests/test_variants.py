"""Arms of one method under several labels: which are compared, and with what."""

import json
import re
import shutil

import pandas as pd
import pytest
from scipy import stats

from eval.report.evaluation import load, variants
from eval.report.page import write_report
from eval.report.tables import variant_tables
from magnet.core.errors import UsageError
from tests import fake_run, independent
from tests.running import magnet

pytestmark = pytest.mark.processes

SMALL = {"sessions": 6, "exchanges": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All three methods; MAGneT again, otherwise; a fine-tuned counselor; another backbone."""
    folder = tmp_path_factory.mktemp("runs")
    fake_run.judged(folder / "frozen", ["magnet", "psych8k", "cactus"], name="'frozen'", **SMALL)
    fake_run.judged(folder / "again", ["magnet"], name="'again'", seed=9, **SMALL)
    fake_run.judged(folder / "tuned", ["tuned-magnet"], name="'tuned'", **SMALL)
    model = "Qwen2.5-7B-Instruct"
    fake_run.play(folder / "qwen", ["magnet", "psych8k"], model, name="'qwen'", **SMALL)
    fake_run.judge(folder / "qwen")
    scores = [
        json.loads(line) for line in (folder / "again" / "scores.jsonl").read_text().splitlines()
    ]
    better = [s | {"value": min(6, s["value"] + 1)} if s["scale"] == "ctrs" else s for s in scores]
    lines = "".join(json.dumps(score) + "\n" for score in better)
    (folder / "again" / "scores.jsonl").write_text(lines)
    return {name: folder / name for name in ("frozen", "again", "tuned", "qwen")}


def test_runs_of_other_methods_are_one_comparison(runs):
    (whole,) = load([runs["frozen"], runs["tuned"]])
    assert whole.name == ""
    assert whole.methods == ["psych8k", "cactus", "magnet", "tuned-magnet"]
    assert variants([whole]) == []


def test_a_label_borrows_the_baselines_it_lacks(runs):
    frozen, again = load([runs["frozen"], runs["again"]])
    assert (frozen.name, again.name) == ("frozen", "again")
    assert frozen.methods == again.methods == ["psych8k", "cactus", "magnet"]
    assert again.own == {"magnet"}
    own = {case.key for case in again.cases if case.method == "magnet"}
    assert all(key.startswith("again/") for key in own)


def test_another_backbone_borrows_nothing(runs):
    _, qwen = load([runs["frozen"], runs["qwen"]])
    assert qwen.methods == ["psych8k", "magnet"]
    assert qwen.conditions.backbone == "qwen"


def test_an_arm_is_paired_with_the_first_runs_by_seed(runs):
    [table] = variant_tables(load([runs["frozen"], runs["again"]]))
    assert table.rows == ["magnet@frozen", "magnet@again"]
    assert "MAGneT (again) and MAGneT (frozen)" in table.layout.title
    first, second = (independent.values(runs[n]).set_index("seed_id") for n in ("frozen", "again"))
    first = first[first.method == "magnet"]
    for scale, measure, attitude, lower, near in independent.COLUMNS:
        both = pd.DataFrame({"a": second[scale, measure], "b": first[scale, measure]})
        if attitude:
            both = both[first.attitude == attitude]
        both = both.astype(float)
        cell = next(
            c
            for c in table.cells
            if (c.method, c.measure.name, c.measure.attitude)
            == ("magnet@frozen", measure, attitude)
        )
        assert cell.test is not None
        assert cell.test.mean == pytest.approx((both.a - both.b).mean())
        if (both.a - both.b).nunique() > 1:
            assert cell.test.p == pytest.approx(stats.ttest_rel(both.a, both.b).pvalue)
        gain = next(m for m in table.margins if m.measure == cell.measure)
        base = both.b.mean()
        assert gain.near_zero == (abs(base) < near)
        if not gain.near_zero:
            change = (base - both.a.mean()) if lower else (both.a.mean() - base)
            assert gain.percent == pytest.approx(100 * change / abs(base))


def test_the_report_has_the_variants_and_names_the_arms(runs, tmp_path):
    line = ["report", runs["frozen"], runs["again"], "--label", "A", "--label", "B"]
    done = magnet(*line, "--tokenizer", "words", "--out", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "r" / "tables").iterdir()}
    assert {
        "variants-magnet-B.md",
        "variants-magnet-B-sd.md",
        "variants-magnet-B-tests.md",
    } <= names
    assert {"table03-methods-A.md", "table03-methods-B.md"} <= names
    page = (tmp_path / "r" / "report.html").read_text()
    assert '"magnet@A":"MAGneT (A)"' in page
    assert re.search(r"From other runs</dt>\s*<dd>Psych8k, CACTUS", page)


def test_labels_that_will_not_do_are_refused(runs, tmp_path):
    two = [runs["frozen"], runs["again"]]
    with pytest.raises(UsageError, match="1 labels for 2 runs"):
        write_report(two, tmp_path, labels=["a"])
    with pytest.raises(UsageError, match="two runs labelled 'a'"):
        write_report(two, tmp_path, labels=["a", "a"])


def test_two_runs_of_one_study_are_told_apart_by_their_folders(runs, tmp_path):
    copy = shutil.copytree(runs["again"], tmp_path / "copy")
    first, second = load([runs["again"], copy])
    assert [first.name, second.name] == ["again", "copy"]


def test_parts_of_one_study_are_one_arm(runs, tmp_path):
    halves = [shutil.copytree(runs["frozen"], tmp_path / name) for name in ("one", "two")]
    for number, folder in enumerate(halves):
        for file in sorted((folder / "sessions").iterdir())[number::2]:
            file.unlink()
    (whole,) = load(halves)
    assert len(whole.cases) == 18
    assert variants([whole]) == []
