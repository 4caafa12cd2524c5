"""From the authors' released sessions to the tables: adopted, judged over HTTP, reported."""

import csv
import io

import pytest

from tests.running import ROOT, magnet

RELEASED = ROOT.parent / "shared/upstream/arxiv2025-MAGneT/dataset/magnet-generated-data.zip"
STUDY = """
methods = ["magnet"]
scales = ["ctrs"]
[lm.judge]
url = "{url}"
model = "fake-model"
"""


@pytest.mark.skipif(not RELEASED.is_file(), reason="needs the authors' released sessions")
def test_the_released_sessions_become_tables(server, tmp_path):
    run, study = tmp_path / "theirs", tmp_path / "judge.toml"
    study.write_text(STUDY.format(url=server.url))
    done = magnet("adopt", RELEASED, "--method", "magnet", "--out", run)
    assert done.returncode == 0, done.stderr
    assert "60 dialogues" in done.stdout
    done = magnet("judge", run, "--study", study)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.count == 60 * 6
    done = magnet("report", run, "--tokenizer", "llama3")
    assert done.returncode == 0, done.stderr

    def figures(name):
        [row] = csv.DictReader(io.StringIO((run / "report" / "tables" / name).read_text()))
        assert (row["method"], row["sessions"]) == ("magnet", "60")
        keys = ("distinct_1", "distinct_2", "distinct_3", "ead")
        return [float(row[key]) for key in keys], row

    # what the authors' notebook gives on these sixty sessions
    notebook, row = figures("table02-diversity.csv")
    assert (row["types"], row["tokens"], row["vocabulary"]) == ("3670", "197268", "128000")
    assert notebook == pytest.approx([0.018604, 0.1532, 0.3389, 0.036484], abs=5e-5)
    apart, _ = figures("diversity-words-apart.csv")
    assert apart == pytest.approx([0.018491, 0.1507, 0.3361, 0.036258], abs=1e-4)
    rows = list(csv.DictReader(io.StringIO((run / "report" / "tables.csv").read_text())))
    rated = [r for r in rows if r["scale"] == "ctrs"]
    assert {r["table"] for r in rated} == {"3"}
    assert all(r["n"] == "60" and float(r["mean"]) <= 6 for r in rated)
