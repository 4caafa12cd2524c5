"""Fine-tuning as far as it needs none of the packages of the extra ``train``."""

import json
import shutil
import tomllib
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import jinja2
import pytest
from huggingface_hub import ModelCard

from eval.report.page import write_report
from magnet.core.errors import UsageError
from magnet.core.journal import read_provenance
from magnet.core.seeds import load_seeds, split_by_client
from magnet.dataset.pairs import read_pairs
from magnet.stages.finetune import check, methods_of, recipe_of
from magnet.study.prepare import prepare
from magnet.study.spec import load_study
from magnet.training.evaluation import serve_command, write_evaluation
from magnet.training.finetune import PROVENANCE, check_folder, identity_of
from magnet.training.model_card import model_card
from magnet.training.plan import SIZES, Plan, Size, default_folder, memory_of, spread
from magnet.training.recipe import load_recipe, recipe_yaml, shipped
from magnet.training.tokens import TokenRow, TokenRows
from tests.fake_run import judge, play
from tests.fake_server import FakeServer, serving
from tests.running import command, magnet, run

PAPER = {
    "quantization": "nf4",
    "double_quant": True,
    "r": 64,
    "alpha": 16,
    "dropout": 0.1,
    "learning_rate": 2e-4,
    "epochs": 3,
    "warmup": 10,
    "batch": 1,
    "seed": 42,
    "tokens": 8192,
    "deepspeed": "zero2-offload",
    "gpus": 4,
    "loss": "all",
}


@pytest.mark.parametrize("name", shipped())
def test_a_recipe_that_ships_prints_itself(name, tmp_path):
    (tmp_path / "again.yaml").write_text(recipe_yaml(load_recipe(name)), encoding="utf-8")
    assert load_recipe(str(tmp_path / "again.yaml")) == load_recipe(name)


def test_the_paper_s_recipe_has_the_paper_s_values():
    recipe = load_recipe("paper").model_dump()
    assert {key: recipe[key] for key in PAPER} == PAPER
    assert len(recipe["modules"]) == 7


def test_settings_stand_over_a_study_s_table_and_that_over_the_recipe():
    recipe = load_recipe("smoke", ["steps=3"], {"steps": 4, "r": 2})
    assert (recipe.steps, recipe.r, recipe.alpha) == (3, 2, load_recipe("smoke").alpha)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["lerning_rate=1"], "unknown key 'lerning_rate'; did you mean 'learning_rate'"),
        (["loss='some'"], "recipe smoke: loss: .*'all' or 'padded'"),
        (["r=0"], "recipe smoke: r: .*greater than 0"),
        (["template='phi'"], "template: "),
        (["steps=many"], "is not a TOML value"),
        (
            ["loss='padded'", "packing=true"],
            r"loss is 'padded', but packed rows have no padding(.|\n)*--set packing=false",
        ),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(settings, message):
    with pytest.raises(UsageError, match=message):
        load_recipe("smoke", settings)


def test_a_recipe_that_is_no_recipe_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read nowhere(.|\n)*paper, recommended, smoke"):
        load_recipe("nowhere")
    path = tmp_path / "mine.yaml"
    for text, message in (("[", "is not YAML"), ("- a", "has no keys"), ("r: 1", "model: ")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=message):
            load_recipe(str(path))


def test_labels_are_the_reply_s_alone_or_all_of_them():
    row = TokenRow([5, 6, 7, 8], 2)
    assert row.labels("reply") == [-100, -100, 7, 8]
    assert row.labels("all") == row.labels("padded") == [5, 6, 7, 8]


@pytest.mark.parametrize(("loss", "row", "share"), [("all", 150, 0), ("padded", 400, 0.625)])
def test_a_plan_counts_padding_where_the_loss_does(played, loss, row, share):
    rows = TokenRows([TokenRow([0] * 100, 50), TokenRow([0] * 200, 50)])
    plan = replace(plan_of(played, loss=f"'{loss}'", tokens=400, batch=2, steps=5), train=rows)
    assert (plan.tokens, plan.padding) == (5 * 2 * row, share)


