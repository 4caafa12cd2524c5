"""Real QLoRA on the embedded LM's weights: ``make test-train``; pytest alone does not collect it.

The replies are those of the sessions that the paper's authors released, where these are beside the
checkout; where they are not, the tests that need them are skipped and say so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from eval.report.page import write_report
from magnet.core.errors import UsageError
from magnet.core.journal import read_sessions
from magnet.study.spec import load_study
from magnet.training.checks import check_machine
from magnet.training.finetune import finetune
from magnet.training.measure import likelihood
from magnet.training.plan import default_folder, make_plan
from magnet.training.recipe import load_recipe
from magnet.training.train import CHECKPOINTS, JOB, ROWS, attention_for, make_trainer, train
from tests import training_fixtures
from tests.fake_server import FakeServer, serving
from tests.running import ROOT, magnet, reproduce_args
from tests.training_fixtures import needs_sessions

#: Short rows, few of them held out, and dropout, so that a resume has random numbers to mind.
SETTINGS = ("tokens=384", "validation=6", "dropout=0.05")
STEPS, KILL_AFTER = 20, 10


def environment() -> dict[str, str]:
    # Waiting threads sleep: spinning ones wait for each other where the cores are shared.
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}


def command(run: Path, *more: str) -> list[str]:
    line = [sys.executable, "-m", "magnet.cli", "finetune", str(run), "--method", "psych8k"]
    line += ["--recipe", "smoke", *more]
    return line + [part for setting in SETTINGS for part in ("--set", setting)]


@pytest.fixture(scope="module")
def tuned(sessions):
    """The output folder of an undisturbed training."""
    done = subprocess.run(
        command(sessions, "--merge"), capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    folder = default_folder(sessions, "psych8k")
    return folder, json.loads((folder / "metrics.json").read_bytes()), done.stdout


# What is checked before anything begins.


def test_a_machine_that_will_not_do_is_told_what_would():
    with pytest.raises(UsageError, match=r"made for 4 GPUs; this machine has none(.|\n)*smoke"):
        check_machine(load_recipe("paper"))
    with pytest.raises(UsageError, match="float16 training needs a GPU"):
        check_machine(load_recipe("paper", ["cpu=true"]))
    check_machine(load_recipe("smoke"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_rows_are_packed_only_where_the_attention_keeps_them_apart():
    assert load_recipe("recommended").packing
    assert attention_for(load_recipe("recommended")) == ("sdpa", False)


@needs_sessions
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["tokens=20"], r"no row of 'psych8k' to train on fits 20 tokens"),
        (["tokens=9000"], r"tokens is 9000, but the base model reads 8192"),
        (["modules=['q_prj']"], r"the base has no 'q_prj'; did you mean 'q_proj'"),
        (["model='./nowhere'"], r"of ./nowhere does not load"),
    ],
)
def test_a_training_that_cannot_end_well_is_not_begun(sessions, out, settings, message):
    def begin() -> None:
        plan = make_plan(sessions, "psych8k", load_recipe("smoke", settings))
        finetune(plan, out, Console(quiet=True))

    with pytest.raises(UsageError, match=message):
        begin()
    assert not out.exists()


@needs_sessions
def test_a_folder_of_something_else_and_a_missing_tracker_are_refused(sessions, out):
    plan = make_plan(sessions, "psych8k", load_recipe("smoke", ["tokens=384"]))
    with pytest.raises(UsageError, match="no-such-tracker is not installed"):
        finetune(plan, out, Console(quiet=True), report_to="no-such-tracker")
    out.mkdir()
    (out / "letters.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"is not empty and is not a fine-tuning folder(.|\n)*--out"
    ):
        finetune(plan, out, Console(quiet=True))
    assert [path.name for path in out.iterdir()] == ["letters.txt"]


@needs_sessions
def test_print_shows_rows_steps_memory_and_time_and_begins_nothing(sessions, out):
    done = magnet("finetune", sessions, "--method", "psych8k", "--recipe", "smoke", "--print",
                  "--out", out, "--set", "tokens=384")  # fmt: skip
    assert done.returncode == 0, done.stderr
    for part in ("r: 16", "train ", "20 steps of 1 rows", "Memory per device", "assumed:"):
        assert part in done.stdout
    assert not out.exists()
    assert "padded" not in done.stdout
    more = magnet("finetune", sessions, "--method", "psych8k", "--recipe", "smoke", "--print",
                  "--out", out, "--set", "tokens=1024", "--set", "loss='padded'")  # fmt: skip
    share = re.search(r"padded to 1024 tokens: (\d+)% of the positions", more.stdout)
    assert share is not None, more.stderr
    assert 0 < int(share[1]) < 100
    assert "20 steps of 1 rows, about 20,480 tokens" in more.stdout


# Training.


@needs_sessions
def test_the_held_out_replies_become_likelier(tuned):
    folder, metrics, printed = tuned
    found = metrics["validation"]
    before, after = found["base"]["nll"], found["adapter"]["nll"]
    print(f"NLL {before:.4f} -> {after:.4f} ({1 - after / before:.1%}), merged {found['merged']}")
    assert metrics["training"]["steps"] == STEPS
    assert found["rows"] == 6
    assert after <= 0.85 * before
    assert f"{before:.4f}" in printed
    assert f"{after:.4f}" in printed
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"{before:.4f}" in card
    assert "never for clinical use" in card
    assert len((folder / "loss.jsonl").read_text(encoding="utf-8").splitlines()) == STEPS


@needs_sessions
def test_the_base_is_in_four_bits_while_training(tuned):
    trainer = make_trainer(tuned[0])
    kinds = {type(m).__name__ for n, m in trainer.model.named_modules() if n.endswith("base_layer")}
    assert kinds == {"Linear4bit"}


@needs_sessions
def test_adapter_and_merged_model_loaded_again_give_the_same_likelihood(sessions, tuned):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder, metrics, _ = tuned
    plan = make_plan(sessions, "psych8k", load_recipe("smoke", SETTINGS))
    model = AutoModelForCausalLM.from_pretrained(plan.base, dtype=torch.bfloat16).float()
    model = PeftModel.from_pretrained(model, str(folder / "adapter"))
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = weight.data.bfloat16().float()
    again = likelihood(model, plan.validation.rows).nll
    assert again == pytest.approx(metrics["validation"]["adapter"]["nll"], abs=1e-6)
    merged = AutoModelForCausalLM.from_pretrained(folder / "merged", dtype=torch.bfloat16).float()
    again = likelihood(merged, plan.validation.rows).nll
    assert again == pytest.approx(metrics["validation"]["merged"]["nll"], abs=1e-6)
    trained = load_file(folder / "adapter/adapter_model.safetensors")
    assert plan.size.adapter == sum(tensor.numel() for tensor in trained.values())


@needs_sessions
def test_a_killed_training_that_goes_on_equals_an_undisturbed_one(tuned, tmp_path):
    whole, part = tuned[0], tmp_path / "part"
    part.mkdir()
    for name in ("recipe.yaml", JOB):
        shutil.copy(whole / name, part / name)
    shutil.copytree(whole / ROWS, part / ROWS)
    line = [sys.executable, "-m", "magnet.training.train", str(part)]
    with (part / "log").open("wb") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log, env=environment())
        while process.poll() is None and steps_of(part) <= KILL_AFTER:
            time.sleep(0.1)
        process.kill()
        process.wait()
    assert (part / CHECKPOINTS / f"checkpoint-{KILL_AFTER}").is_dir(), (part / "log").read_text()
    assert not (part / "adapter").exists()
    subprocess.run(line, check=True, env=environment(), capture_output=True)
    once, twice = (load_file(f / "adapter/adapter_model.safetensors") for f in (whole, part))
    assert once.keys() == twice.keys()
    apart = max(float((once[name] - twice[name]).abs().max()) for name in once)
    print(f"largest difference of an adapter weight after the resume: {apart:g}")
    assert apart == 0
    lines = [json.loads(x) for x in (part / "loss.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["step"] for entry in lines] == list(range(1, STEPS + 1))


@needs_sessions
def test_the_same_command_finds_all_done_and_another_recipe_is_refused(sessions, tuned):
    before = (tuned[0] / "metrics.json").stat().st_mtime_ns
    done = subprocess.run(
        command(sessions, "--merge"), capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert (tuned[0] / "metrics.json").stat().st_mtime_ns == before
    done = subprocess.run(
        command(sessions, "--set", "r=4"), capture_output=True, text=True, env=environment()
    )
    assert (done.returncode, "recipe differ" in done.stderr) == (2, True)


@needs_sessions
def test_a_training_on_padding_learns_it_and_goes_on_after_a_stop(sessions, tokenizer, out):
    settings = [*SETTINGS, "loss='padded'", "steps=6", "save_every=3"]
    plan = make_plan(sessions, "psych8k", load_recipe("smoke", settings))
    finetune(plan, out, Console(quiet=True))
    trained = json.loads((out / "trained.json").read_bytes())
    assert (trained["steps"], trained["tokens"]) == (6, 6 * 384)
    assert trained["attention"] == "sdpa"
    lines = [json.loads(line) for line in (out / "loss.jsonl").read_bytes().splitlines()]
    print("loss by step, padding in it:", [round(line["loss"], 3) for line in lines])
    assert [line["tokens"] for line in lines] == [384 * n for n in range(1, 7)]
    found = json.loads((out / "metrics.json").read_bytes())["validation"]
    tokens = sum(row.reply for row in plan.validation.rows)
    assert (found["rows"], found["tokens"]) == (6, tokens)  # of the replies alone, as ever
    # The adapter has learned what the base did not know: after the end of text there is more of it.
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    before, after = padding_nll(plan, None, end), padding_nll(plan, out / "adapter", end)
    print(f"NLL of padding {before:.3f} -> {after:.3f}")
    assert after < before / 2
    once = load_file(out / "adapter" / "adapter_model.safetensors")
    shutil.rmtree(out / CHECKPOINTS / "checkpoint-6")
    train(out)
    twice = load_file(out / "adapter" / "adapter_model.safetensors")
    assert max(float((once[name] - twice[name]).abs().max()) for name in once) == 0
    again = json.loads((out / "trained.json").read_bytes())
    assert (again["steps_before"], again["tokens"]) == (3, 3 * 384)
    assert [json.loads(line) for line in (out / "loss.jsonl").read_bytes().splitlines()] == lines


def padding_nll(plan, adapter, end):
    """How likely a model finds the first ten padding tokens after a row."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(plan.base, dtype=torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, str(adapter))
    row = plan.validation.rows[0]
    ids = torch.tensor([row.ids + [end] * 10])
    mask = torch.tensor([[1] * len(row.ids) + [0] * 10])
    with torch.inference_mode():
        logits = model.eval()(ids, attention_mask=mask).logits[0, -11:-1]
    return float(torch.nn.functional.cross_entropy(logits, ids[0, -10:]))


