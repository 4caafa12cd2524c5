import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fake_server import FakeServer, serving
from tests.running import (
    ANSI,
    command,
    magnet,
    reproduce,
    reproduce_args,
    run,
    session_files,
)

pytestmark = pytest.mark.processes

Serve = Callable[..., FakeServer]
GONE = "lm.default.url='http://127.0.0.1:9'"

WRONG = {
    "no study": (["nowhere"], "cannot read nowhere"),
    "no key": (["--set", "exchange=3"], "did you mean 'exchanges'"),
    "no value": (["--set", "exchanges=x y"], "is not a TOML value"),
    "no seeds": (["--set", "seeds='none.json'"], "cannot read none.json"),
    "too few seeds": (["--set", "sessions=13"], "ours has 12 seeds"),
    "no prompts": (["--set", "prompts='theirs'"], "no prompt set 'theirs'"),
    "no server": (["--set", GONE], "lm.default: http://127.0.0.1:9 does not answer"),
    "no API key": (["--set", GONE, "--set", "lm.default.key_env='NO_KEY'"], "NO_KEY is not set"),
    "no template": (["--set", GONE, "--set", "lm.default.wire='completions'"], "a template"),
    "no disk": (["--set", "exchanges=1000000000000"], "MB free"),
    "no option": (["--colour"], "No such option"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_ends_with_one_message_and_code_two(case: str, tmp_path: Path) -> None:
    args, message = WRONG[case]
    done = run(*command(*args), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(re.findall(r"^(?:Error: |╭─ Error )", done.stderr, re.MULTILINE)) == 1
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_a_folder_of_other_things_is_refused(server: FakeServer, out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").touch()
    done = reproduce(server, out)
    assert (done.returncode, server.count) == (2, 0)
    assert "is not empty and is not a run directory" in done.stderr


def test_a_run_goes_on_only_with_what_it_began_with(server: FakeServer, out: Path) -> None:
    assert reproduce(server, out).returncode == 0
    asked = server.count
    other = reproduce(server, out, seed=8, lm__client__temperature=0.9)
    assert (other.returncode, server.count) == (2, asked)
    assert "models.client.temperature, seed differ" in other.stderr
    assert reproduce(server, out, workers=3, name="other").returncode == 0


def table(printed: str) -> dict[str, int]:
    """Calls by role, as printed."""
    rows = re.findall(r"^(\w+) +([\d,]+) ", printed, re.MULTILINE)
    return {role: int(calls.replace(",", "")) for role, calls in rows}


@pytest.mark.parametrize("structured", [True, False])
def test_the_estimate_is_what_a_run_then_sends(
    server: FakeServer, out: Path, structured: bool
) -> None:
    settings = {"sessions": 5, "exchanges": 3, "lm__default__structured": structured}
    price = {"input": 2, "output": 4, "currency": "EUR"}
    args = reproduce_args(server, out, lm__default__price=price, **settings)
    estimate = run(*command(*args, "--estimate"))
    assert estimate.returncode == 0, estimate.stderr
    assert (server.count, server.listed, out.exists()) == (0, 0, False)
    said = table(estimate.stdout)
    assert "EUR" in estimate.stdout
    assert run(*command(*args)).returncode == 0
    usage = json.loads((out / "usage.json").read_text())
    assert said == {role: sums["calls"] for role, sums in usage.items()} | {"total": server.count}


def test_printing_the_study_sends_nothing(server: FakeServer, out: Path) -> None:
    done = run(*command(*reproduce_args(server, out), "--print"))
    assert (done.returncode, server.count, server.listed, out.exists()) == (0, 0, 0, False)


def test_a_budget_stops_the_run_cleanly_and_a_larger_one_goes_on(
    serve: Serve, tmp_path: Path
) -> None:
    server, out = serve(), tmp_path / "run"
    stopped = reproduce(server, out, sessions=4, budget__calls=40)
    assert (stopped.returncode, stopped.stderr) == (1, "")
    assert re.search(r"Stopped: \w+: budget: the budget of 40 calls is spent", stopped.stdout)
    assert "rerun the same command to resume" in stopped.stdout
    usage = json.loads((out / "usage.json").read_text())
    assert server.count <= sum(role["calls"] for role in usage.values()) == 40
    again = reproduce(server, out, sessions=4, budget__calls=40)
    assert (again.returncode, server.count <= 40) == (1, True)
    more = reproduce(server, out, sessions=4, budget__calls=400)
    assert more.returncode == 0, more.stderr
    reproduce(serve(), tmp_path / "calm", sessions=4)
    assert session_files(out) == session_files(tmp_path / "calm")


def test_importing_the_package_loads_no_dspy() -> None:
    code = "import sys, magnet; print(sorted({'dspy', 'aiohttp', 'pydantic'} & set(sys.modules)))"
    assert run(sys.executable, "-c", code).stdout == "[]\n"


def test_every_public_name_is_there() -> None:
    code = (
        "import magnet; print([magnet.__version__, *(getattr(magnet, n) for n in magnet.__all__)])"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr


def test_a_whole_run_imports_neither_litellm_nor_torch(server: FakeServer, out: Path) -> None:
    code = """
import sys
from magnet.reproduce import main
try:
    main()
finally:
    heavy = {"litellm", "torch", "transformers", "openai", "xllamacpp"} & set(sys.modules)
    print("heavy:", sorted(heavy))
"""
    done = run(*command(*reproduce_args(server, out), code=code))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "heavy: []"), done.stderr


def test_a_small_run_shows_its_text_and_plain_output_has_no_colours(
    server: FakeServer, out: Path
) -> None:
    done = reproduce(server, out)
    first = json.loads(session_files(out)["session_0001.json"])["turns"][0]
    assert f"  Counselor: {first['reply']}\n  Client: {first['client_reply']}\n" in done.stdout
    shown = magnet("show", out).stdout + magnet("show", out, 1).stdout
    assert not ANSI.search(done.stdout + done.stderr + shown)
    assert f"magnet show {out}" in done.stdout


def test_a_dead_server_is_told_before_anything_is_made(out: Path) -> None:
    with serving(FakeServer()) as server:
        pass
    done = reproduce(server, out)
    assert (done.returncode, out.exists()) == (2, False)
    assert f"lm.default: {server.url} does not answer" in done.stderr