def test_validation_rows_are_taken_evenly():
    rows = [TokenRow([n], 0) for n in range(10)]
    assert [row.ids[0] for row in spread(rows, 4)] == [0, 2, 5, 7]
    assert spread(rows, None) == spread(rows, 99) == rows


def test_memory_follows_the_recipe_s_choices():
    size = Size(linear=10**9, other=10**8, adapter=10**7, layers=10, hidden=1000, inner=3000)
    small = load_recipe("recommended")
    offload = memory_of(size, load_recipe("paper"))
    assert memory_of(size, small).base == pytest.approx(10**9 * 4.127 / 8 + 10**8 * 2)
    assert (offload.optimizer, offload.host) == (0, 8 * 10**7)
    whole = memory_of(size, load_recipe("recommended", ["gradient_checkpointing=false"]))
    assert whole.activations > 3 * memory_of(size, small).activations


def test_a_study_without_a_split_is_the_study_it_was():
    before = prepare("demo", [])
    assert "split" not in before.identity
    assert "finetune" not in before.identity
    assert prepare("demo", ["split='all'"]).identity == before.identity
    assert prepare("demo", ["finetune.recipe='smoke'"]).identity == before.identity
    other = prepare("demo", ["split='test'", "sessions=1"]).identity
    assert other["split"] == "test"


def test_a_split_plays_its_clients_and_sessions_counts_within_it():
    file = load_seeds()
    parts = split_by_client(file.seeds)
    assert list(file.take(None, "test")) == parts[2]
    assert list(file.take(3, "train")) == parts[0][:3]
    with pytest.raises(UsageError, match=r"sessions is 99, but ours has \d+ seeds in its test"):
        file.take(99, "test")
    few = replace(file, seeds=file.seeds[:3])  # one client, in the training part
    with pytest.raises(UsageError, match="ours has no seeds in its test split"):
        few.take(None, "test")


def test_the_stage_needs_sessions_that_counselors_are_tuned_on():
    with pytest.raises(UsageError, match="has nothing to learn from"):
        methods_of(load_study("demo", ["methods=['magnet-c']"]))
    with pytest.raises(
        UsageError, match=r"finetune\.set: unknown key 'stps'; did you mean 'steps'"
    ):
        recipe_of(load_study("demo", ["finetune.set.stps=1"]))
    with pytest.raises(UsageError, match=r"unknown key 'finetune\.recpe'"):
        load_study("demo", ["finetune.recpe='x'"])
    study = load_study("demo", ["finetune.recipe='smoke'", "finetune.set.steps=3"])
    assert recipe_of(study).steps == 3