@needs_sessions
def test_a_training_on_all_clients_measures_nothing_and_says_so(sessions):
    line = [*command(sessions, "--clients", "all"), "--set", "steps=2"]
    printed = run_quietly([*line, "--print"])
    assert "train" in printed.stdout
    assert "validation rows" not in printed.stdout
    assert "no reply is held out. There is no evaluate.toml" in printed.stdout
    done = run_quietly(line)
    assert done.returncode == 0, done.stderr
    assert "Likelihood is not measured: the adapter learns from all clients" in done.stdout
    assert "There is no evaluate.toml: no client of the run is unseen" in done.stdout
    out = default_folder(sessions, "psych8k", "all")
    assert out.name == "tuned-psych8k-all"
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert not (out / "evaluate.toml").exists()
    metrics = json.loads((out / "metrics.json").read_bytes())
    assert metrics["clients"] == "all"
    assert metrics["validation"]["rows"] == 0
    assert "held out" in metrics["validation"]["not_measured"]
    known = json.loads((out / "provenance.json").read_bytes())
    clients = {session.seed.client_id for session in read_sessions(sessions)}
    assert (known["trained_on"]["clients"], set(known["trained_on"]["ids"])) == ("all", clients)
    assert known["pairs"] == {"train": 60 * 20, "validation": 0, "test": 0}
    tables = (write_report([sessions]) / "tables.md").read_text(encoding="utf-8")
    assert "| fine-tuned Psych8k, all clients | not measured |" in tables
    line = [*command(sessions, "--out", str(out)), "--set", "steps=2"]
    refused = run_quietly(line)  # the same folder with the training part alone
    assert (refused.returncode, "rows, clients differ" in refused.stderr) == (2, True)


