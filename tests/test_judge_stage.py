"""Judging a run: streamed, resumable, nothing asked twice, missing stays missing."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from eval.judging import ScoreBook
from eval.scores import FILE, Score, load_scores
from tests.running import HASTY, command, magnet, reproduce, run

pytestmark = pytest.mark.processes

JUDGED: dict[str, Any] = {"stages": ["generate", "judge"], "scales": ["ctrs", "wai", "panas"]}
PER_SESSION, PER_CLIENT = 6 + 12 + 1, 1


def judge_requests(server):
    return [r for r in server.requests if "rate" in json.dumps(r["messages"][0])]


def test_one_study_generates_and_judges(server, out):
    done = reproduce(server, out, sessions=3, **JUDGED)
    assert done.returncode == 0, done.stderr
    scores = load_scores(out)
    assert len(scores) == 3 * (6 + 12 + 20) + 20
    ranges = {"ctrs": (0, 6), "wai": (1, 7), "panas_before": (1, 5), "panas_after": (1, 5)}
    for score in scores:
        low, high = ranges[score.scale]
        assert score.value is not None
        assert low <= score.value <= high
    asked = server.count
    again = reproduce(server, out, sessions=3, **JUDGED)
    assert again.returncode == 0, again.stderr
    assert server.count == asked  # a second run asks nothing


def test_panas_before_is_asked_once_a_client(server, out):
    reproduce(server, out, sessions=4, exchanges=1, **JUDGED)
    before = [s for s in load_scores(out) if s.scale == "panas_before"]
    assert len({s.dialogue for s in before}) == 2  # four seeds, two clients
    assert len(before) == 40
    assert {s.method for s in before} == {""}


def test_judges_ask_at_temperature_zero_with_the_transcript_first(server, out):
    reproduce(server, out, sessions=1, exchanges=1, stages=["generate", "judge"], scales=["ctrs"])
    asked = judge_requests(server)
    assert len(asked) == 6
    assert {r["temperature"] for r in asked} == {0}
    users = [r["messages"][1]["content"] for r in asked]
    shared = users[0][: users[0].index("The aspect to rate")]
    assert all(user.startswith(shared) for user in users)


def test_a_later_judge_asks_only_what_is_new(server, out):
    reproduce(server, out, sessions=2, stages=["generate"])
    asked = server.count
    one = magnet("judge", out, "--scales", "ctrs", "--sessions", "1")
    assert one.returncode == 0, one.stderr
    assert server.count == asked + 6
    magnet("judge", out, "--scales", "ctrs,wai")
    assert server.count == asked + 2 * 18


def test_a_jury_is_kept_apart_and_repeats_too(server, out):
    reproduce(server, out, sessions=1, exchanges=1, stages=["generate"])
    judges = "judges={strict={temperature=0.0}, mild={temperature=0.5}}"
    done = magnet("judge", out, "--scales", "ctrs", "--set", judges, "--set", "repeats=2")
    assert done.returncode == 0, done.stderr
    scores = load_scores(out)
    assert {(s.judge, s.repeat) for s in scores} == {
        (j, r) for j in ("strict", "mild") for r in (0, 1)
    }
    assert len(scores) == 24
    seeds = [r["seed"] for r in judge_requests(server)]
    assert len(set(seeds)) == 24  # each asked on its own


def test_what_cannot_be_read_is_missing_with_the_raw_text(serve, out):
    def odd(body, prompt):
        return "no idea" if "Collaboration:" in prompt else None

    server = serve(reply=odd)
    done = reproduce(
        server, out, sessions=1, exchanges=1, stages=["generate", "judge"], scales=["ctrs"]
    )
    assert done.returncode == 0, done.stderr
    missing = [s for s in load_scores(out) if s.value is None]
    assert [(s.item, s.raw) for s in missing] == [("collaboration", "no idea")]
    assert "1 scores are missing" in done.stdout
    asked = server.count
    magnet("judge", out, "--scales", "ctrs")
    assert server.count == asked


def test_a_kill_between_scores_asks_nothing_twice(server, out):
    reproduce(server, out, sessions=2, exchanges=1, stages=["generate"])
    magnet("judge", out, "--scales", "ctrs")
    lines = (out / "scores.jsonl").read_bytes().splitlines(keepends=True)
    (out / "scores.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:30])
    asked = server.count
    magnet("judge", out, "--scales", "ctrs")
    assert server.count == asked + 5  # twelve less the seven that were whole
    assert len(load_scores(out)) == 12


@pytest.mark.parametrize("fault", ["500", "reset"])
def test_a_dead_judge_leaves_the_rest_for_the_next_run(fault, serve, out):
    broken = {"now": True}
    server = serve()
    reproduce(server, out, sessions=1, exchanges=1, stages=["generate"])
    seen = server.count
    server.faults = lambda n: fault if broken["now"] and n > seen + 3 else None
    settings = ["--set", "lm.judge.timeout=5"]
    hasty = HASTY.replace("magnet.reproduce", "magnet.cli")
    done = run(*command("judge", out, "--scales", "ctrs", *settings, code=hasty))
    assert done.returncode == 1
    assert "not fully judged" in done.stdout
    assert len(load_scores(out)) == 3
    broken["now"] = False
    assert magnet("judge", out, "--scales", "ctrs", *settings).returncode == 0
    assert len(load_scores(out)) == 6


def test_dialogues_from_elsewhere_are_adopted_and_judged(server, tmp_path):
    chats = tmp_path / "chats.jsonl"
    chat = [
        {"role": "user", "content": "I cannot sleep."},
        {"role": "assistant", "content": "Since when?"},
        {"role": "user", "content": "Since May."},
    ]
    chats.write_bytes(orjson.dumps({"messages": chat}) + b"\n" + orjson.dumps({"messages": chat}))
    adopted = tmp_path / "run"
    done = magnet("adopt", chats, "--out", adopted, "--method", "elsewhere")
    assert done.returncode == 0, done.stderr
    study = tmp_path / "mine.toml"
    study.write_text(f"[lm.judge]\nurl = '{server.url}'\n")
    judged = magnet("judge", adopted, "--scales", "ctrs,panas", "--study", study)
    assert judged.returncode == 0, judged.stderr
    assert server.count == 12  # no form, no PANAS
    first, _ = [r for r in server.requests if "Focus:" in r["messages"][1]["content"]]
    assert "Client: I cannot sleep.\nCounselor: Since when?\nClient: Since May." in str(
        first["messages"][1]["content"]
    )


def test_an_adopted_run_is_not_judged_by_a_study_that_nobody_named(server, tmp_path):
    chats, adopted = tmp_path / "chats.jsonl", tmp_path / "run"
    chats.write_text('{"messages": [{"role": "user", "content": "I cannot sleep."}]}\n')
    magnet("adopt", chats, "--out", adopted)
    for more in ([], ["--set", f"lm.default.url='{server.url}'"]):
        done = magnet("judge", adopted, *more)
        assert done.returncode == 2
        assert f"magnet judge {adopted} --study STUDY.toml" in done.stderr
    assert server.count == 0
    tuned = run(*command("--run", adopted, module="optimize.selector"))
    assert tuned.returncode == 2
    assert f"optimize.selector STUDY.toml --run {adopted}" in tuned.stderr
    wrong = magnet("judge", adopted, "--study", tmp_path / "nowhere.toml")
    assert wrong.returncode == 2
    assert "nowhere.toml" in wrong.stderr


def test_a_named_study_judges_in_place_of_the_runs_own(server, serve, tmp_path, out):
    reproduce(server, out, sessions=1, exchanges=1, stages=["generate"])
    asked, other = server.count, serve()
    study = tmp_path / "jury.toml"
    study.write_text(
        f"scales = ['ctrs']\nrepeats = 2\n[lm.judge]\nurl = '{other.url}'\n[judges.strict]\n"
    )
    done = magnet("judge", out, "--study", study)
    assert done.returncode == 0, done.stderr
    assert (server.count, other.count) == (asked, 12)
    assert {(s.judge, s.scale) for s in load_scores(out)} == {("strict", "ctrs")}


def test_judging_what_is_no_run_says_how_to_make_it_one(tmp_path):
    done = magnet("judge", tmp_path)
    assert done.returncode == 2
    assert "magnet adopt" in done.stderr


def test_scores_that_come_at_once_are_all_kept(tmp_path):
    for run_ in range(20):  # the race was between opening the file and cutting a torn line
        folder = tmp_path / str(run_)
        folder.mkdir()
        (folder / FILE).write_bytes(b'{"torn')
        book, start = ScoreBook(folder), threading.Barrier(8)

        def add(number, book=book, start=start):
            start.wait()
            book.add([made_up_score(number)])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(8)))
        book.close()
        assert sorted(s.key for s in load_scores(folder)) == [str(n) for n in range(8)]


def made_up_score(number):
    names = ("dialogue", "method", "seed_id", "client_id", "attitude", "judge", "scale", "item")
    given: dict[str, Any] = dict.fromkeys(names, str(number))
    return Score(**given, repeat=0, value=1.0, key=str(number))
