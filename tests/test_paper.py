"""The studies that are the paper: every value of its setting, its imports, its price."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from magnet.study.spec import load_study
from programs.profile import PAPER
from tests.running import command, run

#: The paper's setting, from its text and appendices; "script" where it is silent and the authors'
#: scripts decide.
MODEL = "meta-llama/Meta-Llama-3-8B-Instruct"
SETTING = {
    "methods": ["psych8k", "cactus", "magnet", "magnet-c", "magnet-t", "magnet-c-t"],
    "prompts": "authors",
    "seeds": "authors",  # 150 clients in three attitudes
    "split": "all",
    "exchanges": 20,  # 40 exchanges after greeting and opening
    "profile": "paper",
    "switches": {},
    "stages": ["generate", "judge", "report"],
    "scales": ["ctrs", "wai", "panas"],
}
ROLES = ("planner", "reflection", "questioning", "solutions", "normalizing", "psychoeducation")
SWITCHES = {
    "planner_sees": "form",  # intake form, first utterance
    "specialists_see_reason": False,  # history, client information
    "cactus_sees_client": False,  # history, plan
    "ablations_see_history": True,  # appendix I
    "client_sees": "form",  # form, attitude, history
    "technique_temperature": None,  # 0.7 as every agent
    "judge_repeats": 1,
}


def printed(*arguments: str, cwd: Path) -> dict[str, Any]:
    done = run(*command(*arguments, "--print"), cwd=cwd, MAGNET_DATA=str(cwd / "none"))
    assert done.returncode == 0, done.stderr
    return tomllib.loads(done.stdout)


def test_the_study_paper_prints_the_papers_setting(tmp_path):
    study = printed("paper", cwd=tmp_path)
    assert {key: study.get(key) for key in SETTING} == SETTING
    assert "sessions" not in study  # all 450
    assert "tuned" not in study or study["tuned"] == []
    (tmp_path / "again.toml").write_text(run(*command("paper", "--print")).stdout)
    whole = load_study(str(tmp_path / "again.toml"))
    for role in (*ROLES, "response", "client"):
        spec = whole.spec(role)
        assert (spec.model, spec.temperature) == (MODEL, 0.7), role
        # script: 512 tokens, the completions wire with Llama-3's template
        assert (spec.max_tokens, spec.wire, spec.template) == (512, "completions", "llama3"), role
    technique, judge = whole.spec("technique"), whole.spec("judge")
    assert (technique.model, technique.temperature) == ("gpt-4o-mini", 0.7)
    assert (judge.model, judge.temperature) == ("gpt-4o", 0.0)
    assert list(whole.judge_specs()) == ["judge"]
    assert whole.judge_repeats == 1
    assert {name: getattr(whole.behaviour, name) for name in SWITCHES} == SWITCHES
    assert whole.behaviour == PAPER


def test_the_second_backbone_differs_in_nothing_else(tmp_path):
    paper, qwen = printed("paper", cwd=tmp_path), printed("qwen", cwd=tmp_path)
    assert qwen["methods"] == ["psych8k", "cactus", "magnet"]
    assert qwen["lm"]["default"].pop("model") == "Qwen/Qwen2.5-7B-Instruct"
    assert qwen["lm"]["default"].pop("template") == "chatml"
    for key in ("model", "template"):
        del paper["lm"]["default"][key]
    for study in (paper, qwen):
        for key in ("name", "methods", "finetune"):
            study.pop(key)
    assert qwen == paper


def test_the_tuned_study_plays_the_unseen_clients(tmp_path):
    paper, tuned = printed("paper", cwd=tmp_path), printed("paper-tuned", cwd=tmp_path)
    assert tuned["methods"] == ["tuned-psych8k", "tuned-cactus", "tuned-magnet"]
    assert tuned["split"] == "test"
    for key in ("prompts", "seeds", "exchanges", "profile", "stages", "scales", "seed"):
        assert tuned[key] == paper[key], key
    assert tuned["lm"]["judge"] == paper["lm"]["judge"]
    assert tuned["lm"]["default"] == paper["lm"]["default"]
    assert paper["finetune"]["recipe"] == "paper"


@pytest.mark.processes
@pytest.mark.parametrize("flag", ["--estimate", "--out=run"])
def test_what_is_not_imported_is_asked_for_in_one_sentence(flag, tmp_path):
    done = run(*command("paper", flag), cwd=tmp_path, MAGNET_DATA=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "magnet seeds import" in done.stderr
    done = run(
        *command("paper", flag, "--set", "seeds='ours'"), cwd=tmp_path, MAGNET_DATA=str(tmp_path)
    )
    assert done.returncode == 2
    assert "magnet prompts import" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_says_nothing_of_the_disk_before_it_knows_how_many_sessions(
    tmp_path: Path,
) -> None:
    line = command("doctor", "paper", module="magnet.cli")
    done = run(*line, cwd=tmp_path, MAGNET_DATA=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "magnet seeds import" in done.stdout
    assert "disk" not in done.stdout
    assert "disk: enough for" in run(*line, "--set", "seeds='ours'", cwd=tmp_path).stdout


def test_the_estimate_has_the_judges_money(tmp_path):
    settings = ["--prompts", "ours", "--set", "seeds='ours'", "--estimate"]
    done = run(*command("paper", *settings), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "USD" in rows["judge"]
    assert "USD" in rows["technique"]
    assert "USD" in rows["total"]
    # 12 seeds of 4 clients, 6 methods: 6 + 12 + 1 questions a session, 1 a client before
    assert rows["judge"].split()[1] == f"{12 * 6 * 19 + 4:,}"