def run_quietly(line):
    return subprocess.run(line, capture_output=True, text=True, env=environment())


def test_a_study_s_stage_can_train_on_all_clients(tmp_path):
    out, settings = tmp_path / "run", {"recipe": "smoke", "set": {"steps": 2, "tokens": 1024}}
    with serving(FakeServer(record=False)) as server:
        given = {"methods": ["psych8k"], "sessions": 3, "stages": ["generate", "finetune"]}
        args = reproduce_args(server, out, finetune=settings | {"clients": "all"}, **given)
        done = run_quietly([sys.executable, "-m", "magnet.reproduce", *args])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no reply is held out" in done.stdout
    assert (out / "tuned-psych8k-all" / "adapter" / "adapter_model.safetensors").is_file()
    assert not (out / "evaluate.toml").exists()


def test_a_study_s_stage_trains_after_generation_and_doctor_knows_it(tmp_path):
    out, settings = tmp_path / "run", {"recipe": "smoke", "set": {"steps": 2, "tokens": 1024}}
    with serving(FakeServer(record=False)) as server:
        given = {"methods": ["psych8k"], "sessions": 12, "stages": ["generate", "finetune"]}
        line = reproduce_args(server, out, finetune=settings, **given)
        examined = magnet("doctor", *line)
        done = subprocess.run(
            [sys.executable, "-m", "magnet.reproduce", *line],
            capture_output=True, text=True, env=environment(),
        )  # fmt: skip
    assert "ok      finetune: recipe smoke for psych8k" in examined.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert "base with the adapter" in done.stdout
    assert (out / "tuned-psych8k" / "adapter" / "adapter_model.safetensors").is_file()
    study = load_study(str(out / "evaluate.toml"))
    assert (study.methods, study.split) == (["tuned-psych8k"], "test")
    tables = (write_report([out]) / "tables.md").read_text(encoding="utf-8")
    assert "Held-out replies before and after fine-tuning" in tables


def test_the_benchmark_of_training_runs(tmp_path):
    line = [sys.executable, "benchmarks/training.py", "--tiny", "--recipe", "smoke"]
    line += ["--steps", "2", "--length", "64", "--folder", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "tokens/s over 2 steps" in done.stdout


def steps_of(folder: Path) -> int:
    log = folder / "loss.jsonl"
    return len(log.read_bytes().splitlines()) if log.is_file() else 0


class Counting:
    """Counts tests for the closing line."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def pytest_runtest_logreport(self, report) -> None:
        self.passed += report.when == "call" and report.passed
        self.failed += report.failed
        self.skipped += report.skipped


if __name__ == "__main__":
    counts = Counting()
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    files = [__file__, str(Path(__file__).with_name("with_training_rows.py"))]
    options = ["-q", "-rs", "-s", *sys.argv[1:]]
    code = pytest.main([*files, *options], [counts, training_fixtures])
    print(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped")
    sys.exit(code)
