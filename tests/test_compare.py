"""magnet compare and magnet doctor."""

import json

import pytest

from tests.running import magnet, reproduce

pytestmark = pytest.mark.processes


def test_compare_counts_what_the_server_saw(server, out):
    price = {"input": 1.0, "output": 2.0}
    done = reproduce(server, out, methods=["magnet", "psych8k"], lm__default__price=price)
    assert done.returncode == 0, done.stderr
    rows = json.loads(magnet("compare", out, "--json").stdout)
    assert [r["method"] for r in rows] == ["magnet", "psych8k"]
    assert sum(r["calls"] for r in rows) == server.count
    assert [r["messages"] for r in rows] == [12, 12]
    assert all(r["sessions"] == 2 and not r["unfinished"] for r in rows)
    assert rows[0]["money"]["USD"] > rows[1]["money"]["USD"] > 0
    assert rows[0]["seconds"] > 0
    assert "psych8k" in magnet("compare", out).stdout


def test_compare_says_what_is_missing_and_why(serve, out):
    server = serve(faults=lambda n: "500" if n > 30 else None)
    done = reproduce(server, out, hasty=True, methods=["magnet", "psych8k"], workers=1)
    assert done.returncode == 1
    rows = json.loads(magnet("compare", out, "--json").stdout)
    assert sum(r["sessions"] + sum(r["unfinished"].values()) for r in rows) == 4
    assert any("server" in r["unfinished"] for r in rows)


def test_compare_never_guesses_the_method_of_a_session_under_way(serve, out):
    server = serve(faults=lambda n: "500" if n > 30 else None)
    reproduce(server, out, hasty=True, methods=["magnet", "psych8k"], workers=1)
    told = json.loads(magnet("compare", out, "--json").stdout)
    for journal in (out / "journal").iterdir():  # as earlier versions wrote them
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        kept = [{k: v for k, v in line.items() if k != "session"} for line in lines]
        journal.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
    rows = json.loads(magnet("compare", out, "--json").stdout)
    assert [r["method"] for r in rows] == [*(r["method"] for r in told), "unknown method"]
    under_way = [sum(n for why, n in r["unfinished"].items() if "begun" not in why) for r in told]
    assert sum(rows[-1]["unfinished"].values()) == sum(under_way) > 0


def test_compare_refuses_what_is_no_run(tmp_path):
    done = magnet("compare", tmp_path)
    assert done.returncode == 2
    assert "not a run directory" in done.stderr


def test_doctor_finds_every_problem_at_once(tmp_path):
    study = tmp_path / "broken.toml"
    study.write_text(
        "seeds = 'nowhere.json'\nprompts = 'nothing'\n[lm.default]\nurl = 'http://127.0.0.1:9'\n"
        "[lm.technique]\nurl = 'http://127.0.0.1:9'\nkey_env = 'NOT_SET_ANYWHERE'\n"
    )
    done = magnet("doctor", study)
    problems = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    assert done.returncode == 2
    assert len(problems) == 4, done.stdout
    for word in ("nowhere.json", "nothing", "127.0.0.1:9", "NOT_SET_ANYWHERE"):
        assert any(word in problem for problem in problems)


def test_doctor_of_a_sound_study_spends_nothing(server):
    done = magnet("doctor", "demo", "--set", f"lm.default.url='{server.url}'")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PROBLEM" not in done.stdout
    assert server.count == 0


JURY = """
stages = ["generate", "judge"]
[lm.default]
url = "{url}"
[judges.strict]
model = "fake-model"
[judges.away]
url = "http://127.0.0.1:9"
[judges.keyless]
url = "{url}"
key_env = "NOT_SET_ANYWHERE"
[judges.unknown]
model = "no-such-model"
"""


def test_doctor_asks_after_every_judge(server, tmp_path):
    study = tmp_path / "jury.toml"
    study.write_text(JURY.format(url=server.url))
    done = magnet("doctor", study)
    assert done.returncode == 2
    lines = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    expected = ["judge away: judges.away", "judge keyless: ", "judge unknown: lm.default"]
    assert len(lines) == len(expected), done.stdout
    for line, words in zip(lines, expected, strict=True):
        assert words in line
    sound = [x for x in done.stdout.splitlines() if x.startswith("ok") and "judge strict" in x]
    assert len(sound) == 1
    assert server.count == 0
    without = magnet("doctor", study, "--set", "stages=['generate']")
    assert without.returncode == 0, without.stdout
    assert "judge" not in without.stdout


def test_doctor_names_the_one_judge_of_a_study(server):
    done = magnet("doctor", "demo", "--set", f"lm.default.url='{server.url}'")
    assert done.stdout.count("for judge\n") == 1, done.stdout
