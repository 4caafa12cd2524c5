import json
import random
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.fake_server import FakeServer, serving
from tests.running import magnet, reproduce, session_files, under_way
from tests.test_retries import REASON

pytestmark = pytest.mark.processes

Serve = Callable[..., FakeServer]
KINDS = ("429", "500", "reset", "truncate", "hang", "empty", "malformed")
STUDY: dict[str, Any] = {"sessions": 12, "exchanges": 3, "workers": 4}


def at_random(kinds: tuple[str, ...], share: float = 0.1) -> Callable[[int], str | None]:
    dice, exchange = random.Random(10), cycle(kinds)
    return lambda n: next(exchange) if dice.random() < share else None


def retries_in_files(out: Path) -> Counter[str]:
    counted: Counter[str] = Counter()
    for file in session_files(out).values():
        for exchange in json.loads(file)["turns"]:
            for call in exchange["calls"]:
                counted.update(call["retries"])
    return counted


@pytest.mark.slow
def test_a_run_bears_one_fault_in_ten_calls_and_counts_each(serve: Serve, out: Path) -> None:
    server = serve(faults=at_random(KINDS))
    done = reproduce(server, out, hasty=True, lm__default__timeout=3, **STUDY)
    assert done.returncode == 0, done.stderr
    assert len(session_files(out)) == 12
    assert server.fault_counts.keys() == set(KINDS)
    expected: Counter[str] = Counter()
    for kind, times in server.fault_counts.items():
        expected[REASON[kind]] += times
    assert retries_in_files(out) == expected
    (line,) = re.findall(r"^Retries: (.*)\.$", done.stdout, re.MULTILINE)
    printed = {kind: int(n) for n, kind in (part.split() for part in line.split(", "))}
    assert printed == expected
    usage = json.loads((out / "usage.json").read_text())
    assert sum(role["calls"] for role in usage.values()) == server.count
    unanswered = expected.total() - expected["malformed"]
    assert sum(role["failed"] for role in usage.values()) == unanswered


def test_faults_of_server_and_network_change_no_word(serve: Serve, tmp_path: Path) -> None:
    server = serve(faults=at_random(("429", "500", "reset", "truncate"), 0.2))
    rough = reproduce(server, tmp_path / "rough", hasty=True, sessions=4)
    calm = reproduce(serve(), tmp_path / "calm", sessions=4)
    assert (rough.returncode, calm.returncode) == (0, 0), rough.stderr + calm.stderr
    assert retries_in_files(tmp_path / "rough").total() > 5
    assert texts(tmp_path / "rough") == texts(tmp_path / "calm")


def texts(out: Path) -> list[list[dict[str, str]]]:
    return [json.loads(file)["history"] for file in session_files(out).values()]


@pytest.mark.slow
def test_a_dead_server_leaves_sessions_unfinished_and_the_next_run_finishes_them(
    serve: Serve, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with ExitStack() as life:
        server = life.enter_context(serving(FakeServer(delay=0.005)))
        with under_way(server, out, 150, hasty=True, **STUDY) as process:
            life.close()  # the server is gone in the middle of the run
            said, complaint = process.communicate(timeout=120)
    assert (process.returncode, complaint) == (1, ""), said
    finished = len(session_files(out))
    assert f"{12 - finished} sessions are unfinished; rerun the same command to resume." in said
    assert len(re.findall(r"session_\d+ left unfinished: \w+: transport", said)) == 12 - finished
    assert 0 < finished < 12
    shown = magnet("show", out).stdout
    assert shown.count("unfinished: transport") == 12 - finished
    kept = session_files(out)
    other = serve()  # at another URL: where a server is does not decide what comes out
    again = reproduce(other, out, **STUDY)
    assert again.returncode == 0, again.stderr
    assert f"{finished} of 12 sessions were already finished." in again.stdout
    calm = reproduce(serve(), tmp_path / "calm", **STUDY)
    assert calm.returncode == 0, calm.stderr
    assert session_files(out) == session_files(tmp_path / "calm")
    assert kept.items() <= session_files(out).items()
    assert other.count < 12 * (1 + 3 * 8) - finished * (1 + 3 * 8) + 1


def test_a_fault_that_repeating_cannot_mend_stops_the_whole_run(serve: Serve, out: Path) -> None:
    server = serve(faults=lambda n: "401" if n > 30 else None, complaint="the key was withdrawn")
    done = reproduce(server, out, sessions=12, exchanges=3, workers=1)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert re.search(r"Stopped: \w+: auth: .*the key was withdrawn", done.stdout)
    assert server.count < 30 + 8  # those under way at that moment, and no other session
    assert len(session_files(out)) == 1


def test_one_hopeless_session_does_not_stop_the_others(serve: Serve, out: Path) -> None:
    long = "This model's maximum context length is 8192 tokens"
    server = serve(faults=lambda n: "400" if n == 3 else None, complaint=long)
    done = reproduce(server, out, sessions=3, workers=1)
    assert done.returncode == 1
    assert "session_0001 left unfinished" in done.stdout
    assert list(session_files(out)) == ["session_0002.json", "session_0003.json"]
