"""A technique selector optimized, its whole sessions beside the frozen one's in one report."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy import stats

from eval.report.page import write_report
from tests import independent, planted
from tests.fake_server import FakeServer
from tests.running import command, run, toml
from tests.test_optimize import optimized, planted_or_played

pytestmark = pytest.mark.processes


@pytest.mark.slow
def test_whole_sessions_of_an_optimized_selector_are_paired_with_the_frozen_ones(
    serve: Callable[..., FakeServer], tmp_path: Path
) -> None:
    server = serve(reply=planted_or_played, record=False)
    result = optimized(server, tmp_path, optimizer="gepa")
    assert result.verdict.kind == "gain"
    (tmp_path / "seeds.json").write_text(json.dumps([s.entry for s in planted.people(9)]))
    settings = {
        "methods": ["magnet"],
        "seeds": str(tmp_path / "seeds.json"),
        "sessions": 9,
        "exchanges": 3,
        "stages": ["generate", "judge"],
        "scales": ["ctrs"],
        "lm.default.url": server.url,
    }
    runs = []
    for name, more in (("frozen", []), ("optimized", ["--selector", tmp_path / "out"])):
        pairs = [f"{key}={toml(value)}" for key, value in {**settings, "name": name}.items()]
        given = [part for pair in pairs for part in ("--set", pair)]
        done = run(*command("demo", *given, *more, "--out", tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr
        runs.append(tmp_path / name)
    folder = write_report(runs, tmp_path / "report", tokenizer="words")
    first, second = (independent.values(one).set_index("seed_id") for one in runs)
    rows = list(
        csv.DictReader((folder / "tables" / "variants-magnet-optimized.csv").open(encoding="utf-8"))
    )
    frozen = {r["measure"]: r for r in rows if r["method"] == "magnet@frozen"}
    for item in independent.CTRS:
        ours, theirs = (side["ctrs", item].astype(float) for side in (second, first))
        row = frozen[item]
        assert (row["pairs"], row["against"]) == ("9", "magnet@optimized")
        assert float(row["difference"]) == pytest.approx((ours - theirs).mean())
        p = stats.ttest_rel(ours, theirs.loc[ours.index]).pvalue
        assert float(row["p"]) == pytest.approx(p)
        assert row["mark"] == ("*" if p < 0.05 else "")
        assert float(row["p_client_holm"]) >= float(row["p_client"])
        assert float(row["client_low"]) <= float(row["difference"]) <= float(row["client_high"])
    assert any(row["mark"] == "*" and float(row["difference"]) > 0 for row in frozen.values())
    claims = (folder / "tables" / "claims-optimized.md").read_text()
    assert "optimized: technique" in claims
    assert "optimized: technique" not in (folder / "tables" / "claims-frozen.md").read_text()
