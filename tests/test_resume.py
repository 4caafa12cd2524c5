import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnet.core.journal import unfinished
from tests.fake_server import FakeServer
from tests.running import question, reproduce, session_files, under_way

pytestmark = pytest.mark.processes

Serve = Callable[..., FakeServer]
KILLS, WORKERS = 20, 4
CALLS_A_TURN = 9  # the first exchange's, which has the planner's


@pytest.mark.slow
def test_twenty_kills_change_nothing_but_the_unfinished_turns(serve: Serve, tmp_path: Path) -> None:
    calm, rough = serve(delay=0.005), serve(delay=0.005)
    study: dict[str, Any] = {"sessions": 12, "exchanges": 8, "workers": WORKERS}
    undisturbed = reproduce(calm, tmp_path / "calm", **study)
    assert undisturbed.returncode == 0, undisturbed.stderr
    dice, out = random.Random(20), tmp_path / "rough"
    for kill in range(KILLS):
        # one in five dies while it starts, the others in the middle of their calls
        calls, within = (1, dice.uniform(0, 1)) if kill % 5 == 0 else (dice.randrange(1, 40), 60)
        with under_way(rough, out, calls, within, **study) as process:
            time.sleep(dice.uniform(0, 0.02))
            assert process.poll() is None, f"it ended before kill {kill}: {process.communicate()}"
            process.kill()
    last = reproduce(rough, out, **study)
    assert last.returncode == 0, last.stderr
    assert session_files(out) == session_files(tmp_path / "calm")
    assert list(unfinished(out)) == []
    asked = Counter(map(question, rough.requests))
    assert asked.keys() == set(map(question, calm.requests))
    assert 0 < asked.total() - len(asked) <= KILLS * WORKERS * CALLS_A_TURN


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_does(
    serve: Serve, tmp_path: Path, sent: signal.Signals
) -> None:
    server, out = serve(delay=0.02), tmp_path / "run"
    study: dict[str, Any] = {"sessions": 4, "exchanges": 6}
    with under_way(server, out, 50, **study) as process:
        process.send_signal(sent)
        said, complaint = process.communicate(timeout=60)
        assert process.returncode == 130, complaint
    # the message may be wrapped: the path is long
    assert "Interrupted. Finished exchanges are in" in said
    assert "rerun the same command to resume" in " ".join(said.split())
    assert (complaint, "Traceback" in said) == ("", False)
    assert list((out / "journal").iterdir())
    again = reproduce(server, out, **study)
    assert again.returncode == 0, again.stderr
    reproduce(server, tmp_path / "calm", **study)
    assert session_files(out) == session_files(tmp_path / "calm")


def test_a_finished_run_asks_nothing_again(server: FakeServer, out: Path) -> None:
    first = reproduce(server, out)
    asked = server.count
    second = reproduce(server, out)
    assert (first.returncode, second.returncode, server.count) == (0, 0, asked)
    assert "2 of 2 sessions were already finished" in second.stdout