@pytest.mark.skipif(find_spec("trl") is not None, reason="the extra train is installed")
def test_without_the_extra_the_message_says_how_to_install_it(out):
    with pytest.raises(UsageError, match=r"pip install 'magnet-sessions\[train\]'"):
        check(load_study("demo"))
    done = magnet("finetune", out, "--method", "magnet")
    assert done.returncode == 2
    assert "magnet-sessions[train]" in done.stderr


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A run of the four clients that ship."""
    return play(tmp_path_factory.mktemp("training") / "run", ["magnet"], sessions=12)


def plan_of(run_dir, clients="train", **settings):
    """A plan whose rows are not needed."""
    pairs = read_pairs(run_dir, "magnet", SIZES[clients])
    recipe = load_recipe("smoke", [f"{k}={v}" for k, v in settings.items()])
    provenance = read_provenance(run_dir)
    return Plan(
        run_dir,
        "magnet",
        "ours",
        recipe,
        "base",
        pairs,
        TokenRows(),
        TokenRows(),
        provenance,
        clients,
    )


def test_the_evaluation_plays_unseen_clients_and_fills_the_paper_s_tables(played, tmp_path):
    plan = plan_of(played)
    agents = ("tuned-magnet", "tuned-cactus", "tuned-psych8k")
    path = tmp_path / "evaluate.toml"
    assert write_evaluation(plan, path, {agent: tmp_path / agent for agent in agents})
    study = load_study(str(path))
    assert (study.split, study.seeds, study.exchanges) == ("test", "ours", 2)
    assert study.spec("client").model == "base"
    trained = {pair.seed.client_id for pair in plan.pairs.of("train")}
    out = tmp_path / "run"
    with serving(FakeServer(models=("base", *(f"base-{a}" for a in agents)))) as server:
        settings = [f"lm.default.url='{server.url}'", "stages=['generate']"]
        line = command(path, "--out", out, *(x for s in settings for x in ("--set", s)))
        done = run(*line)
    assert done.returncode == 0, done.stderr
    sessions = [json.loads(f.read_bytes()) for f in sorted((out / "sessions").iterdir())]
    assert len(sessions) == 3 * len(load_seeds().take(None, "test")) > 0
    assert not trained & {session["client_id"] for session in sessions}
    models = {
        call["role"]: call["model"] for s in sessions for t in s["turns"] for call in t["calls"]
    }
    assert models == {a: f"base-{a}" for a in agents} | {"client": "base"}
    judge(out)
    tables = (write_report([out]) / "tables.md").read_text(encoding="utf-8")
    for number in (4, 10):
        block = tables.split(f"### Table {number}. ")[1].split("\n### ")[0]
        assert all(f"| fine-tuned {m} |" in block for m in ("MAGneT", "CACTUS", "Psych8k"))


def test_without_the_seed_file_the_test_part_s_seeds_lie_beside_the_study(played, tmp_path):
    other = tmp_path / "run"
    other.mkdir()
    (other / "sessions").symlink_to(played / "sessions")
    known = json.loads((played / "provenance.json").read_bytes())
    known["seeds"]["sha256"] = "another"
    (other / "provenance.json").write_text(json.dumps(known), encoding="utf-8")
    path = tmp_path / "evaluate.toml"
    assert write_evaluation(plan_of(other), path, {"tuned-magnet": tmp_path})
    study = load_study(str(path))
    assert study.split == "all"
    unseen = {seed.client_id for seed in load_seeds(study.seeds).seeds}
    assert unseen == {pair.seed.client_id for pair in plan_of(other).pairs.of("test")}


def test_the_evaluation_speaks_the_wire_and_serves_the_rank_of_the_training(played, tmp_path):
    plan = plan_of(played, template="'llama3'", r=24)
    path = tmp_path / "evaluate.toml"
    write_evaluation(plan, path, {plan.agent: tmp_path / "adapter"})
    spec = load_study(str(path)).spec(plan.agent)
    name = f"{Path(plan.base).name}-tuned-magnet"  # so that a session says what its base was
    assert (spec.wire, spec.template, spec.model) == ("completions", "llama3", name)
    served = serve_command(plan, {plan.agent: tmp_path / "adapter"})
    assert f"--max-lora-rank 32 --lora-modules {name}={tmp_path / 'adapter'}" in served
    assert served in path.read_text(encoding="utf-8")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["methods"] == ["tuned-magnet"]


def test_an_adapter_of_all_clients_has_nobody_left_to_evaluate_it_with(played, tmp_path):
    plan = plan_of(played, "all")
    assert {pair.split for pair in plan.pairs.pairs} == {"train"}
    assert plan.pairs.clients == {"train": 4, "validation": 0, "test": 0}
    assert len(plan.pairs.pairs) == 12 * 2
    assert not write_evaluation(plan, tmp_path / "evaluate.toml", {plan.agent: tmp_path})
    assert list(tmp_path.iterdir()) == []
    card = " ".join(model_card(plan, tmp_path, {"steps": 1}, {}, False).split())
    assert "| train | 4 | 12 | 24 |" in card
    assert "| test |" not in card
    assert "learned from all 4 clients with finished sessions. None was held out" in card
    assert all(pair.seed.client_id in card for pair in plan.pairs.pairs)
    assert "Likelihood is not measured: the adapter learns from all clients" in card
    assert "There is no evaluate.toml: no client of the run is unseen" in card
    assert "python -m magnet.reproduce" not in card


def test_the_card_names_the_clients_of_the_training_part_and_no_others(played, tmp_path):
    plan = plan_of(played)
    card = " ".join(model_card(plan, tmp_path, {"steps": 1}, {}, True).split())
    named = {p.seed.client_id for p in plan.pairs.pairs if p.seed.client_id in card}
    assert named == {p.seed.client_id for p in plan.pairs.of("train")}
    assert (
        "It learned from 2 clients. No client appears in two splits; they were split 90:10:50"
        in card
    )
    assert "python -m magnet.reproduce evaluate.toml" in card


def test_the_card_fills_every_name_of_its_template(played, tmp_path, monkeypatch):
    strict = partial(jinja2.Template, undefined=jinja2.StrictUndefined)
    monkeypatch.setattr(jinja2, "Template", strict)
    card = ModelCard(model_card(plan_of(played), tmp_path, {"steps": 1}, {}, True))
    data = card.data.to_dict()
    assert (data["library_name"], data["license"]) == ("peft", "other")
    assert card.text.startswith("\n# A counselor tuned on sessions of magnet")


def test_a_folder_goes_on_with_the_clients_it_was_begun_with(played, tmp_path):
    split, whole = plan_of(played), plan_of(played, "all")
    assert default_folder(played, "magnet").name == "tuned-magnet"
    assert default_folder(played, "magnet", "all").name == "tuned-magnet-all"
    for begun, other in ((split, whole), (whole, split)):  # their rows are the same: none
        identity = json.dumps({"identity": identity_of(begun)})
        (tmp_path / PROVENANCE).write_text(identity, encoding="utf-8")
        check_folder(tmp_path, identity_of(begun))
        with pytest.raises(UsageError, match="belongs to another fine-tuning: clients differ"):
            check_folder(tmp_path, identity_of(other))


def test_a_study_says_whose_sessions_to_learn_from():
    assert load_study("demo").finetune.clients == "train"
    assert load_study("demo", ["finetune.clients='all'"]).finetune.clients == "all"
    with pytest.raises(UsageError, match=r"finetune\.clients: .*'train' or 'all'"):
        load_study("demo", ["finetune.clients='test'"])


def test_a_report_shows_the_likelihood_before_and_after(played, tmp_path):
    tuned = played / "tuned-magnet"
    tuned.mkdir()
    found = {"rows": 6, "tokens": 541, "precision": "as served"}
    found |= {
        "base": {"nll": 1.5, "perplexity": 4.48},
        "adapter": {"nll": 1.25, "perplexity": 3.49},
    }
    (tuned / "metrics.json").write_text(json.dumps({"validation": found}), encoding="utf-8")
    tables = (write_report([played], tmp_path / "a") / "tables.md").read_text(encoding="utf-8")
    assert "| fine-tuned MAGneT | base | 1.5000 | 4.48 |" in tables
    assert "|  | with the adapter | 1.2500 | 3.49 |" in tables
    found = {"rows": 0, "tokens": 0, "precision": "as served", "not_measured": "Nobody held out."}
    whole = played / "tuned-magnet-all"
    whole.mkdir()
    (whole / "metrics.json").write_text(json.dumps({"validation": found}), encoding="utf-8")
    tables = (write_report([played], tmp_path / "all") / "tables.md").read_text(encoding="utf-8")
    assert "| fine-tuned MAGneT | base | 1.5000 | 4.48 |" in tables
    assert "| fine-tuned MAGneT, all clients | not measured | – | – |" in tables
    assert "fine-tuned MAGneT, all clients: Nobody held out." in tables
    shutil.rmtree(whole)
    (tuned / "metrics.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="was not written by magnet finetune"):
        write_report([played], tmp_path / "b")
    (tuned / "metrics.json").unlink()
    assert "fine-tuning" not in (write_report([played], tmp_path / "c") / "tables.md").read_text()
